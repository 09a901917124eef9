"""Ranker beside RULER, on the same groups in the same run."""
