"""How a local model is best asked, and when it may decide alone: found on groups with a known order."""

from ranker.calibration.choosing import Choice, best_tolerance, choose
from ranker.calibration.threshold import Fitted, fit_threshold

__all__ = ["Choice", "Fitted", "best_tolerance", "choose", "fit_threshold"]
