"""The metrics of a run as curves, read on as the run goes on."""

from __future__ import annotations

import json
import math
import threading
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ranker.pages import visible
from ranker.viewing.records import number

_POINTS = 400  # of a curve that are sent; of more steps the means
_SHOWN = 20  # alarms and warnings
NOTHING = float("nan")
PANELS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("True reward", (("ground_truth_mean", "ground truth, mean over rollouts"),)),
    ("Reward", (("reward_mean", "mean"), ("reward_std", "deviation in a group"))),
    ("Wins over the start policy", (("win_rate", "by the judge"), ("auditor_win_rate", "by the auditor"))),
    (
        "Judge's agreement with its auditor",
        (("judge_agreement", "latest audits"), ("judge_agreement_since_start", "since the start")),
    ),
    ("Judge's agreement with the truth", (("judge_accuracy", "pairs ordered right"),)),
    ("Length of an attempt", (("words_mean", "words"), ("completion_tokens_mean", "tokens"))),
    ("KL to the reference", (("kl", "nats"),)),
    ("Entropy", (("entropy", "nats"),)),
    ("Groups without signal", (("tied_share", "tied"), ("failed_share", "failed"))),
)
_BOUNDED = ("win_rate", "auditor_win_rate", "judge_agreement", "judge_agreement_since_start")
_KEYS = [key for _, lines in PANELS for key, _ in lines] + [
    f"{key}_{end}" for key in _BOUNDED for end in ("low", "high")
]


@dataclass(slots=True)
class Curves:
    """What `metrics.jsonl` of a run folder says so far. Of each step a number for each curve is kept, and nothing else.

    Attributes:
        folder: of the run.
    """

    folder: Path
    _steps: array[int] = field(init=False)
    _alarm: array[int] = field(init=False)
    _values: dict[str, array[float]] = field(init=False)
    _end: int = field(init=False, default=0)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._end, self._steps, self._alarm = 0, array("q"), array("b")
        self._values = {key: array("d") for key in _KEYS}

    def read(self) -> None:
        """Read what has come since; a run that was resumed from an earlier step is read anew."""
        with self._lock:
            try:
                with open(self.folder / "metrics.jsonl", "rb") as file:
                    if file.seek(0, 2) < self._end:
                        self._clear()
                    file.seek(self._end)
                    for raw in file:
                        if not raw.endswith(b"\n"):
                            break
                        self._end += len(raw)
                        self._add(raw)
            except FileNotFoundError:
                self._clear()

    def _add(self, raw: bytes) -> None:
        try:
            line = json.loads(raw)
            step = int(line["step"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return  # a bad line is no reason to show nothing
        if self._steps and step <= self._steps[-1]:
            return
        self._steps.append(step)
        self._alarm.append(bool(number(line.get("judge_alarm"))))
        for key, values in self._values.items():
            value = number(line.get(key))
            values.append(NOTHING if value is None else value)

    @property
    def alarmed(self) -> list[int]:
        """The steps during which there was an alarm."""
        return [step for step, alarm in zip(self._steps, self._alarm, strict=True) if alarm]

    @property
    def last(self) -> int | None:
        """The last step."""
        return self._steps[-1] if self._steps else None

    def to_dict(self) -> dict[str, Any]:
        """As the page draws them: panels without a measured value are left out."""
        with self._lock:
            each = max(1, -(-len(self._steps) // _POINTS))
            panels = []
            for title, lines in PANELS:
                drawn = [
                    {"key": key, "label": label, **self._line(key, each)}
                    for key, label in lines
                    if not all(map(math.isnan, self._values[key]))
                ]
                if drawn:
                    panels.append({"title": title, "lines": drawn})
            return {
                "steps": [self._steps[i] for i in range(each - 1, len(self._steps), each)],
                "first": self._steps[0] if self._steps else None,
                "last": self.last,
                "alarmed": _spans(self.alarmed),
                "panels": panels,
            }

    def _line(self, key: str, each: int) -> dict[str, Any]:
        named = {"values": key}
        if f"{key}_low" in self._values:
            named |= {"low": f"{key}_low", "high": f"{key}_high"}
        return {name: _means(self._values[which], each) for name, which in named.items()}


def records_of(path: Path) -> list[dict[str, Any]]:
    """The last alarms or warnings of a run, as text for people."""
    found: list[dict[str, Any]] = []
    try:
        with open(path, "rb") as file:
            for raw in file:
                try:
                    record = json.loads(raw)
                    text = (
                        record.get("reason")
                        or record.get("message")
                        or f"{record.get('edit', 'a copy')} is liked"
                    )
                    found.append({"step": int(record["step"]), "text": str(visible(str(text)))[:500]})
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                    continue
    except OSError:
        return []
    return found[-_SHOWN:]


def _means(values: Sequence[float], each: int) -> list[float | None]:
    """The mean of every so many values, over those that are there."""
    means: list[float | None] = []
    for start in range(0, len(values) - each + 1, each):
        known = [v for v in values[start : start + each] if not math.isnan(v)]
        means.append(float(f"{sum(known) / len(known):.6g}") if known else None)
    return means


def _spans(steps: Sequence[int]) -> list[list[int]]:
    """First and last of each stretch of neighbouring steps."""
    spans: list[list[int]] = []
    for step in steps:
        if spans and step - spans[-1][1] <= 1:
            spans[-1][1] = step
        else:
            spans.append([step, step])
    return spans
