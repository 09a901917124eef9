"""Suites: groups with graded ground truth, on which judges are measured.

    load("toolenv", 200)
    load("code:difficulty=0.8,size=8", 200, seed=1)
    load("tau-airline")
    load("my_groups.jsonl")

A generated suite is a module with a `RUBRIC` and a function
`groups(n, seed=0, *, size=4, difficulty=0.5, held_out=True)`. It is deterministic; group i is the same however
many are made; every group holds at least two different truths, all of them in [0, 1]. `held_out` chooses templates
(wordings, services, tools, functions) that the others, kept for training judges, never use.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError, GroupError
from ranker.trajectory import TrajectoryGroup

GENERATED = ("toolenv", "constraints", "arithmetic", "code", "answers", "lookup")
PRACTICE = ("desk",)  # for tuning judges; their length says something of the truth, so they measure none
PUBLISHED = ("tau-airline", "gsm8k-solutions")  # fetched from their source
PACKAGED = ("humaneval-samples", "game24", "topical-chat")
REAL = (*PUBLISHED, *PACKAGED)  # attempts that were not generated for the suite


@dataclass(frozen=True, slots=True)
class Suite:
    """Groups whose trajectories all have a ground truth, in each at least two different ones.

    Attributes:
        name: as the user gave it.
        groups: at most as many as asked for.
        left_out: groups of the source that cannot measure a judge: truth missing, or the same throughout.
    """

    name: str
    groups: tuple[TrajectoryGroup, ...]
    left_out: int = 0


def load(spec: str, n: int | None = None, seed: int = 0) -> Suite:
    """The suite that `spec` names: a generated one (``toolenv``, with settings
    ``toolenv:difficulty=0.8,size=8,split=train``), one of real attempts (``game24``, ``tau-airline``,
    ``tau-airline:FILE``), or a group file with ground truth.

    Args:
        n: the most groups; None for 100 generated ones, or the whole file.
        seed: of generated suites.

    Raises:
        ConfigurationError: no such suite, a setting it does not have, a bad line of a file, or no group that can
            measure a judge.
    """
    name, _, rest = spec.partition(":")
    if name in GENERATED or name in PRACTICE:
        module = importlib.import_module(f".{name}", __package__)
        return Suite(spec, tuple(module.groups(100 if n is None else n, seed, **_settings(spec, rest))))
    if name in PUBLISHED:
        from ranker.suites import published

        return _informative(spec, published.load(name, Path(rest) if rest else None), n)
    if name in PACKAGED:
        from ranker.suites import packaged

        return _informative(spec, packaged.load(name, Path(rest) if rest else None), n)
    from ranker.jsonl.group_file import read_groups
    from ranker.jsonl.input_check import check_file

    path = Path(spec)
    if not path.is_dir():
        check_file(path)
    if not path.is_file():
        raise ConfigurationError(
            f"There is no suite {spec!r}. Choose {', '.join([*GENERATED, *REAL])}, or name a group file "
            "(JSONL) whose trajectories have ground_truth."
        )
    try:
        groups = read_groups(path)
    except GroupError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    return _informative(spec, groups, n)


def file_of(spec: str) -> Path | None:
    """The file that a suite's name says; None where it says none."""
    name, _, rest = spec.partition(":")
    if name in GENERATED or name in PRACTICE:
        return None
    return (Path(rest) if rest else None) if name in REAL else Path(spec)


def _settings(spec: str, text: str) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        key, _, value = part.partition("=")
        try:
            if key == "difficulty" and 0 <= float(value) <= 1:
                settings["difficulty"] = float(value)
                continue
            if key == "size" and 2 <= int(value) <= 64:
                settings["size"] = int(value)
                continue
        except ValueError:
            pass
        if key == "split" and value in ("test", "train"):
            settings["held_out"] = value == "test"
            continue
        raise ConfigurationError(
            f"The suite {spec!r} has a setting {part!r}; there are difficulty=0..1, size=2..64 and "
            "split=test or train, with commas between them."
        )
    return settings


def _informative(spec: str, groups: Sequence[TrajectoryGroup], n: int | None) -> Suite:
    truths = [{t.ground_truth for t in group.trajectories} for group in groups]
    telling = [g for g, values in zip(groups, truths, strict=True) if len(values) > 1 and None not in values]
    if not telling:
        raise ConfigurationError(
            f"{spec} has {len(groups)} groups, and none in which every trajectory has a ground_truth and at least "
            "two of them differ: it cannot tell a good judge from a bad one."
        )
    return Suite(spec, tuple(telling[:n]), len(groups) - len(telling))
