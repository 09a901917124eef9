"""Options that several commands share: the judge, its prompt, its limits."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ranker.errors import ConfigurationError
from ranker.judges.headers import parse_header
from ranker.judges.options import JudgeOptions
from ranker.runtime.outputs import File, check_outputs

JUDGE = "The judge"
LIMITS = "Limits"
PROMPT = "The prompt"


def option(help: str, panel: str | None = None, *names: str, **settings: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, **settings)


JudgeName = Annotated[
    str | None,
    option(
        "A LiteLLM model name such as openai/gpt-5-mini; local, local:NAME, local:NAME@WAY, local:PATH; or a judge "
        "file, FILE.json. Default: $RANKER_JUDGE, else local.",
        JUDGE,
    ),
]
BaseUrl = Annotated[
    str | None,
    option(
        "An OpenAI-compatible server, e.g. http://localhost:8000/v1 (vLLM) or http://localhost:11434/v1 (Ollama). "
        "Put its API key, if it needs one, into $RANKER_API_KEY.",
        JUDGE,
    ),
]
RewardRule = Annotated[
    Literal["rank", "score", "strength", "top_heavy", "debiased"],
    option(
        "Linear in rank; the judge's scores; Plackett-Luce strength; NDCG-like; or without what length does to the judge."
    ),
]
Credit = Annotated[
    Literal["turns"] | None,
    option(
        "turns: the judge also says, in the same call, which turns of each attempt helped and which hurt."
    ),
]
Temperature = Annotated[float | None, option("Sampling temperature. Default: the provider's.", JUDGE)]
MaxTokens = Annotated[int | None, option("Most tokens per reply.", JUDGE)]
Extra = Annotated[
    str | None,
    option("More fields of every request, as a JSON object, e.g. '{\"top_p\": 0.9}'.", JUDGE, metavar="JSON"),
]
Headers = Annotated[
    list[str] | None,
    option(
        "A header of every request; repeatable. A value such as '$MY_KEY' (in quotes) is read from that environment "
        "variable, so that it is not in the list of processes.",
        JUDGE,
        "--header",
        metavar="NAME:VALUE",
    ),
]
Structured = Annotated[
    Literal["auto", "json_schema", "json_object", "text"] | None,
    option("How to ask an API for JSON. Default: the first of these that the server takes.", JUDGE),
]
Vision = Annotated[
    bool | None,
    option(
        "Send images of trajectories along. Default: what LiteLLM's table says of the model; not to a --base-url.",
        JUDGE,
        "--vision/--no-vision",
    ),
]
ContextWindow = Annotated[
    int | None, option("The judge's context window in tokens, if it cannot be determined.", JUDGE)
]
Price = Annotated[
    str | None, option("Dollars per million input,output tokens (e.g. 0.25,2), if unknown.", JUDGE)
]
TemplateName = Annotated[str | None, option("Name of the prompt template, e.g. rank.v1.", PROMPT)]
PromptFolder = Annotated[str | None, option("A folder with your own templates.", PROMPT, "--prompts")]
Rubric = Annotated[
    str | None,
    option("What to prefer, as text or @FILE. Takes precedence over the groups' own rubrics.", PROMPT),
]
Timeout = Annotated[float | None, option("Seconds per judge call.", LIMITS)]
RequestsPerMinute = Annotated[float | None, option("Judge requests per minute.", LIMITS)]
TokensPerMinute = Annotated[float | None, option("Judge tokens per minute.", LIMITS)]
MaxCalls = Annotated[int | None, option("Judge calls; stops before the call that would exceed it.", LIMITS)]
Record = Annotated[Path | None, option("Append every judge call to this JSONL file.")]
CachePath = Annotated[str | None, option("Where replies are cached, or off. Default: $RANKER_CACHE.")]
Quiet = Annotated[bool, option("No progress bars and no tables.", None, "--quiet", "-q")]


def judge_options(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The judge's options among a command's arguments (its `locals()`): those that are set.

    Raises:
        ConfigurationError: a price that is not two numbers, a header without a value, extra fields that are no object.
    """
    names = JudgeOptions.__annotations__.keys() & arguments.keys()
    options = {name: arguments[name] for name in sorted(names) if arguments[name] not in (None, [])}
    read: dict[str, Callable[[Any], Any]] = {
        "price": price_of,
        "extra": extra_of,
        "headers": lambda lines: dict(map(parse_header, lines)),
    }
    return {name: read[name](value) if name in read else value for name, value in options.items()}


@contextmanager
def interruptible(state: str = "what was finished is saved") -> Iterator[None]:
    """Turn Ctrl-C into one message and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"ranker: interrupted; {state}.", file=sys.stderr)
        raise typer.Exit(130) from None


def named_judge(judge: str | None) -> str:
    """The judge that a command uses: the one named, else $RANKER_JUDGE, else local."""
    return judge or os.environ.get("RANKER_JUDGE") or "local"


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
        ConfigurationError: one file is named for two purposes.
    """
    from ranker.runtime.cache import open_cache

    named = Path(os.path.expanduser(named_judge(judge).removeprefix("local:")))
    text = None if rubric is None else rubric_of(rubric)
    replies = open_cache(cache)
    check_outputs(
        {**outputs, "--cache": None if replies is None else replies.path},
        [*inputs, named, named / "judge.json", text if isinstance(text, Path) else None],
    )


def rubric_of(text: str) -> str | Path:
    """The text itself, or the path of @FILE."""
    return Path(text[1:]) if text.startswith("@") else text


def extra_of(text: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"--extra {text!r} is no JSON: {error}.") from None
    if not isinstance(fields, dict):
        raise ConfigurationError(f"--extra takes a JSON object, not {text!r}.")
    return fields


def price_of(text: str) -> tuple[float, float]:
    try:
        read, written = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigurationError(f"--price {text!r}: give two numbers, e.g. 0.25,2.") from None
    return read, written
