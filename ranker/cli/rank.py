"""`ranker rank`: a file of groups in, a file of ranked groups out."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ranker.cli import judge_options as shared
from ranker.cli.judge_options import JUDGE, LIMITS, named_judge, option
from ranker.cli.ranking import RankSettings, run
from ranker.errors import ConfigurationError
from ranker.jsonl.shards import Plan, part_of, plan_of
from ranker.judges.base import Judge
from ranker.rank import judge_for
from ranker.runtime.budget import Budget
from ranker.runtime.outputs import make_folder

STDOUT = 1  # the number of the open file


def rank(
    groups: Annotated[
        list[str],
        typer.Argument(
            help="JSONL file, one group per line (see the documentation on files); or several, a folder of them, or a "
            "pattern such as 'in/*.jsonl.gz'.",
        ),
    ],
    judge: shared.JudgeName = None,
    base_url: shared.BaseUrl = None,
    out: Annotated[
        Path | None,
        option(
            "Where ranked groups are appended; groups that it already holds are skipped. A folder for several input "
            "files. Default: standard output, without resuming."
        ),
    ] = None,
    shard: Annotated[
        str | None,
        option(
            "I/N, I from 0: only every N-th input file, or of a single file every N-th group. Not needed on one "
            "machine: processes started with the same command share the files among them."
        ),
    ] = None,
    rubric: shared.Rubric = None,
    passes: Annotated[
        int,
        option("Passes over each group, in position-balanced orders. Weak judges gain most.", min=1),
    ] = 1,
    reward: shared.RewardRule = "rank",
    credit: shared.Credit = None,
    concurrency: Annotated[
        int | None,
        option("Judge calls in flight: 16, or 2000 with --batch, where it is the batch size.", LIMITS, min=1),
    ] = None,
    batch: Annotated[
        bool,
        option(
            "Use the provider's batch API: half the price, replies within a day. It can be stopped and run again at "
            "any time: it finds its batches.",
            JUDGE,
            "--batch",
        ),
    ] = False,
    max_cost: Annotated[
        float | None, option("Dollars; stops before the call that would exceed it.", LIMITS)
    ] = None,
    max_calls: shared.MaxCalls = None,
    budget: Annotated[
        Path | None,
        option("A file through which processes share --max-cost and --max-calls.", LIMITS),
    ] = None,
    on_error: Annotated[
        Literal["raise", "skip"],
        option("raise: stop at the first failed group. skip: record the error and continue."),
    ] = "raise",
    retry_failed: Annotated[
        bool, option("Retry the failed groups in --out.", None, "--retry-failed")
    ] = False,
    seed: Annotated[int, option("Same seed and inputs: same prompts, same cache keys.")] = 0,
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
    quiet: shared.Quiet = False,
) -> None:
    """Rank every group of a file and turn the ranks into rewards.

    One judge call per group (times --passes). Output is appended line by line: stop it or kill it at any moment and run
    the same command again.

    [bold]ranker rank groups.jsonl --judge openai/gpt-5-mini --out ranked.jsonl --max-cost 5[/bold]

    With several files, each goes to a file of the same name in the folder --out, and any number of processes may run
    the same command at once.
    """
    options = shared.judge_options(locals())
    plan = plan_of(groups, out, None if shard is None else part_of(shard))
    outputs = {
        "--out": [shard.out for shard in plan.shards] if out else STDOUT,
        "--record": record,
        "--budget": budget,
        "--batch": store_of(plan, out) if batch else None,
    }
    shared.check_files(outputs, plan.inputs, judge=judge, rubric=rubric, cache=cache)
    settings = RankSettings(
        plan=plan,
        out=out,
        stop_at_failure=on_error == "raise",
        retry_failed=retry_failed,
        quiet=quiet,
        judge=lambda: (
            batch_judge(judge, reward, base_url, store_of(plan, out), {**options, "credit": credit})
            if batch
            else judge_for(judge, reward, base_url, None, options, credit=credit)
        ),
        budget=lambda: budget_of(budget, max_calls, max_cost),
        options={
            "rubric": None if rubric is None else shared.rubric_of(rubric),
            "passes": passes,
            "reward": reward,
            "credit": credit,
            "concurrency": concurrency or (2_000 if batch else 16),
            "seed": seed,
        },
    )
    with shared.interruptible():
        raise typer.Exit(asyncio.run(run(settings)))


def store_of(plan: Plan, out: Path | None) -> Path:
    """The file that records the batches sent: beside the output, or in its folder."""
    if out is None:
        raise ConfigurationError(
            "--batch needs --out: the batches sent are recorded beside it, so that a later run finds them."
        )
    if not plan.folder:
        return out.with_name(out.name + ".batches")
    home = out / ".ranker"
    make_folder(home)
    return home / "batches"


def batch_judge(
    judge: str | None, reward: str, base_url: str | None, store: Path, options: dict[str, Any]
) -> Judge:
    """The judge that is named, behind its provider's batch API."""
    name = named_judge(judge)
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
