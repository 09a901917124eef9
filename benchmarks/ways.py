"""Local models x ways to ask x suites: the score of every attempt, group by group.

    python -m ranker.benchmarks.ways read --model qwen2.5-coder-1.5b-instruct --suite gsm8k-solutions --out FILE
    python -m ranker.benchmarks.ways table FILE …

`read` asks a model about every group in all ways that read the same tokens at once: `alone` and `digits` after each
attempt by itself, `letter` and `together` after the whole list, in a drawn order and, with --reversed, in the reverse; with
--empty what each place scores for attempts that say nothing stands beside it. Started again, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ranker.benchmarks.suites import load
from rich.progress import track

from ranker.files import Appender, read_records
from ranker.local.model import Loaded, LocalModel
from ranker.local.probe import EMPTY
from ranker.local.reading import read_ways
from ranker.local.ways import Shown, Way, fit, questions
from ranker.template import ASK, ASK_BLOCKS, load_template
from ranker.tuning.examples import Example, from_groups

ALONE: tuple[Way, ...] = ("alone", "digits")
LISTED: tuple[Way, ...] = ("letter", "together")


def read(
    loaded: Loaded, example: Example, room: int, *, reverse: bool = False, empty: bool = False
) -> dict[str, Any]:
    """Scores of one group in every way, in the order of the group, with tokens and seconds."""
    template = load_template(ASK, None, ASK_BLOCKS)
    n = len(example.truths_G)
    order = random.Random(f"ways/{example.id}").sample(range(n), n)
    scores: dict[str, list[float]] = {}
    tokens: dict[str, int] = {}
    seconds: dict[str, float] = {}

    def ask(given: Shown, ways: tuple[Way, ...], shown_in: Sequence[int], mark: str = "") -> None:
        started = time.perf_counter()
        segments, wanted = questions(given, ways, template, loaded.frame, loaded.encode, shown_in)
        found = read_ways(loaded, segments, wanted, n)
        for way, made in found.items():
            placed = [made[list(shown_in).index(i)] for i in range(n)] if way == "letter" else made
            scores[f"{way}{mark}"] = [round(s, 4) for s in placed]
        tokens[f"{'+'.join(ways)}{mark}"] = sum(map(len, segments))
        seconds[f"{'+'.join(ways)}{mark}"] = round(time.perf_counter() - started, 3)

    ask(fit(example.shown, "alone", room, loaded.count), ALONE, range(n))
    listed = fit(example.shown, "together", room, loaded.count)
    ask(listed, LISTED, order)
    nothing = replace(listed, attempts=(EMPTY,) * n)
    if empty:  # a place's leaning stands under the attempt that stood there
        ask(nothing, LISTED, order, ":empty")
    if reverse:
        ask(listed, LISTED, order[::-1], ":reversed")
    if reverse and empty:
        ask(nothing, LISTED, order[::-1], ":empty:reversed")
    return {"truths": example.truths_G, "scores": scores, "tokens": tokens, "seconds": seconds}


def records(path: Path) -> Iterator[dict[str, Any]]:
    for record in read_records(path):
        yield dict(record)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m ranker.benchmarks.ways", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True)
    reading = commands.add_parser("read")
    reading.add_argument("--model", required=True, help="what `local:` takes")
    reading.add_argument("--suite", required=True)
    reading.add_argument("--groups", type=int, default=None)
    reading.add_argument("--reversed", action="store_true")
    reading.add_argument("--empty", action="store_true")
    reading.add_argument("--window", type=int, default=8_192, help="the most tokens of a sequence")
    reading.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    suite = load(given.suite, given.groups)
    loaded = LocalModel(given.model).load()
    sink = Appender(given.out, holds=("scores",), what="record of scores")
    try:
        for example in track(from_groups(suite.groups), f"{given.model} on {given.suite}"):
            name = f"{given.model}/{given.suite}/{example.id}"
            if name in sink.done:
                continue
            made = read(
                loaded, example, min(given.window, loaded.window), reverse=given.reversed, empty=given.empty
            )
            sink.write({"id": name, "model": given.model, "suite": given.suite, **made})
    finally:
        sink.close()


if __name__ == "__main__":
    main()
