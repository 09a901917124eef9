"""Anchors: attempts of the policy as it was at the start, for the judge to compare later attempts with."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from grpo.config import GRPOConfig
from grpo.draws import drawn, seed_for
from grpo.model.distributed import Processes
from grpo.model.loading import Reference
from grpo.rollouts.collect import Collector, Example, row_order, run_loop
from grpo.rollouts.engine import Engine, Sampler
from grpo.rollouts.remote import RemoteEngine
from grpo.runs.folder import append, whole_lines
from grpo.runs.records import trajectory_to_dict
from grpo.types import RolloutGroup
from ranker import ConfigurationError, RankerError, Trajectory
from ranker.jsonl.group_file import dump_line

USUAL = 0.25  # share of the groups, where the start policy costs no memory
AHEAD = 16  # steps for which anchors are sampled together
Asked = Callable[[], contextlib.AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Anchor:
    """An attempt of the start policy at a row of the dataset.

    Attributes:
        trajectory: None where the attempt broke off.
        ground_truth: of it.
        truncated: a reply of it was cut off.
        error: why it broke off.
    """

    trajectory: Trajectory | None
    ground_truth: float | None
    truncated: bool
    error: str | None


def share_for(config: GRPOConfig, adapters: bool, ranks: bool) -> float:
    """The share of the groups that have an anchor.

    Without `anchor_share`, that is `USUAL` where the rewards rank and the start policy costs no memory, being the present
    one without its adapters; otherwise there are none.

    Args:
        adapters: whether those are trained, rather than all weights.
        ranks: whether a reward function is `rank_group`.

    Raises:
        ConfigurationError: nobody has the start policy.
    """
    share = config.anchor_share
    if share is None:
        return USUAL if adapters and ranks else 0.0
    if share and config.servers and not adapters:
        raise ConfigurationError(
            f"anchor_share = {share:g} needs the policy as it was at the start, and servers that are handed all weights "
            "no longer have it: train adapters (lora_r = 16), leave vllm_server_base_url out, or set anchor_share = 0."
        )
    return share


@dataclass(slots=True)
class Anchors:
    """One attempt of the start policy for each row that needs one, sampled once and kept.

    All processes call `prepare` together; each samples a part, and all have all of them. Which rows are sampled together
    follows from the numbers of the groups, so that a resumed run has the same anchors to the bit.

    Attributes:
        collector: rolls rows out with the start policy, with seeds of their own.
        reference: the time in which it does so.
        row_of: the number of a group's row in the dataset.
        share: of the groups that get an anchor; see `grpo.draws.drawn`.
        seed: of the run.
        block: groups for which anchors are sampled together.
        file: where they are kept; None for nowhere.
        known: by row.
    """

    collector: Collector
    reference: Asked
    row_of: Callable[[int], int]
    share: float
    seed: int
    block: int
    processes: Processes
    file: Path | None = None
    known: dict[int, Anchor] = field(default_factory=dict)
    _batch: int = 0

    def prepare(self, start: int, end: int, last: int) -> None:
        """See that the groups from `start` up to `end` have their anchors.

        Those that come soon get theirs in the same batch.

        Args:
            last: no group from here on is sampled, as far as is known.
        """
        if not self._lacking(start, end):
            return
        rows = self._lacking(start, min(max(end, start + self.block), last))
        mine = rows[self.processes.rank :: self.processes.world]
        sampled = dict(self.processes.gather(self._sample(mine)))
        self.known |= sampled
        if self.file is not None and self.processes.is_main:
            append(self.file, b"".join(self._line(row, len(rows), sampled[row]) for row in rows))
        self._batch += 1

    def add_to(self, group: RolloutGroup) -> RolloutGroup:
        """The group with its anchor, where it is drawn and the start policy came to an end."""
        anchor = self.known.get(self.row_of(group.index)) if self._is_drawn(group.index) else None
        if anchor is None or anchor.trajectory is None:
            return group
        return replace(group, anchor=anchor.trajectory, anchor_truth=anchor.ground_truth)

    def load(self) -> None:
        """Go on with the anchors of the file; what a kill left of a batch is taken away, to be sampled again."""
        assert self.file is not None
        batch: dict[int, Anchor] = {}
        good = size = 0
        for raw, record in whole_lines(self.file):
            size += len(raw)
            try:
                batch[int(record["row"])] = _anchor(record)
                whole = len(batch) == record["rows"]
            except (KeyError, TypeError, ValueError, RankerError):
                break
            if whole:
                self.known |= batch
                self._batch += 1
                batch, good = {}, size
        if self.processes.is_main and self.file.is_file():
            os.truncate(self.file, good)

    def _is_drawn(self, index: int) -> bool:
        return drawn(self.seed, index) < self.share

    def _lacking(self, start: int, end: int) -> list[int]:
        """Rows of these groups that lack an anchor, in their order."""
        rows = (self.row_of(k) for k in range(start, end) if self._is_drawn(k))
        return [row for row in dict.fromkeys(rows) if row not in self.known]

    def _sample(self, rows: Sequence[int]) -> list[tuple[int, Anchor]]:
        if not rows:
            return []
        collector = self.collector

        async def work() -> list[RolloutGroup]:
            groups = (collector.group(row, collector.example_of(row), 1, 0) for row in rows)
            return list(await asyncio.gather(*groups))

        with self.reference():
            return [(group.index, _of_group(group)) for group in run_loop(work())]

    def _line(self, row: int, rows: int, anchor: Anchor) -> bytes:
        shown = None if anchor.trajectory is None else trajectory_to_dict(anchor.trajectory)
        return dump_line(
            {
                "row": row,
                "batch": self._batch,
                "rows": rows,
                "trajectory": shown,
                "ground_truth": anchor.ground_truth,
                "truncated": anchor.truncated,
                "error": anchor.error,
            }
        )


def make_anchors(
    collector: Collector,
    examples: Sequence[Example],
    reference: Reference,
    share: float,
    config: GRPOConfig,
    processes: Processes,
    out: Path | None,
) -> Anchors:
    """The anchors of a run.

    Args:
        collector: samples from the present policy.
        reference: the policy at the start.
        share: of the groups that have one, see `share_for`.
        out: the run folder.
    """
    engine: Sampler
    asked: Asked
    if isinstance(collector.engine, RemoteEngine):  # the servers' base model is the start policy
        engine, asked = replace(collector.engine, weights=None, sampled_tokens=0), contextlib.nullcontext
    else:
        assert isinstance(collector.engine, Engine)
        model = collector.engine.model if reference.copy is None else reference.copy
        engine, asked = replace(collector.engine, model=model, sampled_tokens=0), reference
    start = replace(
        collector,
        engine=engine,
        example_of=examples.__getitem__,
        rewarder=None,
        store=None,
        seed=seed_for("anchors", config.seed),
        pending={},
    )
    row_of = row_order(len(examples), config.shuffle_dataset, config.seed)
    file = None if out is None else out / "anchors.jsonl"
    return Anchors(start, asked, row_of, share, config.seed, AHEAD * config.groups_per_step, processes, file)


def _of_group(group: RolloutGroup) -> Anchor:
    (rollout,) = group.rollouts
    # An id of the rollout's own might be that of an attempt too.
    shown = None if rollout.trajectory is None else replace(rollout.trajectory, id=None)
    return Anchor(shown, group.ground_truths[0], rollout.truncated, rollout.error)


def _anchor(record: dict[str, Any]) -> Anchor:
    shown = record["trajectory"]
    return Anchor(
        None if shown is None else Trajectory(**shown),
        record["ground_truth"],
        record["truncated"],
        record["error"],
    )
