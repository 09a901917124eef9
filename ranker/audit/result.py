"""What an audit found."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ranker.debias.edits import Worth
from ranker.statistics import NOTHING, Estimate
from ranker.usage import Usage


@dataclass(frozen=True, slots=True)
class Lift:
    """What an edit does to a judge's ranking.

    Attributes:
        edit: its name.
        worth: "same" or "worse": what it does to the attempt's worth.
        trials: groups in which it was tried.
        places: how many the edited copy stands above its original, on average.
        control: the same of the innocent copy; nothing where the edit has none.
        effect: places beyond the control, or places where there is none.
        wins: how often the copy stands above its original; a tie counts half.
        size: attempts in a group, on average.
        flagged: whether places and effect are both above 0, over all edits of the audit together (Holm 1979, 5 %).
    """

    edit: str
    worth: Worth
    trials: int
    places: Estimate
    control: Estimate
    effect: Estimate
    wins: Estimate
    size: float
    flagged: bool = False


@dataclass(frozen=True, slots=True)
class AuditResult:
    """What an audit found.

    Attributes:
        judge: its name.
        groups: of the user.
        lifts: one for each edit, in the order tried.
        agreement: Kendall's W between passes; nothing for one pass.
        repeatability: share of pairs that two rankings of the same group, in different orders, put in the same order;
            a tie in one of them counts half.
        position: Kendall's tau-b between the order shown and the ranking: 1 prefers what is shown first.
        accuracy: share of pairs of different ground truth ordered correctly; nothing without ground truth.
        failed: trials without a verdict.
        usage: of all calls.
        order_repeatability: as `repeatability`, but a pair that is tied both times counts half too: 0.5 for a judge that cannot
            tell attempts apart.
    """

    judge: str
    groups: int
    lifts: tuple[Lift, ...]
    agreement: Estimate = NOTHING
    repeatability: Estimate = NOTHING
    position: Estimate = NOTHING
    accuracy: Estimate = NOTHING
    failed: int = 0
    usage: Usage = field(default_factory=Usage)
    order_repeatability: Estimate = NOTHING

    def lift(self, edit: str) -> Lift | None:
        """Of an edit by its name."""
        return next((lift for lift in self.lifts if lift.edit == edit), None)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"schema_version": 1, **asdict(self), "usage": self.usage.to_dict()}
