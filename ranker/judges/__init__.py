"""Judges: language models behind an API or in this process, and how their replies become verdicts."""
