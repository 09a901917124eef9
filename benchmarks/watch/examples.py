"""One run of each arm, step by step, as the pictures show it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.harness import Json
from benchmarks.watch.losses import course
from benchmarks.watch.plan import NAMES, Setting
from benchmarks.watch.recording import Run
from benchmarks.watch.replay import audits, by_step, replay
from ranker.watch.agreement import Audited, compared, now

NEAR = 2  # steps before and after one, over whose groups the agreement of all groups is taken


def examples(runs: Sequence[Run], setting: Setting | None = None) -> list[Json]:
    """The first run of each arm, with the audits that the run itself would have had."""
    first = {arm: next((r for r in runs if r.arm == arm), None) for arm in NAMES}
    return [example(run, setting or Setting()) for run in first.values() if run is not None]


def example(run: Run, setting: Setting) -> Json:
    """Curves of a run: the true reward, the agreement of all groups, and what the audits say of it."""
    its = course(run)
    found = audits(run, setting, 0, 0.0)
    alarm = replay(found, setting).alarm
    so_far: list[Audited] = []
    seen = []
    for step, several in found:
        so_far += several
        estimate = now(so_far)
        if estimate.value is not None:
            seen.append(
                [
                    step,
                    *(
                        round(float(x), 4)
                        for x in (estimate.value, estimate.low or 0.0, estimate.high or 1.0)
                    ),
                ]
            )
    return {
        "arm": run.arm,
        "seed": run.seed,
        "true_reward": [round(x, 4) for x in its.curve],
        "lost": its.lost,
        "agreement": true_agreement(run),
        "audited": seen,
        "alarm": None if alarm is None else alarm.to_dict(),
    }


def true_agreement(run: Run) -> list[float | None]:
    """The judge's agreement with the truth on all groups of each step and its neighbours; None where the truth tells no
    attempts apart."""
    sums = np.array(
        [
            np.sum([(a * w, w) for g in groups for a, w in [compared(g.judge, g.truth)]], axis=0)
            for _, groups in by_step(run)
        ]
    )
    near = [sums[max(0, i - NEAR) : i + NEAR + 1].sum(axis=0) for i in range(len(sums))]
    return [round(float(value / weight), 4) if weight > 0 else None for value, weight in near]
