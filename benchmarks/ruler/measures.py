"""What is measured of Ranker and of RULER: prompt size, speed, faults, and hidden things in prompts."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean, median

from benchmarks.harness import Json, say
from benchmarks.ruler.groups import (
    Fields,
    leaks,
    load_groups,
    marked,
    outcomes,
    secrets,
    small_groups,
    write_groups,
)
from benchmarks.ruler.judge_process import judge_process
from benchmarks.ruler.score_server import SCORE_FAULTS
from benchmarks.ruler.sides import IN_FLIGHT, Side, ranker_side
from ranker.prompting.transcript import transcribe
from ranker.testing import FAULTS
from ranker.testing.simulated import blocks
from ranker.trajectory import group_from_dict

WARM_UP = 64
LATENCY = 0.2
FAULTY = 1 / 3
FAULT_GROUPS = 300
RANKING_FAULTS = tuple(name for name in FAULTS if name != "hang")


def prompt_size(tau: Path, ruler: Side, folder: Path, count: Callable[[str], int] | None) -> Json:
    """Size of the whole prompt, system and user message, a group on average, as the server got it."""
    groups = marked(load_groups(tau))
    path = write_groups(folder / "tau.jsonl", groups)
    result: Json = {"groups": len(groups)}
    for name, side in (("ranker", ranker_side()), ("ruler", ruler)):
        with judge_process(side.answers, capture=True) as judge:
            report = side.run(path, judge)
            bodies = judge.stats()["bodies"]
        if report["errors"] or len(bodies) != len(groups):
            raise RuntimeError(
                f"{name} failed on groups of {tau}: {report['errors']}, {len(bodies)} requests"
            )
        prompts = [[m["content"] for m in json.loads(body)["messages"]] for body in bodies]
        counts = {"characters": len} | ({"tokens": count} if count else {})
        result[name] = {
            what: fmean(sum(map(of, prompt)) for prompt in prompts) for what, of in counts.items()
        }
        if name == "ranker":
            result["cut_groups"] = report["cut_groups"]
            result["blocks"], result["blocks_not_exact"] = _exact(groups, prompts)
            result["secrets"] = _secrecy(groups, bodies)
    result["ratio"] = {what: size / result["ruler"][what] for what, size in result["ranker"].items()}
    return result


def _exact(groups: Sequence[Fields], prompts: Sequence[Sequence[str]]) -> tuple[int, int]:
    """How many trajectories the prompts show, and how many of them, shared parts put back, do not
    read as transcribed alone."""
    whole = {transcribe(t).text.strip() for fields in groups for t in group_from_dict(fields).trajectories}
    shown = [text.strip() for prompt in prompts for _, text in blocks(prompt[-1])]
    return len(shown), sum(text not in whole for text in shown)


def _secrecy(groups: Sequence[Fields], bodies: Sequence[str]) -> Json:
    hidden = secrets(groups)
    return {"requests": len(bodies), "hidden": len(hidden), "found": leaks(bodies, hidden)}


def speed(count: int, repeats: int, ruler: Side, folder: Path) -> Json:
    """Groups a second with a judge that answers at once and with one that takes a while; the sides
    take turns, each run a fresh client and a fresh judge."""
    small = small_groups(WARM_UP + 2 * count)
    path = write_groups(folder / "small.jsonl", small[: WARM_UP + count])
    # Twice as many where each takes a while: the first and last wave weigh less.
    longer = write_groups(folder / "longer.jsonl", small)
    runs: dict[str, list[Json]] = {}
    for turn in range(repeats):
        cached = ranker_side(cache=str(folder / f"replies-{turn}.sqlite"))
        for name, side, latency in (
            ("ranker", ranker_side(), 0.0),
            ("ruler", ruler, 0.0),
            ("ranker_cache", cached, 0.0),
            ("ranker_slow_judge", ranker_side(), LATENCY),
            ("ruler_slow_judge", ruler, LATENCY),
        ):
            say(f"speed, turn {turn + 1} of {repeats}: {name}")
            with judge_process(side.answers, latency=latency) as judge:
                report = side.run(longer if latency else path, judge, warm_up=WARM_UP)
                judge_cpu = judge.stats()["cpu_seconds"]
            outcome = outcomes(small[WARM_UP : WARM_UP + report["groups"]], report["rewards"])
            if outcome["right"] < report["groups"]:
                raise RuntimeError(f"{name} got a sound judge's groups wrong: {outcome}, {report['errors']}")
            runs.setdefault(name, []).append({**report, "judge_cpu_seconds": judge_cpu})
    rates: Json = {name: _spread(report) for name, report in runs.items()}
    ideal = IN_FLIGHT / LATENCY
    shares = {name: rates[f"{name}_slow_judge"]["median"] / ideal for name in ("ranker", "ruler")}
    versions = {name: report[0]["versions"] for name, report in runs.items() if name in ("ranker", "ruler")}
    return {
        "groups": count,
        "in_flight": IN_FLIGHT,
        "groups_per_second": rates,
        "ideal_with_slow_judge": ideal,
        "share_of_ideal": shares,
        "times_ruler": rates["ranker"]["median"] / rates["ruler"]["median"],
        "versions": versions,
    }


def _spread(runs: Sequence[Json]) -> Json:
    rates = [run["groups"] / run["seconds"] for run in runs]
    busy = [run["cpu_seconds"] / run["seconds"] for run in runs]
    judge = [run["judge_cpu_seconds"] / run["seconds"] for run in runs]
    return {
        "median": median(rates),
        "low": min(rates),
        "high": max(rates),
        "all": rates,
        "client_cores_busy": median(busy),
        "judge_cores_busy": median(judge),
    }


def faults(ruler: Side, folder: Path) -> Json:
    """A third of all replies faulty, every kind as often: what became of the groups, and whether each
    faulty reply was counted. Ranker is asked for rankings, and for scores with RULER's own faults."""
    groups = marked(small_groups(FAULT_GROUPS, seed=1))
    path = write_groups(folder / "faults.jsonl", groups)
    sides = {
        "ranker": (ranker_side(), RANKING_FAULTS),
        "ranker_scores": (ranker_side("scores", reward="score"), SCORE_FAULTS),
        "ruler": (ruler, SCORE_FAULTS),
    }
    result: Json = {"groups": FAULT_GROUPS, "faulty_share": FAULTY}
    for name, (side, kinds) in sides.items():
        say(f"faults: {name}")
        with judge_process(
            side.answers, faults=dict.fromkeys(kinds, FAULTY / len(kinds)), capture=True
        ) as judge:
            report = side.run(path, judge)
            stats = judge.stats()
        outcome = outcomes(groups, report["rewards"])
        result[name] = {
            "requests": stats["requests"],
            "replies": stats["counts"],
            "right": outcome.pop("right", 0),
            "failed": outcome.pop("failed", 0),
            "wrong": sum(outcome.values()),
            "wrong_by_kind": dict(outcome),
            "errors": report["errors"],
            "seconds": report["seconds"],
        }
        if name != "ruler":
            usage = report["usage"]
            # Not every fault spoils a reply: a reader by id takes any order, and passes over a code fence.
            harmless = sum(stats["counts"].get(kind, 0) for kind in ("ok", "reordered", "fenced"))
            result[name] |= {
                "faulty_replies": stats["requests"] - harmless,
                "counted_calls": usage["calls"],
                "counted_failed_calls": usage["failed_calls"],
                "rewards_of_failed_groups": report["rewards_of_failed_groups"],
                "secrets": _secrecy(groups, stats["bodies"]),
            }
    return result


def killed(folder: Path, count: int = 400, kills: int = 3, concurrency: int = 16) -> Json:
    """`ranker rank`, killed (SIGKILL) when a quarter, two and three quarters of its output is there,
    and then left to finish: whether each group is there once, and how many calls were paid twice."""
    groups = write_groups(folder / "killed.jsonl", small_groups(count, seed=2))
    out = folder / "ranked.jsonl"
    command = [sys.executable, "-m", "ranker", "rank", str(groups), "--out", str(out), "--quiet",
               "--judge", "openai/sim", "--concurrency", str(concurrency),
               "--cache", str(folder / "killed.sqlite")]  # fmt: skip
    killed_runs = 0
    with judge_process("ranking", latency=0.1) as judge:
        for kill in range(1, kills + 1):
            with subprocess.Popen([*command, "--base-url", judge.base_url]) as process:
                while process.poll() is None and _lines(out) < count * kill // (kills + 1):
                    time.sleep(0.01)
                killed_runs += process.poll() is None
                process.kill()
        last = subprocess.run([*command, "--base-url", judge.base_url], check=False)
        requests = judge.stats()["requests"]
    ranked = load_groups(out)
    names = [fields["id"] for fields in ranked]
    return {
        "groups": count,
        "kills": killed_runs,
        "exit_code": last.returncode,
        "concurrency": concurrency,
        "lines": len(ranked),
        "groups_once": sum(names.count(fields["id"]) == 1 for fields in load_groups(groups)),
        "failed": sum("error" in fields for fields in ranked),
        "calls_paid_twice": requests - count,
        "calls_in_flight_at_most": kills * concurrency,
    }


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0
