"""A training run as numbers: of every group the judge's order and the ground truths, so that any audit can be replayed."""

from __future__ import annotations

import gzip
import json
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import Json
from benchmarks.study.online import RewardFunction, Rewards, graded, rewards
from benchmarks.study.plan import Unit
from benchmarks.watch import plan
from ranker import TrajectoryGroup
from ranker.jsonl.appender import read_records
from ranker.runtime.outputs import replace_file
from ranker.watch.audit import Audit

TENTHS = 10  # in which the desk's checker grades
EVERY = 10  # groups from one whose prompt's tokens are counted to the next
MODEL = "gpt-5"  # whose tokenizer litellm counts with
FREE = (
    "reward_mean", "reward_std", "judge_accuracy", "entropy", "grad_norm", "tied_groups", "failed_groups", "truncated_share",
    "words_mean", "turns_mean", "completion_tokens_mean", "win_rate",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Group:
    """What a run keeps of a group.

    Attributes:
        step: that learned from it, counted from 1.
        index: in the run, counted from 0.
        version: optimizer steps the policy had taken when it was sampled.
        judge: place of each attempt among the judge's, 0 the worst, ties alike; None without a reward.
        truth: ground truth of each.
        anchor_judge, anchor: the place and the ground truth of the anchor; None where there is none.
        failed: whether the judge gave nothing.
    """

    step: int
    index: int
    version: int
    judge: tuple[int | None, ...]
    truth: tuple[float | None, ...]
    anchor_judge: int | None = None
    anchor: float | None = None
    failed: bool = False

    @property
    def alive(self) -> list[int]:
        """Attempts with a ground truth."""
        return [i for i, t in enumerate(self.truth) if t is not None]


@dataclass(frozen=True, slots=True)
class Run:
    """A recorded run.

    Attributes:
        arm, seed, steps: of the run.
        groups: in the order in which the steps took them.
        columns: metrics, one number a step.
        prompt_tokens: of the groups that were counted, without and with an anchor.
    """

    arm: str
    seed: int
    steps: int
    groups: tuple[Group, ...]
    columns: Mapping[str, Sequence[float | None]]
    prompt_tokens: Mapping[str, Sequence[int]]


def record(unit: Unit, audit: Audit | None = None) -> Json:
    """Train, and return what `read` makes a run of.

    Args:
        audit: of the run; its files are returned as "audits" and "alarms".

    Raises:
        RankerError, RuntimeError: it could not be done.
    """
    from grpo.cli.train import quiet
    from grpo.config_file import read_settings
    from grpo.demo import quick
    from grpo.trainer import GRPOTrainer

    quiet()
    config = replace(
        read_settings("quick").config,
        max_steps=unit.steps,
        seed=unit.seed,
        save_steps=0,
        anchor_share=plan.ANCHOR_SHARE,
    )
    model, tokenizer = quick.policy()
    with tempfile.TemporaryDirectory() as folder, rewards(unit.arm, unit.seed) as function:
        counted = Counted(function)
        trainer = GRPOTrainer(
            model,
            tokenizer=tokenizer,
            dataset=quick.rows(),
            reward_fn=counted,
            rollout=quick.rollout,
            checker=partial(graded, arm=unit.arm),
            config=config,
            out=folder,
            audit=audit,
        )
        history = trainer.train()
        lines = {name: _lines(Path(folder) / f"{name}.jsonl") for name in ("samples", "audits", "alarms")}
    found = {} if audit is None else {name: lines[name] for name in ("audits", "alarms")}
    return {
        **found,
        "columns": {name: [_short(line.get(name)) for line in history] for name in FREE},
        "prompt_tokens": counted.tokens(),
        "groups": [packed(line) for line in lines["samples"]],
    }


def _lines(path: Path) -> list[Json]:
    return list(read_records(path)) if path.exists() else []


class Counted:
    """A reward function that counts the tokens of some groups' prompts on the way."""

    def __init__(self, function: RewardFunction):
        self._function = function
        self._lock = threading.Lock()
        self._tokens: dict[int, tuple[int, int]] = {}

    def __call__(self, group: TrajectoryGroup) -> Rewards:
        index = int(group.id or 0)  # rows have no id of their own: it is the group's number
        if index % EVERY == 0:
            from benchmarks.watch.cost import prompt_tokens
            from grpo.demo import quick

            counted = prompt_tokens(group, quick.RUBRIC, MODEL)
            with self._lock:
                self._tokens[index] = len(group), counted
        return self._function(group)

    def tokens(self) -> dict[str, list[int]]:
        """By attempts in the group."""
        sizes = sorted({size for size, _ in self._tokens.values()})
        return {str(n): [t for _, (size, t) in sorted(self._tokens.items()) if size == n] for n in sizes}


def packed(sample: Mapping[str, Any]) -> list[Any]:
    """A line of samples.jsonl as a few small integers: step, index, version, the judge's places, truths in tenths, and of an
    anchor both."""
    values = [r["reward"] for r in sample["rollouts"]]
    truths = [_tenths(r["ground_truth"]) for r in sample["rollouts"]]
    shown: list[Any] = [sample["step"], sample["group"], sample["version"], _places(values), truths]
    if "anchor" in sample:
        above = [r.get("above_anchor") for r in sample["rollouts"]]
        shown += [_anchor_place(values, above), _tenths(sample["anchor"]["ground_truth"])]
    return shown


def _places(values: Sequence[float | None]) -> list[int | None]:
    """Twice the place of each value, so that an anchor fits between any two."""
    known = sorted({v for v in values if v is not None})
    return [None if v is None else 2 * known.index(v) for v in values]


def _anchor_place(values: Sequence[float | None], above: Sequence[float | None]) -> int | None:
    """Where the anchor stands among the places."""
    pairs = [(p, a) for p, a in zip(_places(values), above, strict=True) if p is not None and a is not None]
    if not pairs:
        return None
    level = [p for p, a in pairs if a == 0.5]
    return level[0] if level else max((p for p, a in pairs if a == 0.0), default=-2) + 1


def _tenths(truth: float | None) -> int | None:
    """A ground truth in tenths.

    Raises:
        ValueError: it is not in tenths.
    """
    if truth is None:
        return None
    if abs(round(truth * TENTHS) - truth * TENTHS) > 1e-9:
        raise ValueError(f"a ground truth of {truth} is not in tenths")
    return round(truth * TENTHS)


def _short(value: float | None) -> float | None:
    return None if value is None else round(float(value), 5)


def file_of(folder: Path, unit: Unit) -> Path:
    return folder / f"{unit.arm.name}-{unit.seed}.json.gz"


def write(path: Path, record: Mapping[str, Any]) -> None:
    """Write a run's record; the same record gives the same bytes."""
    text = json.dumps(record, separators=(",", ":"))
    replace_file(path, gzip.compress(text.encode(), mtime=0))


def read_whole(path: Path) -> Json | None:
    """A file as it was written; None where there is none that is whole."""
    try:
        return dict(json.loads(gzip.decompress(path.read_bytes())))
    except (OSError, EOFError, ValueError, gzip.BadGzipFile):
        return None


def read(found: Mapping[str, Any]) -> Run:
    """The run of a record."""
    return Run(
        found["arm"],
        found["seed"],
        found["steps"],
        tuple(map(_unpacked, found["groups"])),
        found["columns"],
        found["prompt_tokens"],
    )


def _unpacked(fields: Sequence[Any]) -> Group:
    step, index, version, judge, truth, *anchor = fields
    place, worth = anchor or (None, None)
    return Group(
        step,
        index,
        version,
        tuple(judge),
        tuple(None if t is None else t / TENTHS for t in truth),
        place,
        None if worth is None else worth / TENTHS,
        all(v is None for v in judge),
    )
