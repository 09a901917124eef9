"""The agents of the suite `toolenv`: what they get wrong, what they do, and what they say."""

from __future__ import annotations

import datetime
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ranker.suites.toolenv_world import Task, Voice, World, changes_of, money, said, shared

TIMEOUT = '{"error": "timeout"}'
TIMEOUTS = 0.12  # how often a call times out at first
CALLS = (7, 10)  # how many calls an attempt has at least, drawn with no eye to its worth
REPLY = (200, 420)  # and characters of its last message


@dataclass(frozen=True, slots=True)
class Plan:
    """What an agent does; by default all of it right.

    `first` and `second`, the two requests, are "do", "skip", "give up" (after a timeout) or "case"; `says` are
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
    says_first: str = "truth"
    says_second: str = "truth"


def draw_plan(task: Task, competence: float, difficulty: float, draw: random.Random) -> Plan:
    """The fewer mistakes, the more competent; the subtler ones, the higher the difficulty."""
    count = int((1 - competence) * (4 - 2.2 * difficulty) + draw.random())
    fitting = [mistake for mistake in shared().mistakes if _applies(task, mistake[2])]
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
            and change.get("says_first") != "amount"
        )
    if change.get("level") == "listed":
        return bool(task.listed[task.record] != task.records[task.record][task.service.decider])
    return True


@dataclass(slots=True)
class Step:
    """A call, its result as text, and what the agent says with it."""

    kind: str
    tool: str
    arguments: dict[str, Any]
    result: str
    said: str = ""
    encoded: str = field(init=False)

    def __post_init__(self) -> None:
        self.encoded = json.dumps(self.arguments)

    def size(self) -> int:
        return len(self.result) + len(self.encoded) + 2 * len(self.tool) + 20


@dataclass(slots=True)
class Attempt:
    """An attempt in the making: its calls and its last message."""

    steps: list[Step]
    reply: str

    def size(self) -> int:
        return sum(step.size() + len(step.said) for step in self.steps) + len(self.reply)


def attempt(task: Task, plan: Plan, voice: Voice, draw: random.Random) -> Attempt:
    """Play a plan. Idle calls, pleasantries and timeouts come as drawn, whatever the plan."""
    return _Agent(task, plan, voice, draw).play()


class _Agent:
    """Plays a plan, for a person and on the person's record, which may be the wrong ones."""

    def __init__(self, task: Task, plan: Plan, voice: Voice, draw: random.Random) -> None:
        self.task, self.plan, self.voice, self.draw = task, plan, voice, draw
        self.service, self.world = task.service, World(task)
        self.steps: list[Step] = []
        self.person = list(task.people)[-1] if plan.namesake else task.person
        self.mine = [key for key, r in task.records.items() if r["owner"] == self.person]
        self.record = self.mine[-1] if plan.other_record else self.mine[0]

    def call(self, kind: str, tool: str, arguments: dict[str, Any], gives_up: bool = False) -> None:
        if gives_up or self.draw.random() < TIMEOUTS:
            self.steps.append(Step(kind, tool, arguments, TIMEOUT))
            kind = "retry"
        if not gives_up:
            self.steps.append(Step(kind, tool, arguments, json.dumps(self.world.call(tool, arguments))))

    def play(self) -> Attempt:
        task, plan, s, draw = self.task, self.plan, self.service, self.draw
        person, record = {s.person_key: self.person}, {s.record_key: self.record}
        self.call("find", s.find, {"name": task.words["name"]})
        if plan.verify:
            self.call("verify", s.verify, {**person, "postcode": task.words["postcode"]})
        self.call("list", s.listing, person)
        if plan.read:
            self.call("read", s.read, record)
        blocked = plan.read and plan.heed_flag and task.records[self.record]["flag"] != "none"
        first = "case" if blocked and plan.first == "do" else plan.first
        amount, target, value = self.amount(), self.target(), self.value()
        requests = ["second", first]
        if draw.random() < 0.75:
            requests.reverse()
        for request in requests:
            if request == "case":
                self.call("case", s.case, {**record, "reason": draw.choice(self.voice.reasons)})
            elif request == "second" and plan.second != "skip":
                owner = record if task.extra.on_record else person
                change = {**owner, task.extra.field: value}
                self.call("extra", task.extra.tool, change, plan.second == "give up")
            elif request in {"do", "give up"}:
                main: dict[str, Any] = {**record, s.target_field: target, s.amount: amount}
                self.call("act", s.act, main, first == "give up")
        if plan.gift:
            self.call("gift", s.gift, {**person, "amount": draw.choice((10, 15, 20, 25))})
        self.idle()
        return Attempt(self.steps, self.reply(first, target, amount, value))

    def amount(self) -> float:
        """The fee that the agent works out."""
        task, plan, record = self.task, self.plan, self.record
        right = task.records[record][self.service.decider]
        if plan.level == "listed" or not plan.read:
            return task.fee(record, task.listed[record])
        if plan.level == "wrong":
            return task.fee(record, self.draw.choice([level for level in task.rates if level != right]))
        return task.fee(record)

    def target(self) -> str:
        """The record's new target, as the agent understands it."""
        task, targets = self.task, self.service.targets
        if not self.plan.wrong_target:
            return task.target
        if targets:
            return self.draw.choice([target for target in targets if target != task.target])
        day = datetime.date.fromisoformat(task.target)
        return (day + datetime.timedelta(days=self.draw.choice((-7, -1, 1, 7)))).isoformat()

    def value(self) -> str:
        """What the second request asks for, as the agent understands it."""
        digits, values = self.task.value, self.task.extra.values
        if not self.plan.wrong_value:
            return digits
        if values:
            return self.draw.choice([value for value in values if value != digits])
        places = [
            i
            for i in range(5, len(digits) - 1)
            if digits[i] != digits[i + 1] and " " not in digits[i : i + 2]
        ]
        if not places:
            return digits[:-1] + str((int(digits[-1]) + 1) % 10)
        i = self.draw.choice(places)
        return digits[:i] + digits[i + 1] + digits[i] + digits[i + 2 :]

    def idle(self) -> None:
        """Further calls that change nothing, up to a number drawn for the attempt."""
        s, draw, steps = self.service, self.draw, self.steps
        wish = draw.randint(*CALLS)
        first = next(i for i, x in enumerate(steps) if x.tool == s.listing and x.result != TIMEOUT) + 1
        topics = draw.sample(sorted(s.topics), len(s.topics))
        others = [key for key in self.mine if key != self.record]
        while len(steps) < wish:
            at = draw.randint(first, len(steps))
            while at < len(steps) and steps[at].kind == "retry":
                at += 1
            reads = self.plan.read or at == len(steps)
            options = ["read"] * reads + ["other"] * bool(others) + ["article"] * bool(topics)
            kind = draw.choice(options or ["list"])
            if kind == "article":
                tool, arguments = s.article, {"topic": topics.pop()}
            elif kind == "list":
                tool, arguments = s.listing, {s.person_key: self.person}
            else:
                tool, arguments = s.read, {s.record_key: others.pop() if kind == "other" else self.record}
                kind = "read"
            if any((x.tool, x.arguments) == (tool, arguments) for x in steps[max(at - 1, 0) : at + 1]):
                continue
            world = World(self.task)
            for step in steps[:at]:
                if step.result != TIMEOUT:
                    world.changed.update(changes_of(self.task, step.tool, step.arguments))
            steps.insert(at, Step(kind, tool, arguments, json.dumps(world.call(tool, arguments))))

    def reply(self, first: str, target: str, amount: float, value: str) -> str:
        """The last message."""
        task, plan, voice, draw = self.task, self.plan, self.voice, self.draw
        words, report = task.words, []
        if plan.says_first == "amount" and first == "do":
            fees = {task.fee(task.record, level) for level in task.rates} - {amount}
            amount = draw.choice(sorted(fees)) if fees else amount + 5
        if plan.says_first != "nothing":
            if first == "do" or (plan.says_first == "done" and first != "case"):
                thing = task.records[task.record][self.service.thing_field]
                text = draw.choice(self.service.done)
                report.append(text.format(thing=thing, target=said(target), amount=money(amount)))
            elif first == "case":
                report.append(draw.choice(voice.case).format(**words))
            else:
                report.append(draw.choice(voice.undone).format(todo=words["first"]))
        if plan.says_second != "nothing":
            text = draw.choice(task.extra.done).format(value=value)
            if plan.second != "do" and plan.says_second != "done":
                text = draw.choice(voice.undone).format(todo=words["second"])
            report.append(text)
        if draw.random() < 0.3:
            report.reverse()
        report.insert(0, draw.choice(voice.openers).format(name=words["name"].split()[0]))
        wish = draw.randint(*REPLY)
        for closer in draw.sample(voice.closers, len(voice.closers)):
            if sum(map(len, report)) + len(report) + len(closer) / 2 > wish:
                break
            report.append(closer)
        return " ".join(report)


def talk(played: Attempt, length: int, task: Task, voice: Voice, draw: random.Random) -> None:
    """Let the agent speak with its calls until the attempt has about this length."""
    left = length - played.size()
    pools = {kind: draw.sample(texts, len(texts)) for kind, texts in voice.thoughts.items()}
    pools["retry"] = draw.sample(voice.retries, len(voice.retries))
    for _ in range(2):
        for at in draw.sample(range(len(played.steps)), len(played.steps)):
            step = played.steps[at]
            pool = pools.get(step.kind) if not step.said else pools["any"]
            if left < 20 or not pool:
                continue
            text = pool.pop().format(**task.words)
            step.said = f"{step.said} {text}".strip()
            left -= len(text) + 13 * (step.said == text)
