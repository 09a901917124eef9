"""What an audit is: who is asked, about how many groups, and what follows."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal

from pydantic import Field

from ranker.debias.edits import Edit, chosen
from ranker.errors import ConfigurationError, RankerError, scrub
from ranker.ranked import RankedGroup
from ranker.runtime.threads import Worker, contained
from ranker.trajectory import TrajectoryGroup
from ranker.usage import Usage
from ranker.validation import check
from ranker.watch.trials import USUAL

CHECKER, PEOPLE = "checker", "people"
Action = Literal["warn", "stop", "escalate", "retune"]
AuditorFunction = Callable[[TrajectoryGroup], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """A share of the groups goes to an auditor too, which sees whether the judge is still right.

    Attributes:
        auditor: a function of a group that returns a `RankedGroup` or a number for each trajectory, sync or async, e.g.
            ``partial(rank_group, judge="openai/gpt-5", budget=Budget(max_cost_usd=5))``; ``"checker"`` for the ground truth that the
            trainer's checker gives; ``"people"`` for whoever answers with `ranker label`; None for no audits, where `lift_share` alone
            watches the run.
        share: of the groups that are audited. Where the length of the run is known, more of the early ones, when the
            policy changes fastest, and fewer of the late ones; see `probability`.
        min_agreement: below this agreement the judge counts as wrong; 0 for no such bound.
        max_drop: and below its agreement on the first audited groups (the low end of the interval) less this; 1 for no such bound.
        on_alarm: "warn"; "stop" and hand back the policy from before; "escalate": rewards come from the auditor
            until the judge agrees with it again; "retune": a local judge learns from the audited groups (built-in trainer).
        train_on_audits: whether an audited group is trained on what the auditor said of it, in place of the judge's rewards;
            where the auditor fails on a group or leaves an attempt out, the judge's stay. `share` is then the same all along. The
            built-in trainer gives what the two differ by the weight 1 / `share`, at most 4 (`grpo.advantages.corrected`).
        retune_every: with "retune", also without an alarm each time that so many more audited groups tell attempts
            apart; 0 waits for one.
        timeout: seconds that an audit may take; after them the group counts as not audited.
        lift_share: of the groups about which the reward function is asked a second time, with an edited copy, to see what it
            can be talked into; more of the early ones, as with `share`. No auditor is asked (built-in trainer).
        lift_edits: the edits that are tried, or their names: what a policy may come upon by itself (`ranker.watch.trials.USUAL`).
            The fewer, the sooner a lift shows.
    """

    auditor: AuditorFunction | Literal["checker", "people"] | None = "checker"
    share: Annotated[float, Field(gt=0, le=1)] = 0.1
    min_agreement: Annotated[float, Field(ge=0, lt=1)] = 0.6
    max_drop: Annotated[float, Field(gt=0, le=1)] = 0.25
    on_alarm: Action = "warn"
    train_on_audits: bool = False
    retune_every: Annotated[int, Field(ge=0)] = 0
    timeout: Annotated[float, Field(gt=0)] = 600.0
    lift_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    lift_edits: Sequence[Edit | str] = USUAL

    def __post_init__(self) -> None:
        object.__setattr__(self, "lift_edits", _edits(self.lift_edits))
        if not callable(self.auditor) and self.auditor not in (CHECKER, PEOPLE, None):
            raise ConfigurationError(
                f'auditor={self.auditor!r}; give "checker", "people", or a function of a group such as '
                'partial(rank_group, judge="openai/gpt-5").'
            )
        plain = {
            f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("auditor", "lift_edits")
        }
        for name, value in check(_Plain, plain, "The audit").items():
            object.__setattr__(self, name, value)
        if self.auditor is None and (not self.lift_share or self.on_alarm != "warn"):
            raise ConfigurationError(
                "auditor=None leaves nobody to audit: give lift_share above 0, which needs no auditor, and leave on_alarm at "
                '"warn"; or name an auditor.'
            )
        if self.on_alarm == "escalate" and not callable(self.auditor):
            raise ConfigurationError(
                f'on_alarm="escalate" trains on the auditor\'s rankings, and {self.auditor} gives none to train on: name a '
                'stronger judge as the auditor, or take on_alarm="stop".'
            )
        if self.train_on_audits and not callable(self.auditor):
            raise ConfigurationError(
                f"train_on_audits needs an auditor whose rankings come at once and may be trained on, and {self.auditor} is none: "
                "name a stronger judge as the auditor, or a function of a group."
            )

    @property
    def edits(self) -> dict[str, Edit]:
        """Those of `lift_edits`, by name."""
        return {edit.name: edit for edit in _edits(self.lift_edits)}

    def to_dict(self) -> dict[str, Any]:
        """As JSON, for a record; a function by its name. What may change in the course of a run stands apart."""
        named = {f.name: getattr(self, f.name) for f in fields(self)}
        free = {"on_alarm": named.pop("on_alarm")}
        named |= {"auditor": None if self.auditor is None else name_of(self.auditor)}
        named |= {"lift_edits": list(self.edits)}
        return {"audit": named, **free}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plain:
    share: Annotated[float, Field(gt=0, le=1)]
    min_agreement: Annotated[float, Field(ge=0, lt=1)]
    max_drop: Annotated[float, Field(gt=0, le=1)]
    on_alarm: Action
    train_on_audits: bool
    retune_every: Annotated[int, Field(ge=0)]
    timeout: Annotated[float, Field(gt=0)]
    lift_share: Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class Answer:
    """What an auditor said of a group.

    Attributes:
        values: a number or None for each trajectory, in their order; empty where it failed.
        usage: what that cost.
        error: why there are none; None where there are.
        consistency: agreement between the auditor's own passes; None for one.
        reasons: its sentence on each, where it gives them.
    """

    values: list[float | None]
    usage: Usage = field(default_factory=Usage)
    error: str | None = None
    consistency: float | None = None
    reasons: list[str] = field(default_factory=list)


def _edits(chosen_from: Sequence[Edit | str]) -> tuple[Edit, ...]:
    """Edits of these names, and edits as they are.

    Raises:
        ConfigurationError: none, one that is not known, or two of one name.
    """
    given = (chosen_from,) if isinstance(chosen_from, (str, Edit)) else tuple(chosen_from)
    edits = tuple(edit if isinstance(edit, Edit) else chosen([edit])[0] for edit in given)
    if not edits or len({edit.name for edit in edits}) < len(edits):
        raise ConfigurationError(
            f"lift_edits names {', '.join(e.name for e in edits) or 'none'}; name at least one edit, and each once."
        )
    return edits


def name_of(auditor: Any) -> str:
    """How an auditor is called in records."""
    if isinstance(auditor, str):
        return auditor
    judge = getattr(auditor, "keywords", {}).get("judge")
    named = judge if isinstance(judge, str) else getattr(judge, "name", None)
    return str(named or getattr(auditor, "__name__", type(auditor).__name__))


def probability(share: float, index: int, planned: int | None) -> float:
    """The probability with which group `index`, counted from 0, is audited.

    It is r · sqrt(planned / (index + 1)), at most 1, with r = 1 - sqrt(1 - share), which makes `share` of the planned groups
    in all; beyond them, and where their number is unknown, it is the share.
    """
    if planned is None or index >= planned:
        return share
    return min(1.0, (1 - math.sqrt(1 - share)) * math.sqrt(planned / (index + 1)))


async def ask(auditor: AuditorFunction, group: TrajectoryGroup, seconds: float) -> Answer:
    """Ask an auditor about a group. A failure is an answer with its error: training does not depend on it.

    Raises:
        RankerError: one that is fatal (no such judge, a refused key, no credit): no audit would succeed.
    """
    try:
        said = await asyncio.wait_for(called(auditor, group), seconds)
        if isinstance(said, RankedGroup):
            if said.error is not None:
                raise said.error
            values = checked(said.rewards, len(group))
            return Answer(values, said.usage, None, said.consistency, list(said.reasons))
        return Answer(checked(said, len(group)))
    except TimeoutError:
        return Answer([], error=f"the auditor gave no answer within timeout = {seconds:g} seconds")
    except Exception as error:
        if isinstance(error, RankerError) and error.fatal:
            raise
        usage = error.usage if isinstance(error, RankerError) else Usage()
        return Answer([], usage, scrub(f"{type(error).__name__}: {error}"))


async def called(auditor: AuditorFunction, group: TrajectoryGroup) -> Any:
    """What it returns; one that is not async runs in a thread of its own, so that one that hangs holds up no other."""
    with contained():
        if inspect.iscoroutinefunction(getattr(auditor, "func", auditor)):
            return await auditor(group)
        result = await Worker().run(lambda: auditor(group))
        return await result if isinstance(result, Awaitable) else result


def checked(values: Any, count: int) -> list[float | None]:
    """A number or None for each of `count` trajectories.

    Raises:
        TypeError, ValueError: it is something else.
    """
    plain = values.tolist() if hasattr(values, "tolist") else values
    if isinstance(plain, (str, bytes, Mapping)) or not isinstance(plain, Sequence):
        raise TypeError(f"returned a {type(values).__name__}; return a number (or None) for each trajectory")
    if len(plain) != count:
        raise ValueError(f"returned {len(plain)} values for {count} trajectories; return one for each")
    numbers = [None if v is None else float(v) for v in plain]
    if any(v is not None and not math.isfinite(v) for v in numbers):
        raise ValueError("returned a value that is no finite number; return None where there is none")
    return numbers
