"""Tuning a small local judge on groups whose order is known."""
