"""Replies of judges in every dress and with every defect, beside an oracle that knows how each was built.

The oracle never reads a reply. It builds one around a ranking that is meant, and knows from how it was built whether
that ranking must be read, may be read, or must be refused.

    python -m tests.fuzzing.replies --count 1000000 --json benchmarks/results/fuzz/replies.json
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
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


@dataclass
class Case:
    """A reply being built.

    Attributes:
        meant: the ranking that the judge means.
        other: another one, for drafts and contradictions.
        message: of the completion.
        finish: its finish_reason.
        must: "read", "read or refuse", or "refuse".
    """

    ids: list[str]
    meant: Tiers
    other: Tiers
    message: dict[str, Any] = field(default_factory=dict)
    finish: str | None = "stop"
    must: str = "read"


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


def _same(one: Tiers, two: Tiers) -> bool:
    return [set(tier) for tier in one] == [set(tier) for tier in two]


def _case(rng: random.Random) -> Case:
    ids = _ids(rng, rng.randint(2, 6))
    meant = _tiers(rng, ids)
    other = meant
    while _same(other, meant):
        other = _tiers(rng, ids)
    return Case(ids, meant, other, finish=rng.choice(FINISHED))


def _object(rng: random.Random, ids: list[str], tiers: Tiers, quote: bool = True) -> dict[str, Any]:
    said = [{"id": name, "reason": f"It wrote {rng.choice(QUOTES)}" if quote else "r"} for name in ids]
    members = [("reasons", said), ("ranking", tiers)]
    return dict(members if rng.random() < 0.8 else members[::-1])


def _json(rng: random.Random, value: Any) -> str:
    return json.dumps(value, indent=rng.choice((None, None, 1)), ensure_ascii=rng.random() < 0.5)


def _whole(rng: random.Random, case: Case, tiers: Tiers) -> str:
    return _json(rng, _object(rng, case.ids, tiers))


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
    tiers = [list(tier) for tier in case.meant]
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
    case.message["content"] = f"{rng.choice(PROSE)}{_whole(rng, case, tiers)}"
    case.must = "refuse"


def scratched(rng: random.Random, case: Case) -> None:
    """Characters lost, doubled or changed outside of the ranking: the ranking that is meant, or none."""
    head, ranking = (
        '{"reasons": ' + json.dumps(_object(rng, case.ids, case.meant)["reasons"]),
        json.dumps(case.meant),
    )
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
    case.message["content"] = thought + "".join(chars) + ', "ranking": ' + ranking + "}"
    case.must = "read or refuse"


KINDS: tuple[Callable[[random.Random, Case], None], ...] = (
    dressed, channels, forgiven, unfinished, cut_in_silence, contradicting, wrong_ids, scratched,
)  # fmt: skip


def outcome(case: Case) -> Tiers | None:
    """What Ranker makes of the reply: a ranking, or None where it is refused."""
    choice = {"index": 0, "finish_reason": case.finish, "message": {"role": "assistant", **case.message}}
    raw = json.dumps({"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 9}}).encode()
    try:
        completion = read_completion(raw, "m")
        check_finished(completion, "m")
        verdict = parse_verdict(completion.reply, case.ids)
    except RankerError:
        return None
    return [[case.ids[i] for i in tier] for tier in verdict.tiers]


def run(count: int, seed: int) -> dict[str, Any]:
    """Fuzz `count` replies; the record, with the first faults in full."""
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    faults: list[dict[str, Any]] = []
    wrong = 0
    for _ in range(count):
        kind = rng.choice(KINDS)
        case = _case(rng)
        kind(rng, case)
        tiers = outcome(case)
        right = tiers is not None and _same(tiers, case.meant)
        allowed = {"read": right, "refuse": tiers is None, "read or refuse": right or tiers is None}[
            case.must
        ]
        outcomes[f"{kind.__name__}: {'read' if tiers is not None else 'refused'}"] += 1
        if not allowed:
            wrong += 1
            if len(faults) < 5:
                faults.append({"kind": kind.__name__, "message": case.message, "finish": case.finish,
                               "ids": case.ids, "meant": case.meant, "read": tiers, "must": case.must})  # fmt: skip
    return {"replies": count, "faults": wrong, "outcomes": dict(sorted(outcomes.items())), "examples": faults}


if __name__ == "__main__":
    main_of(run, __doc__)
