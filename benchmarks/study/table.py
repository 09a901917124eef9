"""From the runs' records to the study's figures; pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.study import statistics as stats
from benchmarks.study.plan import BIASES, FAIR, FAMILIES, TRUTH, Arm, Unit

GAIN = 0.9  # share of the truth's gain whose steps are counted
Record = Mapping[str, Any]


class Runs:
    """The records of the study's units, by arm.

    Attributes:
        arms: by name, in the plan's order.
        trained: for each arm its good runs, by seed.
        failed: for each arm how many runs failed.
    """

    def __init__(self, units: Sequence[Unit], records: Mapping[str, Record]):
        self.arms: dict[str, Arm] = {u.arm.name: u.arm for u in units if u.kind == "train"}
        self.trained: dict[str, dict[int, Record]] = {name: {} for name in self.arms}
        self.failed = dict.fromkeys(self.arms, 0)
        self._judges: dict[Any, Record] = {}
        for unit in units:
            record = records.get(unit.id)
            if record is None:
                continue
            bad = "error" in record
            if unit.kind == "judge":
                if not bad:
                    self._judges[unit.arm.judge] = record
            elif bad:
                self.failed[unit.arm.name] += 1
            else:
                self.trained[unit.arm.name][unit.seed] = record

    def accuracy(self, name: str) -> dict[str, Any]:
        """The judge's pairwise accuracy on the untrained policy's groups; 1 for the truth itself."""
        judge = self.arms[name].judge
        if judge is None:
            return {"value": 1.0, "low": 1.0, "high": 1.0}
        record = self._judges.get(judge)
        if record is None:
            return {"value": None, "low": None, "high": None}
        return {k: record["accuracy"][k] for k in ("value", "low", "high")}

    def each(self, name: str, of: Callable[[Record], float | None]) -> dict[int, float]:
        """A number of every good run of an arm, by seed; seeds without it are left out."""
        found = {seed: of(record) for seed, record in self.trained.get(name, {}).items()}
        return {seed: value for seed, value in found.items() if value is not None}

    def final(self, name: str) -> dict[int, float]:
        return self.each(name, lambda r: r["after"]["truth"])

    def gain(self, name: str) -> dict[int, float]:
        return self.each(name, lambda r: r["after"]["truth"] - r["before"]["truth"])


def figures(units: Sequence[Unit], records: Mapping[str, Record]) -> dict[str, Any]:
    """All figures of the study: `start`, `level`, `arms`, `comparisons` and `relations`."""
    runs = Runs(units, records)
    level = _level(runs)
    before = stats.mean(list(runs.each(TRUTH, lambda r: r["before"]["truth"]).values()))
    return {
        "start": _told(before),
        "level": None if level is None else round(level, 6),
        "arms": [_arm(runs, name, level) for name in runs.arms],
        "comparisons": [*_systematic(runs), *_beside(runs)],
        "relations": {
            "beta": _points(runs, "beta", 0.0, {"kl": lambda r: r["after"]["kl"]}),
            "temperature": _points(
                runs,
                "temperature",
                1.0,
                {
                    "truth_deviation": lambda r: r.get("truth_deviation"),
                    "reward_deviation": lambda r: r.get("reward_deviation"),
                },
            ),
            "learning-rate": _points(runs, "learning-rate", 1e-3, {"grad_norm": _grad_norm}),
        },
    }


def _told(estimate: stats.Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else estimate.to_dict()


def _mean(runs: Runs, name: str, of: Callable[[Record], float | None]) -> dict[str, Any] | None:
    return _told(stats.mean(list(runs.each(name, of).values())))


def _level(runs: Runs) -> float | None:
    """The true reward, on training letters, at which nine tenths of the ground truth's gain are made: from the
    first two steps, which the untrained policy samples, to the last fifth, means over seeds."""
    curves = [_curve(r) for r in runs.trained.get(TRUTH, {}).values()]
    curves = [c for c in curves if c]
    if not curves:
        return None
    low = _average([_average(c[:2]) for c in curves])
    high = _average([_average(c[-max(1, len(c) // 5) :]) for c in curves])
    return low + GAIN * (high - low)


def _average(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _curve(record: Record) -> list[float]:
    return [v for v in record.get("curve", ()) if v is not None]


def _arm(runs: Runs, name: str, level: float | None) -> dict[str, Any]:
    arm, good = runs.arms[name], runs.trained[name]
    curves = [_curve(r) for r in good.values()]
    steps = [stats.steps_to(c, level) for c in curves if c] if level is not None else []
    accuracies = runs.each(name, _training_accuracy)
    noises = [r.get("noise") for r in good.values()]
    return {
        "name": name,
        "family": arm.family,
        "about": FAMILIES[arm.family],
        "strength": arm.strength,
        "beside": arm.beside,
        "passes": arm.judge.passes if arm.judge else None,
        "group_size": arm.generations,
        "runs": len(good),
        "failed": runs.failed[name],
        "noise": noises[0] if noises else None,
        "accuracy": runs.accuracy(name),
        "single_accuracy": _single(runs, arm),
        "accuracy_in_training": _told(stats.mean(list(accuracies.values()))),
        "final": _told(stats.mean(list(runs.final(name).values()))),
        "recovery": _told(stats.ratio(runs.gain(name), runs.gain(TRUTH))),
        "steps_to_90": {
            "median": stats.median_steps(steps),
            "reached": sum(s is not None for s in steps),
            "of": len(steps),
        },
        "pleased": _mean(runs, name, lambda r: r["after"]["pleased"]),
        "boasted": _mean(runs, name, lambda r: r["after"]["boasted"]),
        "pretended": _mean(runs, name, lambda r: r["after"]["pretended"]),
        "words": _mean(runs, name, lambda r: r["after"]["words"]),
        "kl": _mean(runs, name, lambda r: r["after"]["kl"]),
        "judge_calls": _mean(runs, name, lambda r: r["judge_calls"]),
        "seconds": _mean(runs, name, lambda r: r["seconds"]),
        "failed_groups": sum(r["failed_groups"] for r in good.values()),
        "curve": [round(_average(column), 6) for column in zip(*curves, strict=False)] if all(curves) else [],
    }


def _single(runs: Runs, arm: Arm) -> float | None:
    """Accuracy of one pass of an arm's judge."""
    name = arm.beside if arm.family == "passes" else arm.name
    found: float | None = runs.accuracy(name)["value"]
    return found


def _training_accuracy(record: Record) -> float | None:
    known = [v for v in record.get("judge_accuracy", ()) if v is not None]
    return _average(known) if known else None


def _grad_norm(record: Record) -> float | None:
    known = [v for v in record.get("grad_norm", ()) if v is not None]
    return _average(known) if known else None


def _systematic(runs: Runs) -> Iterable[dict[str, Any]]:
    """Each systematic judge beside a random one of the same accuracy: the difference in final true reward.

    The random one's is read between the two nearest noise arms, seed by seed. Where the systematic judge is right in
    fewer than half of the pairs, it is pure noise.
    """
    noise = {
        accuracy: runs.final(name)
        for name, arm in runs.arms.items()
        if arm.family == "noise" and (accuracy := runs.accuracy(name)["value"]) is not None
    }
    for name, arm in runs.arms.items():
        accuracy = runs.accuracy(name)["value"]
        if arm.family not in (*BIASES, "inverted") or accuracy is None or not noise:
            continue
        other = stats.interpolate(max(accuracy, min(noise)), noise)
        if other is not None:
            found = stats.difference(runs.final(name), other)
            yield {
                "kind": "systematic",
                "family": arm.family,
                "arm": name,
                "beside": "random error",
                "difference": _told(found),
            }


def _beside(runs: Runs) -> Iterable[dict[str, Any]]:
    """Arms beside the arm that differs from them in one thing; and each kind's mean over its arms, seed by seed."""
    for family in ("passes", "group-size", "scores", "dpo"):
        for name, arm in runs.arms.items():
            if arm.family == family:
                found = stats.difference(runs.final(name), runs.final(arm.beside))
                yield {
                    "kind": family,
                    "family": family,
                    "arm": name,
                    "beside": arm.beside,
                    "difference": _told(found),
                }


def _points(
    runs: Runs, family: str, usual: float, of: Mapping[str, Callable[[Record], float | None]]
) -> list[dict[str, Any]]:
    """A family's figures in order of its setting, the shared arm at the usual one; `rise` of a figure is the paired
    difference to the point before, `change` to the first."""
    named = {arm.strength: name for name, arm in runs.arms.items() if arm.family == family}
    if not named:
        return []
    named[usual] = FAIR
    made: list[dict[str, Any]] = []
    before: str | None = None
    first: str | None = None
    keys = {**of, "final": lambda r: r["after"]["truth"]}
    for setting in sorted(named):
        name = named[setting]
        point: dict[str, Any] = {"setting": setting, "arm": name}
        for key, get in keys.items():
            point[key] = _mean(runs, name, get)
            for what, other in (("rise", before), ("change", first)):
                found = stats.difference(runs.each(name, get), runs.each(other, get)) if other else None
                point[f"{key}_{what}"] = _told(found)
        made.append(point)
        before, first = name, first or name
    return made
