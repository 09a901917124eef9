"""`ranker tune-judge`: a strong judge's rankings, or ground truth, taught to a small local model."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ranker.cli.tune_progress import Bar
from ranker.cli.tune_report import show
from ranker.errors import ConfigurationError
from ranker.runtime.outputs import check_outputs

WAYS = ("pointwise", "pointwise_in_context", "first_token", "expected_digit")
Loss = Literal["pairwise", "listwise", "both"]
Truth = Literal["auto", "ground_truth", "ranking"]

TRAINING = "Training"


def tune_judge(
    groups: Annotated[
        Path,
        typer.Argument(
            help="What `ranker rank --out` wrote, or a group file with ground_truth; some hundred groups."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for the judge. Started again with the same settings, it goes on.")
    ],
    base: Annotated[
        str, typer.Option(help="The model to tune: local (SmolLM2-135M-Instruct), local:NAME, local:PATH.")
    ] = "local",
    start: Annotated[
        Path | None,
        typer.Option(
            help="A judge made by this command, or local for the embedded one, to go on from with these groups: its "
            "model, way and adapter. Default: from the model alone.",
            show_default=False,
        ),
    ] = None,
    way: Annotated[
        str,
        typer.Option(
            help="How it is asked. pointwise: Yes or No for each attempt by itself; "
            "pointwise_in_context and first_token: all attempts in one text; expected_digit: a grade."
        ),
    ] = "pointwise",
    truth: Annotated[
        Truth,
        typer.Option(
            help="What it learns: the ranking that a judge gave, the ground truth, or (auto) the ranking where the "
            "file has one."
        ),
    ] = "auto",
    loss: Annotated[
        Loss,
        typer.Option(
            help="On pairs (RankNet), on the whole order (ListMLE), or both.", rich_help_panel=TRAINING
        ),
    ] = "pairwise",
    epochs: Annotated[
        int, typer.Option(min=1, help="How often each group is seen, at most.", rich_help_panel=TRAINING)
    ] = 2,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="The most minutes of training. With a limit, two runs differ in how far they come.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    rate: Annotated[float, typer.Option(help="Peak learning rate.", rich_help_panel=TRAINING)] = 1e-3,
    seed: Annotated[
        int, typer.Option(help="Draws the split, the orders and the adapter.", rich_help_panel=TRAINING)
    ] = 0,
    most_tokens: Annotated[
        int | None,
        typer.Option(
            min=256,
            help="Of one text in training; longer ones are cut in the middle. Default on a CPU: 2048 (4096 for "
            "pointwise_in_context and first_token); on a GPU the model's window.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar and no table.")] = False,
) -> None:
    """Teach a small local model to rank as a strong judge does, and say how well it learned.

    Pay for the strong judge once, then judge for free:

    [bold]ranker rank groups.jsonl --judge openai/gpt-5 --out ranked.jsonl[/bold]

    [bold]ranker tune-judge ranked.jsonl --out my-judge[/bold]

    A part of the groups is kept out of the training and measures it. Stop it or kill it at any moment and run the same
    command again.
    """
    logging.basicConfig(level=logging.WARNING, format="ranker: %(message)s")
    from ranker.tuning.examples import read_examples

    adapter: Path | None = None
    tuned_way: Any = way_of(way)
    template: str | None = None
    if start is None:
        model = base_of(base)
    else:
        model, tuned_way, template, adapter = judge_to_continue(start, base, tuned_way)
    outputs = [path for names in ("judge.json", "*.pt", "adapter/*") for path in out.glob(names)]
    check_outputs({"--out": outputs}, [groups, *([] if adapter is None else adapter.rglob("*"))])
    source = read_examples(groups, truth)
    try:
        from ranker.tuning.run import Run
        from ranker.tuning.told import Tuning
    except ImportError as error:
        raise ConfigurationError(
            f"Tuning needs torch and more ({error}): pip install 'ranker-rl[train]'."
        ) from None
    tuning = Tuning(
        model, tuned_way, loss, epochs, rate=rate, minutes=minutes, seed=seed, most_tokens=most_tokens,
        template=template,
    )  # fmt: skip
    origin = {"file": groups.name, "truth": source.truth, "judge": source.judge}
    origin |= {"start": start.name} if start is not None else {}
    try:
        with Bar(not quiet) as bar:
            tuned = Run(tuning, source.examples, out, start=adapter, report=bar.report, source=origin).go()
    except KeyboardInterrupt:
        print("ranker: interrupted; what was done is saved. The same command goes on.", file=sys.stderr)
        raise typer.Exit(130) from None
    if not quiet:
        show(source, tuning, tuned)


def judge_to_continue(start: Path, base: str, way: str) -> tuple[str, Any, str | None, Path]:
    """Base, way, template and adapter of the judge to go on from.

    Raises:
        ConfigurationError: it is no tuned judge, or another base or way is asked for.
    """
    from ranker.judges.embedded import FOLDER
    from ranker.judges.local.judge_file import read_judge, setup_from
    from ranker.judges.local.models import DEFAULT

    content, home = read_judge(FOLDER if start == Path("local") and not start.exists() else start)
    if content.get("judge") != "local" or not content.get("adapter"):
        raise ConfigurationError(
            f"--start {start}: give the folder of a judge that `ranker tune-judge` made."
        )
    setup = setup_from(content, home)
    model = setup.base or DEFAULT
    if base != "local" and base_of(base) != model:
        raise ConfigurationError(f"--start {start} was tuned on {model}: leave --base out.")
    if way not in ("pointwise", setup.way):
        raise ConfigurationError(f"--start {start} is asked in the way {setup.way}: leave --way out.")
    return model, setup.way, setup.template, home / str(content["adapter"])


def way_of(name: str) -> str:
    """The way of this name, if a judge can be tuned in it.

    Raises:
        ConfigurationError: no such way, or one that is not tuned.
    """
    from ranker.judges.local.ways import way_named

    way = way_named(name)
    if way not in WAYS:
        raise ConfigurationError(f"A judge is not tuned in the way {way}; choose {', '.join(WAYS)}.")
    return way


def base_of(judge: str) -> str:
    """What stands after `local:`, made independent of where the command runs; the default model for `local`.

    Raises:
        ConfigurationError: no local model, or a judge file.
    """
    from ranker.judges.local.judge_file import FILE
    from ranker.judges.local.models import DEFAULT
    from ranker.judges.local.ways import is_way

    kind, _, name = judge.partition(":")
    if kind != "local":
        raise ConfigurationError(
            f"--base {judge}: only a model in this process can be tuned; give local, local:NAME or local:PATH."
        )
    if is_way(name.rpartition("@")[2]) and not Path(name).exists():
        raise ConfigurationError(f"--base {judge}: give the model alone, and how it is asked with --way.")
    path = Path(name).expanduser()
    if name and (path.suffix == ".json" or (path / FILE).is_file()):
        raise ConfigurationError(f"--base {judge} is a judge already; give the model that it was made of.")
    return str(path.resolve()) if name and path.exists() else name or DEFAULT
