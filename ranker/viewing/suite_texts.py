"""The attempts of a benchmark's groups: its observations hold what judges said, not what they were shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ranker.errors import RankerError
from ranker.suites import GENERATED, PRACTICE, file_of, load
from ranker.trajectory import TrajectoryGroup
from ranker.viewing.attempts import Lost

_MOST = 2_000  # groups of a suite that are made again


class SuiteTexts:
    """Makes the groups of a suite again, or reads its file; nothing is fetched, and no judge is asked. The seed of a generated
    suite is that of the group's id, NAME-SEED-INDEX, so that a run in progress has its texts, and a folder may hold runs
    with several seeds."""

    def __init__(self) -> None:
        self._suites: dict[tuple[str, int], tuple[TrajectoryGroup, ...] | Lost] = {}

    def made(self, observation: Mapping[str, Any]) -> TrajectoryGroup | None:
        """The group that an observation is about, if its suite was made already: that takes seconds."""
        suite, index = self._suites.get(_named(observation)), observation.get("index")
        if not isinstance(suite, tuple) or not isinstance(index, int) or not 0 <= index < len(suite):
            return None
        return suite[index] if _same(suite[index], observation) else None

    def of(self, observation: Mapping[str, Any]) -> TrajectoryGroup | Lost:
        """The group that an observation is about."""
        named, index = _named(observation), observation.get("index")
        if not isinstance(index, int) or not 0 <= index < _MOST:
            return Lost(f"Of a suite the first {_MOST:,} groups are shown.")
        groups = self._suites.get(named)
        if groups is None or (isinstance(groups, tuple) and index >= len(groups)):
            groups = self._suites[named] = _load(*named, index + 1)
        if isinstance(groups, Lost):
            return groups
        if index >= len(groups) or not _same(groups[index], observation):
            return Lost(f"{named[0]} holds other groups now than when the judge was asked.")
        return groups[index]


def _named(observation: Mapping[str, Any]) -> tuple[str, int]:
    """The suite, and the seed that it was made with."""
    suite = str(observation.get("suite"))
    family = re.escape(suite.partition(":")[0])
    said = re.fullmatch(rf"{family}-(-?\d{{1,20}})-\d+", str(observation.get("group")), re.ASCII)
    return suite, 0 if said is None else int(said[1])


def _same(group: TrajectoryGroup, observation: Mapping[str, Any]) -> bool:
    """Whether a group has the name and the truths of the one that the judge was shown."""
    truths = [t.ground_truth for t in group.trajectories]
    named = group.id or str(observation.get("index"))
    return named == observation.get("group") and truths == observation.get("truths")


def _load(suite: str, seed: int, count: int) -> tuple[TrajectoryGroup, ...] | Lost:
    name = suite.partition(":")[0]
    file = None if name in (*GENERATED, *PRACTICE) else file_of(suite)
    if name not in (*GENERATED, *PRACTICE) and (file is None or not file.is_file()):
        where = "its folder" if file is not None else "the folder of its file, named in the suite"
        return Lost(
            f"The attempts of {suite} are not in the benchmark's folder: start `ranker view` where {where} is."
        )
    try:
        room = max(16, 1 << (count - 1).bit_length())  # made in few steps, where many are looked at
        return load(suite, room, seed).groups
    except RankerError as error:
        return Lost(str(error))
