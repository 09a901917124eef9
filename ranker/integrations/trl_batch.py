"""What TRL hands to a reward function: attempts, the columns of their rows, and how they split into groups."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ranker.integrations.batch_layout import BatchLayout, groups_of
from ranker.integrations.completions import identity
from ranker.integrations.process_group import ProcessGroup

_NOT_COLUMNS = ("completion_ids", "trainer_state", "environments")


@dataclass(frozen=True, slots=True)
class Attempt:
    """The judge's input for one completion."""

    prompt: Any
    completion: Any
    rubric: str | None
    reference: str | None


def keys_of(prompts: Sequence[Any], columns: Mapping[str, Sequence[Any]]) -> list[str]:
    """A key per completion from its prompt and these columns of its dataset row."""
    return [
        identity(prompt, {name: values[i] for name, values in columns.items()})
        for i, prompt in enumerate(prompts)
    ]


def attempts_of(
    prompts: Sequence[Any], completions: Sequence[Any], columns: Mapping[str, Sequence[Any]]
) -> list[Attempt]:
    def text(column: str, i: int) -> str | None:
        value = columns[column][i] if column in columns else None
        return value if isinstance(value, str) and value.strip() else None

    return [
        Attempt(prompt, completion, text("rubric", i), text("reference", i))
        for i, (prompt, completion) in enumerate(zip(prompts, completions, strict=True))
    ]


async def batch_layout(
    processes: ProcessGroup | None, keys: list[str], size: int | None, mixed: bool
) -> BatchLayout:
    gathered = [keys] if processes is None else await processes.all_gather(keys)
    starts = tuple(itertools.accumulate(map(len, gathered), initial=0))
    groups = groups_of(list(itertools.chain(*gathered)), size, mixed)
    return BatchLayout(groups, starts, 0 if processes is None else processes.rank)


async def fetch_attempts(
    processes: ProcessGroup | None, layout: BatchLayout, local: list[Attempt]
) -> dict[int, Attempt]:
    """The completions this process judges, by position; those of groups it shares come from the others."""
    attempts = dict(enumerate(local, layout.start))
    scattered = layout.scattered
    if processes is not None and scattered:
        own = {i: attempt for i, attempt in attempts.items() if i in scattered}
        for received in await processes.all_gather(own):
            attempts.update(received)
    return attempts


def group_size(trainer: Any) -> int | None:
    """`num_generations` of the calling trainer; None if unknown."""
    training = getattr(getattr(trainer, "model", None), "training", True)
    size = getattr(trainer, "num_generations" if training else "num_generations_eval", None)
    return size if isinstance(size, int) and size > 0 else None


def tools_of(trainer: Any) -> list[Any] | None:
    """Definitions of the tools available to the policy, in OpenAI format."""
    tools = getattr(trainer, "tools", None)
    if not tools:
        return None
    from transformers.utils import get_json_schema

    return [get_json_schema(tool) if callable(tool) else tool for tool in tools]


def columns_of(arguments: Mapping[str, Any], count: int) -> dict[str, Sequence[Any]]:
    """The dataset columns among TRL's arguments: lists with one value per completion."""
    return {
        name: values
        for name, values in arguments.items()
        if name not in _NOT_COLUMNS and isinstance(values, (list, tuple)) and len(values) == count
    }
