"""What several commands take to name a judge and say how it is asked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from ranker.errors import ConfigurationError
from ranker.runtime.outputs import File, check_outputs

JUDGE = "The judge"
LIMITS = "Limits"
PROMPT = "The prompt"

Reward = Enum(
    "Reward", {"rank": "rank", "score": "score", "strength": "strength", "top_heavy": "top_heavy"}, type=str
)

JudgeName = Annotated[
    str | None,
    typer.Option(
        help="A LiteLLM model name such as openai/gpt-5-mini; local, local:NAME, local:NAME@WAY, local:PATH; or a "
        "judge file, FILE.json. Default: $RANKER_JUDGE, else local.",
        rich_help_panel=JUDGE,
    ),
]
RewardRule = Annotated[
    Reward, typer.Option(help="Linear in rank; the judge's scores; Plackett-Luce strength; or NDCG-like.")
]
Temperature = Annotated[float | None, typer.Option(help="Sent only if given.", rich_help_panel=JUDGE)]
MaxTokens = Annotated[int | None, typer.Option(help="Longest reply.", rich_help_panel=JUDGE)]
ContextWindow = Annotated[
    int | None,
    typer.Option(help="The judge's window in tokens, if it cannot be asked.", rich_help_panel=JUDGE),
]
Price = Annotated[
    str | None,
    typer.Option(
        help="Dollars per million tokens read,written (e.g. 0.25,2), if unknown.", rich_help_panel=JUDGE
    ),
]
TemplateName = Annotated[
    str | None, typer.Option(help="Name of the prompt template, e.g. rank.v1.", rich_help_panel=PROMPT)
]
PromptFolder = Annotated[
    str | None, typer.Option("--prompts", help="A folder of your own templates.", rich_help_panel=PROMPT)
]
Record = Annotated[Path | None, typer.Option(help="Append every judge call to this JSONL file.")]
CachePath = Annotated[
    str | None, typer.Option(help="Where replies are kept, or off. Default: $RANKER_CACHE.")
]


def judge_options(price: str | None, **given: Any) -> dict[str, Any]:
    """The judge's options among a command's: those that were given.

    Raises:
        ConfigurationError: a price that is not two numbers.
    """
    options = {**given, "price": None if price is None else price_of(price)}
    return {name: value for name, value in options.items() if value is not None}


def check_files(
    outputs: Mapping[str, File | Iterable[Path | None] | None],
    inputs: Iterable[Path | None],
    *,
    judge: str | None = None,
    rubric: str | None = None,
    cache: str | None = None,
) -> None:
    """`check_outputs` with what these options read and write: the judge's file, the rubric's, the cache.

    Raises:
        ConfigurationError: one file stands in the place of two.
    """
    from ranker.runtime.cache import open_cache

    named = Path((judge or os.environ.get("RANKER_JUDGE") or "local").removeprefix("local:")).expanduser()
    text = None if rubric is None else rubric_of(rubric)
    replies = open_cache(cache)
    check_outputs(
        {**outputs, "--cache": None if replies is None else replies.path},
        [*inputs, named, named / "judge.json", text if isinstance(text, Path) else None],
    )


def rubric_of(given: str) -> str | Path:
    """The text itself, or the path of @FILE."""
    return Path(given[1:]) if given.startswith("@") else given


def price_of(given: str) -> tuple[float, float]:
    try:
        read, written = (float(part) for part in given.split(","))
    except ValueError:
        raise ConfigurationError(f"--price {given!r}: give two numbers, e.g. 0.25,2.") from None
    return read, written
