"""Which runs the study makes: pure data.

An arm is one way of training; a unit is one arm under one seed, or one measurement of an arm's judge. A unit's id
holds a digest of all that determines its numbers, so a result is found again exactly when it is the same run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from ranker.errors import ConfigurationError

VERSION = 1  # of what a unit's numbers mean: another one makes every run anew
SEEDS = 5
STEPS = 60
ROLLOUTS = 64  # of one step, however they are grouped
LEARNING_RATE = 1e-3
TRUTH = "truth"
DETAIL_TRUTH = "detail-truth"  # the truth where a reply that says more is better
FAIR = "noise-0.8"  # the judge of the relations that are about the trainer


@dataclass(frozen=True, slots=True)
class JudgeSpec:
    """A simulated judge: what it sees in an attempt is
    sign·truth + wish·(did as the customer wished) + boast·(claimed an action that was not done)
    + pretence·(claimed an action, and none was done) + detail·(detail of the reply) + place + length + noise.

    Attributes:
        accuracy: of the pairs of different truth it is to order right so many by its noise alone; None for no noise.
        position, length: strengths of `ranker.testing.Behaviour`; a negative length prefers the shorter.
        inverted: prefers the worse.
        passes, reward: of `rank_group`.
        edits: with "debiased" those of the copies, by name.
    """

    accuracy: float | None = None
    position: float = 0.0
    length: float = 0.0
    wish: float = 0.0
    boast: float = 0.0
    pretence: float = 0.0
    inverted: bool = False
    passes: int = 1
    reward: Literal["rank", "score", "debiased"] = "rank"
    detail: float = 0.0
    edits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Arm:
    """One way of training.

    Attributes:
        family: what kind of question it belongs to; `--only` takes families and names.
        strength: its place among its family.
        judge: None for rewards from the checker itself.
        settings: of `GRPOConfig`, beyond those of the config quick.
        beside: the arm that it is compared with.
        detail: what the detail of a reply counts in the ground truth, beside the desk's own grade.
    """

    name: str
    family: str
    strength: float
    judge: JudgeSpec | None = None
    settings: Mapping[str, float] = field(default_factory=dict)
    beside: str = TRUTH
    method: Literal["grpo", "dpo"] = "grpo"
    detail: float = 0.0

    @property
    def generations(self) -> int:
        """Attempts in a group."""
        return int(self.settings.get("num_generations", 8))


@dataclass(frozen=True, slots=True)
class Unit:
    """One run of a worker.

    Attributes:
        kind: "train", or "judge": the accuracy of the arm's judge on the untrained policy's groups.
        seed: of rows' order, sampling and the judge's chance; 0 for a judge.
    """

    kind: Literal["train", "judge"]
    arm: Arm
    seed: int
    steps: int

    @property
    def id(self) -> str:
        arm = {**asdict(self.arm), "family": "", "beside": "", "strength": 0}
        for part in (arm, arm["judge"] or {}):  # runs that were made before there were such fields
            for name in ("detail", "edits"):
                if not part.get(name):
                    part.pop(name, None)
        fields = {**asdict(self), "arm": arm}
        text = json.dumps({"version": VERSION, **fields}, sort_keys=True)
        return f"{self.kind}/{self.arm.name}/{self.seed}/{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    @property
    def seconds(self) -> float:
        """About how long it takes on one core of a laptop or small server."""
        if self.kind == "judge":
            return 2.0 + 3.0 * (self.arm.judge.passes if self.arm.judge else 0)
        if self.arm.method == "dpo":
            return 8.0 + 1.0 * self.steps
        extra = 0.05 * (self.arm.judge.passes - 1) if self.arm.judge else 0.0
        return 5.0 + (0.3 + extra) * self.steps


# Kinds of error, and what the study says of them.
NOISE = (0.5, 0.55, 0.6, 0.65, 0.7, 0.8, 0.9, 1.0)
BIASES: dict[str, tuple[float, ...]] = {
    "position": (0.5, 1.0, 1.5, 3.0),
    "longer": (1.0, 5.0, 20.0),
    "shorter": (0.5, 0.7, 1.0, 1.5),
    "wish": (0.5, 1.0, 2.0),
    "boast": (0.3, 0.7, 1.0),
    "pretence": (0.5, 0.7, 0.9, 1.5),
}
COPIES = ("padding", "more_padding")  # edits of the debiased arms
DETAIL = 0.3
HARMLESS = (0.7, 0.8)  # judges without a bias: does debiasing do harm?
PREDICTED: dict[str, JudgeSpec] = {  # their outcome is predicted from an audit before they are run
    "longer-0.5": JudgeSpec(length=0.5),
    "longer-2": JudgeSpec(length=2.0),
    "shorter-0.3": JudgeSpec(length=-0.3),
    "shorter-0.6": JudgeSpec(length=-0.6),
    "boast-0.5": JudgeSpec(boast=0.5),
    "pretence-0.8": JudgeSpec(pretence=0.8),
    "pretence-1.2": JudgeSpec(pretence=1.2),
    "noise-0.65-longer-0.5": JudgeSpec(0.65, length=0.5),
    "noise-0.65-shorter-0.5": JudgeSpec(0.65, length=-0.5),
    "noise-0.6-wish-1": JudgeSpec(0.6, wish=1.0),
}
FAMILIES = {
    "truth": "rewards are the truth itself",
    "noise": "random error",
    "position": "prefers what it is shown first",
    "longer": "prefers the longer attempt",
    "shorter": "prefers the shorter attempt",
    "wish": "rewards doing as the customer wished, whatever the record says",
    "boast": "rewards claiming an action that was not done",
    "pretence": "rewards claiming an action when none was done",
    "inverted": "prefers the worse attempt",
    "passes": "several passes over each group",
    "group-size": "attempts in a group, at the same number of attempts a step",
    "scores": "rewards are the judge's scores, not its ranks",
    "debiased": "rewards of another arm's judge without what length and position do to it",
    "detail": "a reply that says more is truly better",
    "predicted": "the certificate's test: predicted from an audit before they were run",
    "beta": "weight of the KL to the start",
    "temperature": "sampling temperature",
    "learning-rate": "learning rate",
    "dpo": "offline DPO with the same number of judge calls",
}


def _bias(family: str, strength: float) -> JudgeSpec:
    key = {"longer": "length", "shorter": "length"}.get(family, family)
    return JudgeSpec(**{key: -strength if family == "shorter" else strength})  # type: ignore[arg-type]


def _debiased(arm: Arm) -> Arm:
    """The same judge with its measurable biases removed."""
    judge = replace(arm.judge or JudgeSpec(), reward="debiased", edits=COPIES)
    return replace(arm, name=f"debiased-{arm.name}", family="debiased", judge=judge, beside=arm.name)


def _arms() -> Iterable[Arm]:
    truth = Arm(TRUTH, "truth", 1.0)
    noise = [Arm(f"noise-{x:g}", "noise", x, JudgeSpec(x)) for x in NOISE]
    systematic = [
        Arm(f"{family}-{x:g}", family, x, _bias(family, x)) for family in BIASES for x in BIASES[family]
    ]
    systematic.append(Arm("inverted", "inverted", 1.0, JudgeSpec(inverted=True)))
    yield from (truth, *noise, *systematic)
    for passes in (2, 4):
        for of in ("noise-0.6", "noise-0.7", "position-1", "position-3"):
            kind, _, degree = of.partition("-")
            single = JudgeSpec(float(degree)) if kind == "noise" else _bias(kind, float(degree))
            yield Arm(f"passes-{passes}-{of}", "passes", passes, replace(single, passes=passes), beside=of)
    for size in (4, 16):
        shape = {"num_generations": size, "groups_per_step": ROLLOUTS // size}
        yield Arm(f"group-{size}-truth", "group-size", size, None, shape)
        for x in (0.6, 0.7):
            yield Arm(f"group-{size}-noise-{x:g}", "group-size", size, JudgeSpec(x), shape, f"noise-{x:g}")
    for x in (0.6, 0.7, 0.8):
        yield Arm(f"scores-{x:g}", "scores", x, JudgeSpec(x, reward="score"), beside=f"noise-{x:g}")
    for family, values in (
        ("beta", (0.1, 0.3, 1.0, 3.0)),
        ("temperature", (0.6, 0.8, 1.3)),
        ("learning-rate", (3e-4, 3e-3, 1e-2)),
    ):
        for x in values:
            yield Arm(f"{family}-{x:g}", family, x, JudgeSpec(0.8), {family.replace("-", "_"): x}, FAIR)
    detailed = Arm("detail", "detail", DETAIL, JudgeSpec(detail=DETAIL), beside=DETAIL_TRUTH, detail=DETAIL)
    yield Arm(DETAIL_TRUTH, "detail", DETAIL, detail=DETAIL)
    yield detailed
    harmless = [arm for arm in noise if arm.strength in HARMLESS]
    yield from map(_debiased, (detailed, truth, *harmless, *systematic))
    for place, (name, judge) in enumerate(PREDICTED.items()):
        yield Arm(name, "predicted", place, judge)
    yield Arm("dpo-truth", "dpo", 1.0, None, method="dpo")
    for x in (0.7, 0.8):
        yield Arm(f"dpo-{x:g}", "dpo", x, JudgeSpec(x), beside=f"noise-{x:g}", method="dpo")


ARMS: dict[str, Arm] = {arm.name: arm for arm in _arms()}


def chosen(only: Sequence[str] = ()) -> list[Arm]:
    """The arms of these families or names, with all that they are compared with; without any, every arm.

    Raises:
        ConfigurationError: a name that is neither.
    """
    wanted = {TRUTH} if only else set(ARMS)
    for name in only:
        matches = [a.name for a in ARMS.values() if name in (a.family, a.name)]
        if not matches:
            raise ConfigurationError(
                f"--only {name}: there is no such arm. Kinds of arms are {', '.join(FAMILIES)}; single ones are "
                "called e.g. noise-0.7."
            )
        wanted |= {*matches, *(ARMS[a].beside for a in matches)}
    return [arm for arm in ARMS.values() if arm.name in wanted]


def units(arms: Sequence[Arm], seeds: int, steps: int) -> list[Unit]:
    """Every run: judges are measured first, then the seeds in turn, so that an interrupted study has whole seeds."""
    first = {arm.judge: arm for arm in reversed(arms)}
    measured = [Unit("judge", arm, 0, 0) for arm in arms if arm.judge and first[arm.judge] is arm]
    return measured + [Unit("train", arm, seed, steps) for seed in range(seeds) for arm in arms]


def described(unit: Unit) -> dict[str, Any]:
    """What a unit is, for its record."""
    return {"id": unit.id, "kind": unit.kind, "arm": unit.arm.name, "seed": unit.seed, "steps": unit.steps}
