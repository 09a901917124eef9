"""One tuning: split, train, stop early, keep the best, measure on groups that were not seen."""

from __future__ import annotations

import hashlib
import json
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ranker.bench.intervals import difference, ratio
from ranker.errors import ConfigurationError
from ranker.judges.local.setup import FILE, Setup, write_judge
from ranker.judges.local.ways import LETTERS
from ranker.tuning.examples import Example, agreeing, at_most, split
from ranker.tuning.folder import AFTER, BEFORE, BEST, STATE, Folder
from ranker.tuning.learner import JOINT, Learner
from ranker.tuning.told import Phase, Progress, State, Tuned, Tuning

__all__ = ["Progress", "Run", "Tuned", "Tuning"]

ADAPTER = "adapter"
LEAST = (8, 1, 2)  # groups to train on, to choose the best state by, and to measure on
# More of the last two cost minutes of reading, and narrow an interval of 0.04 by little.
MOST_HELD, MOST_TEST = 64, 150


class Run:
    """A tuning in a folder, which a second call with the same settings takes up where it stopped.

    Args:
        held, test: groups that choose the best state, and that only measure, in the place of shares of `examples`.
        start: folder of the adapter to go on from, tuned on the same base; None: a fresh one. "Before" is then its judge.
        report: hears where it is.
        source: what the judge file says of the groups.

    Raises:
        ConfigurationError: too few groups, or too few different openings to split them by.
    """

    def __init__(
        self,
        tuning: Tuning,
        examples: Sequence[Example],
        out: Path,
        *,
        held: Sequence[Example] | None = None,
        test: Sequence[Example] | None = None,
        start: Path | None = None,
        report: Callable[[Progress], None] = lambda _: None,
        source: Mapping[str, Any] | None = None,
    ):
        n = max(1, len(examples))
        choosing = min(tuning.held, MOST_HELD / n) if held is None else 0.0
        measuring = min(tuning.test, MOST_TEST / n) if test is None else 0.0
        parts = split(examples, (1 - choosing - measuring, choosing, measuring), tuning.seed)
        self.tuning, self.out, self.start, self.report = tuning, out, start, report
        most = len(LETTERS) if tuning.way in JOINT else 1_000_000
        self.train, self.held, self.test = (
            tuple(at_most(e, most, tuning.seed) for e in part)
            for part in (parts[0], parts[1] if held is None else held, parts[2] if test is None else test)
        )
        self.source = dict(source or {})
        self.left_out = 0
        self._openings = len({e.opening or e.id for e in examples})
        self._check_sizes()
        self._state = State()

    def _check_sizes(self) -> None:
        sizes = [len(part) for part in (self.train, self.held, self.test)]
        if any(size < least for size, least in zip(sizes, LEAST, strict=True)):
            left_out = (
                f", {self.left_out} left out because they do not fit the window" if self.left_out else ""
            )
            raise ConfigurationError(
                f"Too few groups: {sizes[0]} to train on, {sizes[1]} to choose the best state by and {sizes[2]} to "
                f"measure on ({self._openings} different openings; groups with equal ones stay together{left_out}). "
                f"At least {', '.join(map(str, LEAST))} are needed; give some hundred groups with openings of their own."
            )

    def digest(self, base: str = "") -> str:
        """Of the settings, the base and the groups' contents: what a resumed run must share."""
        made = hashlib.sha256(json.dumps([base, asdict(self.tuning)], sort_keys=True).encode())
        for part in (self.train, self.held, self.test):
            for e in part:
                told = (
                    e.id,
                    e.truths_G,
                    e.marks_G,
                    e.shown.opening,
                    e.shown.attempts,
                    e.shown.task,
                    e.shown.rubric,
                )
                made.update(repr(told).encode())
            made.update(b"\0")
        return made.hexdigest()[:16]

    def go(self) -> Tuned:
        """Train, measure, and write the judge.

        Raises:
            ConfigurationError: the folder holds another run, or cannot be written; the loss is no number any more; a
                group does not fit into memory.
            KeyboardInterrupt: what was done is kept.
        """
        t = self.tuning
        learner = Learner(
            t.base, t.way, lora=t.lora, adapter=self.start, loss=t.loss, rate=t.rate, seed=t.seed,
            most_tokens=t.most_tokens, template=t.template,
        )  # fmt: skip
        try:
            self._fit(learner)
            begun = Setup(t.base, adapter=self.start).adapter_digest
            folder = Folder(self.out, self.digest(f"{learner.label} {begun}" if begun else learner.label))
            with folder.held():
                measure = partial(learner.measure, self.test)
                # A fresh adapter changes nothing: this is the base, or the judge to go on from.
                before = folder.kept(BEFORE, lambda: measure(self._measuring("before", len(self.test))))
                self._train(learner, folder)
                self._take(learner, folder)
                learner.save(self.out / ADAPTER)
                after = folder.kept(AFTER, lambda: measure(self._measuring("after", len(self.test))))
                return self._close(before, after)
        finally:
            learner.close()

    def _fit(self, learner: Learner) -> None:
        """Leave out what does not fit the window, however much is cut."""
        parts = (self.train, self.held, self.test)
        kept = [tuple(e for e in part if learner.fits(e)) for part in parts]
        self.left_out = sum(map(len, parts)) - sum(map(len, kept))
        self.train, self.held, self.test = kept
        self._check_sizes()
        learner.prepare([*self.train, *self.held, *self.test])

    def _train(self, learner: Learner, folder: Folder) -> None:
        t = self.tuning
        total = math.ceil(len(self.train) * t.epochs / t.batch)
        every = max(1, round(len(self.train) / t.batch / t.checks))
        self._state = self._resume(learner, folder)
        try:
            while not self._state.stopped:
                now = self._state
                late = t.minutes is not None and now.seconds > 60 * t.minutes
                if now.checked < now.step and (now.step % every == 0 or now.step == total or late):
                    self._check(learner, folder, "done" if now.step == total else "time" if late else "")
                else:
                    self._step(learner, total)
        except KeyboardInterrupt:
            # Caught between a step and its being noted, nothing is kept, and the last check is where a resumed run begins.
            if not learner.updating and self._state.step == learner.updates:
                self._keep(learner, folder)
            raise

    def _step(self, learner: Learner, total: int) -> None:
        t, now = self.tuning, self._state
        began = time.monotonic()
        done = now.step / total if t.minutes is None else max(now.step / total, now.seconds / 60 / t.minutes)
        rate = t.rate * min(1.0, (now.step + 1) / 10) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))
        batch = self._batch(now.step)
        loss, scores = learner.step(batch, rate, f"{t.seed}/{now.step}")
        pairs = [agreeing(e.truths_G, s) for e, s in zip(batch, scores, strict=True)]
        share = sum(right for right, _ in pairs) / max(1, sum(n for _, n in pairs))
        now = self._state = replace(
            now,
            step=now.step + 1,
            accuracies=(*now.accuracies[-24:], share),
            seconds=now.seconds + time.monotonic() - began,
        )
        accuracy = float(np.mean(now.accuracies))
        self.report(Progress(now.step, total, loss, accuracy, now.held_loss, now.seconds))

    def _batch(self, step: int) -> list[Example]:
        """The groups of a step: a stretch of all epochs, each in an order of its own, one after the other."""
        n, size = len(self.train), self.tuning.batch
        made = []
        for at in range(step * size, min((step + 1) * size, n * self.tuning.epochs)):
            epoch, place = divmod(at, n)
            order = random.Random(f"{self.tuning.seed}/epoch/{epoch}").sample(range(n), n)  # noqa: S311 - not secret
            made.append(self.train[order[place]])
        return made

    def _check(self, learner: Learner, folder: Folder, ends: str) -> None:
        """Look at the held groups, keep the best state, and decide whether to go on. The first check, before any
        step, is of the base: what is never better than it is not kept."""
        now, began = self._state, time.monotonic()
        scores = learner.measure(self.held, self._measuring("checking", len(self.held)))
        losses = [
            learner.loss(torch.tensor(given), torch.tensor(e.truths_G)).item()
            for e, given in zip(self.held, scores, strict=True)
        ]
        held_loss = float(np.mean(losses))
        bad = 0 if held_loss < now.best else now.bad + 1
        if bad == 0:
            folder.write(BEST, {"params": learner.state()["params"]})
        self._state = replace(
            now,
            checked=now.step,
            best=min(now.best, held_loss),
            bad=bad,
            held_loss=held_loss,
            stopped=ends or ("early" if bad >= self.tuning.patience else ""),
            seconds=now.seconds + time.monotonic() - began,
        )
        self._keep(learner, folder)

    def _keep(self, learner: Learner, folder: Folder) -> None:
        folder.write(STATE, {**learner.state(), **asdict(self._state)})

    def _resume(self, learner: Learner, folder: Folder) -> State:
        kept = folder.read(STATE)
        if kept is None:
            return State()
        learner.restore(kept)
        return State(**{f.name: kept[f.name] for f in fields(State)})

    def _take(self, learner: Learner, folder: Folder) -> None:
        """The best state, or the last, in which the learner is; as it will be saved: in bfloat16."""
        taken = folder.read(BEST) if self.tuning.keep == "best" else learner.state()
        if taken is None:
            raise ConfigurationError(f"{self.out / BEST} is missing; delete {self.out} and start again.")
        rounded = [p.to(torch.bfloat16).to(p.dtype) for p in taken["params"]]
        learner.restore({**learner.state(), "params": rounded})

    def _measuring(self, phase: Phase, groups: int) -> Callable[[int], None]:
        def told(done: int) -> None:
            now = self._state
            total = math.ceil(len(self.train) * self.tuning.epochs / self.tuning.batch)
            accuracy = float(np.mean(now.accuracies)) if now.accuracies else math.nan
            self.report(
                Progress(now.step, total, math.nan, accuracy, now.held_loss, now.seconds, phase, done, groups)
            )

        return told

    def _close(self, before: list[list[float]], after: list[list[float]]) -> Tuned:
        old, new = counts(self.test, before), counts(self.test, after)
        gain, _ = difference(new, old)
        made = ratio(*new, share=True)
        learned = bool((gain.low or 0.0) > 0 and (made.low or 0.0) > 0.5)
        now = self._state
        groups = {
            "train": len(self.train), "held": len(self.held), "test": len(self.test), "left_out": self.left_out
        }  # fmt: skip
        measured = {
            "groups": groups["test"],
            "pairwise_accuracy": made.to_dict(),
            "before": ratio(*old, share=True).to_dict(),
            "gain": gain.to_dict(),
            "learned": learned,
            "trained_on": {**self.source, "groups": groups["train"]},
            "tuning": {
                **asdict(self.tuning), "steps": now.step, "stopped": now.stopped, "seconds": round(now.seconds)
            },
        }  # fmt: skip
        t = self.tuning
        setup = Setup(t.base, t.way, adapter=self.out / ADAPTER, template=t.template, measured=measured)
        write_judge(self.out / FILE, setup.to_dict(self.out))
        return Tuned(
            ratio(*old, share=True), made, gain, learned, groups, now.step, now.seconds, now.stopped, self.out / FILE
        )  # fmt: skip


def counts(examples: Sequence[Example], scores: Sequence[Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    """For each group the pairs that are ordered rightly (ties half), and all pairs."""
    pairs = [agreeing(e.truths_G, s) for e, s in zip(examples, scores, strict=True)]
    return np.array([a for a, _ in pairs]), np.array([float(n) for _, n in pairs])
