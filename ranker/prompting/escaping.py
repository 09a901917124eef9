"""Making text from outside unable to pass for structure of ours.

A prompt's structure is made of a few tags: `<trajectory …>`, `</trajectory>`, `<user>`, `<p3/>` and
so on; a server writes the turns of a chat in tokens such as `<|im_end|>` and `[INST]`, and many read them
wherever they are spelled. Wherever text from a trajectory, task or rubric could be read as one of
them, its opening bracket is written as a character reference, so that only the renderer can write a
tag and only the server a turn. The mapping can be undone exactly (`restore`), so no information is lost.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from functools import cache

TAGS = (
    "trajectories", "trajectory", "shared", "system", "developer", "user", "assistant", "tools",
    "tool", "function", "call", "reasoning", "refusal", "cut", "image", "audio", "file", "history",
    "task", "rubric", "turn",
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
# What chat templates mark turns with: `<|…|>`, `<｜…｜>` and the halves `<|…>` and `<…|>`; and those that are spelled
# like tags or in square brackets.
_INSIDE = "[\\w\u2581.:/-]{1,64}+"
_BAR = "[|\uff5c]"
_CHAT_TAG = (
    rf"(?:{_BAR}{_INSIDE}{_BAR}?|{_INSIDE}{_BAR}|"
    r"(?-i:[/\uff0f]?(?:s|bos|eos|pad|unk|sop|eop|eoh|eoa|SYS|[BE]OS_TOKEN|(?:start|end|begin|beginning)_of_\w{1,20}+|"
    r"(?:extra_id|reserved|unused)_?\d{1,6}+|seed:\w{1,20}+)))[>\uff1e]"
)
_CHAT_SQUARE = rf"(?:{_BAR}{_INSIDE}{_BAR}|[/\uff0f]?(?:inst|system_prompt|available_tools|tool_calls|tool_results|gmask))[\]\uff3d]"
_BRACKETS = {"<": "&lt;", "\uff1c": "&#xFF1C;", "\ufe64": "&#xFE64;", "[": "&#x5B;", "\uff3b": "&#xFF3B;"}
_SPELLED = {spelled: bracket for bracket, spelled in _BRACKETS.items()}
_ANGLE = r"(?:<|\uff1c|\ufe64|&(?:amp;)*+(?:lt|\#xFF1C|\#xFE64);)"


@cache  # compiled on first use: it takes a fifth of the time of importing the package
def _opening() -> re.Pattern[str]:
    """What opens a tag, or a turn of a chat template."""
    tag = rf"(?:[/\uff0f]{_UNSEEN})?(?:{_NAME})(?![A-Za-z_])"
    return re.compile(rf"{_ANGLE}(?={_UNSEEN}(?:{tag}|{_CHAT_TAG}))", re.IGNORECASE)


_SQUARE = re.compile(rf"(?:\[|\uff3b|&(?:amp;)*+\#x(?:5B|FF3B);)(?={_CHAT_SQUARE})", re.IGNORECASE)
_FIRST = ("<", "&", "[", "\uff1c", "\ufe64", "\uff3b")  # of everything that is respelled
_SUSPECT = re.compile(r"[<&\uff1c\ufe64]")
_SUSPECT_SQUARE = re.compile(rf"[\[\uff3b]{_CHAT_SQUARE}|&(?:amp;)*+\#x(?:5B|FF3B);", re.IGNORECASE)
_SAFE_NAME = re.compile(r"[\w.:/-]{1,128}\Z", re.ASCII)


@cache
def _lookalikes() -> tuple[re.Pattern[str], dict[int, str]]:
    """What finds a bracket before a word with a letter or digit that Unicode holds compatible to ASCII ones (𝐮, ⓤ, ᵘ,
    ﬁ); and what these stand for."""
    blocks = ((0xAA, 0x250), (0x2B0, 0x300), (0x1D2C, 0x1DC0), (0x2070, 0x3400), (0xA69C, 0xAB70), (0xFB00, 0xFB07),
              (0xFF10, 0xFF5B), (0x10780, 0x107BB), (0x1D400, 0x1D800), (0x1F100, 0x1F170), (0x1FBF0, 0x1FBFA))  # fmt: skip
    plain = {c: unicodedata.normalize("NFKC", chr(c)) for block in blocks for c in range(*block)}
    table = {c: text for c, text in plain.items() if text.isascii() and text.isalnum()}
    firsts, lasts = ([c for c in table if c + step not in table] for step in (-1, 1))
    letters = "".join(
        f"{chr(a)}-{chr(b)}" for a, b in zip(firsts, lasts, strict=True)
    )  # ranges are found faster
    word = f"(?:[A-Za-z0-9]{_UNSEEN}){{0,15}}[{letters}](?:{_UNSEEN}[A-Za-z0-9_{letters}]){{0,15}}"
    return re.compile(rf"{_ANGLE}(?={_UNSEEN}(?:[/\uff0f]{_UNSEEN})?({word}))", re.IGNORECASE), table


_APART = ["\0?".join(tag) for tag in TAGS]  # a null where something unseen stood
_NAMED = re.compile(rf"(?:{'|'.join(_APART)}|p\0?[0-9])(?![A-Za-z_])", re.IGNORECASE)
_UNSEEN_RUN = re.compile(_UNSEEN.replace("*+", "++"))


def _respelled(text: str, spell: Callable[[str], str]) -> str:
    """`text` with `spell` applied to every bracket that opens what could be read as a tag or a turn."""

    if not any(bracket in text for bracket in _FIRST):
        return text

    def respell(match: re.Match[str]) -> str:
        return spell(match.group())

    if _SUSPECT_SQUARE.search(text) is not None:
        text = _SQUARE.sub(respell, text)
    if _SUSPECT.search(text) is None:
        return text
    if text.isascii():
        return _opening().sub(respell, text)
    words, table = _lookalikes()
    spans = {match.span() for match in _opening().finditer(text)}
    for match in words.finditer(text):
        if _NAMED.match(_UNSEEN_RUN.sub("\0", match[1]).translate(table)):
            spans.add(match.span())
    pieces, at = [], 0
    for start, end in sorted(spans):
        pieces += [text[at:start], spell(text[start:end])]
        at = end
    return "".join(pieces) + text[at:]


def _spell(bracket: str) -> str:
    return _BRACKETS.get(bracket) or "&amp;" + bracket[1:]


def _unspell(spelled: str) -> str:
    if spelled.startswith("&amp;"):
        return "&" + spelled[5:]
    return _SPELLED.get(spelled, spelled)


def encodable(text: str) -> str:
    """`text` with lone surrogates, which can neither be sent nor tokenized, the way Python and JSON write them."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def neutral(text: str) -> str:
    """Return `text` with every look-alike of a structural tag or of a chat template's token disarmed."""
    return _respelled(encodable(text), _spell)


def restore(text: str) -> str:
    """Undo `neutral` (lone surrogates stay in their written form)."""
    return _respelled(text, _unspell)


def label(name: str) -> str:
    """A name as it may stand inside a tag: no bracket, no line break, and outside quotes no space."""
    if _SAFE_NAME.match(name):
        return name
    quoted = json.dumps(name)
    return quoted.replace("<", "\\u003c").replace(">", "\\u003e")
