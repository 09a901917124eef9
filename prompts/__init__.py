"""Prompt templates, versioned by file name. A released file is never edited: a change is a new file."""
