"""Local models x ways to ask x suites: the score of every attempt, group by group.

    python -m benchmarks.judges.ways read --model qwen2.5-coder-1.5b-instruct --suite gsm8k-solutions --out FILE
    python -m benchmarks.judges.ways read --numbers …   # one more way for the same groups
    python -m benchmarks.judges.ways table FILE …

`read` asks a model about every group in all ways that read the same tokens at once: `alone` and `digits` after each
attempt by itself, `letter` and `together` after the whole list, in a drawn order and, with --reversed, in the reverse; with
--empty what each place scores for attempts that say nothing stands beside it. `numbers` shares no reading with others and is
asked by itself. Started again, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from rich.progress import track

from ranker.bench import provenance
from ranker.calibration.choosing import choose
from ranker.files import Appender, read_records
from ranker.judges.local.model import Loaded, LocalModel
from ranker.judges.local.probe import EMPTY
from ranker.judges.local.reading import read_ways
from ranker.judges.local.ways import Shown, Way, fit, questions
from ranker.prompting.template import ASK, ASK_BLOCKS, load_template
from ranker.suites import load
from ranker.tuning.examples import Example, from_groups

ALONE: tuple[Way, ...] = ("alone", "digits")
LISTED: tuple[Way, ...] = ("letter", "together")
NUMBERS: tuple[Way, ...] = ("numbers",)
MORE = "+numbers"  # ends the id of a record that holds this way only


def read(
    loaded: Loaded,
    example: Example,
    room: int,
    *,
    reverse: bool = False,
    empty: bool = False,
    numbers: bool = False,
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

    given = fit(example.shown, "alone", room, loaded.count)
    if numbers:
        ask(given, NUMBERS, range(n))
        return {"truths": example.truths_G, "scores": scores, "tokens": tokens, "seconds": seconds}
    ask(given, ALONE, range(n))
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


def ways_of(record: Mapping[str, Any]) -> dict[str, list[float]]:
    """Scores in every way that follows from what was read: with two orders averaged, with leanings taken off."""
    told = record["scores"]
    made: dict[str, list[float]] = {
        way: list(told[way]) for way in (*ALONE, *NUMBERS, *LISTED) if way in told
    }
    for way in LISTED:
        once, again = told.get(way), told.get(f"{way}:reversed")
        if once and again:
            made[f"{way}, 2 orders"] = _mean(once, again)
        if once and f"{way}:empty" in told:
            plain = [a - b for a, b in zip(once, told[f"{way}:empty"], strict=True)]
            made[f"{way}, content-free"] = plain
    return made


def _mean(a: Sequence[float], b: Sequence[float]) -> list[float]:
    return [(x + y) / 2 for x, y in zip(a, b, strict=True)]


def merged(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One record a group: what was read of it at different times, put together."""
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        name = str(record["id"]).removesuffix(MORE)
        known = found.setdefault(name, {**record, "id": name, "scores": {}, "tokens": {}, "seconds": {}})
        for part in ("scores", "tokens", "seconds"):
            known[part] = {**known[part], **record[part]}
    return list(found.values())


def summary(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """For each model and suite: every way's accuracy, what cross-fitted calibration would choose, and seconds."""
    every = merged(record for path in paths for record in read_records(path))
    every.sort(key=lambda r: (str(r["model"]), str(r["suite"]), str(r["id"])))
    rows = []
    for (model, suite), own in itertools.groupby(every, key=lambda r: (str(r["model"]), str(r["suite"]))):
        found = list(own)
        scores = [ways_of(record) for record in found]
        names = [name for name in scores[0] if all(name in s for s in scores)]
        choice = choose({name: [s[name] for s in scores] for name in names}, [r["truths"] for r in found])
        seconds, tokens = _middle(found, "seconds"), _middle(found, "tokens")
        rows.append(
            {
                "model": model,
                "suite": suite,
                "groups": choice.groups,
                "pairs": choice.pairs,
                "ways": {name: estimate.to_dict() for name, estimate in choice.ways.items()},
                "chosen_by_others": dict(choice.chosen),
                "cross_fitted": choice.accuracy.to_dict(),
                "over_letter": choice.over_baseline.to_dict() if choice.over_baseline else None,
                "seconds": {k: round(v, 2) for k, v in seconds.items()},
                "tokens": {k: round(v) for k, v in tokens.items()},
            }
        )
    return rows


def _middle(found: Sequence[Mapping[str, Any]], part: str) -> dict[str, float]:
    """Medians of what was read of every group."""
    read_of_all = [k for k in found[0][part] if all(k in r[part] for r in found)]
    return {k: median(r[part][k] for r in found) for k in read_of_all}


def show(rows: Sequence[Mapping[str, Any]]) -> str:
    """The summary as a table in Markdown."""
    names = list(dict.fromkeys(name for row in rows for name in row["ways"]))
    head = ["model", "suite", "groups", *names, "best way, cross-fitted", "minus letter", "seconds a group"]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    for row in rows:
        cells = [row["model"].removesuffix("-instruct"), row["suite"], str(row["groups"])]
        cells += [_told(row["ways"].get(name)) for name in names]
        cells += [_told(row["cross_fitted"]), _told(row["over_letter"])]
        cells.append(", ".join(f"{way} {s:.1f}" for way, s in row["seconds"].items() if ":" not in way))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _told(estimate: Mapping[str, float] | None) -> str:
    if estimate is None or estimate["value"] is None:
        return ""
    return f"{estimate['value']:.2f} ({estimate['low']:.2f} to {estimate['high']:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judges.ways", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True)
    reading = commands.add_parser("read")
    reading.add_argument("--model", required=True, help="what `local:` takes")
    reading.add_argument("--suite", required=True)
    reading.add_argument("--groups", type=int, default=None)
    reading.add_argument("--reversed", action="store_true")
    reading.add_argument("--empty", action="store_true")
    reading.add_argument("--numbers", action="store_true", help="only this way, beside what was read before")
    reading.add_argument("--window", type=int, default=8_192, help="the most tokens of a sequence")
    reading.add_argument("--out", type=Path, required=True)
    telling = commands.add_parser("table")
    telling.add_argument("files", type=Path, nargs="+")
    telling.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.command == "table":
        rows = summary(given.files)
        print(show(rows))
        if given.json:
            told = {"machine": provenance.machine(), "commit": provenance.commit(), "rows": rows}
            given.json.write_text(json.dumps(told, indent=1) + "\n")
        return
    suite = load(given.suite, given.groups)
    loaded = LocalModel(given.model).load()
    sink = Appender(given.out, holds=("scores",), what="record of scores")
    try:
        for example in track(from_groups(suite.groups), f"{given.model} on {given.suite}"):
            name = f"{given.model}/{given.suite}/{example.id}{MORE if given.numbers else ''}"
            if name in sink.done:
                continue
            room = min(given.window, loaded.window)
            made = read(
                loaded, example, room, reverse=given.reversed, empty=given.empty, numbers=given.numbers
            )
            sink.write({"id": name, "model": given.model, "suite": given.suite, **made})
    finally:
        sink.close()


if __name__ == "__main__":
    main()
