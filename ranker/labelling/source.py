"""The groups of a file that are still to be labelled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from ranker.errors import ConfigurationError
from ranker.jsonl.follow import follow_lines
from ranker.jsonl.group_file import Line, read_lines
from ranker.jsonl.id_index import IdIndex
from ranker.jsonl.input_check import check_file, repeated
from ranker.labelling.order import MOST

_SHOWN = 5  # bad lines that a message quotes


class Source:
    """Reads a file twice, once ahead to count and check it, once for the groups themselves, which may be large.

    Args:
        done: whether a line's group is labelled or skipped already.
        follow: the file grows; whole lines that come later are read too.
        say: told of bad lines that came later, which are left out.

    Attributes:
        total: groups seen so far that can be ranked.
        before: how many of them were done when they were seen.
        unusable: groups of one attempt, or too many, which are left out.

    Raises:
        ConfigurationError: the file cannot be read, or has bad lines.
    """

    def __init__(self, path: Path, done: Callable[[Line], bool], *, follow: bool, say: Callable[[str], None]):
        check_file(path)
        self.total = self.before = self.unusable = 0
        self._path, self._done, self._follow, self._say = path, done, follow, say
        self._ids = IdIndex()
        self._ahead, self._lines = self._read(), self._read()
        self._seen = self._taken = 0
        faults = self._look()
        if faults:
            more = f" (and {len(faults) - _SHOWN} more lines)" if len(faults) > _SHOWN else ""
            raise ConfigurationError(
                f"{path} has bad lines: {' '.join(faults[:_SHOWN])}{more} Correct or remove them, and start again."
            )
        if not follow and not self.total:
            raise ConfigurationError(f"{path} holds no groups of two or more attempts.")

    def next(self) -> Line | None:
        """The next group that is not done; None if there is none (now)."""
        if self._follow:
            for fault in self._look():
                self._say(f"{self._path} has a bad line, which is left out: {fault}")
        while self._taken < self._seen:
            line = next(self._lines, None)
            if line is None:
                break
            self._taken += 1
            if self._ids.get(line.id) == line.number and _usable(line) and not self._done(line):
                return line
        return None

    def close(self) -> None:
        self._ids.close()
        for lines in (self._ahead, self._lines):
            lines.close()  # type: ignore[attr-defined]

    def _read(self) -> Iterator[Line | None]:
        return follow_lines(self._path) if self._follow else _plain(self._path)

    def _look(self) -> list[str]:
        """Read ahead as far as the file goes; what is wrong with the lines found."""
        faults = []
        for line in self._ahead:
            if line is None:
                break
            self._seen += 1
            first = self._ids.setdefault(line.id, line.number)
            if line.error is not None:
                if line.fields.get("error") is None:  # else what `ranker rank` writes of a bad line
                    faults.append(str(line.error))
            elif first != line.number:
                faults.append(str(repeated(line, first)))
            elif not _usable(line):
                self.unusable += 1
            else:
                self.total += 1
                self.before += self._done(line)
        return faults


def _plain(path: Path) -> Iterator[Line | None]:
    yield from read_lines(path)


def _usable(line: Line) -> bool:
    return line.group is not None and 2 <= len(line.group) <= MOST
