"""Fields of messages, calls and content parts that have no form of their own in a transcript.

They are shown as JSON after a tag that names them (`<assistant field citations>[…]`), so that nothing
that is not recognised vanishes. The words after the role are no name: a name with a space is quoted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Iterator, Mapping
from typing import Any

from ranker.prompting.compact_json import compact
from ranker.prompting.escaping import label, neutral

# What no judge is shown. Attempts that differ only here tie, with a warning that names the field.
SILENT = frozenset(
    (
        # drawn anew for every message, whatever it says
        "id", "item_id", "response_id", "message_id", "tool_call_id", "tool_use_id", "toolUseId", "call_id",
        "index", "object", "created", "created_at", "timestamp", "expires_at",
        # signatures and sealed text that only a provider can read
        "signature", "thought_signature", "thoughtSignature", "encrypted_content", "redactedContent",
        # how a message was requested, sampled and paid for; the name of its author's model
        "cache_control", "cachePoint", "usage", "usage_metadata", "response_metadata", "logprobs", "token_ids",
        "prompt_token_ids", "model", "weight",
        # the user's own notes, and what would give the truth away
        "metadata", "ground_truth", "reward", "rewards", "advantage", "advantages",
    )
)  # fmt: skip
# The same, at any depth of a field shown as JSON.
_SEALED = frozenset(
    ("signature", "thought_signature", "thoughtSignature", "encrypted_content", "redactedContent", "cache_control",
     "cachePoint", "logprobs", "token_ids", "prompt_token_ids")
)  # fmt: skip

_WORDS = frozenset(
    (
        "text",
        "content",
        "arguments",
        "input",
        "thinking",
        "reasoning",
        "reasoning_content",
        "refusal",
        "transcript",
    )
)  # to be read, however long
_LONG = 256  # characters of one word without a space: not to be read
_NUMBERS = 64  # numbers in a row: an embedding, token ids, samples of a sound
_BULK = re.compile(rf"data:[\w.+-]+/[\w.+-]+[;,]|[\w+/=-]{{{_LONG},}}\Z", re.ASCII)


def empty(value: Any) -> bool:
    """Whether a field says nothing: null, no text, no members, or only members that say nothing."""
    if value is None:
        return True
    if isinstance(value, Mapping):
        return all(key in _SEALED or empty(member) for key, member in value.items())
    return isinstance(value, (str, bytes, list, tuple)) and not value


def left(record: Mapping[str, Any], read: Container[str]) -> Iterator[tuple[str, Any]]:
    """The fields of `record` that say something, are not in `read` and not silent."""
    for key, value in record.items():
        if key not in read and key not in SILENT and not empty(value):
            yield key, value


def write_fields(tag: str, record: Mapping[str, Any], read: Container[str], media: list[str]) -> list[str]:
    """A line for each field that is `left` of `record`, under the tag of what it belongs to."""
    return [write_field(tag, key, value, media) for key, value in left(record, read)]


def write_field(tag: str, key: str, value: Any, media: list[str]) -> str:
    """One field under the tag of what it belongs to."""
    return f"<{tag} field {label(str(key))}>{write_json(value, media)}"


def write_json(value: Any, media: list[str]) -> str:
    """Neutral JSON of a field, with a placeholder (reported in `media`) in the place of bulk data."""
    # Every scalar is neutralised by itself: no tag hides in a seam, since each string ends with a quote.
    if isinstance(value, Mapping):
        members = (
            f"{neutral(compact(str(key)))}:{_member(key, member, media)}"
            for key, member in value.items()
            if key not in _SEALED
        )
        return "{" + ",".join(members) + "}"
    if _is_bulk(value):
        media.append("file")
        return f"<file {digest(compact(value))}>"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(write_json(member, media) for member in value) + "]"
    return neutral(compact(value))


def digest(text: str) -> str:
    """Eight digits for what cannot be shown: two different images never look identical."""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:8]


def _member(key: Any, value: Any, media: list[str]) -> str:
    return neutral(compact(value)) if key in _WORDS and isinstance(value, str) else write_json(value, media)


def _is_bulk(value: Any) -> bool:
    if isinstance(value, str):
        return _BULK.match(value) is not None
    if isinstance(value, (list, tuple)):
        return len(value) >= _NUMBERS and all(isinstance(member, (int, float)) for member in value)
    return isinstance(value, (bytes, bytearray))
