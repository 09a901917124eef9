"""`ranker bench`: judges against ground truth."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from ranker.cli.judging import judge_options, rubric_of

JUDGES = "The judges"
LIMITS = "Limits"


def bench(
    judges: Annotated[
        list[str],
        typer.Option(
            "--judge",
            help="Can be given often. A LiteLLM model name, NAME@URL for an OpenAI-compatible server, local, "
            "local:NAME; or a simulated one: oracle, random, length, adversarial, noisy:0.75, "
            "biased:position=0.5. The judge length (longer wins) always stands beside them.",
            rich_help_panel=JUDGES,
        ),
    ],
    suites: Annotated[
        list[str],
        typer.Option(
            "--suite",
            help="Can be given often: toolenv, constraints, arithmetic, code, answers, lookup (with settings, e.g. "
            "code:difficulty=0.8,size=8), tau-airline, gsm8k-solutions, or a group file with ground_truth.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(help="Folder for results.json and report.html. Started again, nothing is asked twice."),
    ],
    groups: Annotated[int, typer.Option(min=1, help="The most groups of each suite.")] = 100,
    seed: Annotated[int, typer.Option(help="Draws the generated suites, the orders and the ids.")] = 0,
    passes: Annotated[
        int, typer.Option(min=1, help="Ask so often for one verdict, in orders balanced over positions.")
    ] = 1,
    accuracy_only: Annotated[
        bool,
        typer.Option(
            "--accuracy-only",
            help="Ask once a group instead of four times: no order flips, biases, retest and attacks.",
        ),
    ] = False,
    base_url: Annotated[
        str | None,
        typer.Option(
            help="An OpenAI-compatible server for the judges named without one. Its key, if it wants one, goes "
            "into $RANKER_API_KEY.",
            rich_help_panel=JUDGES,
        ),
    ] = None,
    rubric: Annotated[
        str | None, typer.Option(help="What to prefer, as text or @FILE, in the place of the groups' own.")
    ] = None,
    template: Annotated[
        str | None, typer.Option(help="Name of the prompt template, e.g. rank.v1.", rich_help_panel=JUDGES)
    ] = None,
    prompt_folder: Annotated[
        str | None, typer.Option("--prompts", help="A folder of your own templates.", rich_help_panel=JUDGES)
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Sent only if given.", rich_help_panel=JUDGES)
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Longest reply.", rich_help_panel=JUDGES)] = None,
    concurrency: Annotated[
        int, typer.Option(min=1, help="Askings in flight, of each judge.", rich_help_panel=LIMITS)
    ] = 16,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds for one call.", rich_help_panel=LIMITS)
    ] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(
            help="Dollars, over all runs into --out; stops before the call that would exceed it.",
            rich_help_panel=LIMITS,
        ),
    ] = None,
    price: Annotated[
        str | None,
        typer.Option(
            help="Dollars per million tokens read,written (e.g. 0.25,2), if unknown.", rich_help_panel=LIMITS
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would ask and cost.", rich_help_panel=LIMITS)
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars and no tables.")] = False,
) -> None:
    """Measure judges on groups with ground truth: accuracy, biases, consistency, cost.

    Writes results.json and report.html into --out. Stop it or kill it at any moment and run the same command again:
    what is answered is kept. Exit codes: 0 done, 1 some groups failed or a limit came first, 2 usage, 130 interrupted.

    [bold]ranker bench --judge openai/gpt-5-mini --judge local --suite toolenv --suite code --out bench[/bold]
    """
    from rich.console import Console

    from ranker.bench.command import Job
    from ranker.bench.command import bench as start
    from ranker.bench.conditions import Way
    from ranker.bench.judge_spec import contestant
    from ranker.bench.matrix import Matrix
    from ranker.bench.observation import ASKINGS
    from ranker.prompting.rubric import read_rubric
    from ranker.suites import load

    logging.basicConfig(level=logging.WARNING, format="ranker: %(message)s")
    options = judge_options(
        price,
        template=template,
        prompt_folder=prompt_folder,
        temperature=temperature,
        max_tokens=max_tokens,
        timeout=timeout,
    )
    names = dict.fromkeys([*judges, "length"])
    try:
        matrix = Matrix(
            tuple(contestant(name, base_url, options) for name in names),
            tuple(load(name, groups, seed) for name in dict.fromkeys(suites)),
            Way(passes, seed, None if rubric is None else read_rubric(rubric_of(rubric))),
            ASKINGS[:1] if accuracy_only else ASKINGS,
            concurrency,
        )
        job = Job(matrix, out, max_cost, dry_run, quiet)
        raise typer.Exit(asyncio.run(start(job, Console())))
    except KeyboardInterrupt:
        print("ranker: interrupted; what was finished is saved.", file=sys.stderr)
        raise typer.Exit(130) from None
