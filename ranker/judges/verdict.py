"""A judge's reply, parsed: an exact ranking of what it was shown, or a VerdictError."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import index
from typing import Any, Literal

from ranker.errors import VerdictError
from ranker.usage import Usage

Form = Literal["ranking", "scores"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One reply of a judge on a lineup of n trajectories.

    Attributes:
        tiers: positions in the lineup, best first; a tier holds what the judge finds equal.
        reasons: one string per position, empty where the judge gave none.
        scores: one number in [0, 1] per position, where the judge was asked for scores.
        usage: what this verdict cost.
        prompt_id: template name, version and hash; None for a judge that is a function.
        cut: characters of each trajectory that were left out to fit the context window.
        warnings: what the user should know about how the trajectories were shown.
    """

    tiers: tuple[tuple[int, ...], ...]
    reasons: tuple[str, ...] = ()
    scores: tuple[float, ...] | None = None
    usage: Usage = field(default_factory=Usage)
    prompt_id: str | None = None
    cut: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()


def check_tiers(tiers: Any, n: int) -> tuple[tuple[int, ...], ...]:
    """Return `tiers` as tuples if they are an exact permutation of range(n).

    Raises:
        VerdictError: they are not.
        TypeError: they hold something else than integers.
    """
    made = tuple((index(t),) if hasattr(t, "__index__") else tuple(map(index, t)) for t in tiers)
    flat = [i for tier in made for i in tier]
    if sorted(flat) != list(range(n)):
        raise VerdictError(
            f"A ranking of {n} trajectories must name each of 0 to {n - 1} exactly once, not {flat!r}.",
            raw_text=repr(tiers),
        )
    return tuple(tier for tier in made if tier)


def tiers_of(scores: Sequence[float]) -> tuple[tuple[int, ...], ...]:
    """Tiers of equal scores, highest first."""
    levels: dict[float, list[int]] = {}
    for i, score in enumerate(scores):
        levels.setdefault(score, []).append(i)
    return tuple(tuple(levels[s]) for s in sorted(levels, reverse=True))


def schema(form: Form = "ranking") -> dict[str, Any]:
    """JSON schema of a reply. The same for every call: providers compile a new one slowly."""
    text = {"type": "string"}
    verdict = _array(_object(id=text, score={"type": "number"})) if form == "scores" else _array(_array(text))
    return _object(reasons=_array(_object(id=text, reason=text)), **{form: verdict})


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _array(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def parse_verdict(text: str | None, ids: Sequence[str], form: Form = "ranking") -> Verdict:
    """Read a reply on trajectories shown as `ids`.

    Code fences, a `<think>` prefix and prose around the JSON are passed over. Whatever is not an
    exact ranking of `ids` is an error, as are two rankings that differ.

    Raises:
        VerdictError: with the fault named in words that can be sent back to the judge.
    """
    raw = text or ""
    if not raw.strip():
        raise VerdictError("The reply is empty.", raw_text=raw)
    # What follows the last thought is nearly always all there is to read; only where that holds no
    # ranking may the tag have been part of one, quoted in a reason.
    after = raw.rpartition("</think>")[2]
    replies = _replies(after, form, raw) or _replies(raw, form, raw)
    found = [_read(reply, ids, form, raw) for reply in replies]
    if not found:
        raise VerdictError(f'There is no complete JSON object with "{form}" in the reply.', raw_text=raw)
    if any((v.tiers, v.scores) != (found[0].tiers, found[0].scores) for v in found):
        raise VerdictError("The reply holds several rankings that differ.", raw_text=raw)
    return found[-1]


_BRACE = re.compile(r'\{(?=\s*")')
_ATTEMPTS = 1_000  # places where an object may start; a reply with more is noise


def _replies(text: str, form: Form, raw: str) -> list[dict[str, Any]]:
    """The outermost JSON objects that have the key `form`, without those inside a model's thoughts."""
    found = _objects(text, raw)
    answer, end = 0, len(text)
    for tag in re.finditer("</?think>", text):
        if any(start < tag.start() < stop for start, stop, _ in found):
            continue  # a reason quotes the tag
        if tag.group() == "</think>":
            answer, end = tag.end(), len(text)
        elif end == len(text):
            end = tag.start()  # what an unfinished thought holds are drafts
    spoken = [value for start, _, value in found if answer <= start < end]
    for value in spoken:
        if isinstance(value, VerdictError):
            raise value
    return [value for value in spoken if isinstance(value, dict) and form in value]


def _objects(text: str, raw: str) -> list[tuple[int, int, dict[str, Any] | VerdictError]]:
    """The outermost JSON objects of a text with their places, or why one must not be trusted."""
    decoder = json.JSONDecoder(object_pairs_hook=_no_repeats, parse_constant=_no_constant)
    found: list[tuple[int, int, dict[str, Any] | VerdictError]] = []
    at = attempts = 0
    while (brace := _BRACE.search(text, at)) and attempts < _ATTEMPTS:
        attempts += 1
        start = brace.start()
        try:
            value, at = decoder.raw_decode(text, start)
            found.append((start, at, value))
        except _UnfitError as fault:
            at = brace.end()
            found.append((start, at, VerdictError(str(fault), raw_text=raw)))
        except RecursionError:
            found.append((start, len(text), VerdictError("The reply is nested too deeply.", raw_text=raw)))
            break
        except ValueError:
            at = brace.end()
    return found


class _UnfitError(Exception):
    """JSON that parses but must not be trusted."""


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _UnfitError("A JSON object in the reply has the same key twice.")
    return made


def _no_constant(name: str) -> float:
    raise _UnfitError(f"The reply holds {name}, which is no number.")


def _read(reply: dict[str, Any], ids: Sequence[str], form: Form, raw: str) -> Verdict:
    position = {name: i for i, name in enumerate(ids)}
    reasons = [""] * len(ids)
    told = reply.get("reasons")
    for item in told if isinstance(told, list) else ():
        # A reason is a comment: one that names no trajectory is dropped, the ranking still stands.
        if isinstance(item, dict) and isinstance(item.get("reason"), str):
            name = item.get("id")
            if isinstance(name, str) and name in position:
                reasons[position[name]] = item["reason"].strip()
    if form == "scores":
        scores = _scores(reply[form], position, raw)
        return Verdict(tiers_of(scores), tuple(reasons), tuple(scores))
    return Verdict(_tiers(reply[form], position, raw), tuple(reasons))


def _tiers(ranking: Any, position: dict[str, int], raw: str) -> tuple[tuple[int, ...], ...]:
    if not isinstance(ranking, list):
        raise VerdictError('"ranking" must be a list of lists of IDs.', raw_text=raw)
    tiers: list[tuple[int, ...]] = []
    seen: list[str] = []
    for tier in ranking:
        names = [tier] if isinstance(tier, str) else tier
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise VerdictError('"ranking" must be a list of lists of IDs.', raw_text=raw)
        seen += names
        if names:
            tiers.append(tuple(sorted(position.get(name, -1) for name in names)))
    _exact(seen, position, "ranking", raw)
    return tuple(tiers)


def _scores(scores: Any, position: dict[str, int], raw: str) -> list[float]:
    made = [math.nan] * len(position)
    seen: list[str] = []
    for item in scores if isinstance(scores, list) else [None]:
        if not isinstance(item, dict) or not isinstance(item.get("id"), str):
            raise VerdictError('"scores" must be a list of {"id", "score"}.', raw_text=raw)
        name, score = item["id"], item.get("score")
        if isinstance(score, bool) or not isinstance(score, (int, float)) or not 0 <= score <= 1:
            raise VerdictError(f"The score of {name} is {score!r}; it must be from 0 to 1.", raw_text=raw)
        seen.append(name)
        if name in position:
            made[position[name]] = float(score)
    _exact(seen, position, "scores", raw)
    return made


def _exact(seen: Sequence[str], position: dict[str, int], where: str, raw: str) -> None:
    known = set(seen)
    faults = {
        "missing": [name for name in position if name not in known],
        "unknown": sorted(known - position.keys()),
        "repeated": sorted({name for name in seen if seen.count(name) > 1}),
    }
    told = [f"{what}: {', '.join(names)[:200]}" for what, names in faults.items() if names]
    if told:
        raise VerdictError(f'"{where}" must hold every ID exactly once ({"; ".join(told)}).', raw_text=raw)
