"""`ranker bench`: judges against ground truth."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from ranker.cli import judge_options as shared
from ranker.cli.judge_options import JUDGE, LIMITS, option


def bench(
    judges: Annotated[
        list[str],
        option(
            "Repeatable. A LiteLLM model name, NAME@URL for an OpenAI-compatible server, local, local:NAME; or a simulated "
            "judge: oracle, random, length, adversarial, noisy:0.75, biased:position=0.5. The judge length (prefers "
            "the longer attempt) is always included.",
            JUDGE,
            "--judge",
        ),
    ],
    suites: Annotated[
        list[str],
        option(
            "Repeatable. toolenv, constraints, arithmetic, code, answers, lookup (with settings, e.g. "
            "code:difficulty=0.8,size=8); real attempts: tau-airline, gsm8k-solutions, humaneval-samples, game24, "
            "topical-chat; or a group file with ground_truth.",
            None,
            "--suite",
        ),
    ],
    out: Annotated[
        Path,
        option("Folder for results.json and report.html. A second run reuses the answers in it."),
    ],
    groups: Annotated[int, option("Most groups per suite.", min=1)] = 100,
    seed: Annotated[int, option("For the generated suites, the orders and the ids.")] = 0,
    passes: Annotated[int, option("Passes over each group, in position-balanced orders.", min=1)] = 1,
    accuracy_only: Annotated[
        bool,
        option(
            "Rank each group once instead of five times: no order flips, biases, retest and attacks.",
            None,
            "--accuracy-only",
        ),
    ] = False,
    base_url: Annotated[
        str | None,
        option(
            "An OpenAI-compatible server for the judges without a URL. Put its API key, if it needs one, into "
            "$RANKER_API_KEY.",
            JUDGE,
        ),
    ] = None,
    rubric: shared.Rubric = None,
    template: shared.TemplateName = None,
    prompt_folder: shared.PromptFolder = None,
    temperature: shared.Temperature = None,
    max_tokens: shared.MaxTokens = None,
    extra: shared.Extra = None,
    headers: shared.Headers = None,
    structured: shared.Structured = None,
    vision: shared.Vision = None,
    concurrency: Annotated[int, option("Rankings in flight per judge.", LIMITS, min=1)] = 16,
    timeout: shared.Timeout = None,
    max_cost: Annotated[
        float | None,
        option("Dollars, over all runs into --out; stops before the call that would exceed it.", LIMITS),
    ] = None,
    price: shared.Price = None,
    publish: Annotated[
        Path | None,
        option(
            "Append a record for each judge and suite to this file, which ranker judges shows beside the packaged records. With "
            "--dry-run, what each judge would cost."
        ),
    ] = None,
    dry_run: Annotated[bool, option("Only show the forecast.", LIMITS, "--dry-run")] = False,
    quiet: shared.Quiet = False,
) -> None:
    """Measure judges on groups with ground truth: accuracy, biases, consistency, cost.

    Writes results.json and report.html into --out. Stop it or kill it at any moment and run the same command again to
    continue. Exit codes: 0 done, 1 some groups failed or a limit was reached, 2 usage error, 130 interrupted.

    [bold]ranker bench --judge openai/gpt-5-mini --judge local --suite toolenv --suite code --out bench[/bold]
    """
    options = shared.judge_options(locals())
    from rich.console import Console

    from ranker.bench import command
    from ranker.bench.conditions import RunOptions
    from ranker.bench.judge_spec import judge_spec
    from ranker.bench.matrix import Matrix
    from ranker.bench.observation import CONDITIONS
    from ranker.prompting.rubric import read_rubric
    from ranker.suites import file_of, load

    outputs = {"--out": [out / name for name in command.WRITTEN], "--publish": publish}
    shared.check_files(outputs, map(file_of, suites), rubric=rubric)
    names = dict.fromkeys([*judges, "length"])
    with shared.interruptible():
        matrix = Matrix(
            tuple(judge_spec(name, base_url, options) for name in names),
            tuple(load(name, groups, seed) for name in dict.fromkeys(suites)),
            RunOptions(passes, seed, None if rubric is None else read_rubric(shared.rubric_of(rubric))),
            CONDITIONS[:1] if accuracy_only else CONDITIONS,
            concurrency,
        )
        settings = command.BenchSettings(matrix, out, max_cost, dry_run, quiet, publish)
        raise typer.Exit(asyncio.run(command.bench(settings, Console(emoji=False))).code)
