"""Ranker beside RULER, its nearest peer, in one run: prompt size, speed, faults.

    python -m ranker.benchmarks.beside_ruler --tau tau_airline.jsonl --out beside_ruler.json

RULER (openpipe-art) runs in an environment of its own, made on first use. Both sides talk real HTTP
to a judge server in a separate process. Each timing is a fresh client process, warmed up, and the two
sides take turns. Speed is reported, never asserted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ranker.benchmarks import beside_measures as measures
from ranker.benchmarks.ruler_env import ruler_python
from rich.console import Console
from rich.table import Table

Told = dict[str, Any]


def token_counter(path: Path) -> Callable[[str], int]:
    """Counts with a `tokenizer.json`, special tokens left out."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def _bare(argument: str) -> str:
    """An argument without the folders of this machine."""
    return Path(argument).name if "/" in argument else argument


def _commit() -> str | None:
    """The checkout's commit, where this runs in one."""
    told = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout.strip() or None


def compare(given: argparse.Namespace, say: Callable[[str], None]) -> Told:
    """Take every measurement."""
    if given.ruler_python is None:
        say("making RULER's environment")
    ruler = measures.rulers(given.ruler_python or ruler_python())
    count = None if given.tokenizer is None else token_counter(given.tokenizer)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found: Told = {
            "schema_version": 1,
            "command": " ".join(["python -m ranker.benchmarks.beside_ruler", *map(_bare, sys.argv[1:])]),
            "commit": _commit(),
            "seed": 0,
            "machine": {
                "system": platform.system(),
                "architecture": platform.machine(),
                "cores": os.cpu_count(),
                "python": platform.python_version(),
            },
        }
        if given.tau is not None:
            say("prompt size")
            found["prompt_size"] = measures.prompt_size(given.tau, ruler, folder, count)
        found["faults"] = measures.faults(ruler, folder, say)
        say("killed and resumed")
        found["killed"] = measures.killed(folder)
        found["speed"] = measures.speed(given.groups, given.repeats, ruler, folder, say)
    checked = [found[part]["secrets"] for part in ("prompt_size",) if part in found]
    checked += [found["faults"][side]["secrets"] for side in ("ranker", "ranker_scores")]
    found["hidden_in_prompts"] = {
        "requests": sum(part["requests"] for part in checked),
        "found": sum(part["found"] for part in checked),
    }
    return found


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
    _show_speed(table, found["speed"])
    _show_faults(table, found["faults"])
    killed = found["killed"]
    table.add_row(
        f"ranker rank on {killed['groups']} groups, killed {killed['kills']} times: groups there exactly once",
        f"{killed['groups_once']} in {killed['lines']} lines",
        "no command",
        f"{killed['calls_paid_twice']} calls paid twice, {killed['calls_in_flight_at_most']} could be in flight",
    )
    hidden = found["hidden_in_prompts"]
    table.add_row(
        "requests with an id, ground truth or metadata in them",
        f"{hidden['found']} of {hidden['requests']:,}",
        "–",
        "",
    )
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


def _told(total: int, kinds: Told) -> str:
    return f"{total}" + (f" ({', '.join(f'{n} {kind}' for kind, n in kinds.items())})" if kinds else "")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m ranker.benchmarks.beside_ruler", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--groups", type=int, default=1024, help="groups in each timing (default 1024)")
    parser.add_argument("--repeats", type=int, default=3, help="timings of each kind (default 3)")
    parser.add_argument(
        "--ruler-python", type=Path, help="a Python with openpipe-art; default: made on first use"
    )
    parser.add_argument("--tau", type=Path, help="the tau_airline group file; without it no prompt size")
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer.json, to give prompt sizes in tokens too")
    parser.add_argument("--out", type=Path, default=Path("beside_ruler.json"), help="the results as JSON")
    given = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 160)
    with Console(stderr=True).status("starting") as status:
        found = compare(given, status.update)
    console.print(show(found))
    if "prompt_size" not in found:
        print("Prompt size was not measured: name the group file with --tau.", file=sys.stderr)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    console.print(f"Written to {given.out}.")


if __name__ == "__main__":
    main()
