"""Whether the end of a file is one of our records, cut off by a kill."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

# What may follow, at the end of the text, the position at which the JSON parser stops. Unterminated strings it reports
# itself. It reads "-1e" as -1 and stops at the "e".
_UNFINISHED = re.compile(
    r"""|u[0-9a-fA-F]{0,4}|\.|e[+-]?
    |n|nu|nul|t|tr|tru|f|fa|fal|fals|N|Na|-|-?(?:I|In|Inf|Infi|Infin|Infini|Infinit)""",
    re.VERBOSE,
)
_NAMED = re.compile(r'\{"id": "(?:[^"\\]|\\.)*"')
_BEGUN = '{"id": "'


def opening_first(record: Mapping[str, Any], holds: Sequence[str]) -> dict[str, Any]:
    """The record with its id first, then the one of `holds` that it has, so that its first bytes identify it."""
    key = next(key for key in holds if key in record)
    return {"id": record["id"], key: record[key], **record}


def is_cut_off(tail: bytes) -> bool:
    """Whether these bytes are the beginning of a JSON object, but not a whole one."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(tail)  # a letter may be cut in two
        if text.startswith("{"):
            json.loads(text)
    except json.JSONDecodeError as error:
        rest = error.doc[error.pos :]
        return error.msg.startswith("Unterminated string") or _UNFINISHED.fullmatch(rest) is not None
    except (ValueError, RecursionError):
        pass
    return False


def begins_record(tail: bytes, holds: Sequence[str]) -> bool:
    """Whether these bytes, for which `is_cut_off` holds, begin like a line of `opening_first`."""
    text = tail.decode("utf-8", "ignore")
    name = _NAMED.match(text)
    if name is None:
        return text.startswith(_BEGUN) or _BEGUN.startswith(text)
    rest = text[name.end() :]
    return any(rest.startswith(key) or key.startswith(rest) for key in (f', "{key}": ' for key in holds))
