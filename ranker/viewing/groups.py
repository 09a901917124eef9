"""The groups of a source: pages of a list, cards, and what there is to choose from."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from ranker.errors import ConfigurationError
from ranker.jsonl.group_file import print_of
from ranker.pages import visible
from ranker.viewing.card import Card, card_of
from ranker.viewing.find import Cursor, Filter
from ranker.viewing.index import Entry, Facts, Index
from ranker.viewing.lines import Stale
from ranker.viewing.opinions import audited, with_opinions
from ranker.viewing.records import Judged, judged, parsed
from ranker.viewing.rows import summary_of
from ranker.viewing.source import Source
from ranker.viewing.suite_texts import SuiteTexts

PAGE = 50  # groups of a page
_JUDGES = 8  # that are shown side by side
_WAIT = 1.0  # seconds between looks at a file that may grow
_SUMMARY = 4_000_000  # bytes of a line from which it is listed without its text
_AUDITS = 64  # lines about one group that are looked at


@dataclass(frozen=True, slots=True)
class ListRow:
    """A group in the list; see `rows.Row`.

    Attributes:
        values: the rewards, best first.
        fault: what is wrong with a bad line.
    """

    line: int
    id: str
    title: str
    judge: str | None
    step: int | None
    state: str
    agreement: float | None
    spread: float | None
    size: int
    values: tuple[float, ...] = ()
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Attributes:
    count: of all groups that pass the filter; 0 on further pages, which do not count anew.
    more: whether there are more than these.
    next: where the next page begins; None after the last.
    """

    rows: list[ListRow]
    count: int
    more: bool
    next: Cursor | None


@dataclass(slots=True)
class Groups:
    """Reads a file through its index, and follows it in a thread while it grows.

    Attributes:
        source: with a file.
        fault: why the index does not go on; None while it does.
    """

    source: Source
    fault: str | None = None
    _index: Index = field(init=False)
    _audits: Index | None = field(init=False, default=None)
    _texts: SuiteTexts = field(init=False)
    _stop: threading.Event = field(init=False, default_factory=threading.Event)
    _thread: threading.Thread | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        assert self.source.file is not None
        self._index = Index(self.source.file)
        self._texts = SuiteTexts()
        if self.source.kind == "run":
            self._audits = Index(self.source.beside("audits.jsonl"))
        self._grow(0.0)

    def follow(self) -> None:
        """Index the rest of the file, and what is added to it, until `close`."""
        self._thread = threading.Thread(target=self._follow, name="ranker-view", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                more = self._grow(0.5)
                self.fault = None
            except ConfigurationError as error:  # a full disk, perhaps: what is indexed can still be seen
                self.fault, more = str(error), False
            if not more:
                self._stop.wait(_WAIT)

    def _grow(self, seconds: float) -> bool:
        """Index for so long, and whether there may be more."""
        more = False
        for index in filter(None, (self._index, self._audits)):
            try:
                more |= index.grow(seconds)
            except Stale:
                index.restart()
                more = True
        return more

    def read_all(self, until: str | None = None) -> bool:
        """Index the rest of the file, or until a group of this id is there; whether there is one."""
        while True:
            if until is not None and self.find(until) is not None:
                return True
            if not self._grow(0.5):
                return until is not None and self.find(until) is not None

    def facts(self) -> Facts:
        """What is known of the file so far."""
        return self._index.facts()

    def page(self, wanted: Filter, after: Cursor | None = None, most: int = PAGE) -> Page:
        """A page of the groups that pass a filter.

        Raises:
            ConfigurationError: the file cannot be read.
        """
        with ThreadPoolExecutor(1) as beside:  # two scans at once: sqlite lets other threads run
            counting = None if after is not None else beside.submit(self._index.count, wanted)
            entries = self._index.find(wanted, after, most + 1)
            count, beyond = (0, False) if counting is None else counting.result()
        following = None
        if len(entries) > most:
            last = entries[most - 1]
            following = (None if wanted.order == "file" else getattr(last, wanted.order), last.line)
        return Page([self._row(entry) for entry in entries[:most]], count, beyond, following)

    def find(self, name: str) -> int | None:
        """The line of the group with this id; the first, where several judges ranked it. ``line:N`` is a line without
        one."""
        number = name.removeprefix("line:")
        if number != name and number.isdecimal() and len(number) < 16:
            entry = self._index.entry(int(number))
            return entry.line if entry is not None and self._id_of(entry) in (None, name) else None
        for entry in self._index.of_id(name):
            if self._id_of(entry) == name:
                return entry.line
        return None

    def card(self, line: int) -> Card | None:
        """The card of a line, with what other judges said of the same attempts; None if it is about no group.

        Raises:
            ConfigurationError: the file cannot be read, or was just replaced.
        """
        entry = self._index.entry(line)
        if entry is None:
            return None
        group, fault = self._read(entry)
        if group is None:
            return Card(
                line, f"line:{line}", "", None, None, "bad", None, None, None, (), (), 0.0, 0, (), fault=fault
            )
        card = self._plain(line, group)
        return with_opinions(card, [*self._siblings(entry, group), *self._audit(card, group)])

    def _plain(self, line: int, group: Judged) -> Card:
        return card_of(line, group, self._texts.of(group.fields) if group.form == "observation" else None)

    def _siblings(self, entry: Entry, group: Judged) -> list[tuple[int, Card]]:
        """Cards of other judges on the very same attempts."""
        found: list[tuple[int, Card]] = []
        for other in self._index.of_id(group.id):
            if other.line == entry.line or len(found) >= _JUDGES:
                continue
            read, _ = self._read(other)
            if read is not None and read.id == group.id and read.form == group.form and _same(read, group):
                found.append((other.line, self._plain(other.line, read)))
        return found

    def _audit(self, card: Card, group: Judged) -> list[tuple[None, Card]]:
        """What the auditor said: of a run's sample, or of the groups in its own records."""
        if group.form == "audit":
            return [(None, audited(card, group))] if group.fields.get("auditor") else []
        if self._audits is None or group.form != "sample":
            return []
        number = str(group.fields.get("group"))
        for entry in self._audits.of_id(number, _AUDITS):
            fields = parsed(self._audits.read(entry))
            asked = fields.get("asked", fields.get("step"))
            if asked == group.step and "auditor" in fields:
                found = judged(fields, entry.line)
                return [] if found is None else [(None, audited(card, found))]
        return []

    def _row(self, entry: Entry) -> ListRow:
        group, fault = self._read(entry) if entry.length <= _SUMMARY else (None, None)
        row = ListRow(
            line=entry.line,
            id=f"line:{entry.line}",
            title="",
            judge=entry.judge,
            step=entry.step,
            state=entry.state,
            agreement=entry.agreement,
            spread=entry.spread,
            size=entry.size,
            fault=fault or (group.error if group is not None else None),
        )
        if group is not None:
            values = sorted((v for v in group.values or () if v is not None), reverse=True)
            row = replace(row, id=group.id, title=self._title(group), values=tuple(values[:32]))
        return replace(
            row,
            id=str(visible(row.id)),
            title=str(visible(row.title)),
            judge=row.judge and str(visible(row.judge)),
            fault=row.fault and str(visible(row.fault))[:500],
        )

    def _title(self, group: Judged) -> str:
        texts = self._texts.made(group.fields) if group.form == "observation" else None
        if texts is None:
            return summary_of(group)
        return summary_of(replace(group, members=[{"messages": list(texts.trajectories[0].messages)}]))

    def _read(self, entry: Entry) -> tuple[Judged | None, str | None]:
        """The group of a line, or what is wrong with it."""
        try:
            raw = self._index.read(entry)
        except Stale:
            raise ConfigurationError(
                f"{self.source.file} was changed while it was read; it is indexed anew."
            ) from None
        try:
            return judged(parsed(raw), entry.line), None
        except ValueError as error:
            return None, f"Line {entry.line} {error}"

    def _id_of(self, entry: Entry) -> str | None:
        group, _ = self._read(entry)
        return None if group is None else group.id


def _same(a: Judged, b: Judged) -> bool:
    """Whether two lines are about the same attempts."""
    if a.form == "group":
        return _attempts(a.fields) == _attempts(b.fields)
    return a.form == "observation" and a.truths == b.truths


def _attempts(fields: Mapping[str, Any]) -> tuple[int, Sequence[Any]]:
    members = fields.get("trajectories") or []
    return print_of(fields), [m.get("id") if isinstance(m, dict) else None for m in members]
