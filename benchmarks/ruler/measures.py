"""What is measured of Ranker and of RULER: prompt size, speed, faults, and hidden things in prompts."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from benchmarks.ruler.groups import (
    Fields,
    judged,
    leaks,
    load_groups,
    marked,
    secrets,
    small_groups,
    write_groups,
)
from benchmarks.ruler.judge_process import Answers, JudgeProcess, judge_process
from benchmarks.ruler.score_server import SCORE_FAULTS
from ranker.files import group_from_dict
from ranker.prompting.transcript import transcribe
from ranker.testing import FAULTS
from ranker.testing.simulated import blocks

IN_FLIGHT = 64
WARM_UP = 64
LATENCY = 0.2
FAULTY = 1 / 3
FAULT_GROUPS = 300
RANKING_FAULTS = tuple(name for name in FAULTS if name != "hang")

Told = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two, as a process that takes a group file and prints what came of it.

    Attributes:
        command: how the process is started.
        answers: what its judge must answer in.
    """

    command: tuple[str, ...]
    answers: Answers

    def run(self, groups: Path, judge: JudgeProcess, *, warm_up: int = 0) -> Told:
        options = ["--base-url", judge.base_url, "--in-flight", str(IN_FLIGHT), "--warm-up", str(warm_up)]
        done = subprocess.run(
            [*self.command, str(groups), *options], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(self.command)} failed:\n{done.stderr[-3000:]}")
        return dict(json.loads(done.stdout.splitlines()[-1]))


def ours(*options: str, answers: Answers = "ranking") -> Side:
    return Side((sys.executable, "-m", "benchmarks.ruler.ranker_side", *options), answers)


def rulers(python: Path) -> Side:
    return Side((str(python), str(Path(__file__).with_name("ruler_side.py"))), "ruler")


def prompt_size(tau: Path, ruler: Side, folder: Path, count: Callable[[str], int] | None) -> Told:
    """Size of the whole prompt, system and user message, a group on average, as the server got it."""
    groups = marked(load_groups(tau))
    path = write_groups(folder / "tau.jsonl", groups)
    found: Told = {"groups": len(groups)}
    for name, side in (("ranker", ours()), ("ruler", ruler)):
        with judge_process(side.answers, capture=True) as judge:
            told = side.run(path, judge)
            bodies = judge.bodies()
        if told["errors"] or len(bodies) != len(groups):
            raise RuntimeError(f"{name} failed on groups of {tau}: {told['errors']}, {len(bodies)} requests")
        prompts = [[m["content"] for m in json.loads(body)["messages"]] for body in bodies]
        sizes = {"characters": fmean(sum(map(len, prompt)) for prompt in prompts)}
        if count is not None:
            sizes["tokens"] = fmean(sum(map(count, prompt)) for prompt in prompts)
        found[name] = sizes
        if name == "ranker":
            found["cut_groups"] = told["cut_groups"]
            found["blocks"], found["blocks_not_exact"] = _exact(groups, prompts)
            found["secrets"] = _secrecy(groups, bodies)
    found["ratio"] = {what: size / found["ruler"][what] for what, size in found["ranker"].items()}
    return found


def _exact(groups: Sequence[Fields], prompts: Sequence[Sequence[str]]) -> tuple[int, int]:
    """How many trajectories the prompts show, and how many of them, shared parts put back, do not
    read as transcribed alone."""
    whole = {transcribe(t).text.strip() for fields in groups for t in group_from_dict(fields).trajectories}
    shown = [text.strip() for prompt in prompts for _, text in blocks(prompt[-1])]
    return len(shown), sum(text not in whole for text in shown)


def _secrecy(groups: Sequence[Fields], bodies: Sequence[str]) -> Told:
    hidden = secrets(groups)
    return {"requests": len(bodies), "hidden": len(hidden), "found": leaks(bodies, hidden)}


def speed(count: int, repeats: int, ruler: Side, folder: Path, say: Say) -> Told:
    """Groups a second with a judge that answers at once and with one that takes a while; the sides
    take turns, each run a fresh client and a fresh judge."""
    small = small_groups(WARM_UP + 2 * count)
    path = write_groups(folder / "small.jsonl", small[: WARM_UP + count])
    # Twice as many where each takes a while: the first and last wave weigh less.
    longer = write_groups(folder / "longer.jsonl", small)
    runs: dict[str, list[Told]] = {}
    for turn in range(repeats):
        cached = ours("--cache", str(folder / f"replies-{turn}.sqlite"))
        for name, side, latency in (
            ("ranker", ours(), 0.0),
            ("ruler", ruler, 0.0),
            ("ranker_cache", cached, 0.0),
            ("ranker_slow_judge", ours(), LATENCY),
            ("ruler_slow_judge", ruler, LATENCY),
        ):
            say(f"speed, turn {turn + 1} of {repeats}: {name}")
            with judge_process(side.answers, latency=latency) as judge:
                told = side.run(longer if latency else path, judge, warm_up=WARM_UP)
                judge_cpu = judge.stats()["cpu_seconds"]
            outcome = judged(small[WARM_UP : WARM_UP + told["groups"]], told["rewards"])
            if outcome["right"] < told["groups"]:
                raise RuntimeError(f"{name} got a sound judge's groups wrong: {outcome}, {told['errors']}")
            runs.setdefault(name, []).append({**told, "judge_cpu_seconds": judge_cpu})
    found: Told = {name: _spread(told) for name, told in runs.items()}
    ideal = IN_FLIGHT / LATENCY
    shares = {name: found[f"{name}_slow_judge"]["median"] / ideal for name in ("ranker", "ruler")}
    versions = {name: told[0]["versions"] for name, told in runs.items() if name in ("ranker", "ruler")}
    return {
        "groups": count,
        "in_flight": IN_FLIGHT,
        "groups_per_second": found,
        "ideal_with_slow_judge": ideal,
        "share_of_ideal": shares,
        "times_ruler": found["ranker"]["median"] / found["ruler"]["median"],
        "versions": versions,
    }


def _spread(runs: Sequence[Told]) -> Told:
    rates = [told["groups"] / told["seconds"] for told in runs]
    busy = [told["cpu_seconds"] / told["seconds"] for told in runs]
    judge = [told["judge_cpu_seconds"] / told["seconds"] for told in runs]
    return {
        "median": median(rates),
        "low": min(rates),
        "high": max(rates),
        "all": rates,
        "client_cores_busy": median(busy),
        "judge_cores_busy": median(judge),
    }


def faults(ruler: Side, folder: Path, say: Say) -> Told:
    """A third of all replies faulty, every kind as often: what became of the groups, and whether each
    faulty reply was counted. Ranker is asked for rankings, and for scores with RULER's own faults."""
    groups = marked(small_groups(FAULT_GROUPS, seed=1))
    path = write_groups(folder / "faults.jsonl", groups)
    sides = {
        "ranker": (ours(), RANKING_FAULTS),
        "ranker_scores": (ours("--reward", "score", answers="scores"), SCORE_FAULTS),
        "ruler": (ruler, SCORE_FAULTS),
    }
    found: Told = {"groups": FAULT_GROUPS, "faulty_share": FAULTY}
    for name, (side, kinds) in sides.items():
        say(f"faults: {name}")
        with judge_process(side.answers, faults=_shares(kinds), capture=True) as judge:
            told = side.run(path, judge)
            stats, bodies = judge.stats(), judge.bodies()
        outcome = judged(groups, told["rewards"])
        found[name] = {
            "requests": stats["requests"],
            "replies": stats["counts"],
            "right": outcome.pop("right", 0),
            "failed": outcome.pop("failed", 0),
            "wrong": sum(outcome.values()),
            "wrong_by_kind": dict(outcome),
            "errors": told["errors"],
            "seconds": told["seconds"],
        }
        if name != "ruler":
            usage = told["usage"]
            # Not every fault spoils a reply: a reader by id takes any order, and passes over a code fence.
            harmless = sum(stats["counts"].get(kind, 0) for kind in ("ok", "reordered", "fenced"))
            found[name] |= {
                "faulty_replies": stats["requests"] - harmless,
                "counted_calls": usage["calls"],
                "counted_failed_calls": usage["failed_calls"],
                "rewards_of_failed_groups": told["rewards_of_failed_groups"],
                "secrets": _secrecy(groups, bodies),
            }
    return found


def _shares(kinds: Sequence[str]) -> Mapping[str, float]:
    return {kind: FAULTY / len(kinds) for kind in kinds}


def killed(folder: Path, count: int = 400, kills: int = 3, concurrency: int = 16) -> Told:
    """`ranker rank`, killed (SIGKILL) when a quarter, two and three quarters of its output is there,
    and then left to finish: whether each group is there once, and how many calls were paid twice."""
    groups = write_groups(folder / "killed.jsonl", small_groups(count, seed=2))
    out = folder / "ranked.jsonl"
    command = [sys.executable, "-m", "ranker", "rank", str(groups), "--out", str(out), "--quiet",
               "--judge", "openai/sim", "--concurrency", str(concurrency),
               "--cache", str(folder / "killed.sqlite")]  # fmt: skip
    found = 0
    with judge_process("ranking", latency=0.1) as judge:
        for kill in range(1, kills + 1):
            with subprocess.Popen([*command, "--base-url", judge.base_url]) as process:
                while process.poll() is None and _lines(out) < count * kill // (kills + 1):
                    time.sleep(0.01)
                found += process.poll() is None
                process.kill()
        last = subprocess.run([*command, "--base-url", judge.base_url], check=False)
        requests = judge.stats()["requests"]
    ranked = load_groups(out)
    names = [fields["id"] for fields in ranked]
    return {
        "groups": count,
        "kills": found,
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
