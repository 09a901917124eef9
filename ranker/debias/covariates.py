"""What can be measured on a trajectory and may sway a judge: length, turns, tool calls, formatting, position."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from ranker.errors import ConfigurationError, GroupError, errors_as
from ranker.plain import plain
from ranker.prompting.tool_calls import as_mapping, spec_of
from ranker.prompting.transcript import content_of, transcript_of
from ranker.trajectory import Trajectory
from ranker.validation import did_you_mean

Covariate: TypeAlias = str | Callable[[Trajectory], float]
POSITION = "position"

# Scripts without spaces count by the character.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\s\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_FORMATTING = re.compile(
    r"^\s*(?:[-*+•]|\d+[.)]|#{1,6}|>)\s|\*\*[^*\n]+\*\*|__[^_\n]+__|`[^`\n]+`|^\s*\|", re.MULTILINE
)


def own_messages(trajectory: Trajectory) -> list[dict[str, Any]]:
    """What the agent itself wrote: assistant messages, those of further histories included."""
    conversations = (trajectory.messages, *trajectory.histories)
    return [m for messages in conversations for m in messages if m["role"] == "assistant"]


def text_of(message: Mapping[str, Any]) -> str:
    """The text of a message; of a list of parts, their text."""
    _, content = content_of(message)
    return content if isinstance(content, str) else "\n".join(filter(None, map(words_in, content or ())))


def words_in(part: str | Mapping[str, Any]) -> str:
    """The text of a part of a message's content; none where it holds something else."""
    text = part if isinstance(part, str) else part.get("text")
    return text if isinstance(text, str) else ""


def _texts(messages: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """What a judge reads of messages: their text and their calls."""
    for message in messages:
        yield text_of(message)
        for call in message.get("tool_calls") or ():
            yield json.dumps(spec_of(as_mapping(call))[0], default=str, ensure_ascii=False)


def length(trajectory: Trajectory) -> float:
    """Characters of the attempt as a judge reads it, tool calls and results included. Not words: a policy could write
    longer ones."""
    return float(len(transcript_of(trajectory).text))


def own_words(trajectory: Trajectory) -> float:
    """Words that the agent wrote, tool calls included."""
    return float(sum(len(_WORD.findall(text)) for text in _texts(own_messages(trajectory))))


def turns(trajectory: Trajectory) -> float:
    """Messages of the agent."""
    return float(len(own_messages(trajectory)))


def tool_calls(trajectory: Trajectory) -> float:
    """Calls of tools."""
    return float(sum(len(m.get("tool_calls") or ()) for m in own_messages(trajectory)))


def formatting(trajectory: Trajectory) -> float:
    """Bullets, headings, bold, code and tables for each word of the agent's text."""
    text = "\n".join(text_of(m) for m in own_messages(trajectory))
    return len(_FORMATTING.findall(text)) / max(1, len(_WORD.findall(text)))


MEASURES: dict[str, Callable[[Trajectory], float]] = {
    "length": length,
    "turns": turns,
    "tool_calls": tool_calls,
    "formatting": formatting,
}
NAMES = (*MEASURES, POSITION)


def name_of(covariate: Covariate) -> str:
    """Under which its bias is reported."""
    return (
        covariate if isinstance(covariate, str) else getattr(covariate, "__name__", type(covariate).__name__)
    )


def check_covariates(covariates: Iterable[Covariate]) -> tuple[Covariate, ...]:
    """The covariates as a tuple.

    Raises:
        ConfigurationError: none, an unknown name, something that is no function, a function named "position", or one
            name twice.
    """
    if isinstance(covariates, str):
        covariates = (covariates,)
    chosen = tuple(covariates)
    if not chosen:
        raise ConfigurationError('covariates is empty; name at least one, e.g. covariates=("length",).')
    for covariate in chosen:
        if callable(covariate) or covariate in NAMES:
            continue
        hint = did_you_mean(str(covariate), NAMES)
        raise ConfigurationError(
            f"There is no covariate {covariate!r}.{hint} Choose from {', '.join(NAMES)}, or give a function of a "
            "trajectory."
        )
    names = [name_of(c) for c in chosen]
    if any(callable(c) and name_of(c) == POSITION for c in chosen):
        raise ConfigurationError(
            f"A covariate of yours is named {POSITION}, which is the place shown; rename it."
        )
    if len(names) != len(set(names)):
        raise ConfigurationError(f"Two covariates have the same name: {', '.join(names)}.")
    return chosen


def measure(covariate: Covariate, trajectories: Sequence[Trajectory]) -> list[float]:
    """A covariate of every trajectory of a lineup, scaled so that the least is 0 and the most 1; all 0 where it does
    not vary. Position, which is a matter of the order shown, is not measured here.

    Raises:
        GroupError: a value that is not a finite number, or a function that failed.
    """
    function = MEASURES[covariate] if isinstance(covariate, str) else covariate
    values = []
    for i, trajectory in enumerate(trajectories):
        with errors_as(GroupError, f"The covariate {name_of(covariate)} failed on attempt {i}"):
            value = plain(function(trajectory))
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise GroupError(
                f"The covariate {name_of(covariate)} of attempt {i} is {value!r}; it must be a finite number."
            )
        values.append(float(value))
    low, high = min(values), max(values)
    return [(value - low) / (high - low) if high > low else 0.0 for value in values]
