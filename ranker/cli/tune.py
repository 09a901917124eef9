"""`ranker tune-judge`: a strong judge's rankings, or ground truth, taught to a small local model."""

from __future__ import annotations

import logging
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ranker.errors import ConfigurationError

if TYPE_CHECKING:
    from ranker.tuning.examples import Source
    from ranker.tuning.told import Progress, Tuned, Tuning

Way = Enum(
    "Way",
    {
        "alone": "alone",
        "compared": "compared",
        "together": "together",
        "letter": "letter",
        "digits": "digits",
    },
    type=str,
)
Loss = Enum("Loss", {"pairwise": "pairwise", "listwise": "listwise", "both": "both"}, type=str)
Truth = Enum("Truth", {"auto": "auto", "ground_truth": "ground_truth", "ranking": "ranking"}, type=str)

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
        Way,
        typer.Option(
            help="How it is asked. alone: Yes or No for each attempt by itself; compared: with the others in view; "
            "together and letter: all attempts in one text; digits: a grade."
        ),
    ] = Way["alone"],
    truth: Annotated[
        Truth,
        typer.Option(
            help="What it learns: the ranking that a judge gave, the ground truth, or (auto) the ranking where the "
            "file has one."
        ),
    ] = Truth["auto"],
    loss: Annotated[
        Loss,
        typer.Option(
            help="On pairs (RankNet), on the whole order (ListMLE), or both.", rich_help_panel=TRAINING
        ),
    ] = Loss["pairwise"],
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
            "together and letter); on a GPU the model's window.",
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
    for name, value in (("--rate", rate), ("--minutes", minutes)):
        if value is not None and not 0 < value < 1e6:
            raise ConfigurationError(f"{name} {value}: give a number above 0.")
    from ranker.tuning.examples import read_examples

    named = base_of(base)
    asked: Any = way.value
    template: str | None = None
    adapter: Path | None = None
    if start is not None:
        named, asked, template, adapter = begun(start, base, way.value)
    found = read_examples(groups, truth.value)
    try:
        from ranker.tuning.run import Run
        from ranker.tuning.told import Tuning
    except ImportError as error:
        raise ConfigurationError(
            f"Tuning needs torch and more ({error}): pip install 'ranker-rl[train]'."
        ) from None
    tuning = Tuning(
        named, asked, loss.value, epochs, rate=rate, minutes=minutes, seed=seed, most_tokens=most_tokens,
        template=template,
    )  # fmt: skip
    source = {"file": groups.name, "truth": found.truth, "judge": found.judge}
    source |= {"start": start.name} if start is not None else {}
    try:
        with Bar(not quiet) as bar:
            tuned = Run(tuning, found.examples, out, start=adapter, report=bar.report, source=source).go()
    except KeyboardInterrupt:
        print("ranker: interrupted; what was done is saved. The same command goes on.", file=sys.stderr)
        raise typer.Exit(130) from None
    if not quiet:
        show(found, tuning, tuned)


def begun(start: Path, base: str, way: str) -> tuple[str, Any, str | None, Path]:
    """Base, way, template and adapter of the judge to go on from.

    Raises:
        ConfigurationError: it is no tuned judge, or another base or way is asked for.
    """
    from ranker.judges.embedded import FOLDER
    from ranker.judges.local.models import DEFAULT
    from ranker.judges.local.setup import read_judge, setup_from

    told, home = read_judge(FOLDER if start == Path("local") and not start.exists() else start)
    if told.get("judge") != "local" or not told.get("adapter"):
        raise ConfigurationError(
            f"--start {start}: give the folder of a judge that `ranker tune-judge` made."
        )
    setup = setup_from(told, home)
    named = setup.base or DEFAULT
    if base != "local" and base_of(base) != named:
        raise ConfigurationError(f"--start {start} was tuned on {named}: leave --base out.")
    if way not in ("alone", setup.way):
        raise ConfigurationError(f"--start {start} is asked in the way {setup.way}: leave --way out.")
    return named, setup.way, setup.template, home / str(told["adapter"])


def base_of(given: str) -> str:
    """What stands after `local:`, made independent of where the command runs; the default model for `local`.

    Raises:
        ConfigurationError: no local model, or a judge file.
    """
    from ranker.judges.local.models import DEFAULT
    from ranker.judges.local.setup import FILE
    from ranker.judges.local.ways import WAYS

    kind, _, name = given.partition(":")
    if kind != "local":
        raise ConfigurationError(
            f"--base {given}: only a model in this process can be tuned; give local, local:NAME or local:PATH."
        )
    if name.rpartition("@")[2] in WAYS and not Path(name).exists():
        raise ConfigurationError(f"--base {given}: give the model alone, and how it is asked with --way.")
    path = Path(name).expanduser()
    if name and (path.suffix == ".json" or (path / FILE).is_file()):
        raise ConfigurationError(f"--base {given} is a judge already; give the model that it was made of.")
    return str(path.resolve()) if name and path.exists() else name or DEFAULT


class Bar:
    """How far it is: a bar on a terminal's standard error, a line a check elsewhere."""

    def __init__(self, shown: bool):
        self._shown = shown
        self._bar: Any = None
        self._phase = ""
        self._held: float | None = None

    def __enter__(self) -> Bar:
        if self._shown and sys.stderr.isatty():
            from rich import progress as rich
            from rich.console import Console

            self._bar = rich.Progress(
                rich.TextColumn("{task.description}"),
                rich.BarColumn(10),
                rich.MofNCompleteColumn(),
                rich.TextColumn("{task.fields[told]}"),
                rich.TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def report(self, now: Progress) -> None:
        what = {"before": "the base", "after": "the judge", "checking": "held out"}
        if self._bar is None:
            if self._shown and now.phase == "training" and now.held_loss != self._held:
                self._held = now.held_loss
                print(f"ranker: step {now.step} of {now.steps}: {told(now)}", file=sys.stderr)
            elif self._shown and now.phase in ("before", "after") and now.done == 1:
                print(f"ranker: measuring {what[now.phase]} on {now.of} groups …", file=sys.stderr)
            return
        name = what.get(now.phase, "training")
        at, of = (now.step, now.steps) if now.phase == "training" else (now.done, now.of)
        ids = {task.description: task.id for task in self._bar.tasks}
        if name not in ids:
            ids[name] = self._bar.add_task(name, total=of, told="", start=now.phase != "training")
            if now.phase == "training":
                self._bar.start_task(ids[name])
        self._bar.update(ids[name], completed=at, total=of, told=told(now) if now.phase == "training" else "")
        if now.phase == "checking" and at == of:
            self._bar.remove_task(ids[name])


def told(now: Progress) -> str:
    held = "–" if now.held_loss is None else f"{now.held_loss:.3f}"
    return f"loss {now.loss:.3f}, accuracy {now.accuracy:.3f}, held-out {held}"


def show(source: Source, tuning: Tuning, tuned: Tuned) -> None:
    """The closing table, what it means, and what to do next."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 110)
    stops = {"done": "all epochs", "early": "no lower loss on held-out groups", "time": "the time was over"}
    of = "the ground truth" if source.truth == "ground_truth" else f"the ranking of {source.judge}"
    n = tuned.groups
    left = source.left_out + n["left_out"]
    table = Table(show_header=False, title=f"{tuning.base}, asked {tuning.way}", title_justify="left")
    table.add_row("learned from", f"{of}: {n['train']} groups")
    table.add_row("held out", f"{n['held']} groups to choose the best state by, {n['test']} to measure on")
    if left:
        table.add_row("left out", f"{left} groups: all tied, failed, without truth, or too long")
    table.add_row(
        "training", f"{tuned.steps} steps, {tuned.seconds / 60:.1f} minutes; ended by: {stops[tuned.stopped]}"
    )
    table.add_row("accuracy before", f"{tuned.before} of pairs as in {of}")
    table.add_row("accuracy after", f"{tuned.after}")
    table.add_row("gain", f"{tuned.gain:+.3f}")
    console.print(table)
    folder = tuned.judge.parent
    if tuned.learned:
        console.print(
            f"It learned. Judge with it:\n  ranker rank GROUPS.jsonl --judge local:{folder} --out FILE",
            soft_wrap=True,
        )
        return
    console.print(f"It did not learn: {fault(tuned)}", style="bold")
    console.print("What to do:")
    for line in advice(source, tuning, tuned):
        console.print(f"  - {line}", soft_wrap=True)
    console.print(
        f"The judge is in {folder} all the same (--judge local:{folder}); do not train on its word.",
        soft_wrap=True,
    )


def fault(tuned: Tuned) -> str:
    """Why it cannot be said that it learned."""
    faults = []
    if not (tuned.gain.low or 0.0) > 0:
        faults.append(f"the gain may as well be nothing ({tuned.gain:+.3f})")
    if not (tuned.after.low or 0.0) > 0.5:
        faults.append(f"the accuracy may as well be chance, 0.5 ({tuned.after})")
    return ", and ".join(faults) + f", on {tuned.groups['test']} groups that it did not see."


def advice(source: Source, tuning: Tuning, tuned: Tuned) -> list[str]:
    """What to try, the likeliest first."""
    made = []
    if tuned.groups["train"] < 300:
        made.append(f"Give more groups: it saw {tuned.groups['train']}; some hundred are usual.")
    if (tuned.before.low or 0.0) > 0.5 and (tuned.after.low or 0.0) > 0.5:
        made.append(
            "The base ranks better than chance as it is; more groups would narrow the gain's interval."
        )
    if tuned.stopped == "early":
        made.append("The loss on held-out groups did not fall: try a lower --rate, or --loss listwise.")
    else:
        made.append(
            "It may not have had enough: give more --epochs" + (" and --minutes." if tuning.minutes else ".")
        )
    if tuning.way != "compared":
        made.append("Let it see the other attempts: --way compared.")
    made.append("Take a larger base, e.g. --base local:qwen2.5-coder-0.5b-instruct (see `ranker models`).")
    if source.truth == "ranking":
        made.append(
            "See whether the strong judge agrees with itself (`ranker rank --passes 3` tells): noise cannot be learned."
        )
    return made
