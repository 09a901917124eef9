"""The study's questions, answered from its figures: what is said follows from the intervals, and where they do not
decide, that is said."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.study.plan import BIASES, FAMILIES, TRUTH
from benchmarks.study.statistics import Estimate, read_estimate
from benchmarks.study.words import UNDECIDED, compared, direction, signed, told

Figures = Mapping[str, Any]
ENOUGH = 0.9  # of the truth's gain


@dataclass(frozen=True, slots=True)
class Answer:
    """A question and what the figures say.

    Attributes:
        picture: name of the picture that belongs to it.
    """

    question: str
    verdict: str
    sentences: tuple[str, ...]
    picture: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def answers(figures: Figures) -> list[Answer]:
    """All of them, but for questions whose arms were not run."""
    asked = (good_enough, systematic, scores, passes, group_size, offline, relations)
    return [answer for ask in asked if (answer := ask(figures)) is not None]


def _estimate(fields: Mapping[str, Any] | None) -> Estimate | None:
    return None if fields is None else read_estimate(fields)


def _arms(figures: Figures, family: str) -> list[Mapping[str, Any]]:
    """A family's arms with at least one good run, the most accurate judge last."""
    found = [a for a in figures["arms"] if a["family"] == family and a["recovery"] is not None]
    return sorted(found, key=lambda a: (a["accuracy"]["value"] or 0.0, a["strength"]))


def good_enough(figures: Figures) -> Answer | None:
    arms = _arms(figures, "noise")
    known = [(a["strength"], read_estimate(a["recovery"])) for a in arms]  # the accuracy its noise is set for
    if not known:
        return None
    enough = [x for i, (x, _) in enumerate(known) if all(e.above(ENOUGH) for _, e in known[i:])]
    short = [(x, e) for x, e in known if e.below(ENOUGH)]
    helps = [x for i, (x, _) in enumerate(known) if all(e.above(0) for _, e in known[i:])]
    first = "Recovery is the gain in true reward on held-out letters, as a share of the truth's own gain in as many steps."
    said = [first]
    if enough:
        value = next(e for x, e in known if x == enough[0])
        verdict = f"with random error, {enough[0]:.0%} of the pairs right is enough for nine tenths of the truth's gain"
        said.append(
            f"A judge with random error that orders {enough[0]:.0%} of the pairs right recovers {told(value)}."
        )
    else:
        verdict = f"{UNDECIDED}: no accuracy is shown to be enough for nine tenths of the truth's gain"
    if short:
        x, value = short[-1]
        said.append(f"At {x:.0%} it recovers {told(value)}: less than nine tenths.")
    between = [x for x, e in known if not e.above(ENOUGH) and not e.below(ENOUGH)]
    if between:
        said.append(f"At {_listed(between)} the interval holds nine tenths: not decided.")
    said.append(
        f"From {helps[0]:.0%} on, training is shown to help at all."
        if helps
        else "At no accuracy is training shown to help."
    )
    harmed = [x for x, e in known if e.below(0)]
    if harmed:
        said.append(f"At {_listed(harmed)} training makes the policy worse than it was.")
    said.append(_speed(figures, arms))
    return Answer("How good must a judge be?", verdict, tuple(said), "recovery")


def _speed(figures: Figures, arms: Sequence[Mapping[str, Any]]) -> str:
    every = [a for a in figures["arms"] if a["name"] == TRUTH] + [dict(a) for a in reversed(arms)]
    parts = []
    for arm in every:
        steps = arm["steps_to_90"]
        who = "the truth" if arm["name"] == TRUTH else f"{arm['strength']:.0%} right"
        if steps["median"] is not None:
            parts.append(f"{who} {steps['median']:g}")
        else:
            parts.append(f"{who} not within the run ({steps['reached']} of {steps['of']} runs got there)")
    return f"Steps to nine tenths of the truth's gain, median over seeds: {'; '.join(parts)}."


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{v:.0%}" for v in values)


def systematic(figures: Figures) -> Answer | None:
    found = [c for c in figures["comparisons"] if c["kind"] == "systematic" and c["difference"]]
    if not found:
        return None
    arms = {a["name"]: a for a in figures["arms"]}
    said = [
        "Each judge beside one with random error of the same accuracy: the difference in final true reward, seed by seed."
    ]
    worse_kinds: list[str] = []
    harmless: list[str] = []
    for family in (*BIASES, "inverted"):
        mine = [(c, read_estimate(c["difference"])) for c in found if c["family"] == family]
        if not mine:
            continue
        mine.sort(key=lambda pair: pair[1].value)
        worse = [c["arm"] for c, e in mine if e.below(0)]
        better = [c["arm"] for c, e in mine if e.above(0)]
        worst, estimate = mine[0]
        (worse_kinds if worse else harmless).append(family)
        tally = f"worse at {len(worse)}, better at {len(better)}, {UNDECIDED} at {len(mine) - len(worse) - len(better)}"
        accuracy = arms[worst["arm"]]["accuracy"]["value"]
        said.append(
            f"A judge that {FAMILIES[family]}: {tally} of {len(mine)} strengths; the lowest difference, at "
            f"accuracy {accuracy:.2f}, is {signed(estimate)}."
        )
    lost = [arms[c["arm"]] for c in found if read_estimate(c["difference"]).below(0)]
    if lost:
        top = max(lost, key=lambda a: a["accuracy"]["value"])
        said.append(
            f"Accuracy does not show it: the most accurate of the judges that did worse is right in {top['accuracy']['value']:.0%} "
            f"of the pairs ({top['name']}) and recovers {told(_estimate(top['recovery']))}."
        )
        least = min(lost, key=lambda a: a["final"]["value"])
        said.append(
            f"The worst policy comes from {least['name']} (accuracy {least['accuracy']['value']:.2f}): true reward "
            f"{told(_estimate(least['final']))}, from {told(_estimate(figures['start']))} before training."
        )
    if worse_kinds:
        verdict = f"yes for {', '.join(worse_kinds)}"
        verdict += f"; not shown for {', '.join(harmless)}" if harmless else ""
    else:
        verdict = (
            f"{UNDECIDED}: no kind of systematic error is shown to be worse than random error of its accuracy"
        )
    said.append(
        f"These are {len(found)} comparisons at 95 % each; one in twenty would be decided by chance alone."
    )
    return Answer("Is systematic error worse than random error?", verdict, tuple(said), "systematic")


def _beside(
    figures: Figures,
    kind: str,
    question: str,
    better: str,
    worse: str,
    describe: Callable[[Mapping[str, Any]], str],
    first: str,
    apart: str = "",
) -> Answer | None:
    """An answer from arms beside the arms that differ from them in one thing.

    Args:
        apart: how to name a strength whose arms get a verdict of their own; "" for one verdict on all.
    """
    mine = [
        (c, read_estimate(c["difference"]))
        for c in figures["comparisons"]
        if c["kind"] == kind and c["difference"]
    ]
    if not mine:
        return None
    arms = {a["name"]: a for a in figures["arms"]}
    strengths = sorted({arms[c["arm"]]["strength"] for c, _ in mine}) if apart else [None]
    parts = []
    for strength in strengths:
        of = [e for c, e in mine if strength in (None, arms[c["arm"]]["strength"])]
        what = compared(of, better, worse)
        parts.append(what if strength is None else f"{apart.format(strength)}: {what}")
    verdict = "; ".join(parts)
    said = [first]
    for c, estimate in mine:
        final = told(_estimate(arms[c["arm"]]["final"]))
        sign = {1: "more", -1: "less", 0: UNDECIDED}[direction(estimate)]
        who = describe(arms[c["arm"]])
        said.append(f"{who[0].upper()}{who[1:]}: true reward {final}; {signed(estimate)}, {sign}.")
    return Answer(question, verdict, tuple(said), kind)


def _judge(arm: Mapping[str, Any]) -> str:
    if arm["passes"] is None:
        return "truth"
    error = "position bias" if "position" in arm["name"] else "random error"
    return f"{error}, one pass right in {_named_accuracy(arm)}"


def _named_accuracy(arm: Mapping[str, Any]) -> str:
    value = arm["single_accuracy"]
    return "?" if value is None else f"{value:.0%} of pairs"


def scores(figures: Figures) -> Answer | None:
    return _beside(
        figures,
        "scores",
        "Do ranks beat scores?",
        "no: scores do better",
        "yes: ranks do better",
        lambda a: f"scores, {_judge(a)}",
        "Final true reward with the judge's scores as the reward, less that with ranks, under the same noisy judge. The "
        "simulated judge's scores are its noisy view of the attempts, scaled to 0..1 in each group: a judge whose scores "
        "drift from call to call would look worse.",
    )


def passes(figures: Figures) -> Answer | None:
    return _beside(
        figures,
        "passes",
        "What do several passes buy?",
        "more true reward",
        "less true reward",
        lambda a: (
            f"{a['passes']} passes, {_judge(a)}, together in {a['accuracy']['value'] or 0:.0%} "
            f"({a['judge_calls']['value']:,.0f} calls)"
        ),
        "Final true reward with several passes, orders balanced, less that with one pass under the same judge.",
        "{:g} passes",
    )


def group_size(figures: Figures) -> Answer | None:
    return _beside(
        figures,
        "group-size",
        "What does group size do?",
        "better than groups of 8",
        "worse than groups of 8",
        lambda a: f"groups of {a['group_size']}, {_judge(a)} ({a['judge_calls']['value']:,.0f} calls)",
        "Final true reward with 64 attempts a step in groups of 4 or of 16, less that in groups of 8.",
        "groups of {:g}",
    )


def offline(figures: Figures) -> Answer | None:
    return _beside(
        figures,
        "dpo",
        "Does online learning beat offline DPO?",
        "no: DPO does better",
        "yes: online GRPO does better",
        lambda a: f"DPO, {_judge(a)}",
        "Final true reward of offline DPO less that of online GRPO, with as many judge calls. DPO's learning rate and its "
        "number of epochs are chosen by true reward on training letters, which favours DPO.",
    )


RELATIONS = (
    ("beta", "kl", -1, "The higher beta, the less KL to the start", " nats a token"),
    ("temperature", "truth_deviation", 1, "The higher the temperature, the further apart true rewards in a group", ""),
    ("learning-rate", "grad_norm", 1, "The higher the learning rate, the larger the gradient's norm before clipping", ""),
    ("learning-rate", "final", -1, "Too high a learning rate makes the true reward fall", ""),
)  # fmt: skip


def relations(figures: Figures) -> Answer | None:
    """Each judged from the lowest to the highest setting; the way between is told, too."""
    said, held = [], []
    for family, key, sign, claim, unit in RELATIONS:
        points = figures["relations"].get(family) or []
        if len(points) < 2:
            continue
        whole = _estimate(points[-1][f"{key}_change"])
        found = {sign: "holds", -sign: "the contrary holds"}.get(direction(whole), UNDECIDED)
        signs = [direction(_estimate(p[f"{key}_rise"])) for p in points[1:]]
        values = "; ".join(f"{told(_estimate(p[key]), 3)} at {p['setting']:g}" for p in points)
        said.append(
            f"{claim}: {found} from {points[0]['setting']:g} to {points[-1]['setting']:g} (difference "
            f"{'none' if whole is None else signed(whole)}{unit}), and at {signs.count(sign)} of {len(signs)} steps "
            f"between neighbours. {values}."
        )
        if key != "final":
            finals = "; ".join(f"{told(_estimate(p['final']))} at {p['setting']:g}" for p in points)
            said.append(f"Final true reward: {finals}.")
        held.append(found == "holds")
    if not said:
        return None
    verdict = f"{sum(held)} of {len(held)} hold from the lowest to the highest setting"
    return Answer("Do the classic relations show?", verdict, tuple(said), "relations")
