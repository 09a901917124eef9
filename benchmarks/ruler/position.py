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
from scipy.stats import kendalltau

from benchmarks.ruler.groups import Fields, small_groups, worths, write_groups
from benchmarks.ruler.judge_process import judge_process
from benchmarks.ruler.measures import Say, Side, Told, ours

BIASES = (0.0, 0.25, 0.5, 1.0)
CALLS = (1, 2, 4)
GROUPS = 400
SIZE = 6
RESAMPLES = 2000

Rewards = list[Sequence[float] | None]  # by group, None where it failed


def position(ruler: Side, folder: Path, say: Say, count: int = GROUPS) -> Told:
    """Agreement with the truth, and what the rewards owe to the place in the input."""
    groups = small_groups(count, SIZE, seed=3)
    cells = []
    versions: Told = {}
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
    side = ours("--passes", str(calls))
    with judge_process(side.answers, bias=bias) as judge:
        told = side.run(path, judge)
        return Run(told["rewards"], judge.stats()["requests"], told["versions"])


def with_ruler(ruler: Side, groups: Sequence[Fields], calls: int, bias: float, folder: Path) -> Run:
    """RULER called so often on each group, its scores averaged; a group fails where any call does."""
    path = write_groups(folder / "position.jsonl", [fields for fields in groups for _ in range(calls)])
    with judge_process(ruler.answers, bias=bias) as judge:
        told = ruler.run(path, judge)
        requests = judge.stats()["requests"]
    each = [told["rewards"][start : start + calls] for start in range(0, len(told["rewards"]), calls)]
    rewards = [None if None in scores else np.mean(scores, axis=0).tolist() for scores in each]
    return Run(rewards, requests, told["versions"])


def cell(groups: Sequence[Fields], rewards: Rewards, **names: Any) -> Told:
    """What came of one run; failed groups are counted and stand in no mean."""
    pairs = [
        (worths(fields), given) for fields, given in zip(groups, rewards, strict=True) if given is not None
    ]
    found: Told = {**names, "failed": len(rewards) - len(pairs)}
    if not pairs:
        return found
    taus_G = np.array([_tau(truth, given) for truth, given in pairs])
    rewards_GN = np.array([given for _, given in pairs])
    return {
        **found,
        "all_tied": sum(len(set(given)) == 1 for _, given in pairs),
        "kendall_tau_b": _told(float(taus_G.mean()), taus_G[_resampled(len(taus_G))].mean(1)),
        "place_correlation": place_correlation(rewards_GN),
        "reward_by_place": rewards_GN.mean(0).round(4).tolist(),
    }


def _tau(truth: Sequence[float], rewards: Sequence[float]) -> float:
    """Kendall's tau-b; 0 where all rewards are tied, which says nothing of the truth."""
    return 0.0 if len(set(rewards)) == 1 else float(kendalltau(truth, rewards).statistic)


def place_correlation(values_GN: Any) -> Told:
    """Pearson correlation over all trajectories of a value with the place in the input, 1 first to 0
    last: positive where the first are favoured."""
    place_N = np.linspace(1, 0, values_GN.shape[1])
    place_N -= place_N.mean()
    # All groups share the places, so a resample needs three sums of each group.
    sums_G3 = np.stack([values_GN @ place_N, values_GN.sum(1), (values_GN**2).sum(1)], axis=1)
    spread = float((place_N**2).mean())

    def correlation(sums: Any) -> Any:
        """From sums averaged over groups, in the last axis."""
        with_place, total, squares = np.moveaxis(sums / len(place_N), -1, 0)
        variance = squares - total**2
        return np.where(variance > 1e-12, with_place / np.sqrt(np.maximum(variance, 1e-12) * spread), 0.0)

    resampled_R3 = sums_G3[_resampled(len(sums_G3))].mean(1)
    return _told(float(correlation(sums_G3.mean(0))), correlation(resampled_R3))


def _resampled(count: int) -> Any:
    return np.random.default_rng(0).integers(count, size=(RESAMPLES, count))


def _told(value: float, resampled: Any) -> Told:
    """With its 95 % bootstrap interval over groups."""
    low, high = np.quantile(resampled, [0.025, 0.975])
    return {"value": round(value, 4), "low": round(float(low), 4), "high": round(float(high), 4)}
