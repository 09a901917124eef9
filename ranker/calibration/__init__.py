"""Calibration of local models on groups with a known order: the best way to ask, and when to trust the answer."""

from ranker.calibration.choosing import Choice, best_tolerance, choose
from ranker.calibration.threshold import Fitted, fit_threshold

__all__ = ["Choice", "Fitted", "best_tolerance", "choose", "fit_threshold"]
