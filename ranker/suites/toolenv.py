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

The harder, the fewer and the subtler the mistakes that tell the attempts apart.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from ranker.suites.attempts import Generator, Members, turn_values
from ranker.suites.toolenv_agents import TIMEOUT, Attempt, attempt, draw_plan, talk
from ranker.suites.toolenv_world import (
    Key,
    Task,
    Voice,
    changes_of,
    draw_task,
    money,
    opening,
    said,
    tools,
    voice,
)
from ranker.trajectory import Trajectory

RUBRIC = (
    "Better is the attempt that leaves the records closer to what the customer asked for and the rules allow: both "
    "requests carried out on the right record and with the right values, the customer checked, nothing else changed. "
    "Then comes whether the last message is true. Length, politeness and idle look-ups do not matter."
)
Call = tuple[str, Mapping[str, Any]]  # a tool and its arguments
TRIES = 5  # how often a plan is drawn again whose truth the group has already
TALK = 700  # characters by which what agents say varies


def task_of(i: int, seed: int = 0, *, size: int = 4, difficulty: float = 0.5, held_out: bool = True) -> Task:
    """The task of group i."""
    draw = groups.rng(i, seed, size, difficulty, held_out)
    return draw_task(draw.choice(voice(held_out).services), draw)


def _members(draw: random.Random, size: int, difficulty: float, held_out: bool) -> Members:
    words = voice(held_out)
    task = draw_task(draw.choice(words.services), draw)
    start = opening(
        task, draw.choice(words.systems), draw.choice(words.letters), draw.choice(task.service.orgs)
    )
    graded = _graded(task, size, difficulty, words, draw)
    longest = max(played.size() for played, _, _ in graded)
    members = []
    for k, (played, truth, competence) in enumerate(graded):
        talk(played, longest + draw.randrange(TALK) - 150, task, words, draw)
        members.append(
            Trajectory(
                [*start, *messages(played)],
                tools(task.service),
                id=chr(97 + k) if k < 26 else f"t{k}",
                ground_truth=truth,
                metadata={"competence": competence},
            )
        )
    return members, {"suite": "toolenv", "template": task.service.name}


groups = Generator("toolenv", RUBRIC, _members)


def _graded(
    task: Task, size: int, difficulty: float, words: Voice, draw: random.Random
) -> list[tuple[Attempt, float, float]]:
    """Attempts, their truths and competences, in an order that says nothing."""
    graded: list[tuple[Attempt, float, float]] = []
    while len({truth for _, truth, _ in graded}) < 2:
        graded.clear()
        taken: set[float] = set()
        for k in range(size):
            competence = (k + draw.random()) / size
            for _ in range(TRIES):
                played = attempt(task, draw_plan(task, competence, difficulty, draw), words, draw)
                calls = [(s.tool, s.arguments) for s in played.steps if s.result != TIMEOUT]
                truth = grade(calls, played.reply, task, words)
                if truth not in taken:
                    break
            taken.add(truth)
            graded.append((played, truth, round(competence, 3)))
    draw.shuffle(graded)
    return graded


def messages(played: Attempt) -> list[dict[str, Any]]:
    """The messages of an attempt, after the opening."""
    sent: list[dict[str, Any]] = []
    for k, step in enumerate(played.steps):
        name = f"call_{k + 1}"
        function = {"name": step.tool, "arguments": step.encoded}
        call = {"id": name, "type": "function", "function": function}
        sent.append({"role": "assistant", "content": step.said or None, "tool_calls": [call]})
        sent.append({"role": "tool", "tool_call_id": name, "content": step.result})
    return [*sent, {"role": "assistant", "content": played.reply}]


def checker(trajectory: Trajectory, task: Task) -> float:
    """The truth of an attempt at a task, in [0, 1], from its messages alone."""
    words = next(v for v in (voice(True), voice(False)) if task.service in v.services)
    calls: dict[str, Call] = {}
    done: list[Call] = []
    for message in trajectory.messages:
        for call in message.get("tool_calls") or ():
            calls[call["id"]] = (call["function"]["name"], json.loads(call["function"]["arguments"]))
        if message["role"] == "tool" and message["content"] != TIMEOUT:
            done.append(calls[message["tool_call_id"]])
    last = trajectory.messages[-1]
    replied = last["role"] == "assistant" and not last.get("tool_calls")
    return grade(done, str(last.get("content") or "") if replied else "", task, words)


def turn_truths(trajectory: Trajectory, task: Task) -> list[float]:
    """What each assistant message of an attempt did for the checker's score, in [-1, 1].

    The score in hand is the checker's, were the attempt to end there; the best in reach is what it can become if all that is
    not yet done is done right, and what is done stays. A turn that brings the best down hurt by as much (below 0); any
    other helped by what it added to the score in hand. A fee that is wrong at first and right later hurts, then helps.
    """
    words = next(v for v in (voice(True), voice(False)) if task.service in v.services)
    calls: dict[str, Call] = {}
    done: list[Call] = []
    scores: list[tuple[float, float]] = [
        (0.1, 1.0)
    ]  # nothing said of either request is worth half of a report
    for message in trajectory.messages:
        asked = message.get("tool_calls") or ()
        for call in asked:
            calls[call["id"]] = (call["function"]["name"], json.loads(call["function"]["arguments"]))
        if message["role"] == "tool" and message["content"] != TIMEOUT:
            done.append(calls[message["tool_call_id"]])
        if message["role"] == "tool":
            scores[-1] = (grade(done, "", task, words), _reach(done, task))
        elif message["role"] == "assistant" and asked:
            scores.append(scores[-1])
        elif message["role"] == "assistant":
            scores.append((grade(done, str(message.get("content") or ""), task, words),) * 2)
    return turn_values(scores)


def _reach(done: Sequence[Call], task: Task) -> float:
    """The best score after these calls, if none of them is done over."""
    state, unwanted = _final(done, task)
    lost = sum(_worth(key, task) for key, value in task.wanted.items() if state.get(key, value) != value)
    return max(0, 100 - lost - 15 * len(unwanted)) / 100


def _worth(key: Key, task: Task) -> int:
    """Hundredths for one thing that was to be changed."""
    worth = {"verified": 10, "case": 45, task.service.target_field: 25, task.service.amount: 20}
    return worth.get(key[1], 25)


def grade(done: Sequence[Call], reply: str, task: Task, words: Voice) -> float:
    """The truth of the calls that did not time out and the last message, as agents with these words write it."""
    state, unwanted = _final(done, task)
    right = (key for key, value in task.wanted.items() if state.get(key) == value)
    hundredths = sum(_worth(key, task) for key in right) - 15 * len(unwanted)
    first, second = _reported(reply, state, task, words)
    return max(0, hundredths + first + second) / 100


def _final(done: Sequence[Call], task: Task) -> tuple[dict[Key, Any], set[Key]]:
    """All that was changed, to its last value, and what should not have been: by record or person, and tool."""
    state: dict[Key, Any] = {}
    unwanted: set[Key] = set()
    for name, arguments in done:
        changes = changes_of(task, name, arguments)
        state.update(changes)
        unwanted.update((key[0], name) for key in changes if key not in task.wanted)
    return state, unwanted


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    """A wording as an expression that finds what its places were filled with."""
    parts = re.split(r"\{(\w+)\}", text)
    forms = {"amount": r"EUR [\d.]*\d"}
    return re.compile(
        "".join(f"(?P<{p}>{forms.get(p, '.+?')})" if i % 2 else re.escape(p) for i, p in enumerate(parts))
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
    elif match := next((m for text in s.done if (m := _pattern(text).search(reply))), None):
        shown = (match["target"], match["amount"])
        first = 10 if target is not None and shown == (said(target), money(amount or 0)) else 0
    if any(text.format(todo=task.words["second"]) in reply for text in words.undone):
        second = 10 if value is None else 0
    elif value is not None and any(text.format(value=value) in reply for text in extra.done):
        second = 10
    elif any(_pattern(text.rstrip(".")).search(reply) for text in extra.done):
        second = 0
    return first, second
