"""What is known of a judged group beside its texts: reasons, marks of turns, usage, notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ranker.pages import money, num
from ranker.viewing.records import Judged, number


def marks_of(judged: Judged, i: int, name: str) -> Sequence[Any]:
    """What the turns of an attempt were given, one for each message of the assistant."""
    member = judged.members[i] if i < len(judged.members) else None
    beside = member if isinstance(member, Mapping) else {}
    marks = (
        of_name(judged.fields.get("turn_rewards"), name) or beside.get("turn_rewards") or beside.get("turns")
    )
    return marks if isinstance(marks, list) else ()


def mark_of(value: Any) -> str | None:
    """The mark of a turn in words."""
    if isinstance(value, Mapping):
        parts = [mark_of(value[key]) for key in ("reward", "mark", "reason") if value.get(key) is not None]
        return ", ".join(filter(None, parts)) or None
    known = number(value)
    if known is not None:
        return num(known, "+.2f")
    return value if isinstance(value, str) and value else None


def reason_of(judged: Judged, i: int, name: str) -> str:
    """The judge's reason for an attempt; empty where it gave none."""
    if judged.form == "sample":
        member = judged.members[i] if i < len(judged.members) else judged.fields["anchor"]
        return text_or_none(member.get("reason")) or ""
    reasons = judged.fields.get("reasons")
    if isinstance(reasons, list):
        return str(reasons[i]) if i < len(reasons) else ""
    own = judged.names[i] if i < len(judged.names) else name
    return text_or_none(of_name(reasons, own)) or ""


def notes_of(judged: Judged, i: int, name: str) -> tuple[tuple[str, str], ...]:
    """What more is known of an attempt, by name."""
    member = judged.members[i] if i < len(judged.members) and isinstance(judged.members[i], Mapping) else {}
    found = []
    if isinstance(member.get("tokens"), int):
        found.append(("tokens", f"{member['tokens']:,}"))
    if member.get("truncated"):
        found.append(("cut off", "at the length limit"))
    if member.get("error"):
        found.append(("error", str(member["error"])))
    if number(member.get("above_anchor")) is not None:
        found.append(
            (
                "above the start policy's",
                {0.0: "no", 0.5: "tied", 1.0: "yes"}.get(float(member["above_anchor"]), ""),
            )
        )
    for key, value in _numbers(member.get("rewards") if judged.form == "sample" else None):
        found.append((f"reward {key}", num(value, ".3g")))
    for key, value in _numbers(of_name(judged.fields.get("covariates"), name) or member.get("covariates")):
        found.append((key, num(value, ".4g")))
    cut = of_name(judged.fields.get("cut"), name)
    if isinstance(cut, int):
        found.append(("not shown to the judge", f"{cut:,} characters"))
    return tuple(found)


def verdict_of(judged: Judged) -> tuple[tuple[str, str], ...]:
    """What is known of the verdict, by name."""
    fields_, found = judged.fields, []
    consistency = number(fields_.get("consistency"))
    if consistency is not None:
        found.append(("agreement of the passes", f"{num(consistency)} (Kendall's W)"))
    usage = fields_.get("usage") if isinstance(fields_.get("usage"), Mapping) else {}
    assert isinstance(usage, Mapping)
    for key, name in (
        ("calls", "calls"),
        ("cached_calls", "from the cache"),
        ("failed_calls", "failed calls"),
    ):
        if number(usage.get(key)):
            found.append((name, f"{usage[key]:,}"))
    read, written = number(usage.get("prompt_tokens")), number(usage.get("completion_tokens"))
    if read or written:
        found.append(("tokens", f"{read or 0:,.0f} read, {written or 0:,.0f} written"))
    cost = number(usage.get("cost_usd"))
    if cost is not None and read:
        found.append(("cost", money(cost)))
    seconds = number(fields_.get("seconds"))
    if seconds is None and isinstance(fields_.get("label"), Mapping):
        seconds = number(fields_["label"].get("seconds"))
    if seconds is not None:
        found.append(("seconds", num(seconds, ".1f")))
    if isinstance(fields_.get("prompt_id"), str):
        found.append(("prompt", fields_["prompt_id"]))
    for key, name in (("group", "group"), ("row", "row"), ("version", "policy version")):
        if judged.form == "sample" and fields_.get(key) is not None:
            found.append((name, str(fields_[key])))
    warnings = fields_.get("warnings")
    return tuple(found) + tuple(("note", str(w)) for w in (warnings if isinstance(warnings, list) else ()))


def of_name(by_name: Any, name: str) -> Any:
    return by_name.get(name) if isinstance(by_name, Mapping) else None


def _numbers(values: Any) -> list[tuple[str, float]]:
    if not isinstance(values, Mapping):
        return []
    return [(str(k), v) for k, value in values.items() if (v := number(value)) is not None]


def text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
