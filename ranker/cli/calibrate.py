"""`ranker calibrate`: the best way to ask a local model, its accuracy, and when it may decide on its own."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ranker.cli.judge_options import (
    CachePath,
    Quiet,
    check_files,
    interruptible,
    judge_options,
    named_judge,
    option,
)
from ranker.errors import ConfigurationError

CASCADE = "A cascade"


def calibrate(
    groups: Annotated[
        Path,
        typer.Argument(
            help="JSONL file of groups with ground_truth, or one that `ranker rank` wrote: then that judge's ranking is "
            "the truth."
        ),
    ],
    judge: Annotated[
        str | None,
        option(
            "local, local:NAME, local:PATH: find the best way to ask it. local:NAME@WAY, a judge file or its folder: "
            "only fit the tie tolerance. Default: $RANKER_JUDGE, else local."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        option("The judge file to write, for --judge. Default: only print the results."),
    ] = None,
    ways: Annotated[
        str | None,
        option(
            "Ways to try, comma-separated: first_token, pointwise, pointwise_in_context, expected_digit, "
            "reference_likelihood, number_likelihood, pointwise_with_numbers."
        ),
    ] = None,
    most: Annotated[
        int | None, option("Most groups to read, drawn by the seed.", None, "--groups", min=1)
    ] = None,
    truth: Annotated[
        Literal["auto", "ground_truth", "ranking"],
        option("ground_truth, ranking, or auto: the ranking if the file has one."),
    ] = "auto",
    strong: Annotated[
        str | None,
        option(
            "The judge that ranked the file. Writes a cascade: the local model decides when it is confident, this judge "
            "otherwise.",
            CASCADE,
        ),
    ] = None,
    agreement: Annotated[
        float,
        option("Share of the strong judge's ordered pairs that the cascade must order the same.", CASCADE),
    ] = 0.95,
    context_window: Annotated[int | None, option("Tokens, if less than the model's own.")] = None,
    seed: Annotated[int, option("For the choice of groups, the orders of attempts and the folds.")] = 0,
    cache: CachePath = None,
    quiet: Quiet = False,
) -> None:
    """Find the best way to ask a local model, and measure its accuracy, on groups with a known order.

    Scores are cached: stop it at any moment and run the same command again.

    [bold]ranker calibrate groups.jsonl --judge local:smollm2 --out judge.json[/bold]
    """
    options = judge_options(locals())
    from ranker.calibration import report
    from ranker.calibration.choosing import LEAST
    from ranker.calibration.reading import Reader, askable, read_all, setups, ways_of
    from ranker.judges.local.judge_file import write_judge
    from ranker.runtime.cache import open_cache
    from ranker.runtime.terminal import bars
    from ranker.tuning.examples import read_examples

    named = None if ways is None else ways_of(ways)
    if out is not None:
        check_files({"--out": out}, [groups], judge=judge, cache=cache)
        writable(out)
    if strong is not None:
        if "://" in strong:
            raise ConfigurationError(
                "--strong takes a judge's name alone; give --base-url to `ranker rank` when the cascade is used."
            )
        if not 0.5 <= agreement < 1:
            raise ConfigurationError(f"--agreement {agreement}: give a share from 0.5 to below 1.")
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
            f"{len(examples)} groups say which attempt is better: too few to choose and measure with. "
            f"Give at least {LEAST}, preferably several dozen."
        )
    base, fixed = base_of(judge, cache)
    if fixed is not None and named is None:
        askable(examples, (fixed.way,))
        tried = {str(fixed.way): fixed}
    else:
        tried = setups(base, askable(examples, named))
    reader = Reader(base, seed=seed, **options)
    cached = (
        "what was read is in the cache" if open_cache(cache) else "the cache is off, so nothing was saved"
    )
    with interruptible(cached), bars(not quiet) as bar:
        task = bar.add_task("reading", total=len(examples), note="")
        readings = read_all(reader, examples, tried, lambda _: bar.advance(task))
    choice = report.choice_of(readings, seed)
    setup = report.chosen(tried, choice, readings, source, seed)
    console = report.Console(quiet)
    console.ways(choice, readings, source)
    content: dict[str, Any] = setup.to_dict(Path() if out is None else out.parent)
    if strong is not None:
        fitted = report.fit(readings, choice, tried, wanted=agreement, seed=seed)
        console.cascade(fitted, strong, source)
        content = report.cascade_dict(fitted, content, strong, source)
    if out is not None:
        write_judge(out, content)
    console.next(choice, out, strong)


def base_of(judge: str | None, cache: str | None) -> tuple[Any, Any]:
    """The model of a local judge as a Setup, and the setup to calibrate, None if the name gives no way.

    Raises:
        ConfigurationError: it is not a local judge.
    """
    from dataclasses import replace

    from ranker.judges.local import LocalJudge
    from ranker.judges.local.judge_file import Setup
    from ranker.judges.local.logprob_judge import LogprobJudge
    from ranker.judges.registry import resolve

    name = named_judge(judge)
    if not (name == "local" or name.startswith("local:") or name.endswith(".json")):
        raise ConfigurationError(
            f"{name} is not a local judge, and only those can be calibrated: give local, local:NAME or a judge file. "
            "`ranker bench` measures the others."
        )
    resolved = resolve(name, cache=cache)
    if isinstance(resolved, LogprobJudge):
        base = replace(resolved.setup, base=_absolute(resolved.setup.base), tolerance=0.0, measured={})
        return base, base
    if isinstance(resolved, LocalJudge):
        if name.endswith(("@generated", ".json")):
            raise ConfigurationError(
                f"{name} writes its verdict, and only ways that read probabilities are calibrated: name the model alone."
            )
        return Setup(_absolute(resolved.name.removeprefix("local:"))), None
    raise ConfigurationError(f"{name} is a cascade; calibrate the small judge in it.")


def _absolute(base: str | None) -> str | None:
    """A path that holds in any working folder."""
    if base is None or ("/" not in base and not base.startswith((".", "~"))):
        return base
    path = Path(os.path.expanduser(base))
    return str(path.resolve()) if path.exists() else base


def writable(out: Path) -> None:
    """Check that the judge file can be written, before anything is read.

    Raises:
        ConfigurationError: `out` cannot be written, or exists and is not a judge file.
    """
    from ranker.judges.local.judge_file import read_judge

    if out.suffix != ".json":
        raise ConfigurationError(f"--out {out}: a judge file's name ends in .json.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        new = not out.exists()
        with open(out, "ab"):
            pass
        if new:
            out.unlink()
        elif out.is_file() and out.stat().st_size:
            read_judge(out)
    except OSError as error:
        raise ConfigurationError(f"{out} cannot be written: {error.strerror or error}.") from None
    except ConfigurationError as error:
        raise ConfigurationError(f"--out {out} would be replaced; name another file. {error}") from None
