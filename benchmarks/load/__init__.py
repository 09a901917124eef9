"""Runs of a size that users have."""
