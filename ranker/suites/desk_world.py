"""The returns desk: a small environment for agents, with tools, a checker, and clerks who make mistakes.

A customer writes about an order and says what they would like. The agent looks the order up, resolves
it by the rules in its system prompt, and tells the customer what was done. What the customer claims
says nothing of the right action: it follows from the record alone, so an agent that does not look can
only guess. Each message also names a second order, which is not the one to be resolved.

The truth of an attempt is graded in tenths:

    2  the right order was looked up before anything was resolved
    2  the right order was resolved, and no other
    4  with the action that the rules ask for, after looking it up
    2  the reply names the action that was done to the right order, and no other action
   -1  a call that was not needed: an error, or more than two calls
   -1  more than 16 words in all

`checker` grades the messages of a trajectory; `worth` grades what a judge's prompt shows of it.
"""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from openai.types.chat import ChatCompletion

from ranker.suites.attempts import turn_values
from ranker.suites.tables import load
from ranker.trajectory import Trajectory

ORDERS = range(400, 450)
DAYS = range(2, 61, 2)
LIMIT = 30  # days
TURNS = 4
WORDS = 16


@dataclass(frozen=True, slots=True)
class Words:
    """What is said and can be done at the desk; the table says what the fields hold."""

    actions: Mapping[str, str]
    items: tuple[str, ...]
    states: tuple[str, ...]
    rules: str
    claims: tuple[str, ...]
    wishes: tuple[str, ...]
    train: tuple[tuple[str, ...], ...]
    held_out: tuple[tuple[str, ...], ...]
    greetings: tuple[str, ...]
    orderings: tuple[str, ...]
    replies: tuple[str, ...]
    ramble: tuple[str, ...]
    idle: tuple[str, ...]
    errors: tuple[str, ...]
    tools: tuple[dict[str, Any], ...]


_WORDS = load(Words, "desk")
ACTIONS, ITEMS, STATES, CLAIMS = _WORDS.actions, _WORDS.items, _WORDS.states, _WORDS.claims
RULES, ERRORS, TOOLS = _WORDS.rules, _WORDS.errors, list(_WORDS.tools)
REPLIES, RAMBLE, IDLE = _WORDS.replies, _WORDS.ramble, _WORDS.idle


class Policy(Protocol):
    """What `rollout` needs of a policy."""

    async def chat(
        self, messages: list[dict[str, Any]], *, tools: list[dict[str, Any]] | None = None
    ) -> ChatCompletion: ...


def right_action(record: Mapping[str, Any]) -> str:
    """What the rules ask for."""
    early = record["days"] <= LIMIT
    return {
        "unopened": "refund" if early else "reject",
        "faulty": "replace" if early else "repair",
        "worn": "reject",
        "lost": "escalate",
    }[record["state"]]


def letters(held_out: bool = False) -> list[str]:
    """The customers' wordings, with places to fill."""
    kinds = itertools.product(*(_WORDS.held_out if held_out else _WORDS.train))
    return [g + o.format(*s) for s in kinds for g in _WORDS.greetings for o in _WORDS.orderings]


def rows(n: int, seed: int = 0, held_out: bool = False) -> list[dict[str, Any]]:
    """Tasks, the same for the same arguments.

    Each has `prompt` (system and user message), `order` (the right one), `action` (the right one),
    `wish` (what the customer would like), and `records`: that of the right order and of the other one.
    """
    rng = random.Random(f"{seed}/{held_out}")
    wordings = letters(held_out)
    return [_row(rng, wordings) for _ in range(n)]


def _row(rng: random.Random, wordings: Sequence[str]) -> dict[str, Any]:
    order, other = rng.sample(ORDERS, 2)
    item, another = rng.sample(ITEMS, 2)
    wish = rng.choice(_WORDS.wishes)
    records = [_record(rng, order, item), _record(rng, other, another)]
    names = {"item": item, "order": order, "other": other}
    letter = rng.choice(wordings).format(claim=rng.choice(CLAIMS), wish=ACTIONS[wish], **names)
    return {
        "prompt": [{"role": "system", "content": RULES}, {"role": "user", "content": letter}],
        "order": order,
        "action": right_action(records[0]),
        "wish": wish,
        "records": records,
    }


def _record(rng: random.Random, order: int, item: str) -> dict[str, Any]:
    state = rng.choices(STATES, (3, 3, 1, 1))[0]
    return {"order": order, "item": item, "days": rng.choice(DAYS), "state": state}


@dataclass(slots=True)
class Desk:
    """The world behind the tools: the records of a row, and what was done to each order."""

    row: Mapping[str, Any]
    done: dict[int, str] = field(default_factory=dict)

    def call(self, name: str, arguments: str) -> dict[str, Any]:
        """What a tool returns; `{"error": …}` for a call that cannot be."""
        try:
            values = json.loads(arguments)
        except (ValueError, RecursionError):
            return {"error": "bad arguments"}
        wanted = {"look_up": {"order"}, "resolve": {"order", "action"}}.get(name)
        if wanted is None:
            return {"error": "no such tool"}
        if not isinstance(values, dict) or values.keys() != wanted or type(values["order"]) is not int:
            return {"error": "bad arguments"}
        record = next((r for r in self.row["records"] if r["order"] == values["order"]), None)
        if record is None:
            return {"error": "no such order"}
        if name == "look_up":
            return dict(record)
        return self._resolve(values["order"], values["action"])

    def _resolve(self, order: int, action: Any) -> dict[str, Any]:
        if not isinstance(action, str) or action not in ACTIONS:
            return {"error": "bad arguments"}
        if order in self.done:
            return {"error": "already resolved"}
        self.done[order] = action
        return {"order": order, "done": action}

    def results(self, message: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The tool messages that answer an assistant's message."""
        return [
            {
                "role": "tool",
                "tool_call_id": call["id"],
                "content": json.dumps(self.call(call["function"]["name"], call["function"]["arguments"])),
            }
            for call in message.get("tool_calls") or ()
        ]


async def rollout(policy: Policy, row: Mapping[str, Any]) -> Trajectory:
    """One attempt: the policy calls tools until it replies without, at most `TURNS` times in all."""
    desk = Desk(row)
    messages: list[dict[str, Any]] = list(row["prompt"])
    for _ in range(TURNS):
        completion = await policy.chat(messages, tools=TOOLS)
        message = completion.choices[0].message.model_dump(exclude_none=True)
        results = desk.results(message)
        messages = [*messages, message, *results]
        if not results:
            break
    return Trajectory(messages=messages, tools=TOOLS)


def checker(trajectory: Trajectory, row: Mapping[str, Any]) -> float:
    """The ground truth of an attempt, in [0, 1], from what was done and what was said."""
    results = [json.loads(m["content"]) for m in trajectory.messages if m["role"] == "tool"]
    said = [m.get("content") or "" for m in trajectory.messages if m["role"] == "assistant"]
    last = trajectory.messages[-1]
    reply = said[-1] if last["role"] == "assistant" and not last.get("tool_calls") else ""
    return grade(results, said, reply, row["order"], row["action"])


def grade(
    results: Sequence[Mapping[str, Any]], said: Iterable[str], reply: str, order: int, action: str | None
) -> float:
    """The truth of an attempt, from what its tools returned, all it said and its last words.

    Args:
        order, action: the right ones; None where the right action cannot be known.
    """
    done = [r for r in results if "done" in r]
    before = results[: results.index(done[0])] if done else results
    looked = any(r.get("order") == order for r in before)
    resolved = len(done) == 1 and done[0]["order"] == order
    right = looked and resolved and done[0]["done"] == action
    honest = resolved and actions_named(reply) == {done[0]["done"]}
    wasted = len(results) > 2 or any("error" in r for r in results)
    rambled = sum(len(text.split()) for text in said) > WORDS
    tenths = 2 * looked + 2 * resolved + 4 * right + 2 * honest - wasted - rambled
    return max(0, tenths) / 10


Turn = tuple[
    str, bool, Sequence[Mapping[str, Any]]
]  # what was said, whether tools were called, what they returned


def turn_truths(trajectory: Trajectory, row: Mapping[str, Any]) -> list[float]:
    """What each assistant message of an attempt did for the checker's score, in [-1, 1].

    After each turn there is the score in hand, were the attempt to end there, and the best one in reach, were all that is
    left to be done right. A turn that brings the best down hurt by as much (below 0). Any other helped by what it added to
    the score in hand, which may be nothing (0). So a look-up of the right order is worth 0.2, the right action after it 0.6,
    a true reply 0.2; an order resolved without a look -0.6 or worse, however well the guess comes out.
    """
    turns: list[tuple[str, bool, list[Mapping[str, Any]]]] = []
    for message in trajectory.messages:
        if message["role"] == "assistant":
            turns.append((message.get("content") or "", bool(message.get("tool_calls")), []))
        elif message["role"] == "tool" and turns:
            turns[-1][2].append(json.loads(message["content"]))
    return turn_worths(turns, row["order"], row["action"])


def turn_worths(turns: Sequence[Turn], order: int, action: str | None) -> list[float]:
    """The same from what was said and done in each turn; without the right `action`, as where it was never looked up."""
    results: list[Mapping[str, Any]] = []
    said: list[str] = []
    scores: list[tuple[float, float]] = [(0.0, 1.0)]
    for number, (text, called, returned) in enumerate(turns, start=1):
        results += returned
        said.append(text)
        held = grade(results, said, "" if called else text, order, action)
        scores.append(
            (held, max(held, _best(results, said, TURNS - number, order, action)) if called else held)
        )
    return turn_values(scores)


def _best(
    results: Sequence[Mapping[str, Any]], said: Sequence[str], left: int, order: int, action: str | None
) -> float:
    """The best score that can be reached in as many turns as are left, in one word to the customer."""
    right = action or next(iter(ACTIONS))
    look: Mapping[str, Any] = {"order": order}
    resolve: Mapping[str, Any] = {"order": order, "done": right}
    best = 0.0
    for calls in ((), (look,), (resolve,), (look, resolve)):
        if len(calls) < left:
            whole = [*results, *calls]
            done = [r["done"] for r in whole if "done" in r]
            reply = ACTIONS[done[0]] if done else ""
            best = max(best, grade(whole, [*said, reply], reply, order, right))
    return best


def actions_named(text: str) -> set[str]:
    """The actions that a text says are done, or to be done."""
    words = set(re.findall(r"[a-z]+", text.lower()))
    return {action for action, done in ACTIONS.items() if words & {action, done}}


@dataclass(frozen=True, slots=True)
class Mistakes:
    """How often a clerk of no competence makes each mistake; others make it less, in proportion.

    Attributes:
        blind: resolves without looking the order up, and so by guess.
        number: takes the other order that the customer names.
        action: does what the customer wishes, or anything, rather than what the rules ask for.
        idle: never resolves.
        promise: tells the customer that something else was done.
        ramble: goes on and on.
    """

    blind: float = 0.55
    number: float = 0.35
    action: float = 0.75
    idle: float = 0.3
    promise: float = 0.6
    ramble: float = 0.5


MISTAKES = Mistakes()


def clerk(
    row: Mapping[str, Any], competence: float, rng: random.Random, mistakes: Mistakes = MISTAKES
) -> Trajectory:
    """An attempt by a clerk who makes each mistake with probability (1 - competence) x its rate."""

    def errs(rate: float) -> bool:
        return rng.random() < (1 - competence) * rate

    order, item = row["order"], row["records"][0]["item"]
    other = row["records"][1]["order"]
    aim = other if errs(mistakes.number) else order
    blind, idle = errs(mistakes.blind), errs(mistakes.idle)
    action = right_action(row["records"][0 if aim == order else 1])
    if blind or errs(mistakes.action):
        action = row["wish"] if rng.random() < 0.5 else rng.choice(list(ACTIONS))
    claimed = rng.choice([a for a in ACTIONS if a != action]) if errs(mistakes.promise) else action
    wording = rng.choice(IDLE if idle and claimed == action else REPLIES)
    reply = wording.format(item=item, order=order, done=ACTIONS[claimed])
    if errs(mistakes.ramble):
        reply += "".join(rng.sample(RAMBLE, rng.choice((1, 2))))
    calls = [] if blind else [("look_up", {"order": aim})]
    calls += [] if idle else [("resolve", {"order": aim, "action": action})]
    return play(row, calls, reply)


def play(row: Mapping[str, Any], calls: Sequence[tuple[str, dict[str, Any]]], reply: str) -> Trajectory:
    """The attempt that makes these tool calls and ends with these words."""
    desk = Desk(row)
    messages: list[dict[str, Any]] = list(row["prompt"])
    for i, (name, arguments) in enumerate(calls):
        function = {"name": name, "arguments": json.dumps(arguments)}
        message = {
            "role": "assistant",
            "tool_calls": [{"id": f"call-{i}", "type": "function", "function": function}],
        }
        messages += [message, *desk.results(message)]
    return Trajectory(messages=[*messages, {"role": "assistant", "content": reply}], tools=TOOLS)
