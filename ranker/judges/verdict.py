"""A judge's reply, parsed: an exact ranking of what it was shown, or a VerdictError."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from operator import index
from typing import Any, Literal

from ranker.errors import VerdictError
from ranker.judges.credit import Credit
from ranker.judges.json_reply import Effort, UnfitJSON, holders, repaired, spoken
from ranker.judges.turn_marks import Marks, read_turns, turns_schema
from ranker.usage import Usage

Form = Literal["ranking", "scores"]
_LISTED = 4  # ids of which every ranking is listed in a schema that names them; five would have 541
_LONGEST_REASON = 400  # characters, where the schema bounds them; a sentence


@dataclass(frozen=True, slots=True)
class Verdict:
    """One reply of a judge on a lineup of n trajectories. One of a judge of your own that is not as said here is a VerdictError.

    Attributes:
        tiers: positions in the lineup, best first; a tier holds what the judge finds equal.
        reasons: one string per position, empty where the judge gave none.
        scores: one number in [0, 1] per position, where the judge was asked for scores.
        usage: what this verdict cost.
        prompt_id: template name, version and hash; None for a judge that is a function.
        cut: characters of each trajectory that were left out to fit the context window.
        warnings: what the user should know about how the trajectories were shown.
        turns: for each position the turns that the judge named, from 0, with 1 for one that helped and -1 for one that
            hurt; None where it was not asked, or did not see the trajectory.
    """

    tiers: tuple[tuple[int, ...], ...]
    reasons: tuple[str, ...] = ()
    scores: tuple[float, ...] | None = None
    usage: Usage = field(default_factory=Usage)
    prompt_id: str | None = None
    cut: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    turns: tuple[Marks | None, ...] | None = None


def in_order(values: Any) -> tuple[Any, ...]:
    """The members of a list, or of whatever else has them in order.

    Raises:
        TypeError: it has no order, or would give something else: keys, characters, names of columns.
    """
    if isinstance(values, (Mapping, Set, str, bytes, bytearray)) or hasattr(values, "columns"):
        raise TypeError(f"a {type(values).__name__} is no list")
    return tuple(values)


def check_tiers(tiers: Any, n: int) -> tuple[tuple[int, ...], ...]:
    """Return `tiers` as tuples if they are an exact permutation of range(n).

    Raises:
        VerdictError: they are not.
        TypeError: they are in no order, or hold something else than integers.
    """
    checked = tuple((index(t),) if hasattr(t, "__index__") else tuple(map(index, t)) for t in in_order(tiers))
    flat = [i for tier in checked for i in tier]
    if sorted(flat) != list(range(n)):
        raise VerdictError(
            f"A ranking of {n} trajectories must name each of 0 to {n - 1} exactly once, not {flat!r}.",
            raw_text=repr(tiers),
        )
    return tuple(tier for tier in checked if tier)


def tiers_of(scores: Sequence[float]) -> tuple[tuple[int, ...], ...]:
    """Tiers of equal scores, highest first."""
    levels: dict[float, list[int]] = {}
    for i, score in enumerate(scores):
        levels.setdefault(score, []).append(i)
    return tuple(tuple(levels[s]) for s in sorted(levels, reverse=True))


def schema(
    form: Form = "ranking", ids: Sequence[str] | None = None, credit: Credit | None = None
) -> dict[str, Any]:
    """JSON schema of a reply. The same for every call, since providers compile a new one slowly, unless it names `ids`: then
    no other can be written, none twice among reasons, scores and rankings of up to four, and no list or reason without end."""
    turns = {} if credit is None else {"turns": turns_schema(ids)}
    if ids is None:
        name: dict[str, Any] = {"type": "string"}
        number: dict[str, Any] = {"type": "number"}
        ranking = _array(_array(name))
        scores = _array(_object(id=name, score=number))
        return _object(
            reasons=_array(_object(id=name, reason=name)),
            **turns,
            **{form: scores if form == "scores" else ranking},
        )
    reason = {"type": "string", "maxLength": _LONGEST_REASON}
    reasons = _each(_object(id={"const": i}, reason=reason) for i in ids)
    if form == "scores":
        return _object(
            reasons=reasons,
            **turns,
            scores=_each(_object(id={"const": i}, score={"type": "number"}) for i in ids),
        )
    if len(ids) <= _LISTED:
        return _object(reasons=reasons, **turns, ranking={"enum": list(rankings(ids))})
    some = {"minItems": 1, "maxItems": len(ids)}
    return _object(reasons=reasons, **turns, ranking=_array(_array({"enum": list(ids)}, **some), **some))


def rankings(ids: Sequence[str]) -> Iterator[list[list[str]]]:
    """Every ranking of `ids`, ties included: 1, 3, 13, 75 of them for one to four."""
    if not ids:
        yield []
        return
    for size in range(1, len(ids) + 1):
        for best in itertools.combinations(ids, size):
            for rest in rankings([i for i in ids if i not in best]):
                yield [list(best), *rest]


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _array(items: Any, **bounds: int) -> dict[str, Any]:
    return {"type": "array", "items": items, **bounds}


def _each(items: Iterable[Any]) -> dict[str, Any]:
    """A list of just these, in this order. (llama.cpp takes no `"items": false`; the bounds say the same.)"""
    listed = list(items)
    return {"type": "array", "prefixItems": listed, "minItems": len(listed), "maxItems": len(listed)}


def parse_verdict(
    text: str | None,
    ids: Sequence[str],
    form: Form = "ranking",
    turns: Sequence[Collection[int]] | None = None,
) -> Verdict:
    """Read a reply on trajectories shown as `ids`; `turns`, where they are asked for, are the numbers shown of each.

    Code fences, thoughts, prose around the JSON and one object around the verdict are passed over; commas before
    closing brackets, raw line breaks in strings and backslashes that escape nothing are forgiven. Whatever is not an
    exact ranking of `ids` is an error, as are two rankings that differ, or one beside another that cannot be read.

    Raises:
        VerdictError: with the fault named in words that can be sent back to the judge.
    """
    raw = text or ""
    if not raw.strip():
        raise VerdictError("The reply is empty.", raw_text=raw)
    try:
        effort = Effort(raw)
        keys = (form,) if turns is None else (form, "turns")
        replies, fault = _replies(raw, form, keys, effort)
        if fault is not None and (mended := repaired(raw)) != raw:
            replies, fault = _replies(mended, form, keys, effort)
    except UnfitJSON as error:
        raise VerdictError(str(error), raw_text=raw) from None
    if fault is not None:
        raise VerdictError(fault, raw_text=raw)
    verdicts = [_read(reply, ids, form, turns, raw) for reply in replies]
    if any((v.tiers, v.scores) != (verdicts[0].tiers, verdicts[0].scores) for v in verdicts):
        raise VerdictError("The reply holds several rankings that differ.", raw_text=raw)
    if any(v.turns != verdicts[0].turns for v in verdicts):
        raise VerdictError('The reply holds several "turns" that differ.', raw_text=raw)
    return verdicts[-1]


def _replies(
    text: str, form: Form, keys: Sequence[str], effort: Effort
) -> tuple[list[dict[str, Any]], str | None]:
    """The objects with the key `form` that a reply speaks, and what is wrong with the reply; `keys` stand nowhere else."""
    said = spoken(text, effort)
    for value in list(said.objects):
        if form not in value and isinstance(value.get("arguments"), str):  # a tool call, written out
            inner = spoken(value["arguments"], effort)
            said.objects += inner.objects
            said.prose += inner.prose
            said.fault = said.fault or inner.fault
    if said.fault is not None:
        return [], said.fault
    # A key deeper down that holds no list is a schema that was repeated, not a verdict.
    replies = [
        (depth, reply)
        for value in said.objects
        for depth, reply in holders(value, form)
        if depth == 0 or isinstance(reply[form], list)
    ]
    if min((depth for depth, _ in replies), default=2) > 1:
        return [], f'There is no complete JSON object with "{form}" in the reply.'
    for key in keys:
        if any(_BROKEN[key].search(prose) for prose in said.prose):
            return [], f'Beside its "{key}" the reply holds another that is not complete JSON.'
    return [reply for _, reply in replies], None


def _broken(form: str) -> re.Pattern[str]:
    """A ranking in the text outside of JSON objects: its key in quotation marks, or before a list."""
    return re.compile(
        rf"""["']{form}\\*["']\s*+:|\b{form}\b[\s"'*`\\]{{0,8}}[:=][\s"'*`]{{0,8}}\[""", re.IGNORECASE
    )


_BROKEN: dict[str, re.Pattern[str]] = {key: _broken(key) for key in ("ranking", "scores", "turns")}


def _read(
    reply: dict[str, Any], ids: Sequence[str], form: Form, turns: Sequence[Collection[int]] | None, raw: str
) -> Verdict:
    position = {name: i for i, name in enumerate(ids)}
    reasons = [""] * len(ids)
    comments = reply.get("reasons")
    for item in comments if isinstance(comments, list) else ():
        # A reason is a comment: one that names no trajectory is dropped, the ranking still stands.
        if isinstance(item, dict) and isinstance(item.get("reason"), str):
            name = item.get("id")
            if isinstance(name, str) and name in position:
                reasons[position[name]] = item["reason"].strip()
    marks = None if turns is None else read_turns(reply, ids, turns, raw)
    if form == "scores":
        scores = _scores(reply[form], position, raw)
        return Verdict(tiers_of(scores), tuple(reasons), tuple(scores), turns=marks)
    return Verdict(_tiers(reply[form], position, raw), tuple(reasons), turns=marks)


def _tiers(ranking: Any, position: dict[str, int], raw: str) -> tuple[tuple[int, ...], ...]:
    if not isinstance(ranking, list):
        raise VerdictError('"ranking" must be a list of lists of IDs.', raw_text=raw)
    tiers = [[tier] if isinstance(tier, str) else tier for tier in ranking]
    if not all(isinstance(t, list) and all(isinstance(name, str) for name in t) for t in tiers):
        raise VerdictError('"ranking" must be a list of lists of IDs.', raw_text=raw)
    _exact([name for tier in tiers for name in tier], position, "ranking", raw)
    return tuple(tuple(sorted(position[name] for name in tier)) for tier in tiers if tier)


def _scores(scores: Any, position: dict[str, int], raw: str) -> list[float]:
    values = [math.nan] * len(position)
    seen: list[str] = []
    for item in scores if isinstance(scores, list) else [None]:
        if not isinstance(item, dict) or not isinstance(item.get("id"), str):
            raise VerdictError('"scores" must be a list of {"id", "score"}.', raw_text=raw)
        name, score = item["id"], item.get("score")
        if isinstance(score, bool) or not isinstance(score, (int, float)) or not 0 <= score <= 1:
            raise VerdictError(
                f"The score of {name[:80]} is {repr(score)[:80]}; it must be from 0 to 1.", raw_text=raw
            )
        seen.append(name)
        if name in position:
            values[position[name]] = float(score)
    _exact(seen, position, "scores", raw)
    return values


def _exact(seen: Sequence[str], position: dict[str, int], where: str, raw: str) -> None:
    known = set(seen)
    faults = {
        "missing": [name for name in position if name not in known],
        "unknown": sorted(known - position.keys()),
        "repeated": sorted(n for n, times in Counter(seen).items() if times > 1)
        if len(seen) > len(known)
        else [],
    }
    named = [f"{what}: {', '.join(names)[:200]}" for what, names in faults.items() if names]
    if named:
        raise VerdictError(f'"{where}" must hold every ID exactly once ({"; ".join(named)}).', raw_text=raw)
