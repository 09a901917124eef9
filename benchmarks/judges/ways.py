"""Local models x ways to ask x suites: the score of every attempt, group by group.

    python -m benchmarks.judges.ways read --model qwen2.5-coder-1.5b-instruct --suite gsm8k-solutions --out FILE
    python -m benchmarks.judges.ways read --numbers …   # one more way for the same groups
    python -m benchmarks.judges.ways table FILE …

`read` asks a model about every group in each way: `pointwise` and `expected_digit`, and `first_token` and
`pointwise_in_context` with the attempts in a drawn order; or, with --numbers, `number_likelihood`; or, with
--reference, `reference_likelihood`. Started again, it goes on
where it stopped. Some recorded files hold readings in two orders and with empty attempts, which `table` sums up too.
"""

from __future__ import annotations

import itertools
import random
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from rich.progress import track

from benchmarks.harness import add_record, parser, source, write_record
from ranker.calibration.choosing import choose
from ranker.jsonl.appender import Appender, read_records
from ranker.judges.local.forward import read_scores
from ranker.judges.local.model import Loaded, LocalModel
from ranker.judges.local.ways import FORMER, Way, fit, question
from ranker.prompting.template import ASK, ASK_BLOCKS, load_template
from ranker.suites import load
from ranker.tuning.examples import Example, from_groups

ALONE: tuple[Way, ...] = ("pointwise", "expected_digit")
LISTED: tuple[Way, ...] = ("first_token", "pointwise_in_context")
NUMBERS: tuple[Way, ...] = ("number_likelihood",)
MORE = "+numbers"  # ends the id of a record that holds this way only
REFERENCE: tuple[Way, ...] = ("reference_likelihood",)
_NUMBER = re.compile(r"[\d,.]*\d")


def read(loaded: Loaded, example: Example, room: int, ways: Sequence[Way]) -> dict[str, Any]:
    """Scores of one group in each way, in the order of the group, with tokens and seconds."""
    template = load_template(ASK, None, ASK_BLOCKS)
    n = len(example.truths_G)
    order = random.Random(f"ways/{example.id}").sample(range(n), n)
    scores: dict[str, list[float]] = {}
    tokens: dict[str, int] = {}
    seconds: dict[str, float] = {}

    for way in ways:
        places = order if way in LISTED else range(n)
        texts = fit(example.shown, way, room, loaded.count)
        texts = replace(texts, attempts=tuple(texts.attempts[i] for i in places))
        started = time.perf_counter()
        segments = question(texts, way, template, loaded.frame, loaded.encode)
        by_place = read_scores(loaded, segments, way, n)
        seconds[way] = round(time.perf_counter() - started, 3)
        tokens[way] = sum(map(len, segments))
        scores[way] = [round(by_place[list(places).index(i)], 4) for i in range(n)]
    return {"truths": example.truths_G, "scores": scores, "tokens": tokens, "seconds": seconds}


def with_reference(examples: Iterable[Example]) -> list[Example]:
    """Groups whose answers are numbers, with the last number of a wholly right attempt as reference; those without
    such an attempt are left out."""
    with_truth = (
        (e, [a for a, t in zip(e.shown.attempts, e.truths_G, strict=True) if t == 1]) for e in examples
    )
    return [
        replace(e, shown=replace(e.shown, reference=_NUMBER.findall(right[0])[-1]))
        for e, right in with_truth
        if right
    ]


def ways_of(record: Mapping[str, Any]) -> dict[str, list[float]]:
    """Scores in every way that follows from what was read: with two orders averaged, with leanings taken off."""
    scores = record["scores"]
    by_way: dict[str, list[float]] = {
        way: list(scores[way]) for way in (*ALONE, *NUMBERS, *LISTED, *REFERENCE) if way in scores
    }
    for way in LISTED:
        once, again = scores.get(way), scores.get(f"{way}:reversed")
        if once and again:
            by_way[f"{way}, 2 orders"] = _mean(once, again)
        if once and f"{way}:empty" in scores:
            plain = [a - b for a, b in zip(once, scores[f"{way}:empty"], strict=True)]
            by_way[f"{way}, content-free"] = plain
    return by_way


def _mean(a: Sequence[float], b: Sequence[float]) -> list[float]:
    return [(x + y) / 2 for x, y in zip(a, b, strict=True)]


def merged(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One record a group: what was read of it at different times, put together."""
    groups: dict[str, dict[str, Any]] = {}
    for record in records:
        name = str(record["id"]).removesuffix(MORE)
        known = groups.setdefault(name, {**record, "id": name, "scores": {}, "tokens": {}, "seconds": {}})
        for part in ("scores", "tokens", "seconds"):
            known[part] |= {_current(key): value for key, value in record[part].items()}
    return list(groups.values())


def _current(key: str) -> str:
    """A record's key, e.g. ``letter+together:reversed``, with the present names of its ways."""
    return re.sub(r"\w+", lambda word: FORMER.get(word[0], word[0]), key)


def summary(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """For each model and suite: every way's accuracy, what cross-fitted calibration would choose, and seconds."""
    every = merged(record for path in paths for record in read_records(path))
    every.sort(key=lambda r: (str(r["model"]), str(r["suite"]), str(r["id"])))
    rows = []
    for (model, suite), own in itertools.groupby(every, key=lambda r: (str(r["model"]), str(r["suite"]))):
        records = list(own)
        scores = [ways_of(record) for record in records]
        names = [name for name in scores[0] if all(name in s for s in scores)]
        choice = choose({name: [s[name] for s in scores] for name in names}, [r["truths"] for r in records])
        seconds, tokens = _middle(records, "seconds"), _middle(records, "tokens")
        rows.append(
            {
                "model": model,
                "suite": suite,
                "groups": choice.groups,
                "pairs": choice.pairs,
                "ways": {name: estimate.to_dict() for name, estimate in choice.ways.items()},
                "chosen_by_others": dict(choice.chosen),
                "cross_fitted": choice.accuracy.to_dict(),
                "over_first_token": choice.over_baseline.to_dict() if choice.over_baseline else None,
                "seconds": {k: round(v, 2) for k, v in seconds.items()},
                "tokens": {k: round(v) for k, v in tokens.items()},
            }
        )
    return rows


def _middle(records: Sequence[Mapping[str, Any]], part: str) -> dict[str, float]:
    """Medians of what was read of every group."""
    read_of_all = [k for k in records[0][part] if all(k in r[part] for r in records)]
    return {k: median(r[part][k] for r in records) for k in read_of_all}


def main() -> None:
    parse = parser("benchmarks.judges.ways", __doc__)
    commands = parse.add_subparsers(dest="command", required=True)
    reading = commands.add_parser("read")
    reading.add_argument("--model", required=True, help="what `local:` takes")
    reading.add_argument("--suite", required=True)
    reading.add_argument("--groups", type=int, default=None)
    reading.add_argument("--numbers", action="store_true", help="only this way, beside what was read before")
    reading.add_argument(
        "--reference", action="store_true", help="only `reference_likelihood`, in `arithmetic`"
    )
    reading.add_argument("--window", type=int, default=8_192, help="the most tokens of a sequence")
    reading.add_argument("--out", type=Path, required=True)
    telling = commands.add_parser("table")
    telling.add_argument("files", type=Path, nargs="+")
    add_record(telling)
    options = parse.parse_args()
    if options.command == "table":
        write_record(options.json, {**source("benchmarks.judges.ways"), "rows": summary(options.files)})
        return
    ways = NUMBERS if options.numbers else REFERENCE if options.reference else (*ALONE, *LISTED)
    groups = from_groups(load(options.suite, options.groups).groups)
    examples = with_reference(groups) if options.reference else groups
    suite = f"{options.suite}, with a reference" if options.reference else options.suite
    loaded = LocalModel(options.model).load()
    sink = Appender(options.out, holds=("scores",), what="record of scores")
    try:
        for example in track(examples, f"{options.model} on {suite}"):
            name = f"{options.model}/{suite}/{example.id}{MORE if options.numbers else ''}"
            if name in sink.done:
                continue
            scored = read(loaded, example, min(options.window, loaded.window), ways)
            sink.write({"id": name, "model": options.model, "suite": suite, **scored})
    finally:
        sink.close()


if __name__ == "__main__":
    main()
