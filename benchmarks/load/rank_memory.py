"""Memory and speed of `ranker rank` over many groups: does its peak grow with their number?

    python -m benchmarks.load.rank_memory --groups 10000,1000000 --json memory.json

For each number: small groups are written to a temporary folder, once as one file or, with --shards, as several;
`ranker rank` runs on them as a process of its own against a judge server without latency in another; its peak
resident memory is what the kernel says when it ends. Then the same command runs again, with everything ranked
already, which is what a resumed run costs. About 2.5 kB of disk a group.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Json, add_record, parser, say, source, write_record
from benchmarks.ruler.judge_process import judge_process
from ranker.jsonl.group_file import dump_line


def write(folder: Path, groups: int, shards: int) -> list[Path]:
    """Write groups of two short attempts, with ids as data sets have them, into `shards` files."""
    folder.mkdir()
    paths = [folder / f"part-{s:05d}.jsonl" for s in range(shards)]
    for s, path in enumerate(paths):
        with open(path, "wb") as file:
            for g in range(groups * s // shards, groups * (s + 1) // shards):
                question = {"role": "user", "content": f"Question {g}: which number is the larger?"}
                members = [
                    {"messages": [question, {"role": "assistant", "content": f"Answer {i}: {g + i}."}]}
                    for i in range(2)
                ]
                file.write(dump_line({"id": f"task-{g:09d}", "trajectories": members}))
    return paths


def peak(command: list[str]) -> tuple[float, float]:
    """Run a command to its end: peak resident memory in megabytes, and seconds.

    Raises:
        RuntimeError: it failed.
    """
    started = time.monotonic()
    child = os.posix_spawn(command[0], command, {**os.environ, "RANKER_CACHE": "off"})
    _, status, used = os.wait4(child, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    unit = 1 if sys.platform == "darwin" else 1024
    return used.ru_maxrss * unit / 1e6, time.monotonic() - started


def measure(groups: int, shards: int, concurrency: int, base_url: str) -> Iterator[Json]:
    """Rank `groups` groups, then once more with all of them there (`resumed`).

    `peak_mb` is in megabytes (10^6 bytes); `seconds` are from start to end, imports included; `lacking` are groups without
    a ranking in the output, 0 where all is well.
    """
    with tempfile.TemporaryDirectory() as home:
        source, out = Path(home, "in"), Path(home, "out")
        paths = write(source, groups, shards)
        if shards == 1:
            source, out = paths[0], Path(home, "out.jsonl")
        command = [sys.executable, "-m", "ranker", "rank", str(source), "--judge", "sim", "--base-url", base_url,
                   "--out", str(out), "--concurrency", str(concurrency), "-q"]  # fmt: skip
        for resumed in (False, True):
            memory, seconds = peak(command)
            ranked = 0
            for path in [out] if shards == 1 else sorted(out.glob("*.jsonl")):
                with open(path, "rb") as file:
                    ranked += sum(b'"rewards"' in line for line in file)
            yield {
                "groups": groups,
                "shards": shards,
                "resumed": resumed,
                "peak_mb": round(memory, 1),
                "seconds": round(seconds, 2),
                "groups_a_second": round(groups / seconds, 1),
                "lacking": groups - ranked,
            }


def main() -> None:
    module = "benchmarks.load.rank_memory"
    options = parser(module, __doc__)
    options.add_argument("--groups", default="10000,1000000", help="numbers of groups, with commas between")
    options.add_argument("--shards", type=int, default=1)
    options.add_argument("--concurrency", type=int, default=16)
    add_record(options)
    args = options.parse_args()
    rows = []
    origin = source(module)
    with judge_process("ranking") as judge:
        for groups in map(int, args.groups.split(",")):
            for row in measure(groups, args.shards, args.concurrency, judge.base_url):
                rows.append(row)
                say(json.dumps(row))
    peaks = {
        "resumed" if resumed else "ranked": [row["peak_mb"] for row in rows if row["resumed"] == resumed]
        for resumed in (False, True)
    }
    growth = {name: round(each[-1] - each[0], 1) for name, each in peaks.items()}
    write_record(args.json, {**origin, "growth_mb": growth, "rows": rows})


if __name__ == "__main__":
    main()
