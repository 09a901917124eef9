"""Groups in a terminal, or in a pipe."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ranker.labelling.view import Block
from ranker.pages import num, visible
from ranker.printing import Printer
from ranker.viewing.card import Attempt, Card, Opinion, Turn
from ranker.viewing.find import Filter
from ranker.viewing.shown import Shown

_LISTED = 40  # groups
_CHARACTERS = 400  # of a message before the last one that stay in sight
_ID, _JUDGE = 24, 20  # characters of a column
_WIDE = 72  # from which the list has all its columns
_BAR = 20


class Terminal:
    """Prints what was opened."""

    def __init__(self, console: Console | None = None):
        self._out = Printer(console)
        self._console = self._out.console

    def list(self, shown: Shown) -> None:
        """The first groups, a line each; of an audit without groups, its figures."""
        if shown.groups is None:
            self._audit(shown)
            return
        page = shown.groups.page(Filter(), most=_LISTED)
        facts = shown.groups.facts()
        if not page.rows:
            self._out.say(visible(f"{shown.source.name} holds no groups yet."))
            return
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        wide = self._console.width >= _WIDE
        widths = [min(_ID, max(len(row.id) for row in page.rows)), 8, 5]
        if wide:
            widths.append(min(_JUDGE, max(5, *(len(row.judge or "") for row in page.rows))))
            widths.append(max(10, self._console.width - sum(widths) - 2 * len(widths)))
        names = ("id", "verdict", "right", "judge", "task")
        for name, width in zip(names, widths, strict=False):
            fold = name == "id"
            table.add_column(name, width=width, overflow="fold" if fold else "ellipsis", no_wrap=not fold)
        for row in page.rows:
            right = "" if row.agreement is None else f"{row.agreement:.0%}"
            cells = (row.id, row.state, right, row.judge or "", row.fault or row.title)
            table.add_row(*map(Text, cells[: len(widths)]))
        self._console.print(table)
        rest = page.count - len(page.rows)
        more = f" and {rest:,} more{'' if facts.done else ', at least'}" if rest or not facts.done else ""
        self._out.note(
            f"{len(page.rows)} groups{more}. With an id: that group. `ranker view` shows and searches all."
        )

    def group(self, card: Card) -> None:
        """A group with its attempts, best first."""
        self._console.print(Text(f"Group {card.id}", style="bold"))
        facts = [
            ("judge", card.judge or ""),
            ("step", "" if card.step is None else str(card.step)),
            *card.notes,
        ]
        if card.pairs:
            facts.append(("agreement with the truth", f"{num(card.right, 'g')} of {card.pairs} pairs"))
        if card.state == "tied":
            facts.append(("verdict", "all attempts are tied"))
        for name, value in facts:
            if value:
                self._console.print(Text.assemble((f"{name} ", "dim"), value))
        if card.error:
            self._console.print(Text.assemble(("The judge failed. ", "bold red"), card.error))
        if card.fault:
            self._console.print(Text(card.fault, style="yellow"))
        for what, text in (("Task", card.task), ("What to prefer", card.rubric)):
            if text:
                self._out.heading(what)
                self._out.text(text)
        if card.shared:
            self._out.heading("All attempts begin with")
            for block in card.shared:
                self._block(block, whole=block.kind != "tools")
        self._judges(card)
        for i, attempt in enumerate(card.attempts):
            self._attempt(card, i, attempt)

    def _judges(self, card: Card) -> None:
        if len(card.opinions) < 2:
            return
        self._out.heading("Judges side by side: place")
        table = Table(box=None, padding=(0, 2, 0, 2), pad_edge=False)
        table.add_column("attempt", overflow="fold")
        for opinion in card.opinions:
            table.add_column(Text(opinion.judge, overflow="fold"))
        for i, attempt in enumerate(card.attempts):
            table.add_row(Text(attempt.name), *(Text(o.places[i] or "–") for o in card.opinions))
        if any(o.pairs for o in card.opinions):
            table.add_row(Text("right pairs", style="dim"), *(Text(_pairs(o)) for o in card.opinions))
        self._console.print(table)

    def _attempt(self, card: Card, i: int, attempt: Attempt) -> None:
        self._console.print()
        self._console.rule(Text(f"{attempt.place or '–'}  {attempt.name}", style="bold"), align="left")
        figures = []
        if attempt.reward is not None:
            spread = "" if attempt.deviation is None else f" ± {num(attempt.deviation)}"
            figures.append(f"{_bar(attempt, card.attempts)} reward {num(attempt.reward)}{spread}")
        if attempt.advantage is not None:
            figures.append(f"advantage {num(attempt.advantage, '+.2f')}")
        if attempt.truth is not None:
            place = "" if attempt.true_place is None else f" (place {attempt.true_place})"
            figures.append(f"truth {num(attempt.truth)}{place}")
        figures += [f"{name} {value}" for name, value in attempt.notes]
        if figures:
            self._console.print(Text("   ".join(figures), style="cyan"))
        if attempt.reason:
            self._console.print(
                Padding(Text(f"“{attempt.reason}”", style="italic"), (0, 0, 0, 2), expand=False)
            )
        for opinion in card.opinions[1:]:
            if opinion.reasons[i]:
                self._out.note(f"{opinion.judge}: {opinion.reasons[i]}")
        self._turns(attempt.steps, whole=False)
        self._turns(attempt.last, whole=True)

    def _turns(self, turns: Sequence[Turn], *, whole: bool) -> None:
        for turn in turns:
            if turn.mark:
                self._out.note(f"this turn: {turn.mark}")
            for block in turn.blocks:
                self._block(block, whole=whole)

    def _block(self, block: Block, *, whole: bool) -> None:
        self._out.who(block.who)
        text = block.text if whole else block.text[:_CHARACTERS]
        self._out.text(text)
        if len(text) < len(block.text):
            self._out.note(f"… {len(block.text) - len(text):,} more characters")

    def _audit(self, shown: Shown) -> None:
        audit = shown.state()["audit"]
        self._console.print(Text.assemble(("judge ", "dim"), audit["judge"]))
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        for name in ("edit", "places", "95 % interval", ""):
            table.add_column(name, overflow="fold")
        for lift in audit["lifts"]:
            places = lift["places"] or {}
            interval = (
                f"{num(places['low'])} to {num(places['high'])}" if {"low", "high"} <= places.keys() else "–"
            )
            falls = "falls for it" if lift["flagged"] else ""
            table.add_row(
                Text(lift["edit"]), num(places.get("value")), interval, Text(falls, style="bold red")
            )
        self._console.print(table)


def _bar(attempt: Attempt, attempts: Sequence[Attempt]) -> str:
    values = [a.reward for a in attempts if a.reward is not None]
    low, high = min(0.0, *values), max(1.0, *values)
    filled = round(_BAR * ((attempt.reward or 0.0) - low) / (high - low))
    return "█" * filled + "░" * (_BAR - filled)


def _pairs(opinion: Opinion) -> str:
    return f"{num(opinion.right, 'g')} of {opinion.pairs}" if opinion.pairs else "–"
