"""The agents of the suite `toolenv`: what they get wrong, what they do, and what they say."""

from __future__ import annotations

import datetime
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ranker.suites.toolenv_words import Voice
from ranker.suites.toolenv_world import Task, World, changes_of, money, said

TIMEOUT = '{"error": "timeout"}'
TIMEOUTS = 0.12  # how often a call times out at first
CALLS = (7, 10)  # how many calls an attempt has at least, drawn with no eye to its worth
REPLY = (200, 420)  # and characters of its last message


@dataclass(frozen=True, slots=True)
class Plan:
    """What an agent does; by default all of it right.

    `first` and `second`, the two requests, are "do", "skip", "give up" (after a timeout) or "case"; `told` are
    what the reply says of them: "truth", "done" whatever was done, "amount" (a wrong one), "nothing".
    """

    namesake: bool = False
    other_record: bool = False
    verify: bool = True
    read: bool = True
    level: str = "right"  # the rate that is applied: "right", "listed" or "wrong"
    heed_flag: bool = True
    first: str = "do"
    second: str = "do"
    wrong_target: bool = False
    wrong_value: bool = False
    gift: bool = False
    told_first: str = "truth"
    told_second: str = "truth"


# Each mistake: how often at difficulty 0, how often at 1, and what it does to a plan.
MISTAKES: tuple[tuple[float, float, Mapping[str, Any]], ...] = (
    (3.0, 0.1, {"namesake": True}),
    (3.0, 0.3, {"other_record": True}),
    (2.0, 0.2, {"first": "skip"}),
    (2.0, 0.1, {"first": "skip", "told_first": "done"}),
    (3.0, 0.2, {"first": "give up"}),
    (2.0, 0.2, {"first": "give up", "told_first": "done"}),
    (2.0, 0.4, {"second": "skip"}),
    (2.0, 0.5, {"second": "skip", "told_second": "done"}),
    (2.0, 0.4, {"second": "give up"}),
    (1.0, 0.4, {"second": "give up", "told_second": "done"}),
    (1.5, 0.3, {"first": "case"}),
    (2.0, 2.0, {"gift": True}),
    (2.0, 1.0, {"heed_flag": False}),
    (1.0, 4.0, {"level": "listed", "read": False}),
    (0.5, 3.0, {"level": "listed"}),
    (0.5, 3.0, {"level": "wrong"}),
    (0.5, 2.0, {"wrong_target": True}),
    (0.5, 2.0, {"wrong_value": True}),
    (1.0, 4.0, {"verify": False}),
    (0.3, 2.5, {"told_first": "amount"}),
    (0.3, 1.5, {"told_first": "nothing"}),
    (0.3, 1.5, {"told_second": "nothing"}),
)


def draw_plan(task: Task, competence: float, difficulty: float, draw: random.Random) -> Plan:
    """The fewer mistakes, the more competent; the subtler ones, the higher the difficulty."""
    count = int((1 - competence) * (4 - 2.2 * difficulty) + draw.random())
    fitting = [mistake for mistake in MISTAKES if _applies(task, mistake[2])]
    weights = [(1 - difficulty) * coarse + difficulty * subtle for coarse, subtle, _ in fitting]
    plan = Plan()
    for _, _, change in draw.choices(fitting, weights, k=count):
        plan = replace(plan, **change)
    return plan


def _applies(task: Task, change: Mapping[str, Any]) -> bool:
    if change.get("namesake"):
        return len(task.people) > 1
    if change.get("heed_flag") is False:
        return task.flagged
    if task.flagged:
        return (
            change.get("first") != "case"
            and not change.keys() & {"level", "wrong_target"}
            and change.get("told_first") != "amount"
        )
    if change.get("level") == "listed":
        return bool(task.listed[task.record] != task.records[task.record][task.service.decider])
    return True


@dataclass(slots=True)
class Step:
    """A call, its result as text, and what the agent says with it."""

    kind: str
    tool: str
    given: dict[str, Any]
    result: str
    said: str = ""
    arguments: str = field(init=False)

    def __post_init__(self) -> None:
        self.arguments = json.dumps(self.given)

    def size(self) -> int:
        return len(self.result) + len(self.arguments) + 2 * len(self.tool) + 20


@dataclass(slots=True)
class Attempt:
    """An attempt in the making: its calls and its last message."""

    steps: list[Step]
    reply: str

    def size(self) -> int:
        return sum(step.size() + len(step.said) for step in self.steps) + len(self.reply)


def attempt(task: Task, plan: Plan, voice: Voice, draw: random.Random) -> Attempt:
    """Play a plan. Idle calls, pleasantries and timeouts come as drawn, whatever the plan."""
    s, world = task.service, World(task)
    steps: list[Step] = []

    def call(kind: str, tool: str, given: dict[str, Any], gives_up: bool = False) -> None:
        if gives_up or draw.random() < TIMEOUTS:
            steps.append(Step(kind, tool, given, TIMEOUT))
            if gives_up:
                return
            steps.append(Step("retry", tool, given, json.dumps(world.call(tool, given))))
        else:
            steps.append(Step(kind, tool, given, json.dumps(world.call(tool, given))))

    person = list(task.people)[-1] if plan.namesake else task.person
    mine = [key for key, r in task.records.items() if r["owner"] == person]
    record = mine[-1] if plan.other_record else mine[0]
    owned = {s.person_key: person}
    call("find", s.find, {"name": task.words["name"]})
    if plan.verify:
        call("verify", s.verify, {**owned, "postcode": task.words["postcode"]})
    call("list", s.listing, dict(owned))
    if plan.read:
        call("read", s.read, {s.record_key: record})
    blocked = plan.read and plan.heed_flag and task.records[record]["flag"] != "none"
    first = "case" if blocked and plan.first == "do" else plan.first
    amount, target = _amount(task, plan, record, draw), _target(task, plan, draw)
    value = _value(task, plan, draw)
    tasks: list[Callable[[], None]] = [lambda: _second(task, plan, person, record, value, call)]
    main = {s.record_key: record, s.target_field: target, s.amount: amount}
    if first == "case":
        tasks.append(
            lambda: call("case", s.case, {s.record_key: record, "reason": draw.choice(voice.reasons)})
        )
    elif first != "skip":
        tasks.append(lambda: call("act", s.act, main, first == "give up"))
    if draw.random() < 0.75:
        tasks.reverse()
    for do in tasks:
        do()
    if plan.gift:
        call("gift", s.gift, {**owned, "amount": draw.choice((10, 15, 20, 25))})
    _idle(task, plan, steps, mine, record, draw)
    reply = _reply(task, plan, first, target, amount, value, voice, draw)
    return Attempt(steps, reply)


def _second(task: Task, plan: Plan, person: str, record: str, value: str, call: Any) -> None:
    s, extra = task.service, task.extra
    owner = {s.record_key: record} if extra.on_record else {s.person_key: person}
    if plan.second != "skip":
        call("extra", extra.tool, {**owner, extra.field: value}, plan.second == "give up")


def _amount(task: Task, plan: Plan, record: str, draw: random.Random) -> float:
    right = task.records[record][task.service.decider]
    if plan.level == "listed" or not plan.read:
        return task.fee(record, task.listed[record])
    if plan.level == "wrong":
        return task.fee(record, draw.choice([level for level in task.rates if level != right]))
    return task.fee(record)


def _target(task: Task, plan: Plan, draw: random.Random) -> str:
    s = task.service
    if not plan.wrong_target:
        return task.target
    if s.targets:
        return draw.choice([target for target in s.targets if target != task.target])
    day = datetime.date.fromisoformat(task.target)
    return (day + datetime.timedelta(days=draw.choice((-7, -1, 1, 7)))).isoformat()


def _value(task: Task, plan: Plan, draw: random.Random) -> str:
    if not plan.wrong_value:
        return task.value
    if task.extra.values:
        return draw.choice([value for value in task.extra.values if value != task.value])
    digits = task.value
    places = [
        i for i in range(5, len(digits) - 1) if digits[i] != digits[i + 1] and " " not in digits[i : i + 2]
    ]
    if not places:
        return digits[:-1] + str((int(digits[-1]) + 1) % 10)
    i = draw.choice(places)
    return digits[:i] + digits[i + 1] + digits[i] + digits[i + 2 :]


def _idle(
    task: Task, plan: Plan, steps: list[Step], mine: Sequence[str], record: str, draw: random.Random
) -> None:
    """Further calls that change nothing, up to a number drawn for the attempt."""
    s, wish = task.service, draw.randint(*CALLS)
    first = next(i for i, step in enumerate(steps) if step.tool == s.listing and step.result != TIMEOUT) + 1
    topics = draw.sample(sorted(s.topics), len(s.topics))
    others = [key for key in mine if key != record]
    while len(steps) < wish:
        at = draw.randint(first, len(steps))
        while at < len(steps) and steps[at].kind == "retry":
            at += 1
        options = (
            ["read"] * (plan.read or at == len(steps)) + ["other"] * bool(others) + ["article"] * bool(topics)
        )
        kind = draw.choice(options or ["list"])
        if kind == "read":
            given, tool = {s.record_key: record}, s.read
        elif kind == "other":
            given, tool, kind = {s.record_key: others.pop()}, s.read, "read"
        elif kind == "article":
            given, tool = {"topic": topics.pop()}, s.article
        else:
            given, tool = {s.person_key: task.records[record]["owner"]}, s.listing
        if not any(step.tool == tool and step.given == given for step in steps[max(at - 1, 0) : at + 1]):
            world = World(task)
            for step in steps[:at]:
                if step.result != TIMEOUT:
                    world.changed.update(changes_of(task, step.tool, step.given))
            steps.insert(at, Step(kind, tool, given, json.dumps(world.call(tool, given))))


def _reply(
    task: Task,
    plan: Plan,
    first: str,
    target: str,
    amount: float,
    value: str,
    voice: Voice,
    draw: random.Random,
) -> str:
    s, words = task.service, task.words
    told = []
    thing = task.records[task.record][s.thing_field]
    if plan.told_first == "amount" and first == "do":
        fees = {task.fee(task.record, level) for level in task.rates} - {amount}
        amount = draw.choice(sorted(fees)) if fees else amount + 5
    if plan.told_first != "nothing":
        if first == "do" or (plan.told_first == "done" and first != "case"):
            text = draw.choice(s.done).format(thing=thing, target=said(target), amount=money(amount))
        elif first == "case":
            text = draw.choice(voice.case).format(**words)
        else:
            text = draw.choice(voice.undone).format(todo=words["first"])
        told.append(text)
    if plan.told_second != "nothing":
        done = plan.second == "do" or plan.told_second == "done"
        text = draw.choice(task.extra.done).format(value=value)
        told.append(text if done else draw.choice(voice.undone).format(todo=words["second"]))
    if draw.random() < 0.3:
        told.reverse()
    told.insert(0, draw.choice(voice.openers).format(name=words["name"].split()[0]))
    wish = draw.randint(*REPLY)
    for closer in draw.sample(voice.closers, len(voice.closers)):
        if sum(map(len, told)) + len(told) + len(closer) / 2 > wish:
            break
        told.append(closer)
    return " ".join(told)


def talk(made: Attempt, length: int, task: Task, voice: Voice, draw: random.Random) -> None:
    """Let the agent speak with its calls until the attempt has about this length."""
    left = length - made.size()
    pools = {kind: draw.sample(texts, len(texts)) for kind, texts in voice.thoughts.items()}
    pools["retry"] = draw.sample(voice.retries, len(voice.retries))
    for _ in range(2):
        for at in draw.sample(range(len(made.steps)), len(made.steps)):
            step = made.steps[at]
            pool = pools.get(step.kind) if not step.said else pools["any"]
            if left < 20 or not pool:
                continue
            text = pool.pop().format(**task.words)
            step.said = f"{step.said} {text}".strip()
            left -= len(text) + 13 * (step.said == text)
