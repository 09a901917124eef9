"""Headers that a user adds to every request of a judge. Those that come from a variable, or by their name are credentials,
are secrets: no message, log, record or cache has their values."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from typing import Any

from ranker.errors import ConfigurationError
from ranker.secrets import hide

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]+\Z")
# Headers that say who asks, and nothing of what is asked.
_CREDENTIAL = re.compile(r"auth|key|token|secret|cookie|password|signature|credential", re.IGNORECASE)


def read_headers(headers: Mapping[str, Any] | None) -> dict[str, str]:
    """The headers as they are sent; a value that is ``$NAME`` is that environment variable's.

    Raises:
        ConfigurationError: what cannot be a header, or a variable that is not set.
    """
    if headers is not None and not isinstance(headers, Mapping):
        raise ConfigurationError('headers takes names and values, e.g. {"api-key": "$MY_KEY"}.')
    read: dict[str, str] = {}
    for name, value in (headers or {}).items():
        if not isinstance(name, str) or not _NAME.match(name):
            raise ConfigurationError(f"{name!r} is no name of a header.")
        from_variable = isinstance(value, str) and re.fullmatch(r"\$\w+", value)
        if from_variable:
            if not os.environ.get(value[1:]):
                raise ConfigurationError(f"The header {name} is to come from {value}, which is not set.")
            value = os.environ[value[1:]]
        if not isinstance(value, str) or not _VALUE.match(value):
            raise ConfigurationError(f"The value of the header {name} must be text on one line.")
        # Another, `x-team: research`, may well be a word of the replies.
        if from_variable or _CREDENTIAL.search(name):
            hide(value, value.rpartition(" ")[2])  # the key alone, too, where a scheme stands before it
        read["Authorization" if name.lower() == "authorization" else name] = value
    return read


def check_written(headers: Mapping[str, Any], where: str) -> None:
    """Refuse values of headers in a file: keys do not belong there.

    Raises:
        ConfigurationError: a value that is no ``$NAME``.
    """
    for name, value in headers.items():
        if not re.fullmatch(r"\$\w+", str(value)):
            raise ConfigurationError(
                f"{where}: the header {name} holds its value; put it into an environment variable, and write its name: "
                f'"{name}" = "$MY_KEY".'
            )


def parse_header(text: str) -> tuple[str, str]:
    """Name and value of ``NAME:VALUE``.

    Raises:
        ConfigurationError: it is not that.
    """
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or not value.strip():
        raise ConfigurationError("--header takes NAME:VALUE, e.g. 'api-key:$MY_KEY'.")
    return name.strip(), value.strip()


def identity_of(headers: Mapping[str, str]) -> dict[str, str]:
    """What of the headers may influence a verdict, as a digest, for the key of the cache: all but credentials."""
    asked = sorted((k.lower(), v) for k, v in headers.items() if not _CREDENTIAL.search(k))
    return {"headers": hashlib.sha256(json.dumps(asked).encode()).hexdigest()} if asked else {}
