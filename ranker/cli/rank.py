"""`ranker rank`: a file of groups in, a file of ranked groups out."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

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
    judge_options,
    rubric_of,
)
from ranker.cli.ranking import Job, run
from ranker.errors import ConfigurationError
from ranker.jsonl.shards import Plan, part_of, plan_of
from ranker.judges.base import Judge
from ranker.rank import judge_for
from ranker.runtime.budget import Budget

OnError = Enum("OnError", {"raise": "raise", "skip": "skip"}, type=str)


def rank(
    groups: Annotated[
        list[str],
        typer.Argument(
            help="JSONL file, one group a line (see the docs' page on files); or several, a folder of them, or a "
            "pattern such as 'in/*.jsonl.gz'.",
        ),
    ],
    judge: JudgeName = None,
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
            "For several input files a folder. Default: standard output, without resuming."
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            help="I/N, I from 0: only every N-th input file, or of a single file every N-th group. "
            "Not needed on one machine: processes started on the same command share the files out."
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
    reward: RewardRule = Reward.rank,
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Judge calls in flight: 16, or 2000 with --batch, where it is the size of a batch.",
            rich_help_panel=LIMITS,
        ),
    ] = None,
    batch: Annotated[
        bool,
        typer.Option(
            "--batch",
            help="Send the calls to the provider's batch API: half the price, an answer within a day. Kill it "
            "and run it again as you like: it finds its batches.",
            rich_help_panel=JUDGE,
        ),
    ] = False,
    max_cost: Annotated[
        float | None,
        typer.Option(help="Dollars; stops before the call that would exceed it.", rich_help_panel=LIMITS),
    ] = None,
    max_calls: Annotated[
        int | None,
        typer.Option(help="Judge calls; stops before the call that would exceed it.", rich_help_panel=LIMITS),
    ] = None,
    budget: Annotated[
        Path | None,
        typer.Option(
            help="A file in which all processes that name it count together towards --max-cost and --max-calls.",
            rich_help_panel=LIMITS,
        ),
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
    temperature: Temperature = None,
    max_tokens: MaxTokens = None,
    context_window: ContextWindow = None,
    price: Price = None,
    template: TemplateName = None,
    prompt_folder: PromptFolder = None,
    record: Record = None,
    cache: CachePath = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar and no table.")] = False,
) -> None:
    """Rank every group of a file and turn the ranks into rewards.

    One judge call a group (times --passes). Output is appended line by line: stop it or kill it at any
    moment and run the same command again.

    [bold]ranker rank groups.jsonl --judge openai/gpt-5-mini --out ranked.jsonl --max-cost 5[/bold]

    Of several files each goes to a file of its name in the folder --out, and any number of processes may run
    the same command at once.
    """
    logging.basicConfig(level=logging.WARNING, format="ranker: %(message)s")
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
    plan = plan_of(groups, out, None if shard is None else part_of(shard))
    if concurrency is None:
        concurrency = 2_000 if batch else 16
    job = Job(
        plan=plan,
        out=out,
        stop_at_failure=on_error == OnError["raise"],
        retry_failed=retry_failed,
        quiet=quiet,
        judge=lambda: (
            batch_judge(judge, reward.value, base_url, store_of(plan, out), options)
            if batch
            else judge_for(judge, reward.value, base_url, None, options)
        ),
        budget=lambda: budget_of(budget, max_calls, max_cost),
        options={
            "rubric": None if rubric is None else rubric_of(rubric),
            "passes": passes,
            "reward": reward.value,
            "concurrency": concurrency,
            "seed": seed,
        },
    )
    try:
        raise typer.Exit(asyncio.run(run(job)))
    except KeyboardInterrupt:
        print("ranker: interrupted; what was finished is saved.", file=sys.stderr)
        raise typer.Exit(130) from None


def store_of(plan: Plan, out: Path | None) -> Path:
    """Where it is noted which batches were sent: beside the output, or in its folder."""
    if out is None:
        raise ConfigurationError("--batch needs --out: what was sent is noted beside it, to be found again.")
    if not plan.folder:
        return out.with_name(out.name + ".batches")
    home = out / ".ranker"
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{home} cannot be made: {error.strerror}.") from None
    return home / "batches"


def batch_judge(
    judge: str | None, reward: str, base_url: str | None, store: Path, options: dict[str, Any]
) -> Judge:
    """The judge that is named, behind its provider's batch API."""
    name = judge or os.environ.get("RANKER_JUDGE") or "local"
    if name == "local" or name.startswith("local:") or name.endswith(".json"):
        raise ConfigurationError(f"--batch needs a model behind an API, not {name}: name one with --judge.")
    from ranker.judges.batch import BatchJudge

    form = {"form": "scores"} if reward == "score" else {}
    return BatchJudge(name, base_url=base_url, store=store, **form, **options)


def budget_of(file: Path | None, max_calls: int | None, max_cost: float | None) -> Budget:
    """The limits of this process, or those it shares through a file."""
    if file is None:
        return Budget(max_calls, max_cost)
    from ranker.runtime.shared_budget import SharedBudget

    return SharedBudget(file, max_calls, max_cost)
