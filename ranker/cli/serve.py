"""`ranker serve`: a judge over HTTP."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ranker.cli.judging import (
    JUDGE,
    LIMITS,
    PROMPT,
    CachePath,
    ContextWindow,
    JudgeName,
    MaxTokens,
    Price,
    PromptFolder,
    Record,
    Reward,
    RewardRule,
    Temperature,
    TemplateName,
    check_files,
    judge_options,
    rubric_of,
)
from ranker.errors import ConfigurationError
from ranker.prompting.rubric import read_rubric
from ranker.rank import judge_for
from ranker.runtime.budget import Budget

if TYPE_CHECKING:
    from ranker.judges.base import Judge

SERVER = "The server"


def serve(
    judge: JudgeName = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            help="An OpenAI-compatible server for the judge. Its key, if it wants one, goes into $RANKER_API_KEY.",
            rich_help_panel=JUDGE,
        ),
    ] = None,
    rubric: Annotated[
        str | None,
        typer.Option(
            help="What to prefer, as text or @FILE, for groups that bring no rubric.", rich_help_panel=PROMPT
        ),
    ] = None,
    passes: Annotated[
        int,
        typer.Option(
            min=1, max=64, help="Judge calls per group, each in another order; a request may set its own."
        ),
    ] = 1,
    reward: RewardRule = Reward.rank,
    seed: Annotated[
        int, typer.Option(help="Same seed and inputs: same prompts, where the request does not say it.")
    ] = 0,
    host: Annotated[
        str,
        typer.Option(help="Address to listen on; any but loopback needs a token.", rich_help_panel=SERVER),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="0 takes a free one.", rich_help_panel=SERVER)
    ] = 8000,
    token_env: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The environment variable that holds the token requests must carry. Default: RANKER_SERVE_TOKEN, if "
            "it is set.",
            rich_help_panel=SERVER,
        ),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="A file that holds the token.", rich_help_panel=SERVER)
    ] = None,
    grace: Annotated[
        float,
        typer.Option(
            min=0,
            help="Seconds to finish what is in progress, after a signal to stop.",
            rich_help_panel=SERVER,
        ),
    ] = 30.0,
    concurrency: Annotated[
        int, typer.Option(min=1, help="Judge calls in flight.", rich_help_panel=LIMITS)
    ] = 16,
    queue: Annotated[
        int,
        typer.Option(min=0, help="Requests that may wait beyond those; then 429.", rich_help_panel=LIMITS),
    ] = 256,
    max_body: Annotated[
        int, typer.Option(min=1, help="Megabytes of the largest request.", rich_help_panel=LIMITS)
    ] = 20,
    request_timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds until a request gets 504.", rich_help_panel=LIMITS)
    ] = 600.0,
    max_cost: Annotated[
        float | None,
        typer.Option(
            help="Dollars, as long as the server runs; then 402, before the call that would exceed it.",
            rich_help_panel=LIMITS,
        ),
    ] = None,
    max_calls: Annotated[
        int | None,
        typer.Option(help="Judge calls, as long as the server runs; then 402.", rich_help_panel=LIMITS),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds for one judge call.", rich_help_panel=LIMITS)
    ] = None,
    rpm: Annotated[
        float | None, typer.Option(help="Judge requests a minute.", rich_help_panel=LIMITS)
    ] = None,
    tpm: Annotated[float | None, typer.Option(help="Judge tokens a minute.", rich_help_panel=LIMITS)] = None,
    temperature: Temperature = None,
    max_tokens: MaxTokens = None,
    context_window: ContextWindow = None,
    price: Price = None,
    template: TemplateName = None,
    prompt_folder: PromptFolder = None,
    record: Record = None,
    cache: CachePath = None,
) -> None:
    """Rank groups over HTTP: POST /rank, and OpenRLHF's remote reward protocol.

    Stop it with Ctrl-C or SIGTERM: what is in progress is finished first; a second signal stops at once. Verdicts are
    kept in the cache, so that asking again after a stop or a kill is free.

    [bold]ranker serve --judge openai/gpt-5-mini --max-cost 5[/bold]
    """
    logging.basicConfig(level=logging.WARNING, format="ranker: %(message)s")
    check_files({"--record": record}, [token_file], judge=judge, rubric=rubric, cache=cache)
    options = judge_options(
        price,
        timeout=timeout,
        rpm=rpm,
        tpm=tpm,
        temperature=temperature,
        max_tokens=max_tokens,
        context_window=context_window,
        template=template,
        prompt_folder=prompt_folder,
        record=record,
        cache=cache,
    )
    try:
        from ranker.serving import Defaults, Limits, Listening, Service, run
        from ranker.serving.metrics import Metrics
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "ranker":
            raise
        raise ConfigurationError(
            f"`ranker serve` needs the package {error.name}, which is not installed: pip install 'ranker-rl[serve]'."
        ) from None
    from ranker.serving.token import find_token, loopback

    token = find_token(token_env, token_file)
    if token is None and not loopback(host):
        raise ConfigurationError(
            f"--host {host} can be reached by others, who could spend your budget: put a token into "
            "$RANKER_SERVE_TOKEN or --token-file."
        )
    chosen = judge_for(judge, reward.value, base_url, None, options)
    _check_price(chosen, max_cost)
    service = Service(
        chosen,
        Metrics(),
        Limits(concurrency, queue, request_timeout, max_body * 1_000_000),
        Defaults(None if rubric is None else read_rubric(rubric_of(rubric)), passes, reward.value, seed),
        Budget(max_calls, max_cost),
    )
    code, cut = asyncio.run(run(service, token, Listening(host, port, grace), _say))
    if cut:  # a local model's thread may still be at work: do not wait for it
        sys.stderr.flush()
        os._exit(code)
    raise typer.Exit(code)


def _say(text: str) -> None:
    print(f"ranker: {text}", file=sys.stderr, flush=True)


def _check_price(judge: Judge, max_cost: float | None) -> None:
    """Say at the start, not at the first request, that a limit in dollars cannot be kept.

    Raises:
        ConfigurationError: the judge's price is unknown.
    """
    from ranker.judges.llm import LLMJudge

    if max_cost is not None and isinstance(judge, LLMJudge) and judge.price is None:
        raise ConfigurationError(
            f"--max-cost needs the price of {judge.name}, which is unknown: give --price, or limit --max-calls instead."
        )
