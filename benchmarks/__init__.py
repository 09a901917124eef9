"""Measurements of Ranker: speed and robustness, suites, judges, recorded results."""
