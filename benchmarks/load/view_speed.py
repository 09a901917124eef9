"""`ranker view` over many ranked groups: how long the first page and every filter take, and in how much memory.

    python -m benchmarks.load.view_speed --groups 1000000 --json view.json

Ranked groups of four short attempts by two judges, with ground truth, are written to a temporary folder (1.7 kB of disk a
group, and half as much for the index). `ranker view` opens them as a process of its own with an empty cache; the figures are
those of its HTTP replies, asked one after the other: while it indexes, and afterwards, when every filter, order and kind of search is
asked for several times. Then it is started again, with the index there. Memory is the process's own peak as the kernel
has it.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.harness import Json, add_record, parser, say, source, write_record

_WORDS = [
    f"{word}{ending}"
    for word in ("order", "refund", "kettle", "jacket", "repair", "policy", "deliver")
    for ending in ("", "s", "ed", "ing", "able")
]
_QUERIES: dict[str, dict[str, str]] = {
    "first page": {},
    "last page": {"sort": "-file"},
    "judge": {"judge": "judge-b"},
    "tied": {"state": "tied"},
    "failed": {"state": "failed"},
    "agreement at most 0.2": {"agreement_high": "0.2"},
    "spread below 0.5": {"spread_high": "0.5"},
    "step": {"step": "777"},
    "by agreement": {"sort": "agreement"},
    "by agreement, descending": {"sort": "-agreement"},
    "by step": {"sort": "-step"},
    "judge, agreement and spread": {"judge": "judge-a", "agreement_low": "0.4", "agreement_high": "0.6", "spread_low": "0.9"},
    "a rare word": {"words": "task000700123"},
    "a frequent word": {"words": "kettle"},
    "two frequent words": {"words": "kettle jacket"},
    "the beginning of a word": {"words": "rep"},
    "a frequent word of one judge": {"words": "kettle", "judge": "judge-b"},
    "a frequent word by agreement": {"words": "kettle", "sort": "agreement"},
}  # fmt: skip


def write(path: Path, groups: int) -> None:
    """Write ranked groups; of a thousand, ten failed, and some are tied."""
    rng = random.Random(0)
    texts = [" ".join(rng.choices(_WORDS, k=24)) for _ in range(20_000)]
    with open(path, "wb") as file:
        for g in range(groups):
            rewards = [1.0, 2 / 3, 1 / 3, 0.0] if g % 50 else [0.5] * 4
            rng.shuffle(rewards)
            asked = {"role": "user", "content": f"Question {g}: {texts[g % 20_000][:60]}?"}
            members = [
                {
                    "id": f"t{i}",
                    "messages": [asked, {"role": "assistant", "content": rng.choice(texts)}],
                    "ground_truth": rng.randrange(4) / 3,
                }
                for i in range(4)
            ]
            ids = [m["id"] for m in members]
            said: Json = {"rewards": dict(zip(ids, rewards, strict=True))}
            said["reasons"] = dict.fromkeys(ids, "It answers what was asked, and says why.")
            if g % 100 == 7:
                said = {"error": {"type": "JudgeCallError", "message": "the server did not answer"}}
            record = {"id": f"task{g:09d}", **said, "judge": f"judge-{'ab'[g % 2]}", "step": g // 1_000}
            file.write(json.dumps({**record, "trajectories": members}).encode() + b"\n")


@contextmanager
def viewer(path: Path, cache: Path) -> Iterator[tuple[str, int, float]]:
    """`ranker view` on a file: address, process and seconds until the address was printed."""
    started = time.monotonic()
    command = [sys.executable, "-m", "ranker", "view", str(path), "--no-open"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "RANKER_CACHE": str(cache)}
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        yield address, process.pid, time.monotonic() - started
    finally:
        process.terminate()
        process.wait()


def ask(address: str, what: str, **query: str) -> tuple[Json, float]:
    """A reply, and the seconds it took."""
    base, token = address.split("?token=")
    request = urllib.request.Request(
        f"{base}{what}?{urlencode(query)}", headers={"Authorization": f"Bearer {token}"}
    )
    started = time.monotonic()
    with urllib.request.urlopen(request, timeout=600) as reply:
        told = json.load(reply)
    return told, time.monotonic() - started


def peak(process: int) -> float:
    """Megabytes of resident memory at most, so far."""
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def measure(groups: int, repeats: int, folder: Path) -> Json:
    path, cache = folder / "ranked.jsonl", folder / "cache"
    say(f"writing {groups:,} groups")
    write(path, groups)
    record: Json = {
        "load_average_before": round(os.getloadavg()[0], 1),
        "groups": groups,
        "file_mb": round(path.stat().st_size / 1e6),
    }
    say("opening them for the first time")
    with viewer(path, cache) as (address, process, seconds):
        page, first = ask(address, "groups")
        assert page["rows"]
        record["first_opening"] = {
            "address_seconds": round(seconds, 2),
            "page_seconds": round(seconds + first, 2),
        }
        slowest, began = 0.0, time.monotonic()
        while not (state := ask(address, "state")[0])["indexed"]["done"]:
            slowest = max(
                slowest, ask(address, "groups", words="kettle")[1], ask(address, "groups", state="tied")[1]
            )
            time.sleep(1)
        record["indexing"] = {
            "seconds": round(time.monotonic() - began),
            "slowest_reply_seconds": round(slowest, 2),
        }
        assert state["indexed"]["groups"] == groups
        record["index_mb"] = round(sum(f.stat().st_size for f in cache.parent.rglob("*.sqlite*")) / 1e6)
        times = {}
        for name, query in _QUERIES.items():
            asked = [ask(address, "groups", **query) for _ in range(repeats)]
            times[name] = {
                "found": asked[0][0]["count"],
                "slowest_seconds": round(max(t for _, t in asked), 3),
            }
            say(f"{name}: {times[name]}")
        line = page["rows"][-1]["line"]
        times["a group"] = {"found": 1, "slowest_seconds": round(ask(address, f"group/{line}")[1], 3)}
        record["replies"] = times
        record["slowest_reply_seconds"] = max(t["slowest_seconds"] for t in times.values())
        record["peak_mb"] = round(peak(process))
    say("opening them again")
    with viewer(path, cache) as (address, process, seconds):
        state, first = ask(address, "groups")
        record["second_opening"] = {
            "page_seconds": round(seconds + first, 2),
            "peak_mb": round(peak(process)),
        }
    return record


def main() -> None:
    options = parser("benchmarks.load.view_speed", __doc__)
    options.add_argument("--groups", type=int, default=1_000_000)
    options.add_argument(
        "--repeats", type=int, default=3, help="times that each reply is asked for; the slowest counts"
    )
    options.add_argument(
        "--folder", type=Path, help="where the groups are written (3 GB a million); default: temporary files"
    )
    add_record(options)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        record = measure(asked.groups, asked.repeats, Path(folder))
    write_record(asked.json, {**source("benchmarks.load.view_speed"), **record})


if __name__ == "__main__":
    main()
