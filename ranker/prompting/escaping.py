"""Making text from outside unable to pass for structure of ours.

A prompt's structure is made of a few tags: `<trajectory …>`, `</trajectory>`, `<user>`, `<p3/>` and
so on. Wherever text from a trajectory, task or rubric could be read as one of them, its opening
bracket is written as a character reference, so that only the renderer can write a tag. The mapping
can be undone exactly (`restore`), so no information is lost.
"""

from __future__ import annotations

import json
import re

TAGS = (
    "trajectories", "trajectory", "shared", "system", "developer", "user", "assistant", "tools",
    "tool", "function", "call", "reasoning", "refusal", "cut", "image", "audio", "file", "history",
    "task", "rubric",
)  # fmt: skip

# Characters that may stand between the letters of a disguised tag: white space, controls, and what
# Unicode calls default-ignorable. Possessive: a run of them is read once.
_UNSEEN = (
    "[\\s\\x00-\\x1f\\x7f-\\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202f"
    "\u205f-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]*+"
)


def _disguised(tag: str) -> str:
    """Pattern of a tag's name with unseen characters between, and letters in their full-width form."""
    return _UNSEEN.join(f"[{letter}{chr(ord(letter) + 0xFEE0)}]" for letter in tag)


_NAME = "|".join([*map(_disguised, TAGS), _disguised("p") + _UNSEEN + r"\d"])
_BRACKETS = {"<": "&lt;", "\uff1c": "&#xFF1C;", "\ufe64": "&#xFE64;"}
_SPELLED = {spelled: bracket for bracket, spelled in _BRACKETS.items()}
_OPENING = re.compile(
    r"(?:<|\uff1c|\ufe64|&(?:amp;)*+(?:lt|\#xFF1C|\#xFE64);)"
    rf"(?={_UNSEEN}(?:[/\uff0f]{_UNSEEN})?(?:{_NAME})(?![A-Za-z_]))",
    re.IGNORECASE,
)
_SUSPECT = re.compile(r"[<&\uff1c\ufe64]")
_SAFE_NAME = re.compile(r"[\w.:/-]{1,128}\Z", re.ASCII)


def _spell(match: re.Match[str]) -> str:
    spelled = match.group()
    return _BRACKETS.get(spelled) or "&amp;" + spelled[1:]


def _unspell(match: re.Match[str]) -> str:
    spelled = match.group()
    if spelled.startswith("&amp;"):
        return "&" + spelled[5:]
    return _SPELLED.get(spelled, spelled)


def neutral(text: str) -> str:
    """Return `text` with every look-alike of a structural tag disarmed."""
    if not text.isascii():
        # Lone surrogates cannot be sent; show them the way Python and JSON write them.
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if _SUSPECT.search(text) is None:
        return text
    return _OPENING.sub(_spell, text)


def restore(text: str) -> str:
    """Undo `neutral` (lone surrogates stay in their written form)."""
    return _OPENING.sub(_unspell, text)


def label(name: str) -> str:
    """A name as it may stand inside a tag: no bracket, no line break, and outside quotes no space."""
    if _SAFE_NAME.match(name):
        return name
    quoted = json.dumps(name)
    return quoted.replace("<", "\\u003c").replace(">", "\\u003e")
