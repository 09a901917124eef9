"""Rewards under a judge that favours what it is shown first, for each number of calls.

Both sides get the same groups and the same judge: a trajectory's quality is its hidden worth +
bias·place, place running from 1 (shown first) to 0 (last). RULER has no passes: it is called again, and
its scores are averaged. It shows the input order every time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.harness import Json, say
from benchmarks.ruler.groups import Fields, small_groups, worths, write_groups
from benchmarks.ruler.judge_process import judge_process
from benchmarks.ruler.sides import Side, ranker_side
from ranker.bench.measures import kendall
from ranker.statistics import Estimate, percentile

BIASES = (0.0, 0.25, 0.5, 1.0)
CALLS = (1, 2, 4)
GROUPS = 400
SIZE = 6

Rewards = list[Sequence[float] | None]  # by group, None where it failed


def position(ruler: Side, folder: Path, count: int = GROUPS) -> Json:
    """Agreement with the truth, and what the rewards owe to the place in the input."""
    groups = small_groups(count, SIZE, seed=3)
    cells = []
    versions: Json = {}
    for bias in BIASES:
        say(f"position, bias {bias:g}")
        for name, calls in [(name, calls) for name in ("ranker", "ruler") for calls in CALLS]:
            if name == "ranker":
                run = with_ranker(groups, calls, bias, folder)
            else:
                run = with_ruler(ruler, groups, calls, bias, folder)
            cells.append(cell(groups, run.rewards, bias=bias, side=name, calls=calls, requests=run.requests))
            versions[name] = run.versions
    truth_GN = np.array([worths(fields) for fields in groups])
    return {
        "groups": count,
        "size": SIZE,
        "truth_by_place": truth_GN.mean(0).round(4).tolist(),
        "truth_place_correlation": place_correlation(truth_GN),
        "cells": cells,
        "versions": versions,
    }


class Run(NamedTuple):
    rewards: Rewards
    requests: int  # that the judge got
    versions: Mapping[str, str]


def with_ranker(groups: Sequence[Fields], calls: int, bias: float, folder: Path) -> Run:
    """Ranker with so many passes."""
    path = write_groups(folder / "position.jsonl", groups)
    side = ranker_side(passes=calls)
    with judge_process(side.answers, bias=bias) as judge:
        reply = side.run(path, judge)
        return Run(reply["rewards"], judge.stats()["requests"], reply["versions"])


def with_ruler(ruler: Side, groups: Sequence[Fields], calls: int, bias: float, folder: Path) -> Run:
    """RULER called so often on each group, its scores averaged; a group fails where any call does."""
    path = write_groups(folder / "position.jsonl", [fields for fields in groups for _ in range(calls)])
    with judge_process(ruler.answers, bias=bias) as judge:
        reply = ruler.run(path, judge)
        requests = judge.stats()["requests"]
    each = [reply["rewards"][start : start + calls] for start in range(0, len(reply["rewards"]), calls)]
    rewards = [None if None in scores else np.mean(scores, axis=0).tolist() for scores in each]
    return Run(rewards, requests, reply["versions"])


def cell(groups: Sequence[Fields], rewards: Rewards, **names: Any) -> Json:
    """What came of one run; failed groups are counted and stand in no mean."""
    pairs = [
        (worths(fields), ranked) for fields, ranked in zip(groups, rewards, strict=True) if ranked is not None
    ]
    counts: Json = {**names, "failed": len(rewards) - len(pairs)}
    if not pairs:
        return counts
    taus_G = np.array([kendall(ranked, truth) for truth, ranked in pairs])
    rewards_GN = np.array([ranked for _, ranked in pairs])
    return {
        **counts,
        "all_tied": sum(len(set(ranked)) == 1 for _, ranked in pairs),
        "kendall_tau_b": _rounded(percentile(np.mean, taus_G)),
        "place_correlation": place_correlation(rewards_GN),
        "reward_by_place": rewards_GN.mean(0).round(4).tolist(),
    }


def place_correlation(values_GN: Any) -> Json:
    """Pearson correlation over all trajectories of a value with the place in the input, 1 first to 0
    last: positive where the first are favoured."""
    place_N = np.linspace(1, 0, values_GN.shape[1])
    place_N -= place_N.mean()
    # All groups share the places, so a resample needs three sums of each group.
    sums_3G = (values_GN @ place_N, values_GN.sum(1), (values_GN**2).sum(1))
    spread = float((place_N**2).mean())

    def correlation(*sums: Any, axis: int) -> Any:
        with_place, total, squares = (part.mean(axis) / len(place_N) for part in sums)
        variance = squares - total**2
        return np.where(variance > 1e-12, with_place / np.sqrt(np.maximum(variance, 1e-12) * spread), 0.0)

    return _rounded(percentile(correlation, *sums_3G))


def _rounded(estimate: Estimate) -> Json:
    return dict(estimate.to_dict(4))
