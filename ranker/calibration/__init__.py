"""Choose how to ask a local model, and when its verdict stands, on groups whose order is known."""

from ranker.calibration.choosing import Choice, best_tolerance, choose
from ranker.calibration.threshold import Fitted, fit_threshold

__all__ = ["Choice", "Fitted", "best_tolerance", "choose", "fit_threshold"]
