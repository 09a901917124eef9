"""`ranker serve`: a judge over HTTP."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ranker.cli import judge_options as shared
from ranker.cli.judge_options import LIMITS, PROMPT, option
from ranker.errors import ConfigurationError
from ranker.extras import needing
from ranker.judges.preflight import preflight
from ranker.printing import tell
from ranker.prompting.rubric import read_rubric
from ranker.rank import judge_for
from ranker.runtime.budget import Budget

if TYPE_CHECKING:
    from ranker.judges.base import Judge

SERVER = "The server"


def serve(
    judge: shared.JudgeName = None,
    base_url: shared.BaseUrl = None,
    rubric: Annotated[
        str | None,
        option("What to prefer, as text or @FILE, for groups that bring no rubric.", PROMPT),
    ] = None,
    passes: Annotated[
        int,
        option("Judge calls per group, each in another order; a request may set its own.", min=1, max=64),
    ] = 1,
    reward: shared.RewardRule = "rank",
    credit: shared.Credit = None,
    seed: Annotated[int, option("Same seed and inputs: same prompts, unless the request sets a seed.")] = 0,
    host: Annotated[
        str, option("Address to listen on; any but loopback requires a token.", SERVER)
    ] = "127.0.0.1",
    port: Annotated[int, option("0 picks a free one.", SERVER, min=0, max=65535)] = 8000,
    token_env: Annotated[
        str | None,
        option(
            "Environment variable with the token that requests must carry. Default: RANKER_SERVE_TOKEN, if it is set.",
            SERVER,
            metavar="NAME",
        ),
    ] = None,
    token_file: Annotated[Path | None, option("A file with the token.", SERVER)] = None,
    grace: Annotated[
        float, option("Seconds to finish requests in progress after a stop signal.", SERVER, min=0)
    ] = 30.0,
    concurrency: Annotated[int, option("Judge calls in flight.", LIMITS, min=1)] = 16,
    queue: Annotated[
        int, option("Requests that may wait beyond those; further ones get 429.", LIMITS, min=0)
    ] = 256,
    max_body: Annotated[int, option("Largest request in megabytes.", LIMITS, min=1)] = 20,
    request_timeout: Annotated[float, option("Seconds until a request gets 504.", LIMITS, min=0.1)] = 600.0,
    max_cost: Annotated[
        float | None,
        option("Dollars over the server's lifetime; 402 before the call that would exceed it.", LIMITS),
    ] = None,
    max_calls: Annotated[
        int | None, option("Judge calls over the server's lifetime; then 402.", LIMITS)
    ] = None,
    timeout: shared.Timeout = None,
    rpm: shared.RequestsPerMinute = None,
    tpm: shared.TokensPerMinute = None,
    temperature: shared.Temperature = None,
    max_tokens: shared.MaxTokens = None,
    extra: shared.Extra = None,
    headers: shared.Headers = None,
    structured: shared.Structured = None,
    vision: shared.Vision = None,
    context_window: shared.ContextWindow = None,
    price: shared.Price = None,
    template: shared.TemplateName = None,
    prompt_folder: shared.PromptFolder = None,
    record: shared.Record = None,
    cache: shared.CachePath = None,
) -> None:
    """Rank groups over HTTP: POST /rank, and OpenRLHF's remote reward protocol.

    Stop it with Ctrl-C or SIGTERM: requests in progress are finished first; a second signal stops at once. Verdicts are
    cached, so asking again after a stop or a kill is free.

    [bold]ranker serve --judge openai/gpt-5-mini --max-cost 5[/bold]
    """
    options = shared.judge_options(locals())
    shared.check_files({"--record": record}, [token_file], judge=judge, rubric=rubric, cache=cache)
    with needing("`ranker serve`", "serve"):
        from ranker.serving import Defaults, Limits, Listening, Service, run
        from ranker.serving.metrics import Metrics
    from ranker.serving.token import find_token, loopback

    token = find_token(token_env, token_file)
    if token is None and not loopback(host):
        raise ConfigurationError(
            f"--host {host} can be reached by others, who could spend your budget: put a token into "
            "$RANKER_SERVE_TOKEN or --token-file."
        )
    chosen = judge_for(judge, reward, base_url, None, options, credit=credit)
    _check_price(chosen, max_cost)
    asyncio.run(preflight(chosen))
    service = Service(
        chosen,
        Metrics(),
        Limits(concurrency, queue, request_timeout, max_body * 1_000_000),
        Defaults(
            None if rubric is None else read_rubric(shared.rubric_of(rubric)), passes, reward, seed, credit
        ),
        Budget(max_calls, max_cost),
    )
    code, cut = asyncio.run(run(service, token, Listening(host, port, grace), tell))
    if cut:  # a local model's thread may still be at work: do not wait for it
        sys.stderr.flush()
        os._exit(code)
    raise typer.Exit(code)


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
