"""Ranker beside RULER, its nearest peer, in one run: prompt size, faults, kills, speed, position bias.

    python -m benchmarks.ruler.compare --tau tau_airline.jsonl --out beside_ruler.json
    python -m benchmarks.ruler.compare --only position --out beside_ruler.json

RULER (openpipe-art) runs in an environment of its own, made on first use. Both sides talk real HTTP
to a judge server in a separate process. Each timing is a fresh client process, warmed up, and the two
sides take turns. Speed is reported, never asserted. With `--only`, the other parts of the `--out` file stay as
they are, and the new ones hold the command, commit and machine they were taken with.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.ruler import measures
from benchmarks.ruler import position as beside_position
from benchmarks.ruler.environment import ruler_python
from ranker.bench import provenance

Told = dict[str, Any]
PARTS = ("prompt_size", "faults", "killed", "speed", "position")


def token_counter(path: Path) -> Callable[[str], int]:
    """Counts with a `tokenizer.json`, special tokens left out."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def compare(given: argparse.Namespace, parts: Collection[str], say: Callable[[str], None]) -> Told:
    """Take the measurements named in `parts`."""
    if given.ruler_python is None:
        say("making RULER's environment")
    ruler = measures.rulers(given.ruler_python or ruler_python())
    count = None if given.tokenizer is None else token_counter(given.tokenizer)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found: Told = {}
        if "prompt_size" in parts:
            say("prompt size")
            found["prompt_size"] = measures.prompt_size(given.tau, ruler, folder, count)
        if "faults" in parts:
            found["faults"] = measures.faults(ruler, folder, say)
        if "killed" in parts:
            say("killed and resumed")
            found["killed"] = measures.killed(folder)
        if "speed" in parts:
            found["speed"] = measures.speed(given.groups, given.repeats, ruler, folder, say)
        if "position" in parts:
            found["position"] = beside_position.position(ruler, folder, say, given.position_groups)
    return found


def origin() -> Told:
    """What the figures were taken with."""
    return {
        "command": provenance.command("beside_ruler"),
        "commit": provenance.commit(),
        "machine": provenance.machine(),
    }


def merged(earlier: Told, found: Told) -> Told:
    """An earlier record with some parts taken anew, each of which says what it was taken with."""
    taken = origin()
    told = {"schema_version": 1, "seed": 0, **earlier, **{k: {**taken, **part} for k, part in found.items()}}
    return _with_hidden(told)


def _with_hidden(found: Told) -> Told:
    """With how many of all requests searched held something hidden."""
    checked = [found["prompt_size"]["secrets"]] if "prompt_size" in found else []
    if "faults" in found:
        checked += [found["faults"][side]["secrets"] for side in ("ranker", "ranker_scores")]
    if not checked:
        return found
    told = {name: sum(part[name] for part in checked) for name in ("requests", "found")}
    return {**found, "hidden_in_prompts": told}


def show(found: Told) -> Table:
    """Every figure as a table row."""
    table = Table("figure", "Ranker", "RULER", "beside", title="Ranker beside RULER", show_lines=True)
    if "prompt_size" in found:
        size = found["prompt_size"]
        for what, ratio in size["ratio"].items():
            table.add_row(
                f"prompt {what} a group, mean over {size['groups']} tau_airline groups",
                f"{size['ranker'][what]:,.0f}",
                f"{size['ruler'][what]:,.0f}",
                f"{ratio:.3f} of RULER's",
            )
        exact = size["blocks"] - size["blocks_not_exact"]
        table.add_row(
            "trajectories shown whole, shared parts put back", f"{exact} of {size['blocks']}", "–", ""
        )
    for part, rows in (
        ("speed", _show_speed),
        ("faults", _show_faults),
        ("killed", _show_killed),
        ("position", _show_position),
        ("hidden_in_prompts", _show_hidden),
    ):
        if part in found:
            rows(table, found[part])
    return table


def _show_speed(table: Table, speed: Told) -> None:
    rates = speed["groups_per_second"]

    def rate(name: str) -> str:
        return "{median:,.0f} ({low:,.0f} to {high:,.0f})".format(**rates[name])

    flight = speed["in_flight"]
    table.add_row(
        f"groups a second, judge that answers at once, {flight} in flight, median of "
        f"{len(rates['ranker']['all'])} (spread)",
        rate("ranker"),
        rate("ruler"),
        f"{speed['times_ruler']:.1f} times RULER's",
    )
    times = rates["ranker_cache"]["median"] / rates["ruler"]["median"]
    table.add_row(
        "the same, replies kept in a fresh cache", rate("ranker_cache"), "no cache", f"{times:.1f} times"
    )
    ideal = speed["ideal_with_slow_judge"]
    share = speed["share_of_ideal"]
    table.add_row(
        f"judge that takes {measures.LATENCY * 1000:.0f} ms, {flight} in flight: share of the ideal {ideal:.0f} a second",
        f"{share['ranker']:.3f}: {rate('ranker_slow_judge')}",
        f"{share['ruler']:.3f}: {rate('ruler_slow_judge')}",
        "",
    )


def _show_faults(table: Table, faults: Told) -> None:
    title = f"{faults['groups']} groups, a third of all replies faulty: "
    mine, scores, ruler = faults["ranker"], faults["ranker_scores"], faults["ruler"]
    asked = f"as scores {scores['wrong']}"
    table.add_row(
        title + "groups with wrong rewards",
        str(mine["wrong"]),
        _told(ruler["wrong"], ruler["wrong_by_kind"]),
        asked,
    )
    table.add_row(
        "failed groups",
        _told(mine["failed"], mine["errors"]),
        _told(ruler["failed"], ruler["errors"]),
        f"as scores {_told(scores['failed'], scores['errors'])}",
    )
    table.add_row(
        "unusable replies counted, of those sent",
        f"{mine['counted_failed_calls']} of {mine['faulty_replies']}",
        "no counter",
        f"as scores {scores['counted_failed_calls']} of {scores['faulty_replies']}",
    )
    table.add_row(
        "requests counted, of those received",
        f"{mine['counted_calls']} of {mine['requests']}",
        f"no counter, {ruler['requests']} received",
        f"as scores {scores['counted_calls']} of {scores['requests']}",
    )


def _show_killed(table: Table, killed: Told) -> None:
    table.add_row(
        f"ranker rank on {killed['groups']} groups, killed {killed['kills']} times: groups there exactly once",
        f"{killed['groups_once']} in {killed['lines']} lines",
        "no command",
        f"{killed['calls_paid_twice']} calls paid twice, {killed['calls_in_flight_at_most']} could be in flight",
    )


def _show_position(table: Table, position: Told) -> None:
    groups = f"{position['groups']} groups of {position['size']}"
    cells = position["cells"]
    table.add_section()
    for bias in dict.fromkeys(cell["bias"] for cell in cells):
        sides = [
            [cell for cell in cells if (cell["bias"], cell["side"]) == (bias, side)]
            for side in ("ranker", "ruler")
        ]
        for what, title in (
            ("kendall_tau_b", "Kendall's tau-b with the truth (95 % interval)"),
            ("place_correlation", "correlation of the reward with the place in the input"),
        ):
            table.add_row(
                f"{groups}, judge adds {bias:g} to what it is shown first: {title}",
                *("\n".join(_figure(cell, what) for cell in side) for side in sides),
                f"{sum(cell['failed'] for side in sides for cell in side)} groups failed",
            )


def _figure(cell: Told, what: str) -> str:
    calls = f"{cell['calls']} call" + "s" * (cell["calls"] > 1)
    return f"{calls}: " + (
        "{value:.3f} ({low:.3f} to {high:.3f})".format(**cell[what]) if what in cell else "–"
    )


def _show_hidden(table: Table, hidden: Told) -> None:
    table.add_row(
        "requests with an id, ground truth or metadata in them",
        f"{hidden['found']} of {hidden['requests']:,}",
        "–",
        "",
    )


def _told(total: int, kinds: Told) -> str:
    return f"{total}" + (f" ({', '.join(f'{n} {kind}' for kind, n in kinds.items())})" if kinds else "")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ruler.compare", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--only", action="append", choices=PARTS,
                        help="measure this part only, and keep the others in --out; can be repeated")  # fmt: skip
    parser.add_argument("--groups", type=int, default=1024, help="groups in each timing (default 1024)")
    parser.add_argument("--repeats", type=int, default=3, help="timings of each kind (default 3)")
    parser.add_argument("--position-groups", type=int, default=beside_position.GROUPS,
                        help=f"groups under position bias (default {beside_position.GROUPS})")  # fmt: skip
    parser.add_argument(
        "--ruler-python", type=Path, help="a Python with openpipe-art; default: made on first use"
    )
    parser.add_argument("--tau", type=Path, help="the tau_airline group file; without it no prompt size")
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer.json, to give prompt sizes in tokens too")
    parser.add_argument("--out", type=Path, default=Path("beside_ruler.json"), help="the results as JSON")
    given = parser.parse_args()
    parts = given.only or [part for part in PARTS if part != "prompt_size" or given.tau is not None]
    if "prompt_size" in parts and given.tau is None:
        parser.error("prompt_size needs the group file: name it with --tau.")
    earlier: Told = {}
    if given.only and given.out.exists():
        try:
            earlier = dict(json.loads(given.out.read_text(encoding="utf-8")))
        except ValueError as error:
            parser.error(f"{given.out} is no record to add to: {error}")
    console = Console(width=None if sys.stdout.isatty() else 160)
    with Console(stderr=True).status("starting") as status:
        measured = compare(given, parts, status.update)
    if given.only:
        found = merged(earlier, measured)
    else:
        found = _with_hidden({"schema_version": 1, **origin(), "seed": 0, **measured})
    console.print(show(measured if given.only else found))
    if not given.only and "prompt_size" not in found:
        print("Prompt size was not measured: name the group file with --tau.", file=sys.stderr)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    console.print(f"Written to {given.out}.")


if __name__ == "__main__":
    main()
