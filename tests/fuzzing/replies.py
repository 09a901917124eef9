"""Replies of judges in every dress and with every defect, beside an oracle that knows how each was built.

The oracle never reads a reply. It builds one around a ranking that is meant, and knows from how it was built whether
that ranking must be read, may be read, or must be refused. With turns asked for it is the same of what is said of them
(`tests.fuzzing.turns`).

    python -m tests.fuzzing.replies --count 1000000 --json benchmarks/results/fuzz/replies.json
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from ranker.errors import RankerError
from ranker.judges.completion import check_finished, read_completion
from ranker.judges.verdict import parse_verdict
from tests.fuzzing.record import main_of

Tiers = list[list[str]]
FINISHED = ("stop", "stop", "stop", None, "eos", "end_turn", "STOP", "tool_calls")
UNFINISHED = (
    "length",
    "max_tokens",
    "MAX_TOKENS",
    "model_length",
    "content_filter",
    "SAFETY",
    "refusal",
    "error",
    "abort",
)
QUOTES = ("</think>", "<think>", "a <think>b</think> c", "{", "}", '{"a": {', '{"ranking": [["BCD"]]}', "```", "\\",
          '"ranking": [', "ünïcödé 😀", "line\nbreak", "tab\t", "]}", "</think>{", "null")  # fmt: skip
PROSE = (
    "Here is my verdict:",
    "Sure.",
    "```json\n",
    "I hope {this} helps.",
    "",
    "\n",
    "[1]",
    '{"note": 1}',
    "**Verdict**",
)


Turns = dict[str, dict[str, list[int]]]  # for each id that is named, the turns on each side
TURN_QUOTES = ('{"turns": []}', '"turns": [', '"helped": [99]', "turn 99 helped")


@dataclass
class Said:
    """A ranking, and what is said of turns; None where they are not asked for."""

    tiers: Tiers
    turns: Turns | None = None


@dataclass
class Case:
    """A reply being built.

    Attributes:
        meant: what the judge means.
        other: something else, for drafts and contradictions.
        message: of the completion.
        finish: its finish_reason.
        must: "read", "read or refuse", or "refuse".
        shown: the numbers of the turns of each attempt, where turns are asked for.
    """

    ids: list[str]
    meant: Said
    other: Said
    message: dict[str, Any] = field(default_factory=dict)
    finish: str | None = "stop"
    must: str = "read"
    shown: list[set[int]] | None = None


def _ids(rng: random.Random, n: int) -> list[str]:
    names: set[str] = set()
    while len(names) < n:
        names.add("".join(rng.choices("BCDFGHJKLMNPQRSTVWXZ", k=3)))
    return rng.sample(sorted(names), n)


def _tiers(rng: random.Random, ids: list[str]) -> Tiers:
    tiers: Tiers = []
    for name in rng.sample(ids, len(ids)):
        if tiers and rng.random() < 0.3:
            tiers[-1].append(name)
        else:
            tiers.append([name])
    return tiers


def _same(one: Said, two: Said) -> bool:
    alike = [set(tier) for tier in one.tiers] == [set(tier) for tier in two.tiers]
    return alike and _named(one.turns) == _named(two.turns)


def _named(turns: Turns | None) -> set[tuple[str, str, int]]:
    return {(name, side, k) for name, sides in (turns or {}).items() for side in sides for k in sides[side]}


def _turns(rng: random.Random, ids: list[str], shown: list[set[int]]) -> Turns:
    """Some turns of some attempts, each on one side; a side that has none is empty or left out."""
    turns: Turns = {}
    for name, own in zip(ids, shown, strict=True):
        if rng.random() < 0.8:
            named = rng.sample(sorted(own), rng.randint(0, min(4, len(own))))
            cut = rng.randint(0, len(named))
            sides = {"helped": named[:cut], "hurt": named[cut:]}
            turns[name] = {side: k for side, k in sides.items() if k or rng.random() < 0.7}
    return turns


def _case(rng: random.Random, credit: bool = False) -> Case:
    ids = _ids(rng, rng.randint(2, 6))
    meant = other = Said(_tiers(rng, ids))
    shown = None
    if credit:
        shown = [set(range(1, rng.randint(0, 12) + 1)) for _ in ids]
        for own in shown:  # what was cut in the middle is not shown
            own -= set(rng.sample(sorted(own), len(own) // 3)) if rng.random() < 0.2 else set()
        meant = other = Said(meant.tiers, _turns(rng, ids, shown))
    while _same(other, meant):
        alike = shown is not None and any(shown) and rng.random() < 0.5  # they differ in their turns alone
        other = Said(meant.tiers if alike else _tiers(rng, ids))
        if shown is not None:
            other.turns = _turns(rng, ids, shown)
    return Case(ids, meant, other, finish=rng.choice(FINISHED), shown=shown)


def _object(rng: random.Random, ids: list[str], said: Said, quote: bool = True) -> dict[str, Any]:
    quotes = QUOTES if said.turns is None else (*QUOTES, *TURN_QUOTES)
    reasons = [{"id": name, "reason": f"It wrote {rng.choice(quotes)}" if quote else "r"} for name in ids]
    members = [("reasons", reasons), *_of_turns(rng, said), ("ranking", said.tiers)]
    return dict(members if rng.random() < 0.8 else members[::-1])


def _of_turns(rng: random.Random, said: Said) -> list[tuple[str, Any]]:
    if said.turns is None:
        return []
    items = [{"id": name, **sides} for name, sides in said.turns.items()]
    return [("turns", rng.sample(items, len(items)))]


def _json(rng: random.Random, value: Any) -> str:
    return json.dumps(value, indent=rng.choice((None, None, 1)), ensure_ascii=rng.random() < 0.5)


def _whole(rng: random.Random, case: Case, said: Said) -> str:
    return _json(rng, _object(rng, case.ids, said))


def dressed(rng: random.Random, case: Case) -> None:
    """Prose, fences, thoughts with drafts, a wrapper: read."""
    text = _whole(rng, case, case.meant)
    kind = rng.randrange(7)
    if kind == 0:
        draft = _json(rng, _object(rng, case.ids, case.other, quote=False))
        text = f"<think>Maybe {draft}? {rng.choice(QUOTES[3:8])} No.</think>\n{text}"
    elif kind == 1:
        draft = _json(rng, _object(rng, case.ids, case.other, quote=False))
        text = f"Perhaps {draft}. Better not.</think>{text}"
    elif kind == 2:
        text = _json(rng, {rng.choice(("verdict", "result", "parameters", "properties")): json.loads(text)})
    elif kind == 3:
        text = json.dumps({"name": "verdict", "arguments": rng.choice((text, json.loads(text)))})
    elif kind == 4:
        text = f"{text}\n{_whole(rng, case, case.meant)}"
    if kind > 1:  # thoughts come first
        text = f"{rng.choice(PROSE)}\n{text}"
    case.message["content"] = f"{text}\n{rng.choice(PROSE)}"


def channels(rng: random.Random, case: Case) -> None:
    """The verdict in tool arguments or, where there is nothing else, in the reasoning channel: read."""
    text = _whole(rng, case, case.meant)
    kind = rng.randrange(4)
    if kind == 0:
        case.message.update(content=rng.choice(("", None, " \n")), reasoning_content="So: " + text)
    elif kind == 1:
        call = {"id": "c", "type": "function", "function": {"name": "verdict", "arguments": text}}
        case.message.update(content=rng.choice((None, "", "Calling.")), tool_calls=[call])
    elif kind == 2:
        case.message.update(content=text, reasoning_content="First " + _whole(rng, case, case.other))
    else:
        parts = [
            {"type": "thinking", "thinking": _whole(rng, case, case.other)},
            {"type": "text", "text": text},
        ]
        case.message["content"] = parts


def forgiven(rng: random.Random, case: Case) -> None:
    """Slips that leave no doubt: read."""
    text = json.dumps(_object(rng, case.ids, case.meant, quote=False))
    for slip in rng.sample(
        [
            lambda s: s.replace("]]", "],]", 1),
            lambda s: s[:-1] + ",}",
            lambda s: s.replace('"r"', '"one\ntwo\x07"', 1),
            lambda s: s.replace('"r"', r'"\( x \) \d"', 1),
        ],
        rng.randint(1, 3),
    ):
        text = slip(text)
    case.message["content"] = text


def unfinished(rng: random.Random, case: Case) -> None:
    """The server says that it stopped early: refused, whatever there is up to there."""
    text = f"Draft: {_whole(rng, case, case.other)}\nFinal: {_whole(rng, case, case.meant)}"
    kind = rng.randrange(4)
    if kind == 0:
        text = text[: rng.randrange(len(text) + 1)]
    elif kind == 1:
        text = _whole(rng, case, case.meant)
    elif kind == 2:
        text = '{"draft": ' + _whole(rng, case, case.other) + ', "ranking": [["'
    case.message["content"] = text
    if rng.random() < 0.2:
        case.message = {"content": None, "reasoning_content": text}
    case.finish, case.must = rng.choice(UNFINISHED), "refuse"


def cut_in_silence(rng: random.Random, case: Case) -> None:
    """Cut before the verdict is complete, and the server does not say so: refused."""
    text = _whole(rng, case, case.meant)
    before = rng.choice(
        (
            "",
            f"<think>{_whole(rng, case, case.other)}</think>",
            '{"draft": ' + _whole(rng, case, case.other) + ', "final": ',
        )
    )
    end = len(before) + rng.randrange(len(text))
    case.message["content"] = (before + text)[:end]
    case.must = "refuse"


def contradicting(rng: random.Random, case: Case) -> None:
    """Two rankings outside of thoughts that differ, tags quoted between them or not: refused."""
    one, two = _whole(rng, case, case.meant), _whole(rng, case, case.other)
    kind = rng.randrange(7)
    between = rng.choice((" ", "\n", " Or rather: ", " It quotes <think> here. ", "```\n```json\n"))
    if kind == 0:
        two = two[: rng.randrange(two.index('"ranking"') + 12, len(two))] if '"ranking"' in two else two
    elif kind == 1:
        one = one[:-1]
    elif kind == 2:
        two = str(json.loads(two))  # single quotes
    elif kind == 3:
        one = '{"name": "v", "arguments": ' + json.dumps(one) + "}"
    elif kind == 4:
        one, between = json.dumps({"draft": json.loads(two), **json.loads(one)}), ""
        two = ""
    case.message["content"] = one + between + two
    if kind == 5:
        call = {"function": {"name": "v", "arguments": two}}
        case.message = {"content": one, "tool_calls": [call]}
    elif kind == 6 and not any(tag in one for tag in ("<think>", "</think>")):
        case.message["content"] = f"<think>hm</think>{one} so </think> then {two}"
    case.must = "refuse"


def wrong_ids(rng: random.Random, case: Case) -> None:
    """An id dropped, repeated, invented or misspelt: refused."""
    tiers = [list(tier) for tier in case.meant.tiers]
    tier = rng.choice(tiers)
    at, kind = rng.randrange(len(tier)), rng.randrange(4)
    if kind == 0:
        del tier[at]
    elif kind == 1:
        rng.choice(tiers).append(tier[at])
    elif kind == 2:
        tier[at] = tier[at].lower()
    else:
        tiers.insert(rng.randrange(len(tiers) + 1), ["YYY"])
    case.message["content"] = f"{rng.choice(PROSE)}{_whole(rng, case, Said(tiers, case.meant.turns))}"
    case.must = "refuse"


def scratched(rng: random.Random, case: Case) -> None:
    """Characters lost, doubled or changed outside of the ranking: the ranking that is meant, or none."""
    head, ranking = (
        '{"reasons": ' + json.dumps(_object(rng, case.ids, case.meant)["reasons"]),
        json.dumps(case.meant.tiers),
    )
    turns = "".join(f', "turns": {_json(rng, items)}' for _, items in _of_turns(rng, case.meant))
    thought = f"<think>{_whole(rng, case, case.other)}</think>" if rng.random() < 0.5 else ""
    chars = list(head)
    for _ in range(rng.randint(1, 6)):
        at, kind = rng.randrange(len(chars)), rng.randrange(3)
        if kind == 0:
            chars[at] = ""
        elif kind == 1:
            chars[at] += chars[at]
        else:
            chars[at] = rng.choice('{}[]",:\\ <>/ab\n')
    case.message["content"] = thought + "".join(chars) + turns + ', "ranking": ' + ranking + "}"
    case.must = "read or refuse"


def wrong_turns(rng: random.Random, case: Case) -> None:
    """A turn that was not shown, on both sides or no number; an id twice or unknown; no turns at all: refused."""
    assert case.shown is not None
    assert case.meant.turns is not None
    own = {
        name: {side: list(case.meant.turns.get(name, {}).get(side, [])) for side in ("helped", "hurt")}
        for name in case.ids
    }
    name = rng.choice(case.ids)
    shown, sides = case.shown[case.ids.index(name)], own[name]
    side = rng.choice(("helped", "hurt"))
    last = max(shown, default=0)
    absent = [k for k in (0, -1, last + 1, last + 100, 10**30, *range(1, last)) if k not in shown]
    items: Any = [{"id": each, **own[each]} for each in case.ids]
    kind = rng.randrange(10)
    if kind == 0 and shown:
        both = rng.choice(sorted(shown))
        sides["helped"], sides["hurt"] = [both], [both]
        items = [{"id": each, **own[each]} for each in case.ids]
    elif kind in (0, 1, 2):
        sides[side].insert(rng.randint(0, len(sides[side])), rng.choice(absent))
    elif kind == 3:
        sides[side].append(rng.choice(("1", 1.0, True, None, [1], {"turn": 1}, 1.5)))
    elif kind == 4:
        items.append(rng.choice(({"id": name, "helped": []}, {"id": name})))
    elif kind == 5:
        items.append(
            {"id": rng.choice(("YYY", name.lower(), f"{name} ", "", None, 3)), "helped": [1], "hurt": []}
        )
    elif kind == 6:
        items = rng.choice((None, {}, {name: {"helped": [1]}}, [name], [[name, 1]], "none", 1, True))
    elif kind == 7:
        items[0][rng.choice(("harmed", "helpful", "turns", "note"))] = rng.choice(([], [1], "x"))
    elif kind == 8:
        items[0][side] = rng.choice((None, 1, "1", {"1": True}, False))
    said = Said(case.meant.tiers, {})
    whole = {**_object(rng, case.ids, said), "turns": items}
    if kind == 9:
        del whole["turns"]
    case.message["content"] = f"{rng.choice(PROSE)}{_json(rng, whole)}"
    case.must = "refuse"


KINDS: tuple[Callable[[random.Random, Case], None], ...] = (
    dressed, channels, forgiven, unfinished, cut_in_silence, contradicting, wrong_ids, scratched,
)  # fmt: skip


def outcome(case: Case) -> Said | None:
    """What Ranker makes of the reply, or None where it is refused."""
    choice = {"index": 0, "finish_reason": case.finish, "message": {"role": "assistant", **case.message}}
    raw = json.dumps({"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 9}}).encode()
    try:
        completion = read_completion(raw, "m")
        check_finished(completion, "m")
        turns = {} if case.shown is None else {"turns": case.shown}
        verdict = parse_verdict(completion.reply, case.ids, **turns)
    except RankerError:
        return None
    tiers = [[case.ids[i] for i in tier] for tier in verdict.tiers]
    if case.shown is None:
        return Said(tiers)
    named = [
        {
            "helped": [k + 1 for k, v in marks.items() if v == 1],
            "hurt": [k + 1 for k, v in marks.items() if v == -1],
        }
        for marks in verdict.turns
    ]
    return Said(tiers, dict(zip(case.ids, named, strict=True)))


def run(count: int, seed: int, credit: bool = False) -> dict[str, Any]:
    """Fuzz `count` replies; the record, with the first faults in full. With `credit`, to prompts that ask for turns."""
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    faults: list[dict[str, Any]] = []
    wrong = 0
    for _ in range(count):
        kind = rng.choice((*KINDS, wrong_turns, wrong_turns) if credit else KINDS)
        case = _case(rng, credit)
        kind(rng, case)
        read = outcome(case)
        right = read is not None and _same(read, case.meant)
        allowed = {"read": right, "refuse": read is None, "read or refuse": right or read is None}[case.must]
        outcomes[f"{kind.__name__}: {'read' if read is not None else 'refused'}"] += 1
        if not allowed:
            wrong += 1
            if len(faults) < 5:
                faults.append({"kind": kind.__name__, "message": case.message, "finish": case.finish,
                               "ids": case.ids, "meant": asdict(case.meant), "must": case.must,
                               "read": None if read is None else asdict(read)})  # fmt: skip
    return {"replies": count, "faults": wrong, "outcomes": dict(sorted(outcomes.items())), "examples": faults}


if __name__ == "__main__":
    main_of(run, __doc__)
