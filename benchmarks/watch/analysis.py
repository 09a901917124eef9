"""From recorded runs to the study's figures. Figures with an interval are `Estimate`s over seeds; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

import numpy as np

from benchmarks.harness import Json
from benchmarks.watch import plan
from benchmarks.watch.losses import win_rate_correlation
from benchmarks.watch.plan import CHOOSING, EXPLOITED, GOOD, HONEST, SHARES, Setting
from benchmarks.watch.recording import Run
from benchmarks.watch.replay import held
from benchmarks.watch.replays import Seen
from ranker.statistics import Estimate, mean, ratio
from ranker.watch.agreement import compared

FIRST = 5  # steps whose agreement is that at the start
Said = Callable[[Seen], float | None]


Replays = Mapping[Setting, Sequence[Seen]]


def share(seen: Iterable[Seen], of: Said) -> Estimate:
    """The share of replays in which something holds, its interval over seeds; those where `of` is None do not count."""
    sums: dict[int, list[float]] = {}
    for one in seen:
        if (value := of(one)) is not None:
            total = sums.setdefault(one.run.seed, [0.0, 0.0])
            total[0] += value
            total[1] += 1
    columns = np.array([sums[seed] for seed in sorted(sums)]).reshape(-1, 2)
    return ratio(columns[:, 0], columns[:, 1], share=True)


def average(seen: Iterable[Seen], of: Said) -> Estimate:
    """The mean of a number over replays, its interval over seeds."""
    by_seed: dict[int, list[float]] = {}
    for one in seen:
        if (value := of(one)) is not None:
            by_seed.setdefault(one.run.seed, []).append(value)
    return mean([float(np.mean(by_seed[seed])) for seed in sorted(by_seed)])


def of_arms(seen: Iterable[Seen], arms: Sequence[str], seeds: Sequence[int] | None = None) -> list[Seen]:
    return [s for s in seen if s.run.arm in arms and (seeds is None or s.run.seed in seeds)]


def summary(seen: Sequence[Seen]) -> Json:
    """How a setting does on the arms that are exploited and on those with a good judge."""
    exploited, good = of_arms(seen, EXPLOITED), of_arms(seen, GOOD)
    return {
        "in_time": share(exploited, lambda s: float(s.in_time) if s.course.lost else None),
        "in_time_for_eyes": share(
            exploited, lambda s: float(s.before(s.course.noticed)) if s.course.lost else None
        ),
        "safe": share(exploited, lambda s: float(s.in_time or s.course.lost is None)),
        "alarmed": share(exploited, has_alarm),
        "alarmed_where_lost": share(exploited, lambda s: has_alarm(s) if s.course.lost else None),
        "false": share(good, has_alarm),
        "alarmed_by_arm": {arm: share(of_arms(seen, [arm]), has_alarm) for arm in HONEST},
        "where_alarmed": where_alarmed(exploited),
        "audited": average(seen, lambda s: s.outcome.audited),
        "audited_share": average(seen, lambda s: s.outcome.audited / len(s.run.groups)),
    }


def _agreement(runs: Iterable[Run], since: int, until: int | None) -> Estimate:
    """The judge's agreement with the truth on all groups of some steps, its interval over runs."""
    values = []
    for run in runs:
        found = [compared(g.judge, g.truth) for g in run.groups if since <= g.step <= (until or run.steps)]
        whole = sum(w for _, w in found)
        values += [sum(a * w for a, w in found) / whole] if whole else []
    return mean(values)


def has_alarm(seen: Seen) -> float:
    return float(seen.outcome.alarm is not None)


def lost_at_alarm(seen: Seen) -> float | None:
    """True reward below its peak at the alarm."""
    return None if seen.outcome.alarm is None else seen.course.fall(seen.outcome.alarm.step)


def handed_back(seen: Seen) -> float | None:
    """The true reward at the step before the alarm's stretch began."""
    return None if seen.outcome.alarm is None else seen.course.at(seen.outcome.alarm.began - 1)


def of_arm(seen: Sequence[Seen], name: str) -> Json:
    """An arm at one setting."""
    its = of_arms(seen, [name])
    courses = {s.run.seed: s.course for s in its}
    lost = {seed: c.lost for seed, c in courses.items()}
    steps = [s.outcome.alarm.step for s in its if s.outcome.alarm is not None]
    return {
        "name": name,
        "runs": len(courses),
        "start": mean([c.start for c in courses.values()]),
        "best": mean([c.best for c in courses.values()]),
        "final": mean([c.curve[-1] for c in courses.values()]),
        "lost": [lost[seed] for seed in sorted(lost)],
        "alarmed": share(its, has_alarm),
        "agreement_at_start": _agreement({s.run.seed: s.run for s in its}.values(), 1, FIRST),
        "agreement": _agreement({s.run.seed: s.run for s in its}.values(), 1, None),
        "in_time": share(its, lambda s: float(s.in_time) if s.course.lost else None),
        "alarm_step": median(steps) if steps else None,
        "audits_to_alarm": median(s.outcome.until for s in its if s.outcome.alarm is not None)
        if steps
        else None,
        "where_alarmed": where_alarmed(its),
    }


def where_alarmed(seen: Sequence[Seen]) -> Json:
    """The true reward in the replays with an alarm: what would be handed back, at the alarm, at the end without a stop, at its
    best, and how far it had fallen by the alarm and by the end."""
    its = [s for s in seen if s.outcome.alarm is not None]
    levels = {
        "handed_back": average(its, handed_back),
        "at_alarm": average(
            its, lambda s: None if s.outcome.alarm is None else s.course.at(s.outcome.alarm.step)
        ),
        "final": average(its, lambda s: s.course.at(s.run.steps)),
        "best": average(its, lambda s: s.course.best),
        "lost_at_alarm": average(its, lost_at_alarm),
        "lost_at_end": average(its, lambda s: s.course.fall(s.run.steps)),
    }
    return {name: estimate.within(0, 1) for name, estimate in levels.items()}


def chosen(tried: Replays) -> tuple[list[Json], Setting]:
    """The other ways to spend the audits, on the seeds to choose on and on those to confirm on, and the choice: the largest
    share in time among those without a false alarm on the first."""
    rows: list[tuple[Setting, Json]] = []
    for setting, seen in tried.items():
        row: Json = {"setting": asdict(setting)}
        others = sorted({s.run.seed for s in seen} - set(CHOOSING))
        for name, seeds in (("choosing", CHOOSING), ("confirming", others)):
            row[name] = {
                "in_time": share(of_arms(seen, EXPLOITED, seeds), lambda s: float(s.in_time) if s.course.lost else None),
                "false": share(of_arms(seen, GOOD, seeds), has_alarm),
                "audited_share": average(of_arms(seen, plan.NAMES, seeds), lambda s: s.outcome.audited / len(s.run.groups)),
            }  # fmt: skip
        rows.append((setting, row))

    def worth(of: tuple[Setting, Json]) -> tuple[bool, float]:
        found = of[1]["choosing"]
        return not found["false"].value, found["in_time"].value or 0.0

    best = max(rows, key=worth)[0]
    return [row for _, row in rows], best


def coverage(runs: Sequence[Run], draws: int) -> list[Json]:
    """How often the interval of the agreement since the start held the true one at every step with an audit."""
    rows = []
    for size in SHARES:
        found = [held(run, Setting(size), draw) for run in runs for draw in range(draws)]
        rows.append(
            {
                "share": size,
                "replays": len(found),
                "alike": float(np.mean([h.alike for h in found])),
                "by_chance": float(np.mean([h.by_chance for h in found])),
            }
        )
    return rows


def win_rates(runs: Sequence[Run]) -> list[Json]:
    """Spearman's correlation of the win rate with the true reward in each run, by arm."""
    rows = []
    for arm in dict.fromkeys(run.arm for run in runs):
        values = [v for run in runs if run.arm == arm and (v := win_rate_correlation(run)) is not None]
        rows.append(
            {"arm": arm, "correlation": mean(values).within(-1, 1), "values": [round(v, 3) for v in values]}
        )
    return rows


def figures(replayed: Replays, tried: Replays, runs: Sequence[Run], draws: int) -> dict[str, Any]:
    """All that `watch.json` holds of the replays."""
    main = replayed[Setting()]
    rows, best = chosen(tried)
    courses = {s.run.arm + str(s.run.seed): s.course for s in main if s.run.arm in EXPLOITED}
    return {
        "settings": [{"setting": asdict(s), **summary(seen)} for s, seen in replayed.items()],
        "arms": [of_arm(main, name) for name in plan.NAMES if of_arms(main, [name])],
        "exploited_runs": len(courses),
        "exploited_runs_lost": sum(c.lost is not None for c in courses.values()),
        "tried": rows,
        "chosen": asdict(best),
        "win_rate": win_rates(runs),
        "coverage": coverage(runs, draws),
    }
