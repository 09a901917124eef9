"""Which of several judges to use for a file of groups: what each would cost, which can be measured, which is good enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ranker.bench.compare import Verdict, compare
from ranker.bench.forecast import prompt_tokens
from ranker.bench.judge_spec import JudgeSpec
from ranker.errors import ConfigurationError
from ranker.judges.pricing import cost_of
from ranker.judges.provider_keys import check_provider_key
from ranker.prompting.prompt import reply_room
from ranker.statistics import Estimate
from ranker.trajectory import TrajectoryGroup

USUAL = (
    "local", "openai/gpt-5-nano", "openai/gpt-5-mini", "gemini/gemini-2.5-flash", "anthropic/claude-haiku-4-5",
    "deepseek/deepseek-chat",
)  # fmt: skip
"""Judges that are looked at where none is named."""
FEWEST, MOST = 10, 60  # groups that judges are compared on
MARGIN = 0.05  # of pairwise accuracy that a cheaper judge may lose
ENOUGH = 0.8  # of the groups: a judge with fewer verdicts is not compared with the others


@dataclass(frozen=True, slots=True)
class Candidate:
    """A judge that may be recommended.

    Attributes:
        tokens: read and written for one group, as reckoned.
        cost_usd: of one group, as reckoned; None if the price is unknown.
        fault: why it cannot be asked from here; None if nothing is known against it.
    """

    judge: JudgeSpec
    tokens: tuple[float, float]
    cost_usd: float | None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Attributes:
    groups: the number that all judges are compared on.
    measured: judges, the cheapest first.
    left_out: names of the others, with why.
    """

    groups: int
    measured: tuple[Candidate, ...]
    left_out: Mapping[str, str]

    @property
    def cost_usd(self) -> float:
        """Of everything, as reckoned."""
        return self.groups * sum(c.cost_usd or 0.0 for c in self.measured)


@dataclass(frozen=True, slots=True)
class Choice:
    """Attributes:
    judge: to use; None where none is shown to be better than chance.
    reason: in a sentence or two.
    measured: whether any judge was.
    """

    judge: str | None
    reason: str
    measured: bool = True


def candidates(
    judges: Sequence[JudgeSpec], groups: Sequence[TrajectoryGroup], rubric: str | None
) -> list[Candidate]:
    """What ranking a group once would cost with each judge. Nothing is called."""
    read, wrote = prompt_tokens(groups, rubric), fmean(reply_room(len(g)) for g in groups)
    found = []
    for judge in judges:
        price = judge.price() if judge.paid else (0.0, 0.0)
        cost = None if price is None else cost_of(1, 0, price) * read + cost_of(0, 1, price) * wrote
        found.append(Candidate(judge, (read, wrote), cost, _fault(judge)))
    return found


def _fault(judge: JudgeSpec) -> str | None:
    """Why a judge cannot be asked from here, as far as that shows without a call."""
    if not judge.paid or judge.base_url is not None or judge.options.get("api_key") or judge.model is None:
        return None
    try:
        check_provider_key(judge.model)
    except ConfigurationError as error:
        return str(error)
    return None


def plan(some: Sequence[Candidate], available: int, budget: float) -> Plan:
    """What is measured for at most `budget` dollars, as reckoned: every judge on the same groups, as many as it pays for; where
    it does not pay for the fewest that say anything, the dearest judges are left out."""
    left_out = {c.judge.name: c.fault for c in some if c.fault is not None}
    for c in some:
        if c.fault is None and c.cost_usd is None:
            left_out[c.judge.name] = "its price is unknown: give --price (0,0 for a server of your own)"
    usable = sorted(
        (c for c in some if c.judge.name not in left_out),
        key=lambda c: (c.cost_usd or 0.0, not c.judge.local),
    )
    least = min(FEWEST, available)
    while (
        usable
        and (usable[-1].cost_usd or 0.0) > 0
        and least * sum(c.cost_usd or 0.0 for c in usable) > budget
    ):
        dearest = usable.pop()
        needed = least * sum(c.cost_usd or 0.0 for c in (*usable, dearest))
        left_out[dearest.judge.name] = (
            f"{least} groups would take the cost to ${needed:.2f}, above the budget"
        )
    each = sum(c.cost_usd or 0.0 for c in usable)
    groups = min(MOST, available)
    if each > 0:
        groups = max(least, int(min(groups, budget / each)))
    return Plan(groups if usable else 0, tuple(usable), left_out)


def choose(
    results: Mapping[str, Any], measured: Sequence[Candidate], planned: int, margin: float = MARGIN
) -> Choice:
    """The cheapest judge whose accuracy is within the margin of the best one's with 95 % confidence; the best, where no cheaper
    one is; none, where no interval lies above one half. The best is the most accurate of those whose interval does: one right
    verdict makes no judge the best. Judges without a verdict on `ENOUGH` of the groups are left out.

    Args:
        results: `results.json` of the judges on one suite.
        measured: the judges that may be chosen, the cheapest first.
        planned: the number of groups that all were asked about.
    """
    verdicts = {cell["judge"]: cell["groups"] - cell["failed"] for cell in results["cells"]}
    accuracy = {cell["judge"]: Estimate(**cell["metrics"]["pairwise_accuracy"]) for cell in results["cells"]}
    known = [c for c in measured if verdicts.get(c.judge.name, 0) >= max(1, ENOUGH * planned)]
    left_out = _left_out(
        {c.judge.name: verdicts.get(c.judge.name, 0) for c in measured if c not in known}, planned
    )
    if not known:
        return Choice(None, f"No judge gave enough verdicts to be measured.{left_out}", measured=False)

    def right(candidate: Candidate) -> float:
        return accuracy[candidate.judge.name].value or 0.0

    sure = [c for c in known if accuracy[c.judge.name].above(0.5)]
    if not sure:
        name = max(known, key=right).judge.name
        return Choice(
            None,
            f"No judge is shown to beat a coin on these groups; the best, {name}, orders {accuracy[name]:.2f} of the pairs "
            f"right. Do not train on any of them: try a stronger judge, a rubric, or more groups.{left_out}",
        )
    best = max(sure, key=right)
    name = best.judge.name
    for candidate in sure:
        cheap = candidate.judge.name
        if (candidate.cost_usd or 0.0) >= (best.cost_usd or 0.0):
            break
        if _verdict(results, cheap, name, margin)[0] == "within":
            return Choice(
                cheap,
                f"{cheap} orders {accuracy[cheap]:.2f} of the pairs right, the best judge, {name}, {accuracy[name]:.2f}: it is "
                f"within {margin:g} with 95 % confidence, and cheaper.{left_out}",
            )
    among = "measured" if len(sure) == len(known) else "that are shown to beat a coin"
    doubt = _doubt(results, known, best, margin)
    return Choice(
        name,
        f"{name} orders {accuracy[name]:.2f} of the pairs right, the most of those {among}.{doubt}{left_out}",
    )


def unfinished(stopped: Sequence[str], results: Mapping[str, Any], planned: int) -> Choice:
    """No choice, where the budget stopped judges before they had ranked all groups."""
    asked = {cell["judge"]: cell["groups"] for cell in results["cells"]}
    reached = ", ".join(f"{name} after {asked.get(name, 0)} of {planned} groups" for name in stopped)
    return Choice(
        None,
        f"No judge is chosen: the budget stopped {reached}. Run the same command again to go on from there with as much "
        "again, or raise --budget.",
        measured=False,
    )


def _left_out(verdicts: Mapping[str, int], planned: int) -> str:
    """Judges that are not compared, for want of verdicts."""
    few = ", ".join(f"{name} (a verdict on {n} of {planned} groups)" for name, n in verdicts.items())
    return f" Left out: {few}." if few else ""


def _verdict(
    results: Mapping[str, Any], cheap: str, strong: str, margin: float
) -> tuple[Verdict, int | None]:
    """Whether a cheap judge will do, and the further groups that would decide it."""
    try:
        [one, *_] = compare(results, cheap, strong, margin)
    except ConfigurationError:  # fewer than two groups that both ranked
        return "undecided", None
    return one.verdict, one.more


def _doubt(results: Mapping[str, Any], known: Sequence[Candidate], best: Candidate, margin: float) -> str:
    """Cheaper judges of which it is undecided whether they would do, and what would decide it."""
    open_: list[str] = []
    for candidate in known:
        if (candidate.cost_usd or 0.0) < (best.cost_usd or 0.0):
            verdict, needed = _verdict(results, candidate.judge.name, best.judge.name, margin)
            if verdict == "undecided":
                more = "more groups" if needed is None else f"about {needed:,} more groups"
                open_.append(f"{candidate.judge.name} ({more} would tell)")
    return f" Undecided whether cheaper ones would do: {', '.join(open_)}." if open_ else ""
