"""Which group comes next, and what becomes of an answer: the same in the terminal and in the page."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

from ranker.aggregate.ranking import Tiers
from ranker.errors import ConfigurationError
from ranker.jsonl.appender import Appender
from ranker.jsonl.group_file import Line, line_of
from ranker.jsonl.objects import record_of
from ranker.labelling import records
from ranker.labelling.order import chosen, names_of, shuffled, unshuffled
from ranker.labelling.source import Source
from ranker.labelling.view import View, view_of
from ranker.runtime.outputs import check_outputs

_APART = 5  # groups at least between a group and its second showing, while there are others
_UNDO = 100  # answers that can be taken back


def skipped_path(out: Path) -> Path:
    return out.with_name(out.name + ".skipped")


def again_path(out: Path) -> Path:
    return out.with_name(out.name + ".again")


@dataclass(frozen=True)
class Task:
    """A group to be ranked.

    Attributes:
        number: of the task in this session, from 1.
        shown: the positions of its attempts in the order in which they are shown.
        names: letters of the attempts, in the order shown.
        again: whether it is shown a second time.
    """

    number: int
    line: Line
    shown: tuple[int, ...]
    names: list[str]
    again: bool

    @cached_property
    def view(self) -> View:
        assert self.line.group is not None
        return view_of(self.line.group, self.shown)


@dataclass(frozen=True, slots=True)
class Progress:
    """Attributes:
    done: groups labelled or skipped, of `total` seen so far.
    minutes: the median of this session's groups; None before the first.
    """

    done: int
    total: int
    minutes: float | None

    def __str__(self) -> str:
        pace = "" if self.minutes is None else f", {self.minutes:.1f} minutes a group"
        return f"{self.done} of {self.total}{pace}"


@dataclass(frozen=True, slots=True)
class _Answer:
    """A line that was written: where, and for which task."""

    file: Appender
    start: int
    task: Task


class Session:
    """Labels the groups of a file that its output lacks.

    Args:
        again: the share of labelled groups that is shown a second time.
        say: told of lines that are left out.

    Attributes:
        labelled, skipped: groups in this session.

    Raises:
        ConfigurationError: a file cannot be read or written, or holds other content; bad lines.
    """

    def __init__(
        self,
        groups: Path,
        out: Path,
        *,
        name: str = "person",
        seed: int = 0,
        again: float = 0.0,
        follow: bool = False,
        say: Callable[[str], None] = lambda _: None,
    ):
        self.groups, self.out, self.name, self.again, self.follow = groups, out, name, again, follow
        self.labelled = self.skipped = 0
        self._seed = seed
        self._answers: deque[_Answer] = deque(maxlen=_UNDO)
        self._seconds: list[float] = []
        self._since = time.monotonic()
        self._waiting: list[Task] = []  # that an undone one went before
        self._due: deque[tuple[int, str, int]] = (
            deque()
        )  # seen again from which answer on; id; where in the output
        self._tasks = self._finished = 0
        self._was_new = False  # whether the last group was not shown before
        beside = (skipped_path(out), again_path(out))
        check_outputs({"--out": [out, *beside]}, [groups])
        new = [path for path in (out, *beside) if not path.exists()]
        with ExitStack() as opened:
            self._out = Appender(out, holds=(records.LABEL,), what="label of `ranker label`")
            opened.callback(self._out.close)
            opened.callback(_remove_empty, new)  # while nobody else may write there
            self._skips = Appender(beside[0], holds=("skipped",), what="skipped group")
            opened.callback(self._skips.close)
            self._second = None
            if again:
                self._second = Appender(beside[1], holds=(records.LABEL, "skipped"), what="second label")
                opened.callback(self._second.close)
            self._source = Source(groups, self._is_done, follow=follow, say=say)
            opened.callback(self._source.close)
            self._labels = self._find_due()
            self._close = opened.pop_all()
        self.current = self._next()

    def close(self) -> None:
        """Close the files, and remove those of this session that stayed empty."""
        self._close.close()

    @property
    def progress(self) -> Progress:
        minutes = median(self._seconds) / 60 if self._seconds else None
        return Progress(self._source.before + self.labelled + self.skipped, self._source.total, minutes)

    @property
    def left_out(self) -> int:
        """Groups that cannot be ranked: of one attempt, or of too many."""
        return self._source.unusable

    @property
    def can_undo(self) -> bool:
        return bool(self._answers)

    @property
    def ended(self) -> bool:
        """Whether everything is done and nothing more can come."""
        return self.current is None and not self.follow

    def refresh(self) -> Task | None:
        """The current task; one that has come since, if there was none."""
        if self.current is None:
            self.current = self._next()
        return self.current

    def label(self, tiers: Tiers) -> None:
        """Write an order of the current group: tiers of positions as shown."""
        task = self._task()
        order = unshuffled(tiers, task.shown)
        seconds = time.monotonic() - self._since
        if task.again:
            assert self._second is not None
            self._write(self._second, records.labelled_again(task.line, order, self.name, seconds), task)
        else:
            start = self._write(self._out, records.labelled(task.line, order, self.name, seconds), task)
            self.labelled += 1
            if self._second is not None and chosen(self._labels, self.again, self._seed):
                self._due.append((self._finished + _APART, task.line.id, start))
            self._labels += 1
        self.current = self._next()

    def skip(self) -> None:
        """Pass over the current group for good."""
        task = self._task()
        if task.again:
            assert self._second is not None
            self._write(self._second, {"id": task.line.id, "skipped": True}, task)
        else:
            self._write(self._skips, {"id": task.line.id, "skipped": True}, task)
            self.skipped += 1
        self.current = self._next()

    def undo(self) -> bool:
        """Take back this session's last answer and show its group again; False if there is none."""
        if not self._answers:
            return False
        answer = self._answers[-1]
        name = answer.task.line.id
        answer.file.take_back(name, answer.start)
        self._answers.pop()
        self._seconds.pop()
        if answer.file is self._out:
            self.labelled -= 1
            self._labels -= 1
            if self._due and self._due[-1][1] == name:
                self._due.pop()
            self._waiting = [t for t in self._waiting if not (t.again and t.line.id == name)]
        elif answer.file is self._skips:
            self.skipped -= 1
        current = self.current
        if current is not None and not (current.again and current.line.id == name and not answer.task.again):
            self._waiting.append(current)
        self._since = time.monotonic()
        self.current = answer.task
        return True

    def _task(self) -> Task:
        if self.current is None:
            raise ConfigurationError("There is no group to answer.")
        return self.current

    def _write(self, file: Appender, record: dict[str, object], task: Task) -> int:
        start = file.write(record)
        file.sync()
        self._answers.append(_Answer(file, start, task))
        self._seconds.append(time.monotonic() - self._since)
        self._finished += 1
        return start

    def _is_done(self, line: Line) -> bool:
        state = self._out.done.get(line.id)
        if state is None:
            return line.id in self._skips.done
        if state != records.mark_of(line):
            raise ConfigurationError(
                f"{self.groups}, line {line.number}: {self.out} holds a label of a group {line.id!r} with other "
                "attempts, or another task or rubric. Give the changed group another id, or name another --out."
            )
        return True

    def _find_due(self) -> int:
        """Note which groups that were labelled before are to be shown again; the number of all."""
        if self._second is None:
            return 0
        count = start = 0
        with open(self.out, "rb") as file:
            for raw in file:
                name = line_of(record_of(raw, count + 1)).id
                if chosen(count, self.again, self._seed) and name not in self._second.done:
                    self._due.append((0, name, start))
                count += 1
                start += len(raw)
        return count

    def _next(self) -> Task | None:
        self._since = time.monotonic()
        if self._waiting:
            return self._waiting.pop()
        if self._due and self._due[0][0] <= self._finished and self._was_new:
            return self._repeat()
        line = self._source.next()
        if line is not None:
            return self._shown(line, again=False)
        return self._repeat() if self._due else None

    def _repeat(self) -> Task:
        _, _, start = self._due.popleft()
        with open(self.out, "rb") as file:
            file.seek(start)
            line = line_of(record_of(file.readline(), 0))
        if line.group is None:
            raise ConfigurationError(f"{self.out} was changed: the label of {line.id!r} holds no group.")
        return self._shown(line, again=True)

    def _shown(self, line: Line, *, again: bool) -> Task:
        assert line.group is not None
        self._tasks += 1
        self._was_new = not again
        n = len(line.group)
        return Task(self._tasks, line, shuffled(n, self._seed, line.id, again=again), names_of(n), again)


def _remove_empty(paths: list[Path]) -> None:
    for path in paths:
        if path.is_file() and not path.stat().st_size:
            path.unlink()
