"""How a local model is best asked, and when it may decide alone: found on groups with a known order."""

from ranker.calibrating.choosing import Choice, best_tolerance, choose
from ranker.calibrating.threshold import Fitted, fit_threshold

__all__ = ["Choice", "Fitted", "best_tolerance", "choose", "fit_threshold"]
