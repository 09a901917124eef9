"""`ranker tune-judge`: fine-tune a small local model on a strong judge's rankings, or on ground truth."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ranker.cli.judge_options import Quiet, interruptible, option
from ranker.cli.tune_progress import Bar
from ranker.cli.tune_report import show
from ranker.errors import ConfigurationError
from ranker.extras import install
from ranker.runtime.outputs import check_outputs

WAYS = ("pointwise", "pointwise_in_context", "first_token", "expected_digit")
TRAINING = "Training"


def tune_judge(
    groups: Annotated[
        Path,
        typer.Argument(
            help="What `ranker rank --out` wrote, or a group file with ground_truth; several hundred groups."
        ),
    ],
    out: Annotated[Path, option("Folder for the judge. Run again with the same settings to resume.")],
    base: Annotated[
        str, option("The model to tune: local (SmolLM2-135M-Instruct), local:NAME, local:PATH.")
    ] = "local",
    start: Annotated[
        Path | None,
        option(
            "Continue from a judge that this command wrote, or from local, the embedded one: its model, way and "
            "adapter. Default: from the model alone."
        ),
    ] = None,
    way: Annotated[
        str,
        option(
            "How the judge is asked. pointwise: yes or no for each attempt by itself; pointwise_in_context and "
            "first_token: all attempts in one text; expected_digit: a grade."
        ),
    ] = "pointwise",
    truth: Annotated[
        Literal["auto", "ground_truth", "ranking"],
        option("The target: a judge's ranking, the ground truth, or (auto) the ranking if the file has one."),
    ] = "auto",
    loss: Annotated[
        Literal["pairwise", "listwise", "both"],
        option("Pairwise (RankNet), listwise (ListMLE), or the mean of both.", TRAINING),
    ] = "pairwise",
    epochs: Annotated[int, option("Most passes over the groups.", TRAINING, min=1)] = 2,
    minutes: Annotated[
        float | None, option("Limit on training time; with one, results are not reproducible.", TRAINING)
    ] = None,
    learning_rate: Annotated[float, option("Peak learning rate.", TRAINING)] = 1e-3,
    rate: Annotated[float | None, option("Now --learning-rate.", hidden=True)] = None,
    seed: Annotated[int, option("For the split, the orders and the adapter.", TRAINING)] = 0,
    most_tokens: Annotated[
        int | None,
        option(
            "Per text in training; longer ones are truncated in the middle. Default: 2048 on a CPU (4096 for "
            "pointwise_in_context and first_token), the model's window on a GPU.",
            TRAINING,
            min=256,
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Fine-tune a small local model to rank as a strong judge does, and measure how well it learned.

    Pay for the strong judge once, then judge for free:

    [bold]ranker rank groups.jsonl --judge openai/gpt-5 --out ranked.jsonl[/bold]

    [bold]ranker tune-judge ranked.jsonl --out my-judge[/bold]

    Part of the groups is held out to measure it. Stop it at any time and run the same command again to resume.
    """
    from ranker.judges.local.ways import way_named
    from ranker.tuning.examples import read_examples

    if rate is not None:
        print("ranker: --rate is now called --learning-rate; the old name still works.", file=sys.stderr)
        learning_rate = rate
    adapter: Path | None = None
    tuned_way: Any = way_named(way)
    if tuned_way not in WAYS:
        raise ConfigurationError(f"A judge is not tuned in the way {way}; choose {', '.join(WAYS)}.")
    template: str | None = None
    if start is None:
        model = base_of(base)
    else:
        model, tuned_way, template, adapter = judge_to_continue(start, base, tuned_way)
    outputs = [path for names in ("judge.json", "*.pt", "adapter/*") for path in out.glob(names)]
    check_outputs({"--out": outputs}, [groups, *([] if adapter is None else adapter.rglob("*"))])
    source = read_examples(groups, truth)
    try:
        from ranker.tuning.config import Tuning
        from ranker.tuning.run import Run
    except ImportError as error:
        raise ConfigurationError(f"Tuning needs torch and more ({error}): {install('train')}.") from None
    tuning = Tuning(
        model, tuned_way, loss, epochs, learning_rate=learning_rate, minutes=minutes, seed=seed,
        most_tokens=most_tokens, template=template,
    )  # fmt: skip
    origin = {"file": groups.name, "truth": source.truth, "judge": source.judge}
    origin |= {"start": start.name} if start is not None else {}
    with (
        interruptible("what was finished is saved. Run the same command again to resume"),
        Bar(not quiet) as bar,
    ):
        result = Run(tuning, source.examples, out, start=adapter, report=bar.report, source=origin).go()
    if not quiet:
        show(source, tuning, result)


def judge_to_continue(start: Path, base: str, way: str) -> tuple[str, Any, str | None, Path]:
    """Base, way, template and adapter of the judge to continue from.

    Raises:
        ConfigurationError: it is not a tuned judge, or another base or way is requested.
    """
    from ranker.judges.embedded import FOLDER
    from ranker.judges.local.judge_file import read_judge, setup_from
    from ranker.judges.local.models import DEFAULT

    content, home = read_judge(FOLDER if start == Path("local") and not start.exists() else start)
    if content.get("judge") != "local" or not content.get("adapter"):
        raise ConfigurationError(
            f"--start {start}: give the folder of a judge that `ranker tune-judge` wrote."
        )
    setup = setup_from(content, home)
    model = setup.base or DEFAULT
    if base != "local" and base_of(base) != model:
        raise ConfigurationError(f"--start {start} was tuned on {model}: omit --base.")
    if way not in ("pointwise", setup.way):
        raise ConfigurationError(f"--start {start} uses the way {setup.way}: omit --way.")
    return model, setup.way, setup.template, home / str(content["adapter"])


def base_of(judge: str) -> str:
    """The part after `local:`, as a path that holds in any working folder; the default model for `local`.

    Raises:
        ConfigurationError: not a local model, or a judge file.
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
        raise ConfigurationError(f"--base {judge}: give the model here, and the way with --way.")
    path = Path(os.path.expanduser(name))
    if name and (path.suffix == ".json" or (path / FILE).is_file()):
        raise ConfigurationError(f"--base {judge} is a judge already; give the model that it is based on.")
    return str(path.resolve()) if name and path.exists() else name or DEFAULT
