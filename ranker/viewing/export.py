"""One page that holds chosen groups and needs no server: to be sent on."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ranker.pages import with_script
from ranker.viewing.find import Filter
from ranker.viewing.shown import Shown

MOST = 50  # groups, where none are named


def document(shown: Shown, wanted: Filter, lines: Sequence[int] = ()) -> bytes:
    """The page.

    Args:
        wanted: which groups, and in which order; the first `MOST` of them.
        lines: these instead.
    """
    page = shown.page(wanted)
    rows = page["rows"]
    if lines:
        chosen = {row["line"]: row for row in rows}
        rows = [chosen.get(line) or _row(shown, line) for line in lines]
    rows = [row for row in rows if row is not None]
    data: dict[str, Any] = {
        "state": shown.state(),
        "rows": rows,
        "count": page["count"],
        "cards": {row["line"]: shown.card(row["line"]) for row in rows},
    }
    if shown.curves is not None:
        data["curves"] = shown.curves.to_dict()
    nonce = secrets.token_urlsafe(16)
    policy = f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'"
    text = with_script(Path(__file__).parent, nonce=nonce, policy=policy, data=embedded(data))
    return text.encode("utf-8", "replace")


def embedded(data: Any) -> Markup:
    """JSON that stands in a script element: no text in it can end the element or open a comment."""
    text = json.dumps(data, ensure_ascii=True)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704 - what HTML could read is escaped


def _row(shown: Shown, line: int) -> dict[str, Any] | None:
    """A row of the list for a group that is not on the first page."""
    card = shown.card(line)
    if card is None:
        return None
    values = [a["reward"] for a in card["attempts"] if a["reward"] is not None]
    named = {key: card[key] for key in ("line", "id", "title", "judge", "step", "state", "fault")}
    return {
        **named,
        "agreement": card["right"] / card["pairs"] if card["pairs"] else None,
        "spread": max(values) - min(values) if values else None,
        "size": len(card["attempts"]),
        "values": sorted(values, reverse=True),
    }
