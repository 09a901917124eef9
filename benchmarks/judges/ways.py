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

import itertools
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from rich.progress import track

from benchmarks.harness import Json, add_record, parser, source, write_record
from ranker.calibration.choosing import choose
from ranker.jsonl.appender import Appender, read_records
from ranker.judges.local.model import Loaded, LocalModel
from ranker.judges.local.probe import EMPTY
from ranker.judges.local.reading import read_ways
from ranker.judges.local.ways import Shown, Way, fit, questions
from ranker.prompting.template import ASK, ASK_BLOCKS, load_template
from ranker.statistics import Estimate
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

    def ask(request: Shown, ways: tuple[Way, ...], shown_in: Sequence[int], mark: str = "") -> None:
        started = time.perf_counter()
        segments, wanted = questions(request, ways, template, loaded.frame, loaded.encode, shown_in)
        for way, values in read_ways(loaded, segments, wanted, n).items():
            placed = [values[list(shown_in).index(i)] for i in range(n)] if way == "letter" else values
            scores[f"{way}{mark}"] = [round(s, 4) for s in placed]
        tokens[f"{'+'.join(ways)}{mark}"] = sum(map(len, segments))
        seconds[f"{'+'.join(ways)}{mark}"] = round(time.perf_counter() - started, 3)

    single = fit(example.shown, "alone", room, loaded.count)
    if numbers:
        ask(single, NUMBERS, range(n))
        return {"truths": example.truths_G, "scores": scores, "tokens": tokens, "seconds": seconds}
    ask(single, ALONE, range(n))
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
    read = record["scores"]
    scores: dict[str, list[float]] = {w: list(read[w]) for w in (*ALONE, *NUMBERS, *LISTED) if w in read}
    for way in LISTED:
        once, again, empty = (read.get(f"{way}{mark}") for mark in ("", ":reversed", ":empty"))
        if once and again:
            scores[f"{way}, 2 orders"] = [(a + b) / 2 for a, b in zip(once, again, strict=True)]
        if once and empty is not None:
            scores[f"{way}, content-free"] = [a - b for a, b in zip(once, empty, strict=True)]
    return scores


def merged(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One record a group: what was read of it at different times, put together."""
    groups: dict[str, Json] = {}
    for record in records:
        name = str(record["id"]).removesuffix(MORE)
        known = groups.setdefault(name, {**record, "id": name, "scores": {}, "tokens": {}, "seconds": {}})
        for part in ("scores", "tokens", "seconds"):
            known[part] = {**known[part], **record[part]}
    return list(groups.values())


def summary(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """For each model and suite: every way's accuracy, what cross-fitted calibration would choose, and seconds."""
    every = merged(record for path in paths for record in read_records(path))
    every.sort(key=lambda r: (str(r["model"]), str(r["suite"]), str(r["id"])))
    rows = []
    for (model, suite), own in itertools.groupby(every, key=lambda r: (str(r["model"]), str(r["suite"]))):
        groups = list(own)
        scores = [ways_of(record) for record in groups]
        names = [name for name in scores[0] if all(name in s for s in scores)]
        choice = choose({name: [s[name] for s in scores] for name in names}, [r["truths"] for r in groups])
        seconds, tokens = _medians(groups, "seconds"), _medians(groups, "tokens")
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


def _medians(groups: Sequence[Mapping[str, Any]], part: str) -> dict[str, float]:
    """Medians of what was read of every group."""
    read_of_all = [k for k in groups[0][part] if all(k in r[part] for r in groups)]
    return {k: median(r[part][k] for r in groups) for k in read_of_all}


def show(rows: Sequence[Mapping[str, Any]]) -> str:
    """The summary as a table in Markdown."""
    names = list(dict.fromkeys(name for row in rows for name in row["ways"]))
    head = ["model", "suite", "groups", *names, "best way, cross-fitted", "minus letter", "seconds a group"]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    for row in rows:
        cells = [row["model"].removesuffix("-instruct"), row["suite"], str(row["groups"])]
        cells += [_interval(row["ways"].get(name)) for name in names]
        cells += [_interval(row["cross_fitted"]), _interval(row["over_letter"])]
        cells.append(", ".join(f"{way} {s:.1f}" for way, s in row["seconds"].items() if ":" not in way))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _interval(estimate: Mapping[str, float] | None) -> str:
    return f"{Estimate(**estimate):.2f}" if estimate and estimate["value"] is not None else ""


def main() -> None:
    module = "benchmarks.judges.ways"
    options = parser(module, __doc__)
    commands = options.add_subparsers(dest="command", required=True)
    reading = commands.add_parser("read")
    reading.add_argument("--model", required=True, help="what `local:` takes")
    reading.add_argument("--suite", required=True)
    reading.add_argument("--groups", type=int, default=None)
    reading.add_argument("--reversed", action="store_true")
    reading.add_argument("--empty", action="store_true")
    reading.add_argument("--numbers", action="store_true", help="only this way, beside what was read before")
    reading.add_argument("--window", type=int, default=8_192, help="the most tokens of a sequence")
    reading.add_argument("--out", type=Path, required=True)
    tabulating = commands.add_parser("table")
    tabulating.add_argument("files", type=Path, nargs="+")
    add_record(tabulating)
    args = options.parse_args()
    if args.command == "table":
        rows = summary(args.files)
        print(show(rows))
        origin = source(module)
        write_record(args.json, {"machine": origin["machine"], "commit": origin["commit"], "rows": rows})
        return
    suite = load(args.suite, args.groups)
    loaded = LocalModel(args.model).load()
    room = min(args.window, loaded.window)
    kinds = {"reverse": args.reversed, "empty": args.empty, "numbers": args.numbers}
    sink = Appender(args.out, holds=("scores",), what="record of scores")
    try:
        for example in track(from_groups(suite.groups), f"{args.model} on {args.suite}"):
            name = f"{args.model}/{args.suite}/{example.id}{MORE if args.numbers else ''}"
            if name not in sink.done:
                scores = read(loaded, example, room, **kinds)
                sink.write({"id": name, "model": args.model, "suite": args.suite, **scores})
    finally:
        sink.close()


if __name__ == "__main__":
    main()
