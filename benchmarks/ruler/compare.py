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
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

from benchmarks.harness import Json, add_record, parser, say, source, write_record
from benchmarks.ruler import measures, position
from benchmarks.ruler.sides import ruler_python, ruler_side

MODULE = "benchmarks.ruler.compare"
PARTS = ("prompt_size", "faults", "killed", "speed", "position")


def token_counter(path: Path) -> Callable[[str], int]:
    """Counts with a `tokenizer.json`, special tokens left out."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def compare(args: argparse.Namespace, parts: Collection[str]) -> Json:
    """Take the measurements named in `parts`."""
    if args.ruler_python is None:
        say("creating RULER's environment")
    ruler = ruler_side(args.ruler_python or ruler_python())
    count = None if args.tokenizer is None else token_counter(args.tokenizer)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        take: dict[str, Callable[[], Json]] = {
            "prompt_size": lambda: measures.prompt_size(args.tau, ruler, folder, count),
            "faults": lambda: measures.faults(ruler, folder),
            "killed": lambda: measures.killed(folder),
            "speed": lambda: measures.speed(args.groups, args.repeats, ruler, folder),
            "position": lambda: position.position(ruler, folder, args.position_groups),
        }
        return {part: take[part]() for part in PARTS if part in parts}


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
    figures = compare(args, parts)
    if args.only:
        record = merged(earlier, figures)
    else:
        record = _with_hidden({"schema_version": 1, **source(MODULE), "seed": 0, **figures})
    if "prompt_size" not in record and not args.only:
        say("prompt size was not measured: name the group file with --tau")
    write_record(args.out, record)


if __name__ == "__main__":
    main()
