"""`ranker rank`: a file of groups in, a file of ranked groups out."""

from __future__ import annotations

import asyncio
import logging
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from ranker.cli.ranking import Job, run
from ranker.errors import ConfigurationError
from ranker.rank import judge_for

OnError = Enum("OnError", {"raise": "raise", "skip": "skip"}, type=str)
Reward = Enum(
    "Reward", {"rank": "rank", "score": "score", "strength": "strength", "top_heavy": "top_heavy"}, type=str
)

JUDGE = "The judge"
LIMITS = "Limits"
PROMPT = "The prompt"


def rank(
    groups: Annotated[
        Path, typer.Argument(help="JSONL file, one group a line (see the docs' page on files).")
    ],
    judge: Annotated[
        str | None,
        typer.Option(
            help="A LiteLLM model name such as openai/gpt-5-mini; local, local:NAME, local:NAME@WAY, local:PATH; or a "
            "judge file, FILE.json. Default: $RANKER_JUDGE, else local.",
            rich_help_panel=JUDGE,
        ),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            help="An OpenAI-compatible server, e.g. http://localhost:8000/v1 (vLLM) or "
            "http://localhost:11434/v1 (Ollama). Its key, if it wants one, goes into $RANKER_API_KEY.",
            rich_help_panel=JUDGE,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where ranked groups are appended. Started again, groups already in it are skipped. "
            "Default: standard output, without resuming."
        ),
    ] = None,
    rubric: Annotated[
        str | None,
        typer.Option(
            help="What to prefer, as text or @FILE. Goes before the groups' own.", rich_help_panel=PROMPT
        ),
    ] = None,
    passes: Annotated[
        int,
        typer.Option(min=1, help="Ask so often, in orders balanced over positions. Weak judges gain most."),
    ] = 1,
    reward: Annotated[
        Reward, typer.Option(help="Linear in rank; the judge's scores; Plackett-Luce strength; or NDCG-like.")
    ] = Reward.rank,
    concurrency: Annotated[
        int, typer.Option(min=1, help="Judge calls in flight.", rich_help_panel=LIMITS)
    ] = 16,
    max_cost: Annotated[
        float | None,
        typer.Option(help="Dollars; stops before the call that would exceed it.", rich_help_panel=LIMITS),
    ] = None,
    max_calls: Annotated[
        int | None,
        typer.Option(help="Judge calls; stops before the call that would exceed it.", rich_help_panel=LIMITS),
    ] = None,
    on_error: Annotated[
        OnError,
        typer.Option(help="raise: stop at the first failed group. skip: write it with its error and go on."),
    ] = OnError["raise"],
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try the failed groups in --out again.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Same seed and inputs: same prompts, same cache keys.")] = 0,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds for one call.", rich_help_panel=LIMITS)
    ] = None,
    rpm: Annotated[float | None, typer.Option(help="Requests a minute.", rich_help_panel=LIMITS)] = None,
    tpm: Annotated[float | None, typer.Option(help="Tokens a minute.", rich_help_panel=LIMITS)] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Sent only if given.", rich_help_panel=JUDGE)
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Longest reply.", rich_help_panel=JUDGE)] = None,
    context_window: Annotated[
        int | None,
        typer.Option(help="The judge's window in tokens, if it cannot be asked.", rich_help_panel=JUDGE),
    ] = None,
    price: Annotated[
        str | None,
        typer.Option(
            help="Dollars per million tokens read,written (e.g. 0.25,2), if unknown.", rich_help_panel=JUDGE
        ),
    ] = None,
    template: Annotated[
        str | None, typer.Option(help="Name of the prompt template, e.g. rank.v1.", rich_help_panel=PROMPT)
    ] = None,
    prompt_folder: Annotated[
        str | None, typer.Option("--prompts", help="A folder of your own templates.", rich_help_panel=PROMPT)
    ] = None,
    record: Annotated[Path | None, typer.Option(help="Append every judge call to this JSONL file.")] = None,
    cache: Annotated[
        str | None, typer.Option(help="Where replies are kept, or off. Default: $RANKER_CACHE.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar and no table.")] = False,
) -> None:
    """Rank every group of a file and turn the ranks into rewards.

    One judge call a group (times --passes). Output is appended line by line: stop it or kill it at any
    moment and run the same command again.

    [bold]ranker rank groups.jsonl --judge openai/gpt-5-mini --out ranked.jsonl --max-cost 5[/bold]
    """
    logging.basicConfig(level=logging.WARNING, format="ranker: %(message)s")
    options: dict[str, Any] = {
        "timeout": timeout,
        "rpm": rpm,
        "tpm": tpm,
        "temperature": temperature,
        "max_tokens": max_tokens,
        "context_window": context_window,
        "price": None if price is None else price_of(price),
        "template": template,
        "prompt_folder": prompt_folder,
        "record": record,
        "cache": cache,
    }
    job = Job(
        groups=groups,
        out=out,
        stop_at_failure=on_error == OnError["raise"],
        retry_failed=retry_failed,
        quiet=quiet,
        judge=lambda: judge_for(
            judge, reward.value, base_url, None, {k: v for k, v in options.items() if v is not None}
        ),
        options={
            "rubric": None if rubric is None else rubric_of(rubric),
            "passes": passes,
            "reward": reward.value,
            "concurrency": concurrency,
            "max_cost_usd": max_cost,
            "max_calls": max_calls,
            "seed": seed,
        },
    )
    try:
        raise typer.Exit(asyncio.run(run(job)))
    except KeyboardInterrupt:
        print("ranker: interrupted; what was finished is saved.", file=sys.stderr)
        raise typer.Exit(130) from None


def rubric_of(given: str) -> str | Path:
    """The text itself, or the path of @FILE."""
    return Path(given[1:]) if given.startswith("@") else given


def price_of(given: str) -> tuple[float, float]:
    try:
        read, written = (float(part) for part in given.split(","))
    except ValueError:
        raise ConfigurationError(f"--price {given!r}: give two numbers, e.g. 0.25,2.") from None
    return read, written
