"""HTML pages for people: one base template, and the filters that its children share.

A page is one file that loads nothing: text goes through autoescape and `visible`, figures stand inside it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ranker.errors import ConfigurationError
from ranker.extras import install
from ranker.runtime.outputs import replace_file

LONG, SHOWN = 1_500, 1_200  # characters from which a text is folded, and those that stay in sight
# Controls, directions, zero widths, tags, lone surrogates, letters and marks that show nothing, private use.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ud800-\udfff\ue000-\uf8ff\ufeff\uffa0\ufff0-\ufffb"
    "\U000110bd\U000110cd\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)


def environment(folder: Path) -> jinja2.Environment:
    """Templates of `folder`, which extend `base.html.j2` of this one.

    Filters: `num`, `money`, `folded`, and `above` and `below` of an `Estimate`. Functions: `install`.
    """
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=visible,
    )
    env.filters.update(
        num=num,
        money=money,
        folded=folded,
        above=lambda estimate, bound: estimate.above(bound),
        below=lambda estimate, bound: estimate.below(bound),
    )
    env.globals["install"] = install
    return env


def with_script(folder: Path, **values: Any) -> str:
    """`page.html.j2` of a folder, a page that has a script; it may include what stands here. Its parts are not indented
    by their templates, and all that it shows comes later, as data."""
    env = jinja2.Environment(loader=jinja2.FileSystemLoader([folder, Path(__file__).parent]), autoescape=True)
    return env.get_template("page.html.j2").render(**values)


def write(path: Path, content: bytes) -> None:
    """Replace the file as a whole.

    Raises:
        ConfigurationError: it cannot be written; the old one is still there.
    """
    try:
        replace_file(path, content)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written ({error.strerror}); the old one is still there. Make room and run the same "
            "command again."
        ) from None


def visible(value: Any) -> Any:
    """Text in which characters that a reader would not see, or that reorder the text around them, are named by
    code point."""
    if not isinstance(value, str):
        return value
    text = _UNSEEN.sub(lambda unseen: f"⟨U+{ord(unseen.group()):04X}⟩", value.replace("\r\n", "\n"))
    return Markup(text) if isinstance(value, Markup) else text  # noqa: S704 - it was markup before


def num(x: float | None, spec: str = ".2f") -> str:
    """A number for reading: with a minus sign, and no negative zero."""
    text = "–" if x is None else f"{x:{spec}}"
    return text.replace("-", "−" if any(digit in text for digit in "123456789") else "")


def money(x: float | None) -> str:
    """Dollars to two significant digits."""
    if x is None:
        return "unknown"
    return f"${x:,.2f}" if x >= 0.095 or x == 0 else f"${x:.2g}"


def places(tiers: Iterable[Sequence[int]]) -> dict[int, str]:
    """Each member's place, from 1; tied members get the range of theirs."""
    found, before = {}, 0
    for tier in tiers:
        last = before + len(tier)
        found.update(dict.fromkeys(tier, str(last) if len(tier) == 1 else f"{before + 1}–{last}"))
        before = last
    return found


def folded(text: str) -> tuple[str, str]:
    """The part of a text that is in sight, and the rest of a long one."""
    if len(text) <= LONG:
        return text, ""
    at = max(text.rfind(end, SHOWN // 2, SHOWN) for end in ("\n", " ")) + 1 or SHOWN
    return text[:at], text[at:]


def pretty(value: Any) -> str:
    """JSON, or text that is JSON, laid out for reading; other text, and JSON that names a key twice, as it is."""
    parsed = value
    if isinstance(value, str):
        if value.strip()[:1] not in ("{", "["):
            return value
        try:
            parsed = json.loads(value, object_pairs_hook=_object)
        except (ValueError, RecursionError):
            return value
    return json.dumps(parsed, indent=2, ensure_ascii=False, default=str)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a key stands twice")
    return fields
