"""`results.json`: the figures of every judge on every suite, and the differences between judges."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from ranker.aggregate.agreement import agreeing
from ranker.bench.judge_spec import JudgeSpec
from ranker.bench.matrix import Log, Matrix
from ranker.bench.measures import (
    METRICS,
    SHARE,
    Pair,
    accuracy,
    by_attack,
    effect_by_attack,
    gather,
    measure,
    parts,
)
from ranker.bench.observation import PLAIN, Answers, Observation
from ranker.bench.simulated_judges import truth_range
from ranker.ranked import RankedGroup
from ranker.statistics import difference, ratio
from ranker.suites import Suite
from ranker.usage import Usage

Json = dict[str, Any]
COMPARED = ("pairwise_accuracy", "kendall_tau_b", "best_of_n")
_TRUTH_EDGES = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)  # of the suite's range, where that exceeds 1
_RANK_EDGES = (-0.001, 0.0, 0.25, 0.5, 0.75, 1.0)


def answers_of(matrix: Matrix, log: Log, judge: JudgeSpec, suite: Suite) -> list[Answers]:
    observations = (log.of(condition) for condition in matrix.plan(judge, suite))
    return gather([seen for seen in observations if seen is not None])


def results(matrix: Matrix, log: Log, header: Mapping[str, Any]) -> Json:
    """The contents of `results.json`, the same for the same observations."""
    seed = matrix.options.seed
    cells = [(judge, suite, answers_of(matrix, log, judge, suite)) for judge, suite in matrix.cells()]
    return {
        "schema_version": 1,
        **header,
        "suites": [
            {"suite": s.name, "groups": len(s.groups), "left_out": s.left_out,
             "trajectories": sum(len(g) for g in s.groups)} for s in matrix.suites
        ],
        "metrics": {name: metric.meaning for name, metric in METRICS.items()},
        "cells": [_cell(judge, suite, answers, seed) for judge, suite, answers in cells],
        "differences": [
            difference
            for suite in matrix.suites
            for difference in _differences(suite, {j.name: a for j, s, a in cells if s is suite}, seed)
        ],
    }  # fmt: skip


def _cell(judge: JudgeSpec, suite: Suite, answers: Sequence[Answers], seed: int) -> Json:
    seen = [o for a in answers for o in a.by_condition.values()]
    asked = [a for a in answers if PLAIN in a.by_condition]
    usage = sum((o.usage for o in seen), Usage())
    plain = [a.by_condition[PLAIN] for a in asked]
    fresh = [o for o in plain if not o.usage.cached_calls]
    num_N, den_N = parts(METRICS["pairwise_accuracy"], answers)
    return {
        "judge": judge.name,
        "suite": suite.name,
        "simulated": judge.simulated is not None,
        "groups": len(asked),
        "failed": sum(o.rewards is None for o in plain),
        "errors": dict(sorted(Counter(str(o.error["type"]) for o in seen if o.error).items())),
        "metrics": {name: e.to_dict() for name, e in measure(answers, seed).items()},
        "usage": usage.to_dict(),
        "askings": len(seen),
        "per_group": _per_group(plain),
        "seconds_per_group": round(fmean(o.seconds for o in fresh), 4) if fresh else None,
        "attacks": {kind: e.to_dict() for kind, e in by_attack(answers).items()},
        "attack_effects": {kind: e.to_dict() for kind, e in effect_by_attack(answers).items()},
        "reliability": {
            "by_truth_gap": _bins(
                answers, _truth_edges(suite), lambda o, p: abs(o.truths[p[0]] - o.truths[p[1]])
            ),
            "by_rank_gap": _bins(answers, _RANK_EDGES, _rank_gap),
        },
        "by_group": {
            "ids": [a.any.group for a in answers],
            "agreeing": [round(float(x), 4) for x in num_N],
            "pairs": [int(x) for x in den_N],
        },
    }


def _per_group(plain: Sequence[Observation]) -> Json:
    """Means over trials without cached calls, which have neither tokens nor dollars."""
    fresh = [o.usage for o in plain if o.usage.calls and not o.usage.cached_calls]
    if not fresh:
        return {"calls": None, "prompt_tokens": None, "completion_tokens": None, "cost_usd": None}
    costs = [u.cost_usd for u in fresh]
    return {
        "calls": fmean(u.calls for u in fresh),
        "prompt_tokens": fmean(u.prompt_tokens for u in fresh),
        "completion_tokens": fmean(u.completion_tokens for u in fresh),
        "cost_usd": None if None in costs else fmean(c for c in costs if c is not None),
    }


def _truth_edges(suite: Suite) -> list[float]:
    low, high = truth_range(suite.groups)
    scale = max(1.0, high - low)
    return [scale * edge for edge in _TRUTH_EDGES]


def _rank_gap(seen: Observation, pair: Pair) -> float:
    assert seen.rewards is not None
    return abs(float(seen.rewards[pair[0]]) - float(seen.rewards[pair[1]]))


def _bins(
    answers: Sequence[Answers], edges: Sequence[float], gap: Callable[[Observation, Pair], float]
) -> list[Json]:
    """Pairwise accuracy by how far apart a pair is; the gap is in (low, high] of each bin."""
    bins = []
    for low, high in itertools.pairwise(edges):
        counts = [accuracy(a, lambda o, p, b=(low, high): b[0] < gap(o, p) <= b[1]) for a in answers]  # type: ignore[misc]
        num_N, den_N = np.array(counts, dtype=float).reshape(-1, 2).T
        if den_N.sum():
            bins.append(
                {"low": max(0.0, low), "high": high, "pairs": int(den_N.sum()),
                 "accuracy": ratio(num_N, den_N, share=True).to_dict()}
            )  # fmt: skip
    return bins


def _differences(suite: Suite, by_judge: Mapping[str, Sequence[Answers]], seed: int) -> list[Json]:
    """Paired differences of every two judges on the groups that both ranked."""
    rows = []
    for (a, first), (b, second) in itertools.combinations(by_judge.items(), 2):
        common = sorted({x.any.index for x in first} & {x.any.index for x in second})
        one, other = [{x.any.index: x for x in some} for some in (first, second)]
        for name in COMPARED:
            pair = [parts(METRICS[name], [some[i] for i in common]) for some in (one, other)]
            least, most = METRICS[name].within or SHARE
            estimate, _ = difference(pair[0], pair[1], seed, span=most - least)
            rows.append({"suite": suite.name, "a": a, "b": b, "metric": name, **estimate.to_dict(),
                         "groups": len(common)})  # fmt: skip
    return rows


def disagreements(matrix: Matrix, log: Log, most: int = 3) -> list[Json]:
    """The groups on which each judge is furthest from the truth, as records of a ranked file."""
    lines = []
    for judge, suite in matrix.cells():
        ranked = []
        for answers in answers_of(matrix, log, judge, suite):
            seen = answers.by_condition.get(PLAIN)
            if seen is not None and seen.rewards is not None:
                right, pairs = agreeing(seen.truths, seen.rewards)
                ranked.append((right / pairs, seen.index, seen))
        ranked.sort(key=lambda item: item[:2])
        worst = [item for item in ranked if item[0] < 1][: most if judge.simulated is None else 1]
        lines += [_disagreement(suite, share, seen) for share, _, seen in worst]
    return lines


def _disagreement(suite: Suite, share: float, seen: Observation) -> Json:
    group, rewards = suite.groups[seen.index], list(seen.rewards or ())
    levels = sorted(set(rewards), reverse=True)
    tiers = [[i for i, r in enumerate(rewards) if r == level] for level in levels]
    reasons = list(seen.reasons) or [""] * len(group)
    ranked = RankedGroup(group, rewards, tiers, reasons, usage=seen.usage, judge=seen.judge)
    return {
        "id": f"{seen.judge}/{suite.name}/{seen.group}",
        "suite": suite.name,
        "agreement": round(share, 4) if math.isfinite(share) else None,
        "task": group.task,
        "rubric": group.rubric,
        "trajectories": [
            {"id": name, "messages": list(t.messages), **({"tools": list(t.tools)} if t.tools else {}),
             **({"histories": [list(h) for h in t.histories]} if t.histories else {}), "ground_truth": t.ground_truth}
            for name, t in zip(group.ids, group.trajectories, strict=True)
        ],
        **ranked.to_dict(),
    }  # fmt: skip
