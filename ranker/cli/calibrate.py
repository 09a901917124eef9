"""`ranker calibrate`: how a local model is best asked, what it is worth, and when it may decide alone."""

from __future__ import annotations

import logging
import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ranker.errors import ConfigurationError

CASCADE = "A cascade"


def calibrate(
    groups: Annotated[
        Path,
        typer.Argument(
            help="JSONL file of groups with ground_truth, or one that `ranker rank` wrote: then the ranking of the "
            "judge that wrote it is the truth."
        ),
    ],
    judge: Annotated[
        str | None,
        typer.Option(
            help="local, local:NAME, local:PATH: the best way to ask it is looked for. local:NAME@WAY, a judge file or "
            "its folder: only the tie tolerance is. Default: $RANKER_JUDGE, else local."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The judge file to write, which --judge takes. Default: only say what was found."),
    ] = None,
    ways: Annotated[
        str | None,
        typer.Option(
            help="Ways to try, with commas: letter, alone, together, compared, digits, reference, numbers, blend, "
            "generated (slow: only tried when named)."
        ),
    ] = None,
    most: Annotated[
        int | None, typer.Option("--groups", min=1, help="The most groups to read, drawn by the seed.")
    ] = None,
    truth: Annotated[
        str, typer.Option(help="ground_truth, ranking, or auto: the ranking where the file holds one.")
    ] = "auto",
    strong: Annotated[
        str | None,
        typer.Option(
            help="The judge that ranked the file. Writes a cascade: the local model decides where it is sure, this "
            "judge where it is not.",
            rich_help_panel=CASCADE,
        ),
    ] = None,
    agreement: Annotated[
        float,
        typer.Option(
            help="Share of the strong judge's ordered pairs that the cascade must order the same.",
            rich_help_panel=CASCADE,
        ),
    ] = 0.95,
    context_window: Annotated[int | None, typer.Option(help="Tokens, if less than the model's own.")] = None,
    seed: Annotated[int, typer.Option(help="Draws the groups, the orders of attempts and the folds.")] = 0,
    cache: Annotated[
        str | None, typer.Option(help="Where readings are kept, or off. Default: $RANKER_CACHE.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar and no tables.")] = False,
) -> None:
    """Find the best way to ask a local model, and say what it is worth, on groups with a known order.

    Readings are kept in the cache: stop it at any moment and run the same command again.

    [bold]ranker calibrate groups.jsonl --judge local:smollm2 --out judge.json[/bold]
    """
    from ranker.runtime.cache import open_cache

    logging.basicConfig(level=logging.WARNING, format="ranker: %(message)s")
    if truth not in ("auto", "ground_truth", "ranking"):
        raise ConfigurationError(f"--truth {truth!r}; choose auto, ground_truth or ranking.")
    try:
        _run(groups, judge, out, ways, most, truth, strong, agreement, context_window, seed, cache, quiet)
    except KeyboardInterrupt:
        kept = (
            "what was read is in the cache" if open_cache(cache) else "the cache is off, so nothing was kept"
        )
        print(f"ranker: interrupted; {kept}.", file=sys.stderr)
        raise typer.Exit(130) from None


def _run(
    groups: Path,
    judge: str | None,
    out: Path | None,
    ways: str | None,
    most: int | None,
    truth: str,
    strong: str | None,
    agreement: float,
    context_window: int | None,
    seed: int,
    cache: str | None,
    quiet: bool,
) -> None:
    from ranker.calibration import report
    from ranker.calibration.choosing import LEAST, choose
    from ranker.calibration.reading import Reader, askable, label, lineups_of, read_all, setups, ways_of
    from ranker.judges.local.setup import write_judge
    from ranker.tuning.examples import read_examples

    named = None if ways is None else ways_of(ways)
    if out is not None:
        writable(out)
    if strong is not None:
        check_strong(strong, agreement, named)
    source = read_examples(groups, truth)
    if strong is not None and source.truth != "ranking":
        raise ConfigurationError(
            f"--strong needs the strong judge's ranking, and {groups} holds none: write it with "
            f"ranker rank {groups} --judge {strong} --out ranked.jsonl, and give ranked.jsonl."
        )
    examples = list(source.examples)
    if most is not None and most < len(examples):
        examples = random.Random(f"calibrate/{seed}").sample(examples, most)  # noqa: S311 - not secret
    if len(examples) < LEAST:
        raise ConfigurationError(
            f"{len(examples)} groups say which attempt is better: too few to choose by and to measure on. Give at "
            f"least {LEAST}, better some dozen."
        )
    base, given = base_of(judge, cache)
    if given is not None and named is None:
        if strong is not None and given.way == "generated":
            check_strong(strong, agreement, ("generated",))
        askable(examples, (given.way,))
        tried = {label(given): given}
    else:
        tried = setups(base, askable(examples, named))
    options = {k: v for k, v in (("cache", cache), ("context_window", context_window)) if v is not None}
    lineups = lineups_of(groups) if any(s.way == "generated" for s in tried.values()) else {}
    reader = Reader(base, seed=seed, lineups=lineups, **options)
    with progress(len(examples), quiet) as advance:
        found = read_all(reader, examples, tried, advance)
    truths = [e.truths_G for e in found.examples]
    choice = choose(found.scores, truths, openings=[e.opening for e in found.examples], seed=seed)
    setup = report.chosen(tried, choice, found, source, seed)
    console = report.Console(quiet)
    console.ways(choice, found, source)
    told: dict[str, Any] = setup.to_dict(Path() if out is None else out.parent)
    if strong is not None:
        fitted = report.fit(found, choice, tried, wanted=agreement, seed=seed)
        console.cascade(fitted, strong, source)
        told = report.cascade_dict(fitted, told, strong, source)
    if out is not None:
        write_judge(out, told)
    console.next(choice, out, strong)


def base_of(judge: str | None, cache: str | None) -> tuple[Any, Any]:
    """The model of a local judge as a Setup, and the way it is asked, None where the name says none.

    Raises:
        ConfigurationError: it is no local judge.
    """
    from dataclasses import replace

    from ranker.judges.local import LocalJudge
    from ranker.judges.local.probe import ProbeJudge
    from ranker.judges.local.setup import Setup
    from ranker.judges.registry import resolve

    name = judge or os.environ.get("RANKER_JUDGE") or "local"
    if not (name == "local" or name.startswith("local:") or name.endswith(".json")):
        raise ConfigurationError(
            f"{name} is not a local judge, and only those can be calibrated: give local, local:NAME or a judge file. "
            "`ranker bench` measures the others."
        )
    made = resolve(name, cache=cache)
    if isinstance(made, ProbeJudge):
        base = replace(made.setup, base=_steady(made.setup.base), tolerance=0.0, measured={})
        return base, base
    if isinstance(made, LocalJudge):
        base = Setup(_steady(made.name.removeprefix("local:")), "generated")
        return base, (base if name.endswith(("@generated", ".json")) else None)
    raise ConfigurationError(f"{name} is a cascade; calibrate the small judge in it.")


def _steady(base: str | None) -> str | None:
    """A path that holds in any working folder."""
    if base is None or ("/" not in base and not base.startswith((".", "~"))):
        return base
    path = Path(base).expanduser()
    return str(path.resolve()) if path.exists() else base


def check_strong(strong: str, agreement: float, named: tuple[str, ...] | None) -> None:
    """
    Raises:
        ConfigurationError: what cannot be a cascade.
    """
    if "://" in strong:
        raise ConfigurationError(
            "--strong takes a judge's name alone; give --base-url to `ranker rank` when the cascade is used."
        )
    if not 0.5 <= agreement < 1:
        raise ConfigurationError(f"--agreement {agreement}: give a share from 0.5 to below 1.")
    if named is not None and "generated" in named:
        raise ConfigurationError(
            "A judge that writes its verdict gives no probabilities to be sure or unsure by: leave `generated` out."
        )


def writable(out: Path) -> None:
    """Found out before anything is read.

    Raises:
        ConfigurationError: `out` cannot be written.
    """
    if out.suffix != ".json":
        raise ConfigurationError(f"--out {out}: a judge file's name ends in .json.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with open(out, "ab"):
            pass
        if out.stat().st_size == 0:
            out.unlink()
    except OSError as error:
        raise ConfigurationError(f"{out} cannot be written: {error.strerror or error}.") from None


@contextmanager
def progress(total: int, quiet: bool) -> Iterator[Callable[[str], None]]:
    """A bar on a terminal's standard error; silent elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich import progress as rich
    from rich.console import Console

    columns = (rich.TextColumn("reading"), rich.BarColumn(), rich.MofNCompleteColumn(), rich.TimeElapsedColumn(),
               rich.TimeRemainingColumn())  # fmt: skip
    with rich.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=total)
        yield lambda _: bar.advance(task)
