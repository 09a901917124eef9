"""Ranker beside RULER, its nearest peer, in one run: prompt size, faults, kills, speed, position bias.

    python -m benchmarks.ruler.compare --tau tau_airline.jsonl --out beside_ruler.json
    python -m benchmarks.ruler.compare --only position --out beside_ruler.json

RULER (openpipe-art) runs in an environment of its own, created on first use. Both sides talk real HTTP
to a judge server in a separate process. Each timing is a fresh client process, warmed up, and the two
sides take turns. Speed is reported, never asserted. With `--only`, the other parts of the `--out` file stay as
they are, and the new ones hold the command, commit and machine they were taken with.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.harness import Json, Say, add_record, console, parser, source, write_record
from benchmarks.ruler import measures, position
from benchmarks.ruler.sides import ruler_python, ruler_side

MODULE = "benchmarks.ruler.compare"
PARTS = ("prompt_size", "faults", "killed", "speed", "position")
Row = tuple[str, str, str, str]  # figure, Ranker, RULER, beside


def token_counter(path: Path) -> Callable[[str], int]:
    """Counts with a `tokenizer.json`, special tokens left out."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def compare(args: argparse.Namespace, parts: Collection[str], say: Say) -> Json:
    """Take the measurements named in `parts`."""
    if args.ruler_python is None:
        say("creating RULER's environment")
    ruler = ruler_side(args.ruler_python or ruler_python())
    count = None if args.tokenizer is None else token_counter(args.tokenizer)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        take: dict[str, Callable[[], Json]] = {
            "prompt_size": lambda: measures.prompt_size(args.tau, ruler, folder, count),
            "faults": lambda: measures.faults(ruler, folder, say),
            "killed": lambda: measures.killed(folder),
            "speed": lambda: measures.speed(args.groups, args.repeats, ruler, folder, say),
            "position": lambda: position.position(ruler, folder, say, args.position_groups),
        }
        figures = {}
        for part in (part for part in PARTS if part in parts):
            say(part.replace("_", " "))
            figures[part] = take[part]()
    return figures


def merged(earlier: Json, figures: Json) -> Json:
    """An earlier record with some parts taken anew, each of which says what it was taken with."""
    origin = source(MODULE)
    anew = {part: {**origin, **figure} for part, figure in figures.items()}
    return _with_hidden({"schema_version": 1, "seed": 0, **earlier, **anew})


def _with_hidden(record: Json) -> Json:
    """With how many of all requests searched held something hidden."""
    checked = [record["prompt_size"]["secrets"]] if "prompt_size" in record else []
    if "faults" in record:
        checked += [record["faults"][side]["secrets"] for side in ("ranker", "ranker_scores")]
    if not checked:
        return record
    totals = {name: sum(part[name] for part in checked) for name in ("requests", "found")}
    return {**record, "hidden_in_prompts": totals}


def show(record: Json) -> Table:
    """Every figure as a table row."""
    table = Table("figure", "Ranker", "RULER", "beside", title="Ranker beside RULER", show_lines=True)
    for part, rows in _ROWS.items():
        if part in record:
            table.add_section()
            for row in rows(record[part]):
                table.add_row(*row)
    return table


def _prompt_size(size: Json) -> Iterator[Row]:
    for what, ratio in size["ratio"].items():
        yield (
            f"prompt {what} a group, mean over {size['groups']} tau_airline groups",
            f"{size['ranker'][what]:,.0f}",
            f"{size['ruler'][what]:,.0f}",
            f"{ratio:.3f} of RULER's",
        )
    exact = f"{size['blocks'] - size['blocks_not_exact']} of {size['blocks']}"
    yield "trajectories shown whole, shared parts put back", exact, "–", ""


def _speed(speed: Json) -> Iterator[Row]:
    rates, flight, share = speed["groups_per_second"], speed["in_flight"], speed["share_of_ideal"]
    text = {name: "{median:,.0f} ({low:,.0f} to {high:,.0f})".format(**rate) for name, rate in rates.items()}
    runs = len(rates["ranker"]["all"])
    yield (
        f"groups a second, judge that answers at once, {flight} in flight, median of {runs} (spread)",
        text["ranker"],
        text["ruler"],
        f"{speed['times_ruler']:.1f} times RULER's",
    )
    times = rates["ranker_cache"]["median"] / rates["ruler"]["median"]
    yield "the same, replies stored in a fresh cache", text["ranker_cache"], "no cache", f"{times:.1f} times"
    slow, ideal = f"{measures.LATENCY * 1000:.0f} ms", f"{speed['ideal_with_slow_judge']:.0f} a second"
    yield (
        f"judge that takes {slow}, {flight} in flight: share of the ideal {ideal}",
        f"{share['ranker']:.3f}: {text['ranker_slow_judge']}",
        f"{share['ruler']:.3f}: {text['ruler_slow_judge']}",
        "",
    )


def _faults(faults: Json) -> Iterator[Row]:
    ours, scores, ruler = faults["ranker"], faults["ranker_scores"], faults["ruler"]
    yield (
        f"{faults['groups']} groups, a third of all replies faulty: groups with wrong rewards",
        str(ours["wrong"]),
        _by_kind(ruler["wrong"], ruler["wrong_by_kind"]),
        f"as scores {scores['wrong']}",
    )
    failed = [_by_kind(side["failed"], side["errors"]) for side in (ours, ruler, scores)]
    yield "failed groups", failed[0], failed[1], f"as scores {failed[2]}"
    for what, counted, of, beside in (
        ("unusable replies counted, of those sent", "counted_failed_calls", "faulty_replies", ""),
        (
            "requests counted, of those received",
            "counted_calls",
            "requests",
            f", {ruler['requests']} received",
        ),
    ):
        one, other = (f"{side[counted]} of {side[of]}" for side in (ours, scores))
        yield what, one, "no counter" + beside, f"as scores {other}"


def _by_kind(total: int, kinds: Json) -> str:
    return f"{total}" + (f" ({', '.join(f'{n} {kind}' for kind, n in kinds.items())})" if kinds else "")


def _killed(killed: Json) -> Iterator[Row]:
    yield (
        f"ranker rank on {killed['groups']} groups, killed {killed['kills']} times: groups there exactly once",
        f"{killed['groups_once']} in {killed['lines']} lines",
        "no command",
        f"{killed['calls_paid_twice']} calls paid twice, {killed['calls_in_flight_at_most']} could be in flight",
    )


def _position(figures: Json) -> Iterator[Row]:
    groups, cells = f"{figures['groups']} groups of {figures['size']}", figures["cells"]
    for bias in dict.fromkeys(cell["bias"] for cell in cells):
        at_bias = [cell for cell in cells if cell["bias"] == bias]
        ranker, ruler = ([cell for cell in at_bias if cell["side"] == side] for side in ("ranker", "ruler"))
        failed = f"{sum(cell['failed'] for cell in at_bias)} groups failed"
        for what, title in (
            ("kendall_tau_b", "Kendall's tau-b with the truth (95 % interval)"),
            ("place_correlation", "correlation of the reward with the place in the input"),
        ):
            one, other = ("\n".join(_cell(cell, what) for cell in side) for side in (ranker, ruler))
            yield f"{groups}, judge adds {bias:g} to what it is shown first: {title}", one, other, failed


def _cell(cell: Json, what: str) -> str:
    calls = f"{cell['calls']} call" + "s" * (cell["calls"] > 1)
    return f"{calls}: " + (
        "{value:.3f} ({low:.3f} to {high:.3f})".format(**cell[what]) if what in cell else "–"
    )


def _hidden(hidden: Json) -> Iterator[Row]:
    count = f"{hidden['found']} of {hidden['requests']:,}"
    yield "requests with an id, ground truth or metadata in them", count, "–", ""


_ROWS: dict[str, Callable[[Json], Iterator[Row]]] = {
    "prompt_size": _prompt_size,
    "speed": _speed,
    "faults": _faults,
    "killed": _killed,
    "position": _position,
    "hidden_in_prompts": _hidden,
}


def main() -> None:
    options = parser(MODULE, __doc__)
    options.add_argument("--only", action="append", choices=PARTS,
                         help="measure this part only, and leave the others in --out; can be repeated")  # fmt: skip
    options.add_argument("--groups", type=int, default=1024, help="groups in each timing (default 1024)")
    options.add_argument("--repeats", type=int, default=3, help="timings of each kind (default 3)")
    options.add_argument("--position-groups", type=int, default=position.GROUPS,
                         help=f"groups under position bias (default {position.GROUPS})")  # fmt: skip
    options.add_argument("--ruler-python", type=Path,
                         help="a Python with openpipe-art; default: created on first use")  # fmt: skip
    options.add_argument("--tau", type=Path, help="the tau_airline group file; without it no prompt size")
    options.add_argument(
        "--tokenizer", type=Path, help="a tokenizer.json, to give prompt sizes in tokens too"
    )
    add_record(options, "--out", default="beside_ruler.json")
    args = options.parse_args()
    parts = args.only or [part for part in PARTS if part != "prompt_size" or args.tau is not None]
    if "prompt_size" in parts and args.tau is None:
        options.error("prompt_size needs the group file: name it with --tau.")
    earlier: Json = {}
    if args.only and args.out.exists():
        earlier = dict(json.loads(args.out.read_bytes() or b"{}"))
    with Console(stderr=True).status("starting") as status:
        figures = compare(args, parts, status.update)
    if args.only:
        record = merged(earlier, figures)
    else:
        record = _with_hidden({"schema_version": 1, **source(MODULE), "seed": 0, **figures})
    console().print(show(figures if args.only else record))
    if "prompt_size" not in record and not args.only:
        print("Prompt size was not measured: name the group file with --tau.", file=sys.stderr)
    write_record(args.out, record)
    console().print(f"Written to {args.out}.")


if __name__ == "__main__":
    main()
