"""`ranker recommend`: which judge to use for a file of groups."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from ranker.cli import judge_options as shared
from ranker.cli.judge_options import JUDGE, LIMITS, option


def recommend(
    groups: Annotated[Path, typer.Argument(help="JSONL file of groups, best with ground_truth.")],
    budget: Annotated[
        float,
        option(
            "Dollars that this call may cost, whatever earlier ones into --out did; 0 for free judges only.",
            LIMITS,
            min=0,
        ),
    ],
    judges: Annotated[
        list[str] | None,
        option(
            "Repeatable; named as in ranker bench. Default: local and usual API judges.", JUDGE, "--judge"
        ),
    ] = None,
    out: Annotated[
        Path, option("Folder for the measurements; a second run reuses the answers in it.")
    ] = Path("recommend"),
    base_url: Annotated[
        str | None,
        option(
            "An OpenAI-compatible server for the judges without a URL; its key comes from $RANKER_API_KEY.",
            JUDGE,
        ),
    ] = None,
    rubric: shared.Rubric = None,
    seed: Annotated[int, option("For the orders and the ids.")] = 0,
    concurrency: Annotated[int, option("Rankings in flight per judge.", LIMITS, min=1)] = 16,
    timeout: shared.Timeout = None,
    price: shared.Price = None,
    quiet: shared.Quiet = False,
) -> None:
    """Say which judge to use: forecast what each costs, measure those within reach and budget on some of the groups, compare.

    Without ground truth nothing is measured: it says what each would cost, and how to get ground truth. The same command goes on
    where it was stopped, with the budget anew. Exit codes: 0 done, be it that no judge is good enough; 1 no judge could be
    measured, or the budget ended too soon; 2 usage error.

    [bold]ranker recommend groups.jsonl --budget 1 --judge openai/gpt-5-mini --judge local[/bold]
    """
    options = shared.judge_options(locals())
    from rich.console import Console

    from ranker.bench import command, recommend, recommend_text
    from ranker.bench.compare import read_results
    from ranker.bench.conditions import RunOptions
    from ranker.bench.judge_spec import judge_spec
    from ranker.bench.matrix import Matrix
    from ranker.bench.observation import CONDITIONS
    from ranker.jsonl.group_file import read_groups
    from ranker.jsonl.input_check import check_file
    from ranker.prompting.rubric import read_rubric
    from ranker.suites import load
    from ranker.validation import check_number

    check_number("--budget", budget, 0)
    shared.check_files({"--out": [out / name for name in command.WRITTEN]}, [groups], rubric=rubric)
    check_file(groups)
    text = None if rubric is None else read_rubric(shared.rubric_of(rubric))
    console = Console(quiet=quiet, emoji=False)
    with shared.interruptible():
        every = recommend_text.not_empty(read_groups(groups), groups)
        specs = [judge_spec(name, base_url, options) for name in dict.fromkeys(judges or recommend.USUAL)]
        some = recommend.candidates(specs, every, text)
        console.print(
            recommend_text.forecast(some, len(every)), recommend_text.RECKONED, sep="\n", highlight=False
        )
        if not recommend_text.has_truth(every):
            print(recommend_text.no_truth(groups))
            return
        suite = load(str(groups), recommend.MOST)
        plan = recommend.plan(some, len(suite.groups), budget)
        for name, why in plan.left_out.items():
            console.print(f"Not measured: {name}: {why}", highlight=False, markup=False, soft_wrap=True)
        suite = load(str(groups), plan.groups)
        specs = [*(c.judge for c in plan.measured), judge_spec("length", None, {})]
        matrix = Matrix(tuple(specs), (suite,), RunOptions(1, seed, text), CONDITIONS[:1], concurrency)
        if plan.measured:
            settings = command.BenchSettings(matrix, out, quiet=quiet, budget_usd=budget)
            stopped = asyncio.run(command.bench(settings, console)).out_of_budget
            results, planned = read_results(out), len(suite.groups)
            choice = (
                recommend.unfinished(stopped, results, planned)
                if stopped
                else recommend.choose(results, plan.measured, planned)
            )
        else:
            choice = recommend.Choice(None, "No judge could be measured.", measured=False)
    print(choice.reason)
    if choice.judge is None:
        raise typer.Exit(0 if choice.measured else 1)
    chosen = next(c for c in plan.measured if c.judge.name == choice.judge)
    cost = next(cell["per_group"]["cost_usd"] for cell in results["cells"] if cell["judge"] == choice.judge)
    print(recommend_text.command(chosen, groups, len(every), rubric, cost))
