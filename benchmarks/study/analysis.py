"""From the runs' records to the study's figures; pure. Figures with an interval are `Estimate`s."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.study.plan import BIASES, DETAIL_TRUTH, FAIR, FAMILIES, TRUTH, Arm, Unit
from ranker.statistics import NOTHING, Estimate, fieller, mean, paired

GAIN = 0.9  # share of the truth's gain whose steps are counted, and that a sufficient judge recovers
WINDOW = 5  # steps over which a training curve is smoothed
Record = Mapping[str, Any]


def smooth(curve: Sequence[float], window: int = WINDOW) -> list[float]:
    """Mean of each point and those before it, `window` of them where there are so many."""
    return [_average(curve[max(0, i + 1 - window) : i + 1]) for i in range(len(curve))]


def steps_to(curve: Sequence[float], level: float, window: int = WINDOW) -> int | None:
    """The first step, counted from 1, at which the smoothed curve is at the level; None if it never is."""
    first = min(window, len(curve))
    return next((i for i, v in enumerate(smooth(curve, window), start=1) if i >= first and v >= level), None)


def median_steps(steps: Sequence[int | None]) -> float | None:
    """The median over runs, where a run that never reached the level counts as later than any; None if that is the
    median."""
    middle = median(math.inf if s is None else s for s in steps) if steps else math.inf
    return None if math.isinf(middle) else float(middle)


def _average(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _average_of(record: Record, key: str) -> float | None:
    """The mean over the steps that have this number."""
    known = [v for v in record.get(key, ()) if v is not None]
    return _average(known) if known else None


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
            if "error" in record:
                self.failed[unit.arm.name] = self.failed.get(unit.arm.name, 0) + (unit.kind == "train")
            elif unit.kind == "judge":
                self._judges[unit.arm.judge] = record
            else:
                self.trained[unit.arm.name][unit.seed] = record

    def accuracy(self, name: str) -> Estimate:
        """The judge's pairwise accuracy on the untrained policy's groups; 1 for the truth itself."""
        judge = self.arms[name].judge
        if judge is None:
            return Estimate(1.0, 1.0, 1.0)
        record = self._judges.get(judge)
        return Estimate(*(record["accuracy"][k] for k in ("value", "low", "high"))) if record else NOTHING

    def each(self, name: str, of: Callable[[Record], float | None]) -> dict[int, float]:
        """A number of every good run of an arm, by seed; seeds without it are left out."""
        values = {seed: of(record) for seed, record in self.trained.get(name, {}).items()}
        return {seed: value for seed, value in values.items() if value is not None}

    def mean(self, name: str, of: Callable[[Record], float | None]) -> Estimate:
        """The mean of that number over seeds."""
        return mean(list(self.each(name, of).values()))

    def final(self, name: str) -> dict[int, float]:
        return self.each(name, lambda r: self._worth(name, r["after"]))

    def gain(self, name: str) -> dict[int, float]:
        return self.each(name, lambda r: self._worth(name, r["after"]) - self._worth(name, r["before"]))

    def recovery(self, name: str) -> Estimate:
        """The gain as a share of that under the arm's ground truth."""
        return fieller(self.gain(name), self.gain(DETAIL_TRUTH if self.arms[name].detail else TRUTH))

    def _worth(self, name: str, exam: Mapping[str, float]) -> float:
        """The ground truth of an arm, of an examined policy."""
        detail = self.arms[name].detail
        return exam["truth"] + (detail * exam["detail"] if detail else 0.0)


def figures(units: Sequence[Unit], records: Mapping[str, Record]) -> dict[str, Any]:
    """All figures of the study: `start`, `level`, `arms`, `comparisons` and `relations`."""
    runs = Runs(units, records)
    level = _level(runs)
    deviations: Mapping[str, Callable[[Record], float | None]] = {
        "truth_deviation": lambda r: r.get("truth_deviation"),
        "reward_deviation": lambda r: r.get("reward_deviation"),
    }
    return {
        "start": runs.mean(TRUTH, lambda r: r["before"]["truth"]),
        "level": None if level is None else round(level, 6),
        "arms": [_arm(runs, name, level) for name in runs.arms],
        "comparisons": [*_systematic(runs), *_beside(runs)],
        "relations": {
            "beta": _points(runs, "beta", 0.0, {"kl": lambda r: r["after"]["kl"]}),
            "temperature": _points(runs, "temperature", 1.0, deviations),
            "learning-rate": _points(
                runs, "learning-rate", 1e-3, {"grad_norm": lambda r: _average_of(r, "grad_norm")}
            ),
        },
    }


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


def _curve(record: Record) -> list[float]:
    return [v for v in record.get("curve", ()) if v is not None]


def _arm(runs: Runs, name: str, level: float | None) -> dict[str, Any]:
    arm, good = runs.arms[name], runs.trained[name]
    curves = [_curve(r) for r in good.values()]
    steps = [steps_to(c, level) for c in curves if c] if level is not None else []
    noises = [r.get("noise") for r in good.values()]
    after = {
        key: runs.mean(name, lambda r, key=key: r["after"][key])  # type: ignore[misc]
        for key in ("pleased", "boasted", "pretended", "words", "kl")
    }
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
        # of one pass of the arm's judge, its bias left in
        "single_accuracy": runs.accuracy(arm.beside if arm.family in ("passes", "debiased") else name).value,
        "accuracy_in_training": runs.mean(name, lambda r: _average_of(r, "judge_accuracy")),
        "final": mean(list(runs.final(name).values())),
        "recovery": runs.recovery(name),
        "steps_to_90": {
            "median": median_steps(steps),
            "reached": sum(s is not None for s in steps),
            "of": len(steps),
        },
        **after,
        "judge_calls": runs.mean(name, lambda r: r["judge_calls"]),
        "seconds": runs.mean(name, lambda r: r["seconds"]),
        "failed_groups": sum(r["failed_groups"] for r in good.values()),
        "curve": [round(_average(column), 6) for column in zip(*curves, strict=False)] if all(curves) else [],
    }


def _systematic(runs: Runs) -> Iterable[dict[str, Any]]:
    """Each systematic judge beside a random one of the same accuracy: the difference in final true reward.

    The random one's is interpolated between the two nearest noise arms, seed by seed. A systematic judge that is right
    in fewer than half of the pairs is compared with pure noise.
    """
    noise = {
        accuracy: runs.final(name)
        for name, arm in runs.arms.items()
        if arm.family == "noise" and (accuracy := runs.accuracy(name).value) is not None
    }
    for name, arm in runs.arms.items():
        accuracy = runs.accuracy(name).value
        if arm.family not in (*BIASES, "inverted") or accuracy is None or not noise:
            continue
        other = interpolate(max(accuracy, min(noise)), noise)
        if other is not None:
            difference = paired(runs.final(name), other)
            yield _comparison("systematic", arm, "random error", difference)


def interpolate(at: float, points: Mapping[float, Mapping[int, float]]) -> dict[int, float] | None:
    """Each seed's value at `at`, between the two nearest points; None outside of them."""
    known = sorted(points)
    if not known or not known[0] <= at <= known[-1]:
        return None
    above = next(x for x in known if x >= at)
    below = max(x for x in known if x <= at)
    share = 0.0 if above == below else (at - below) / (above - below)
    seeds = points[below].keys() & points[above].keys()
    return {s: points[below][s] * (1 - share) + points[above][s] * share for s in seeds}


def _beside(runs: Runs) -> Iterable[dict[str, Any]]:
    """Arms beside the arm that differs from them in one thing."""
    for family in ("debiased", "passes", "group-size", "scores", "dpo"):
        for name, arm in runs.arms.items():
            if arm.family == family:
                yield _comparison(family, arm, arm.beside, paired(runs.final(name), runs.final(arm.beside)))


def _comparison(kind: str, arm: Arm, beside: str, difference: Estimate) -> dict[str, Any]:
    return {"kind": kind, "family": arm.family, "arm": arm.name, "beside": beside, "difference": difference}


def _points(
    runs: Runs, family: str, usual: float, of: Mapping[str, Callable[[Record], float | None]]
) -> list[dict[str, Any]]:
    """A family's figures in order of its setting, the shared arm at the usual one; `change` of a figure is the paired
    difference to the first point."""
    named = {arm.strength: name for name, arm in runs.arms.items() if arm.family == family}
    if not named:
        return []
    named[usual] = FAIR
    first = named[min(named)]
    keys = {**of, "final": lambda r: r["after"]["truth"]}
    points = []
    for setting, name in sorted(named.items()):
        point: dict[str, Any] = {"setting": setting, "arm": name}
        for key, get in keys.items():
            point[key] = runs.mean(name, get)
            change = paired(runs.each(name, get), runs.each(first, get))
            point[f"{key}_change"] = NOTHING if name == first else change
        points.append(point)
    return points


def answers(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The few numbers that the page's prose is about.

    `sufficient` and `helpful`: the least accurate noisy judge from which on recovery lies above nine tenths, or above
    0; `harmful`: the most accurate judge that does significantly worse than random error of its accuracy.
    """
    arms = {a["name"]: a for a in figures["arms"]}
    noise = sorted((a for a in arms.values() if a["family"] == "noise"), key=lambda a: -a["strength"])

    def least(bound: float) -> str | None:
        good = list(itertools.takewhile(lambda a: a["recovery"].above(bound), noise))
        return good[-1]["name"] if good else None

    worse = [
        c["arm"] for c in figures["comparisons"] if c["kind"] == "systematic" and c["difference"].below(0)
    ]
    counts: dict[str, dict[str, int]] = {}
    for c in figures["comparisons"]:
        count = counts.setdefault(c["kind"], {"of": 0, "higher": 0, "lower": 0})
        count["of"] += 1
        count["higher"] += c["difference"].above(0)
        count["lower"] += c["difference"].below(0)
    return {
        "sufficient": least(GAIN),
        "helpful": least(0.0),
        "harmful": max(worse, key=lambda name: arms[name]["accuracy"].value, default=None),
        "comparisons": counts,
    }
