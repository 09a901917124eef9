"""What the page is told: of a source as a whole, of its groups, its curves, its figures. The server sends it piece by
piece, an exported page holds it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ranker.errors import ConfigurationError
from ranker.pages import visible
from ranker.viewing.card import Card, harmless
from ranker.viewing.curves import Curves, records_of
from ranker.viewing.find import Cursor, Filter
from ranker.viewing.groups import Groups
from ranker.viewing.source import Source, audit_of


@dataclass(slots=True)
class Shown:
    """A source that was opened.

    Attributes:
        groups: None where it has none.
        curves: of a run.
    """

    source: Source
    groups: Groups | None = field(init=False, default=None)
    curves: Curves | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.source.file is not None:
            self.groups = Groups(self.source)
        if self.source.kind == "run":
            self.curves = Curves(self.source.path)
            self.curves.read()

    def close(self) -> None:
        if self.groups is not None:
            self.groups.close()

    def state(self) -> dict[str, Any]:
        """What there is, and how much of it has been read."""
        told: dict[str, Any] = {"kind": self.source.kind, "name": str(visible(self.source.name))}
        if self.groups is not None:
            facts = self.groups.facts()
            told["indexed"] = {**asdict(facts), "done": facts.done, "fault": self.groups.fault}
            told["indexed"]["judges"] = [
                {"name": name, "shown": str(visible(name)), "groups": count}
                for name, count in facts.judges.items()
            ]
            told["indexed"]["bad"] = [[line, str(visible(fault))] for line, fault in facts.bad]
        if self.curves is not None:
            self.curves.read()
            told["run"] = {
                "last": self.curves.last,
                "alarms": records_of(self.source.beside("alarms.jsonl")),
                "warnings": records_of(self.source.beside("warnings.jsonl")),
                "alarmed": len(self.curves.alarmed),
            }
        if self.source.kind == "audit":
            told["audit"] = _audit(audit_of(self.source))
        return told

    def steps_of_alarm(self) -> list[int]:
        """Steps during which there was an alarm; none but in a run."""
        return [] if self.curves is None else self.curves.alarmed

    def page(self, wanted: Filter, after: Cursor | None = None) -> dict[str, Any]:
        """A page of the list."""
        if self.groups is None:
            return {"rows": [], "count": 0, "more": False, "next": None}
        return asdict(self.groups.page(wanted, after))

    def line_of(self, name: str) -> int | None:
        """The line of the group of this id; what was not read yet of the file is read."""
        if self.groups is None or not self.groups.read_all(until=name):
            return None
        return self.groups.find(name)

    def card_of(self, line: int) -> Card:
        """A group that is there.

        Raises:
            ConfigurationError: it is not, or the file cannot be read.
        """
        card = None if self.groups is None else self.groups.card(line)
        if card is None:
            raise ConfigurationError(f"{self.source.path}, line {line}, holds no group.")
        return harmless(card)

    def card(self, line: int) -> dict[str, Any] | None:
        """A group; None where there is none."""
        card = None if self.groups is None else self.groups.card(line)
        return None if card is None else asdict(harmless(card))


def _audit(figures: dict[str, Any]) -> dict[str, Any]:
    """The figures of an audit, of which only what is looked at: names are text from outside."""
    lifts = [
        {
            "edit": str(visible(str(lift.get("edit")))),
            "worth": str(lift.get("worth")),
            "trials": lift.get("trials"),
            **{name: _estimate(lift.get(name)) for name in ("places", "control", "effect", "wins")},
            "flagged": bool(lift.get("flagged")),
        }
        for lift in figures["lifts"]
        if isinstance(lift, dict)
    ]
    more = {
        name: _estimate(figures.get(name)) for name in ("agreement", "repeatability", "position", "accuracy")
    }
    return {
        "judge": str(visible(str(figures.get("judge")))),
        "groups": figures.get("groups"),
        "lifts": lifts,
        **more,
    }


def _estimate(value: Any) -> dict[str, float] | None:
    if not isinstance(value, dict) or not isinstance(value.get("value"), (int, float)):
        return None
    return {key: value[key] for key in ("value", "low", "high") if isinstance(value.get(key), (int, float))}
