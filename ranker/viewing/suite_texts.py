"""The attempts of a benchmark's groups: its observations hold what judges said, not what they were shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ranker.errors import RankerError
from ranker.suites import GENERATED, PRACTICE, file_of, load
from ranker.trajectory import TrajectoryGroup
from ranker.viewing.attempts import Lost

_MOST = 2_000  # groups of a suite that are made again


class SuiteTexts:
    """Makes the groups of a suite again, or reads its file; nothing is fetched, and no judge is asked.

    Args:
        results: of the benchmark, for the seed of generated suites; a run in progress has none.
    """

    def __init__(self, results: Path):
        self._suites: dict[str, tuple[TrajectoryGroup, ...] | Lost] = {}
        self._seed = 0
        try:
            seed = json.loads(results.read_bytes()).get("seed")
            self._seed = seed if isinstance(seed, int) else 0
        except (OSError, ValueError, AttributeError):
            pass

    def made(self, observation: Mapping[str, Any]) -> TrajectoryGroup | None:
        """The group that an observation is about, if its suite was made already: that takes seconds."""
        suite, index = self._suites.get(str(observation.get("suite"))), observation.get("index")
        if not isinstance(suite, tuple) or not isinstance(index, int) or not 0 <= index < len(suite):
            return None
        return suite[index]

    def of(self, observation: Mapping[str, Any]) -> TrajectoryGroup | Lost:
        """The group that an observation is about."""
        suite, index = str(observation.get("suite")), observation.get("index")
        if not isinstance(index, int) or not 0 <= index < _MOST:
            return Lost(f"Of a suite the first {_MOST:,} groups are shown.")
        groups = self._suites.get(suite)
        if groups is None or (isinstance(groups, tuple) and index >= len(groups)):
            groups = self._suites[suite] = self._load(suite, index + 1)
        if isinstance(groups, Lost):
            return groups
        if index >= len(groups) or [t.ground_truth for t in groups[index].trajectories] != observation.get(
            "truths"
        ):
            return Lost(f"{suite} holds other groups now than when the judge was asked.")
        return groups[index]

    def _load(self, suite: str, count: int) -> tuple[TrajectoryGroup, ...] | Lost:
        name = suite.partition(":")[0]
        file = None if name in (*GENERATED, *PRACTICE) else file_of(suite)
        if name not in (*GENERATED, *PRACTICE) and (file is None or not file.is_file()):
            where = "its folder" if file is not None else "the folder of its file, named in the suite"
            return Lost(
                f"The attempts of {suite} are not in the benchmark's folder: start `ranker view` where {where} is."
            )
        try:
            room = max(16, 1 << (count - 1).bit_length())  # made in few steps, where many are looked at
            return load(suite, room, self._seed).groups
        except RankerError as error:
            return Lost(str(error))
