"""The suite `toolenv`: its truth, its traps, and that nothing on the surface gives the truth away."""

from __future__ import annotations

import itertools
import json
import random
import statistics
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ranker.suites.toolenv import checker, grade, groups, messages, task_of, turn_truths
from ranker.suites.toolenv_agents import TIMEOUT, Plan, attempt
from ranker.suites.toolenv_world import Task, Voice, draw_task, opening, tools, voice
from ranker.trajectory import Trajectory, TrajectoryGroup

SETTINGS = list(itertools.product((True, False), (0.1, 0.5, 0.9)))


def voice_of(task: Task) -> Voice:
    return voice(task.service in voice(True).services)


def played(task: Task, plan: Plan, seed: int = 0) -> Trajectory:
    words = voice_of(task)
    start = opening(task, words.systems[0], words.letters[0], "a firm")
    steps = messages(attempt(task, plan, words, random.Random(seed)))
    return Trajectory([*start, *steps], tools(task.service))


def truth(task: Task, plan: Plan, seed: int = 0) -> float:
    return checker(played(task, plan, seed), task)


def tasks(held_out: bool, count: int, flagged: bool = False) -> list[Task]:
    draw, found = random.Random(5), []
    while len(found) < count:
        task = draw_task(draw.choice(voice(held_out).services), draw)
        if task.flagged == flagged and len(task.people) == 2:
            found.append(task)
    return found


def told(trajectory: Trajectory) -> str:
    return " ".join(str(message.get("content")) for message in trajectory.messages)


def accuracy(made: list[TrajectoryGroup], feature: Callable[[Trajectory], float]) -> float:
    hits: list[float] = []
    for group in made:
        values = [(t.ground_truth or 0.0, feature(t)) for t in group.trajectories]
        for (a, x), (b, y) in itertools.combinations(values, 2):
            if a != b:
                hits.append(0.5 if x == y else float((x > y) == (a > b)))
    return statistics.mean(hits)


@pytest.mark.parametrize("held_out", [True, False])
def test_the_truth_follows_from_the_messages(held_out: bool) -> None:
    for i, group in enumerate(groups(60, difficulty=0.6, held_out=held_out)):
        task = task_of(i, difficulty=0.6, held_out=held_out)
        for t in group.trajectories:
            assert checker(Trajectory(t.messages, t.tools), task) == t.ground_truth


def test_the_splits_share_nothing() -> None:
    a, b = voice(True), voice(False)
    one, other = a.services, b.services
    assert len(one) >= 3
    assert len(other) >= 3
    names: tuple[Callable[[Any], set[str]], ...] = (
        lambda s: {s.name},
        lambda s: set(s.orgs),
        lambda s: {tool["function"]["name"] for tool in tools(s)},
        lambda s: {s.asked, *s.done},
        lambda s: {s.decider, s.amount, s.target_field, s.thing_field},
        lambda s: set(s.things),
    )
    for of in names:
        assert not set.union(*map(of, one)) & set.union(*map(of, other))
    for name in ("systems", "letters", "case", "undone", "openers", "closers", "retries", "reasons"):
        assert not set(getattr(a, name)) & set(getattr(b, name))
    assert not {x for v in a.thoughts.values() for x in v} & {x for v in b.thoughts.values() for x in v}


@pytest.mark.parametrize(("held_out", "difficulty"), SETTINGS)
@pytest.mark.parametrize("size", [4, 8])
def test_the_surface_tells_nothing(held_out: bool, difficulty: float, size: int) -> None:
    made = groups(80 if size == 4 else 30, 11, size=size, difficulty=difficulty, held_out=held_out)
    features: dict[str, Callable[[Trajectory], float]] = {
        "messages": lambda t: len(t.messages),
        "reply": lambda t: len(t.messages[-1]["content"]),
        "sorry": lambda t: "sorry" in told(t).lower() or "apolog" in told(t).lower(),
        "timeouts": lambda t: told(t).count("timeout"),
    }
    found = {name: accuracy(made, feature) for name, feature in features.items()}
    assert all(0.4 <= value <= 0.6 for value in found.values()), found


def test_every_call_is_offered_and_answered() -> None:
    for group in groups(40) + groups(40, held_out=False):
        for t in group.trajectories:
            ids = {call["id"] for m in t.messages for call in m.get("tool_calls") or ()}
            assert ids == {m["tool_call_id"] for m in t.messages if m["role"] == "tool"}
            names = {tool["function"]["name"] for tool in t.tools or ()}
            assert names >= {c["function"]["name"] for m in t.messages for c in m.get("tool_calls") or ()}


@pytest.mark.parametrize("held_out", [True, False])
@pytest.mark.parametrize("flagged", [True, False])
def test_a_good_agent_gets_all(held_out: bool, flagged: bool) -> None:
    for seed, task in enumerate(tasks(held_out, 25, flagged)):
        assert truth(task, Plan(), seed) == 1


@pytest.mark.parametrize(
    ("plan", "worth"),
    [
        (Plan(verify=False), 0.9),
        (Plan(says_first="nothing"), 0.95),
        (Plan(says_second="nothing"), 0.95),
        (Plan(gift=True), 0.85),
        (Plan(wrong_target=True), 0.75),
        (Plan(wrong_value=True), 0.75),
        (Plan(second="skip"), 0.75),
        (Plan(second="give up"), 0.75),
        (Plan(second="skip", says_second="done"), 0.65),
        (Plan(first="skip"), 0.55),
        (Plan(first="give up"), 0.55),
        (Plan(first="give up", says_first="done"), 0.45),
        (Plan(first="case"), 0.4),
        (Plan(namesake=True), 0.0),
    ],
)
@pytest.mark.parametrize("held_out", [True, False])
def test_what_mistakes_cost(plan: Plan, worth: float, held_out: bool) -> None:
    for seed, task in enumerate(tasks(held_out, 8)):
        assert truth(task, plan, seed) == pytest.approx(worth), task.service.name


def test_the_stale_list_and_a_wrong_fee_cost_the_fee() -> None:
    stale = [t for t in tasks(True, 30) if t.fee(t.record) != t.fee(t.record, t.listed[t.record])]
    assert len(stale) > 5
    for task in stale:
        assert truth(task, Plan(level="listed", read=False)) == 0.8
        assert truth(task, Plan(level="listed")) == 0.8
    for task in tasks(True, 10):
        assert truth(task, Plan(says_first="amount")) == 0.9


def test_a_flag_must_be_heeded() -> None:
    for task in tasks(True, 10, flagged=True):
        assert (
            truth(task, Plan(heed_flag=False)) == 0.4
        )  # the change is made, as reported, but was not wanted
        assert truth(task, Plan(read=False)) == 0.4


def test_a_timed_out_call_changes_nothing() -> None:
    task = tasks(True, 1)[0]
    s = task.service
    start = opening(task, "{org}", "{name}", "a firm")
    arguments = json.dumps({s.person_key: task.person, "postcode": task.words["postcode"]})
    call = {"id": "x", "type": "function", "function": {"name": s.verify, "arguments": arguments}}
    for result, worth in ((TIMEOUT, 0.1), ('{"postcode_matches": true}', 0.2)):
        made = [
            *start,
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "x", "content": result},
            {"role": "assistant", "content": "That is all."},
        ]
        assert checker(Trajectory(made), task) == worth


def test_a_change_taken_back_leaves_the_right_state() -> None:
    task = tasks(True, 1)[0]
    s, words = task.service, voice(True)
    key = {s.record_key: task.record}
    right = (s.act, {**key, s.target_field: task.target, s.amount: task.fee(task.record)})
    wrong = (s.act, {**key, s.target_field: "elsewhere", s.amount: 1.0})
    assert grade([wrong, right], "", task, words) > grade([right, wrong], "", task, words)


def test_every_mistake_can_be_seen() -> None:
    """What a plan gets wrong shows in what is called, returned or said."""
    task = tasks(True, 1)[0]
    good = told(played(task, Plan()))
    for plan in (Plan(verify=False), Plan(wrong_value=True), Plan(wrong_target=True), Plan(namesake=True)):
        assert told(played(task, replace(plan))) != good


@pytest.mark.parametrize("held_out", [True, False])
def test_what_each_turn_is_worth(held_out: bool) -> None:
    """No turn of a good agent hurts; a wrong fee hurts where it is charged, a gift where it is given."""
    (task,) = tasks(held_out, 1)
    good = turn_truths(played(task, Plan()), task)
    assert min(good) == 0.0
    assert sum(good) == pytest.approx(0.9)  # what nobody says of the requests is worth 0.1 from the start
    fee = turn_truths(played(task, Plan(level="wrong")), task)
    assert [w for w in fee if w < 0] == [-0.2]
    gift = turn_truths(played(task, Plan(gift=True)), task)
    assert [w for w in gift if w < 0] == [-0.15]


def test_turns_of_the_suite_add_up() -> None:
    """The truth of an attempt is all that was lost on the way, unless more was lost than there is."""
    for i, group in enumerate(groups(6)):
        task = task_of(i)
        for t in group.trajectories:
            worth = turn_truths(t, task)
            assert len(worth) == sum(m["role"] == "assistant" for m in t.messages)
            if t.ground_truth:
                assert t.ground_truth == pytest.approx(1 + sum(w for w in worth if w < 0))
