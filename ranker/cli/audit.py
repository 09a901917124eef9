"""`ranker audit`: what a judge can be talked into."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ranker.cli import judge_options as shared
from ranker.cli.judge_options import LIMITS, option


def audit(
    file: Annotated[Path, typer.Argument(help="A group file (JSONL). Ground truth is not needed.")],
    out: Annotated[Path, option("Folder for audit.json and audit.html.")],
    judge: shared.JudgeName = None,
    base_url: shared.BaseUrl = None,
    edits: Annotated[
        list[str] | None,
        option(
            "Repeatable: the edits to try. Default: all. Each costs a call for each group and pass.",
            None,
            "--edit",
        ),
    ] = None,
    groups: Annotated[int, option("Most groups, the first of the file.", min=1)] = 30,
    predict: Annotated[
        bool, option("Also predict how much of the ground truth's gain a policy trained on this judge keeps.")
    ] = False,
    passes: Annotated[int, option("Passes over each group, in position-balanced orders.", min=1)] = 1,
    seed: Annotated[int, option("Draws the attempts that are edited and the orders.")] = 0,
    rubric: shared.Rubric = None,
    template: shared.TemplateName = None,
    prompt_folder: shared.PromptFolder = None,
    temperature: shared.Temperature = None,
    max_tokens: shared.MaxTokens = None,
    context_window: shared.ContextWindow = None,
    concurrency: Annotated[int, option("Judge calls in flight.", LIMITS, min=1)] = 16,
    timeout: shared.Timeout = None,
    max_calls: shared.MaxCalls = None,
    max_cost: Annotated[
        float | None, option("Dollars; stops before the call that would exceed it.", LIMITS)
    ] = None,
    price: shared.Price = None,
    cache: shared.CachePath = None,
    record: shared.Record = None,
    dry_run: Annotated[bool, option("Only show the forecast.", LIMITS, "--dry-run")] = False,
    quiet: shared.Quiet = False,
) -> None:
    """Measure what a judge can be talked into, on your own groups: no ground truth needed.

    Shows each group with an edited copy of one attempt - padded, cut off, praised, attacked … - that cannot be better
    than its original, and counts the places that the copy gains. Writes audit.json and audit.html into --out. Stop it or
    kill it at any moment and run the same command again to continue: the answers are in the cache. Exit codes: 0 done,
    1 some calls gave no verdict, 2 usage or configuration, 130 interrupted.

    [bold]ranker audit groups.jsonl --judge openai/gpt-5-mini --out audit[/bold]
    """
    options = shared.judge_options(locals())
    from itertools import islice

    from rich.console import Console

    from ranker.audit import certificate, forecast, report
    from ranker.audit.audit import audit_judge
    from ranker.audit.findings import findings
    from ranker.debias.edits import EDITS, chosen
    from ranker.jsonl.group_file import read_groups
    from ranker.prompting.rubric import read_rubric
    from ranker.rank import judge_for
    from ranker.runtime.outputs import make_folder

    outputs = {"--out": [out / name for name in ("audit.json", "audit.html")], "--record": record}
    shared.check_files(outputs, [file], judge=judge, rubric=rubric, cache=cache)
    tried = chosen(edits or list(EDITS))
    console = Console(emoji=False)
    with shared.interruptible("run the same command again to continue; answers in the cache are kept"):
        some = list(islice(read_groups(file), groups))
        asked = judge_for(shared.named_judge(judge), "rank", base_url, None, options)
        prefer = read_rubric(None if rubric is None else shared.rubric_of(rubric))
        if not quiet:
            ahead = forecast.forecast(asked, some, tried, passes, prefer)
            console.print(forecast.said(ahead, max_cost), highlight=False)
        if dry_run:
            raise typer.Exit(0)
        make_folder(out)  # before a call is paid for
        result = audit_judge(
            some,
            asked,
            prefer,
            passes,
            edits=tried,
            seed=seed,
            concurrency=concurrency,
            max_calls=max_calls,
            max_cost_usd=max_cost,
            progress=not quiet,
        )
    prediction = certificate.predict(result) if predict else None
    _, page = report.write(out, result, prediction)
    if not quiet:
        console.print(report.table(result))
        console.print(f"[dim]{report.NOTE}[/dim]", highlight=False)
        for finding in findings(result):
            mark = {"good": "[green]✓[/green]", "warn": "[red]![/red]", "note": "·"}[finding.level]
            console.print(mark, end=" ")
            console.print(finding.text, highlight=False, markup=False)
        if prediction is not None:
            console.print(report.said(prediction), highlight=False)
            console.print(f"[dim]{prediction.domain}[/dim]", highlight=False)
    console.print(f"The page: {page}", highlight=False, markup=False)
    raise typer.Exit(1 if result.failed else 0)
