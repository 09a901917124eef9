"""The objects of a JSON file: one a line (JSONL), those of an array, or each over several lines."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError

_SPACE = re.compile(r"\s*")
GZIP = b"\x1f\x8b"
_OTHERS = {
    b"PAR1": "a Parquet file; read it with pandas or datasets and pass its rows, or write them as JSON lines",
    b"\xff\xfe": "UTF-16; save it as UTF-8",
    b"\xfe\xff": "UTF-16; save it as UTF-8",
    b"PK": "an archive; unpack it",
}


@dataclass(frozen=True, slots=True)
class Record:
    """An object of a file, or what keeps it from being one.

    Attributes:
        number: of its line, or of the item of an array, from 1.
        place: "line 3", or "item 3".
        fault: None, or what follows the place in a message.
        fields: the object; empty if there is a fault.
    """

    number: int
    place: str
    fault: str | None
    fields: Mapping[str, Any] = field(default_factory=dict)


def read_objects(path: str | Path) -> Iterator[Record]:
    """Read a file object by object, going on after bad ones. Gzip is unpacked, whatever the file's name; a byte order
    mark and empty lines are skipped. A file that begins with an array, or with an object over several lines, is read
    whole.

    Raises:
        ConfigurationError: the file cannot be read, or is no text; it is to be read whole and is no JSON.
    """
    try:
        with open(path, "rb") as plain, gzip.open(plain) if plain.peek(2)[:2] == GZIP else plain as file:
            first = file.peek(4)[:4]
            check_text(first, path)
            if first.startswith(BOM_UTF8):
                file.read(len(BOM_UTF8))
            begun = False
            for number, raw in enumerate(file, start=1):
                if not raw.strip():
                    continue
                if not begun and (raw.strip() == b"{" or raw.lstrip().startswith(b"[")):
                    yield from _whole(raw + file.read(), path)
                    return
                begun = True
                yield record_of(raw, number)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{path} cannot be read: {reason}.") from None


def check_text(first: bytes, path: str | Path) -> None:
    """Refuse a file that begins as what is no text.

    Raises:
        ConfigurationError: it does.
    """
    for magic, what in _OTHERS.items():
        if first.startswith(magic):
            raise ConfigurationError(f"{path} is {what}.")


def record_of(raw: bytes, number: int) -> Record:
    """The object of one line of JSONL."""
    place = f"line {number}"
    try:
        value = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        return Record(number, place, f"is not UTF-8: {error.reason}.")
    except (ValueError, RecursionError) as error:
        return Record(number, place, f"is not JSON: {error}.")
    return _object(value, number, place)


def _object(value: Any, number: int, place: str) -> Record:
    if not isinstance(value, dict):
        return Record(number, place, f"is a {type(value).__name__}, not an object.")
    return Record(number, place, None, value)


def _whole(raw: bytes, path: str | Path) -> Iterator[Record]:
    """The members of an array, or objects one after the other, each over several lines."""
    decoder, values, at = json.JSONDecoder(), [], 0
    try:
        text = raw.decode("utf-8").strip()
        while at < len(text):
            value, end = decoder.raw_decode(text, at)
            values += value if isinstance(value, list) else [value]
            at = _SPACE.match(text, end).end()  # type: ignore[union-attr]
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} begins as JSON over several lines and is none: {error}.") from None
    for number, value in enumerate(values, start=1):
        yield _object(value, number, f"item {number}")
