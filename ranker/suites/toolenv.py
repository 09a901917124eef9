"""Agents with tools at the desks of small services, graded by the final state of the records and the last message.

A customer asks for two things. To do them right, an agent has to find the right person among namesakes, check who it
is, read the record itself (last night's list may be out of date), work out a fee by the rules, keep off records that
are flagged, repeat calls that time out, do nothing that was not asked for, and report truthfully. Agents of varied
competence get some of that wrong. Every write returns the state that it leaves behind, so the transcript shows what
is true. How long an agent talks, and how many idle calls it makes, is drawn with no eye to how well it does.

The truth of an attempt, in hundredths:

     10  the customer was checked
     45  the record has the target (25) and the fee (20) that it should; or, where it is flagged, a case is open
     25  the second request was carried out
  2 x 10  each request is reported as it stands (half of it where the report leaves it out)
    -15  for each change that should not have been
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from ranker.suites import toolenv_services, toolenv_words
from ranker.suites.draw import rng
from ranker.suites.toolenv_agents import TIMEOUT, Attempt, attempt, draw_plan, talk
from ranker.suites.toolenv_services import Service
from ranker.suites.toolenv_words import Voice
from ranker.suites.toolenv_world import (
    Key,
    Task,
    changes_of,
    draw_task,
    money,
    opening,
    said,
    tools,
)
from ranker.trajectory import Trajectory, TrajectoryGroup

RUBRIC = (
    "Better is the attempt that leaves the records closer to what the customer asked for and the rules allow: both "
    "requests carried out on the right record and with the right values, the customer checked, nothing else changed. "
    "Then comes whether the last message is true. Length, politeness and idle look-ups do not matter."
)
Call = tuple[str, Mapping[str, Any]]  # a tool and its arguments
TRIES = 5  # how often a plan is drawn again whose truth the group has already
TALK = 700  # characters by which what agents say varies


def services(held_out: bool) -> tuple[Service, ...]:
    return toolenv_services.HELD_OUT if held_out else toolenv_services.TRAINING


def voice(held_out: bool) -> Voice:
    return toolenv_words.HELD_OUT if held_out else toolenv_words.TRAINING


def groups(
    n: int, seed: int = 0, *, size: int = 4, difficulty: float = 0.5, held_out: bool = True
) -> list[TrajectoryGroup]:
    """Groups of attempts; the harder, the fewer and the subtler the mistakes that tell them apart."""
    return [_group(i, seed, size, difficulty, held_out) for i in range(n)]


def task_of(i: int, seed: int = 0, *, size: int = 4, difficulty: float = 0.5, held_out: bool = True) -> Task:
    """The task of group i."""
    return _task(i, seed, size, difficulty, held_out)[0]


def _task(i: int, seed: int, size: int, difficulty: float, held_out: bool) -> tuple[Task, random.Random]:
    draw = rng("toolenv", seed, i, size, float(difficulty), held_out)
    return draw_task(draw.choice(services(held_out)), draw), draw


def _group(i: int, seed: int, size: int, difficulty: float, held_out: bool) -> TrajectoryGroup:
    if size < 2:
        raise ValueError(f"A group needs at least two trajectories, not {size}.")
    task, draw = _task(i, seed, size, difficulty, held_out)
    words = voice(held_out)
    start = opening(
        task, draw.choice(words.systems), draw.choice(words.letters), draw.choice(task.service.orgs)
    )
    members = _members(task, size, difficulty, words, draw)
    longest = max(made.size() for made, _, _ in members)
    letters = "abcdefghijklmnopqrstuvwxyz"
    trajectories = []
    for k, (made, truth, competence) in enumerate(members):
        talk(made, longest + draw.randrange(TALK) - 150, task, words, draw)
        trajectories.append(
            Trajectory(
                [*start, *messages(made)],
                tools(task.service),
                id=letters[k] if k < len(letters) else f"t{k}",
                ground_truth=truth,
                metadata={"competence": competence},
            )
        )
    return TrajectoryGroup(
        trajectories,
        id=f"toolenv-{seed}-{i}",
        rubric=RUBRIC,
        metadata={"suite": "toolenv", "template": task.service.name},
    )


def _members(
    task: Task, size: int, difficulty: float, words: Voice, draw: random.Random
) -> list[tuple[Attempt, float, float]]:
    """Attempts, their truths and competences, in an order that says nothing."""
    members: list[tuple[Attempt, float, float]] = []
    while len({truth for _, truth, _ in members}) < 2:
        members.clear()
        taken: set[float] = set()
        for k in range(size):
            competence = (k + draw.random()) / size
            for _ in range(TRIES):
                made = attempt(task, draw_plan(task, competence, difficulty, draw), words, draw)
                truth = grade(
                    [(s.tool, s.given) for s in made.steps if s.result != TIMEOUT], made.reply, task, words
                )
                if truth not in taken:
                    break
            taken.add(truth)
            members.append((made, truth, round(competence, 3)))
    draw.shuffle(members)
    return members


def messages(made: Attempt) -> list[dict[str, Any]]:
    """The messages of an attempt, after the opening."""
    told: list[dict[str, Any]] = []
    for k, step in enumerate(made.steps):
        name = f"call_{k + 1}"
        function = {"name": step.tool, "arguments": step.arguments}
        call = {"id": name, "type": "function", "function": function}
        told.append({"role": "assistant", "content": step.said or None, "tool_calls": [call]})
        told.append({"role": "tool", "tool_call_id": name, "content": step.result})
    return [*told, {"role": "assistant", "content": made.reply}]


def checker(trajectory: Trajectory, task: Task) -> float:
    """The truth of an attempt at a task, in [0, 1], from its messages alone."""
    held_out = task.service in services(True)
    calls: dict[str, Call] = {}
    done: list[Call] = []
    for message in trajectory.messages:
        for call in message.get("tool_calls") or ():
            calls[call["id"]] = (call["function"]["name"], json.loads(call["function"]["arguments"]))
        if message["role"] == "tool" and message["content"] != TIMEOUT:
            done.append(calls[message["tool_call_id"]])
    last = trajectory.messages[-1]
    replied = last["role"] == "assistant" and not last.get("tool_calls")
    return grade(done, str(last.get("content") or "") if replied else "", task, voice(held_out))


def grade(done: Sequence[Call], reply: str, task: Task, words: Voice) -> float:
    """The truth of the calls that did not time out and the last message, as agents with these words write it."""
    state, unwanted = _final(done, task)
    wanted = task.wanted
    hundredths = -15 * len(unwanted)
    for key, value in wanted.items():
        if state.get(key) == value:
            hundredths += {
                "verified": 10,
                "case": 45,
                task.service.target_field: 25,
                task.service.amount: 20,
            }.get(key[1], 25)
    first, second = _reported(reply, state, task, words)
    return max(0, hundredths + first + second) / 100


def _final(done: Sequence[Call], task: Task) -> tuple[dict[Key, Any], set[Key]]:
    """All that was changed, to its last value, and what should not have been: by record or person, and tool."""
    state: dict[Key, Any] = {}
    unwanted: set[Key] = set()
    for name, given in done:
        changes = changes_of(task, name, given)
        state.update(changes)
        unwanted.update((key[0], name) for key in changes if key not in task.wanted)
    return state, unwanted


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    """A wording as an expression that finds what its places were filled with."""
    parts = re.split(r"\{(\w+)\}", text)
    found = {"amount": r"EUR [\d.]*\d"}
    return re.compile(
        "".join(f"(?P<{p}>{found.get(p, '.+?')})" if i % 2 else re.escape(p) for i, p in enumerate(parts))
    )


def _reported(reply: str, state: Mapping[Key, Any], task: Task, words: Voice) -> tuple[int, int]:
    """How truly the reply reports on each request: 10, 0 for a falsehood, 5 for nothing said."""
    s, extra = task.service, task.extra
    owner = task.record if extra.on_record else task.person
    target, amount = state.get((task.record, s.target_field)), state.get((task.record, s.amount))
    case, value = (task.record, "case") in state, state.get((owner, extra.field))
    first = second = 5
    if any(text.format(**task.words) in reply for text in words.case):
        first = 10 if case else 0
    elif any(text.format(todo=task.words["first"]) in reply for text in words.undone):
        first = 10 if target is None else 0
    elif found := next((m for text in s.done if (m := _pattern(text).search(reply))), None):
        true = (
            target is not None and found["target"] == said(target) and found["amount"] == money(amount or 0)
        )
        first = 10 if true else 0
    if any(text.format(todo=task.words["second"]) in reply for text in words.undone):
        second = 10 if value is None else 0
    elif value is not None and any(text.format(value=value) in reply for text in extra.done):
        second = 10
    elif any(_pattern(text.rstrip(".")).search(reply) for text in extra.done):
        second = 0
    return first, second
