"""The old name of `ranker.calibration`."""

from ranker.calibration import choose

__all__ = ["choose"]
