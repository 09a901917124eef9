"""One tuning run: split, train, stop early, keep the best checkpoint, measure on unseen groups."""

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

from ranker.aggregate.agreement import agreeing
from ranker.errors import ConfigurationError
from ranker.judges.local.judge_file import FILE, Setup, write_judge
from ranker.judges.local.ways import KEYS, LETTERS
from ranker.statistics import difference, ratio
from ranker.tuning.config import Phase, State, Tuning, TuningProgress, TuningResult
from ranker.tuning.examples import Example, at_most, split
from ranker.tuning.folder import ADAPTER, AFTER, BEFORE, BEST, STATE, Folder
from ranker.tuning.learner import JOINT, Learner

__all__ = ["Run", "Tuning", "TuningProgress", "TuningResult"]

LEAST = (8, 1, 2)  # groups to train on, to validate on, and to test on
# More would take minutes to read and hardly narrow an interval of 0.04.
MOST_VALIDATION, MOST_TEST = 64, 150


class Run:
    """A tuning run in a folder; a second run with the same settings resumes the first.

    Args:
        validation, test: groups that select the best checkpoint, and that only measure, instead of shares of `examples`.
        start: folder of the adapter to continue from, tuned on the same base; None: a fresh one. "Before" then measures
            that adapter.
        report: called with the progress.
        source: what the judge file records about the groups.

    Raises:
        ConfigurationError: too few groups, or too few different openings to split them by.
    """

    def __init__(
        self,
        tuning: Tuning,
        examples: Sequence[Example],
        out: Path,
        *,
        validation: Sequence[Example] | None = None,
        test: Sequence[Example] | None = None,
        start: Path | None = None,
        report: Callable[[TuningProgress], None] = lambda _: None,
        source: Mapping[str, Any] | None = None,
    ):
        n = max(1, len(examples))
        choosing = min(tuning.validation_share, MOST_VALIDATION / n) if validation is None else 0.0
        measuring = min(tuning.test_share, MOST_TEST / n) if test is None else 0.0
        parts = split(examples, (1 - choosing - measuring, choosing, measuring), tuning.seed)
        self.tuning, self.out, self.start, self.report = tuning, out, start, report
        most = len(LETTERS) if tuning.way in JOINT else 1_000_000
        self.train, self.validation, self.test = (
            tuple(at_most(e, most, tuning.seed) for e in part)
            for part in (
                parts[0],
                parts[1] if validation is None else validation,
                parts[2] if test is None else test,
            )
        )
        self.source = dict(source or {})
        self.left_out = 0
        self._openings = len({e.opening or e.id for e in examples})
        self._check_sizes()
        self._state = State()

    @property
    def _parts(self) -> tuple[tuple[Example, ...], ...]:
        return self.train, self.validation, self.test

    @property
    def _steps(self) -> int:
        return math.ceil(len(self.train) * self.tuning.epochs / self.tuning.batch)

    def _check_sizes(self) -> None:
        sizes = [len(part) for part in self._parts]
        if any(size < least for size, least in zip(sizes, LEAST, strict=True)):
            left_out = (
                f", {self.left_out} left out because they exceed the context window" if self.left_out else ""
            )
            raise ConfigurationError(
                f"Too few groups: {sizes[0]} to train on, {sizes[1]} to validate on and {sizes[2]} to test on "
                f"({self._openings} different openings; groups with the same opening stay together{left_out}). "
                f"At least {', '.join(map(str, LEAST))} are needed; give several hundred groups with different openings."
            )

    def digest(self, base: str = "") -> str:
        """A digest of the settings, the base and the groups' contents: what a resumed run must share."""
        settings = self.tuning.to_dict() | {"way": KEYS[self.tuning.way]}
        digest = hashlib.sha256(json.dumps([base, settings], sort_keys=True).encode())
        for part in self._parts:
            for e in part:
                shown = (e.shown.opening, e.shown.attempts, e.shown.task, e.shown.rubric)
                digest.update(repr((e.id, e.truths_G, e.labels_G, *shown)).encode())
            digest.update(b"\0")
        return digest.hexdigest()[:16]

    def go(self) -> TuningResult:
        """Train, measure, and write the judge.

        Raises:
            ConfigurationError: the folder holds another run, or cannot be written; the loss is not finite; a group
                does not fit into memory.
            KeyboardInterrupt: after saving the state.
        """
        t = self.tuning
        learner = Learner(
            t.base, t.way, lora=t.lora, adapter=self.start, loss=t.loss, learning_rate=t.learning_rate, seed=t.seed,
            most_tokens=t.most_tokens, template=t.template,
        )  # fmt: skip
        try:
            self._leave_out_long(learner)
            start = Setup(t.base, adapter=self.start).adapter_digest
            folder = Folder(self.out, self.digest(f"{learner.label} {start}" if start else learner.label))
            with folder.locked():
                # A fresh adapter changes nothing: "before" is the base, or the judge to continue from.
                before = folder.cached(BEFORE, partial(self._measure, learner, "before", self.test))
                self._train(learner, folder)
                self._load_chosen(learner, folder)
                learner.save(self.out / ADAPTER)
                after = folder.cached(AFTER, partial(self._measure, learner, "after", self.test))
                return self._finish(before, after)
        finally:
            learner.close()

    def _leave_out_long(self, learner: Learner) -> None:
        """Leave out groups that exceed the context window even when truncated."""
        fitting = [tuple(e for e in part if learner.fits(e)) for part in self._parts]
        self.left_out = sum(map(len, self._parts)) - sum(map(len, fitting))
        self.train, self.validation, self.test = fitting
        self._check_sizes()
        learner.prepare([*self.train, *self.validation, *self.test])

    def _train(self, learner: Learner, folder: Folder) -> None:
        t, total = self.tuning, self._steps
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
            # Between an update and its being counted nothing is saved: a resumed run starts from the last validation.
            if not learner.updating and self._state.step == learner.updates:
                self._save(learner, folder)
            raise

    def _step(self, learner: Learner, total: int) -> None:
        t, now = self.tuning, self._state
        began = time.monotonic()
        done = now.step / total if t.minutes is None else max(now.step / total, now.seconds / 60 / t.minutes)
        warmup, decay = min(1.0, (now.step + 1) / 10), 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done))
        batch = self._batch(now.step)
        loss, scores = learner.step(batch, t.learning_rate * warmup * decay, f"{t.seed}/{now.step}")
        pairs = [agreeing(e.truths_G, s) for e, s in zip(batch, scores, strict=True)]
        share = sum(right for right, _ in pairs) / max(1, sum(n for _, n in pairs))
        self._state = replace(
            now,
            step=now.step + 1,
            accuracies=(*now.accuracies[-24:], share),
            seconds=now.seconds + time.monotonic() - began,
        )
        self._report(loss)

    def _report(self, loss: float, phase: Phase = "training", done: int = 0, of: int = 0) -> None:
        now = self._state
        accuracy = float(np.mean(now.accuracies)) if now.accuracies else math.nan
        self.report(
            TuningProgress(
                now.step, self._steps, loss, accuracy, now.validation_loss, now.seconds, phase, done, of
            )
        )

    def _measure(self, learner: Learner, phase: Phase, groups: Sequence[Example]) -> list[list[float]]:
        return learner.measure(groups, lambda done: self._report(math.nan, phase, done, len(groups)))

    def _batch(self, step: int) -> list[Example]:
        """The groups of a step: a slice of all epochs, each in its own order, one after the other."""
        n, size = len(self.train), self.tuning.batch
        batch = []
        for at in range(step * size, min((step + 1) * size, n * self.tuning.epochs)):
            epoch, place = divmod(at, n)
            order = random.Random(f"{self.tuning.seed}/epoch/{epoch}").sample(range(n), n)  # noqa: S311 - not secret
            batch.append(self.train[order[place]])
        return batch

    def _check(self, learner: Learner, folder: Folder, ends: str) -> None:
        """Validate, save the best checkpoint, and decide whether to stop. The first validation, before any step, is of
        the base: a checkpoint that never improves on it is not saved."""
        now, began = self._state, time.monotonic()
        scores = self._measure(learner, "checking", self.validation)
        losses = [
            learner.loss(torch.tensor(scores_G), torch.tensor(e.truths_G)).item()
            for e, scores_G in zip(self.validation, scores, strict=True)
        ]
        loss = float(np.mean(losses))
        bad = 0 if loss < now.best else now.bad + 1
        if bad == 0:
            folder.write(BEST, {"params": learner.state()["params"]})
        self._state = replace(
            now,
            checked=now.step,
            best=min(now.best, loss),
            bad=bad,
            validation_loss=loss,
            stopped=ends or ("early" if bad >= self.tuning.patience else ""),
            seconds=now.seconds + time.monotonic() - began,
        )
        self._save(learner, folder)

    def _save(self, learner: Learner, folder: Folder) -> None:
        folder.write(STATE, {**learner.state(), **asdict(self._state)})

    def _resume(self, learner: Learner, folder: Folder) -> State:
        saved = folder.read(STATE)
        if saved is None:
            return State()
        learner.restore(saved)
        saved.setdefault("validation_loss", saved.get("held_loss"))  # its former name
        return State(**{f.name: saved[f.name] for f in fields(State)})

    def _load_chosen(self, learner: Learner, folder: Folder) -> None:
        """Load the best checkpoint, or keep the last, in bfloat16: as it will be saved."""
        chosen = folder.read(BEST) if self.tuning.keep == "best" else learner.state()
        if chosen is None:
            raise ConfigurationError(f"{self.out / BEST} is missing; delete {self.out} and start again.")
        rounded = [p.to(torch.bfloat16).to(p.dtype) for p in chosen["params"]]
        learner.restore({**learner.state(), "params": rounded})

    def _finish(self, before: list[list[float]], after: list[list[float]]) -> TuningResult:
        t, now = self.tuning, self._state
        old, new = counts(self.test, before), counts(self.test, after)
        gain, _ = difference(new, old)
        accuracy_before, accuracy_after = ratio(*old, share=True), ratio(*new, share=True)
        learned = gain.above(0) and accuracy_after.above(0.5)
        sizes = dict(zip(("train", "validation", "test"), map(len, self._parts), strict=True))
        run = {"steps": now.step, "stopped": now.stopped, "seconds": round(now.seconds)}
        measured = {
            "groups": sizes["test"],
            "pairwise_accuracy": accuracy_after.to_dict(),
            "before": accuracy_before.to_dict(),
            "gain": gain.to_dict(),
            "learned": learned,
            "trained_on": {**self.source, "groups": sizes["train"]},
            "tuning": {**t.to_dict(), **run},
        }
        setup = Setup(t.base, t.way, adapter=self.out / ADAPTER, template=t.template, measured=measured)
        write_judge(self.out / FILE, setup.to_dict(self.out))
        return TuningResult(
            accuracy_before, accuracy_after, gain, learned, {**sizes, "left_out": self.left_out}, now.step,
            now.seconds, now.stopped, self.out / FILE,
        )  # fmt: skip


def counts(examples: Sequence[Example], scores: Sequence[Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    """For each group the correctly ordered pairs (ties half) and all pairs, shapes (N,)."""
    pairs = [agreeing(e.truths_G, s) for e, s in zip(examples, scores, strict=True)]
    return np.array([a for a, _ in pairs]), np.array([float(n) for _, n in pairs])
