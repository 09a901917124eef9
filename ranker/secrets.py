"""Credentials kept out of what is displayed, logged and written, however they are spelled there."""

from __future__ import annotations

import html
import json
import logging
import os
import re
from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from itertools import takewhile
from typing import Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlsplit

REMOVED = "[key removed]"
# In JSON a backslash may belong to the quotation mark after it; only that before a slash may be the key's.
_KEY_SHAPES = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|AIza)[-_]?[A-Za-z0-9_\-]{12,}|Bearer\s+(?:[^\s\"'\\]|\\/){8,}"
)
_LEAST = 6  # characters; a shorter secret would take ordinary words out of messages
_LEAST_HIDDEN = 8  # and of replies
_LEAST_BEGINNING = 12  # as far as keys of the same provider may begin alike, or with a word
_KEY_IN_PATH = re.compile(r"(?<=/)(?=[^/]*[0-9])(?=[^/]*[A-Za-z])[A-Za-z0-9_]{24,}(?=[/?#]|$)")
_SECRET_NAMES = re.compile("key|token|secret|sig|auth|pass|cred|code|subscription", re.IGNORECASE)
# Of fields of a request; max_tokens, tokenizer, stop_token_ids and prompt_cache_key are none.
_SECRET_FIELD = re.compile(
    "(?<!cache_)(key|keys|token|secret|password|passwd|credentials?|signature|auth|authorization|cookie)$",
    re.IGNORECASE,
)
# Those of this process in every spelling, the longest first; replaced whole, for threads.
_hidden: tuple[str, ...] = ()


def hide(*secrets: str | None) -> None:
    """Keep these out of everything from now on: what is sent to a server as a credential may come back from it."""
    global _hidden
    spelled = {
        s for secret in secrets if secret and len(secret.strip()) >= _LEAST_HIDDEN for s in _spellings(secret)
    }
    if not spelled <= set(_hidden):
        _hidden = tuple(sorted({*_hidden, *spelled}, key=len, reverse=True))


def hide_url(url: str) -> None:
    """The same for the user, the password and what may be a key in the path or the query of an address."""
    before, at, _ = url.partition("://")[2].rpartition("@")
    if at:
        hide(before, *before.split(":"), *map(unquote, before.split(":")))
    hide(*_KEY_IN_PATH.findall(url.partition("://")[2]))
    for member in url.partition("?")[2].partition("#")[0].split("&"):
        name, _, value = member.rpartition("=")
        if _SECRET_NAMES.search(name) or len(value) >= 20:
            hide(value, unquote(value), unquote_plus(value))


def hide_fields(value: Any, *, secret: bool = False) -> Any:
    """The same for text under names of secrets in data, at any depth, and for addresses under `base_url`; returns the data
    without it. Numbers stay: of `max_tokens` there is nothing to hide. So does the name of a variable, `$NAME`."""
    if isinstance(value, Mapping):
        return {
            name: bare_url(one)
            if name == "base_url" and isinstance(one, str)
            else hide_fields(one, secret=secret or bool(_SECRET_FIELD.search(str(name))))
            for name, one in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [hide_fields(one, secret=secret) for one in value]
    if not secret or not isinstance(value, str) or re.fullmatch(r"\$\w+", value):
        return value
    hide(value)
    return REMOVED


def bare_url(url: str) -> str:
    """An address without user, password, query and keys in its path; where it is none, only its length."""
    try:
        parts = urlsplit(url)
        if (
            parts.scheme in {"http", "https"}
            and parts.hostname
            and not re.search("[^/]@", url.partition("?")[0])
        ):
            return f"{parts.scheme}://{parts.netloc}{_KEY_IN_PATH.sub(REMOVED, parts.path)}"
    except ValueError:
        pass
    return url if re.fullmatch(r"[\w.:/-]{0,80}", url) and "@" not in url else f"({len(url)} characters)"


def unhidden(text: str) -> str:
    """`text` without the secrets of this process: for replies, which are read for every call."""
    for spelling in _hidden:
        if spelling in text:
            text = text.replace(spelling, REMOVED)
    return text


def scrub(text: str, *secrets: str | None) -> str:
    """Remove credentials from a text that may be displayed, logged or written.

    Removes the `secrets` and those that were hidden, in every spelling (JSON, URL, HTML, Basic authorisation); the
    value of every environment variable whose name ends in ``_KEY``, ``_TOKEN`` or ``_SECRET``; and anything that looks
    like a common API key.
    """
    text = unhidden(text)
    from_environment = (v for k, v in os.environ.items() if k.upper().endswith(("_KEY", "_TOKEN", "_SECRET")))
    for secret in (*secrets, *from_environment):
        if secret and len(secret.strip()) >= _LEAST:
            for spelling in _spellings(secret):
                text = text.replace(spelling, REMOVED)
    text = _without_beginnings(text)
    return _KEY_SHAPES.sub(REMOVED, text)


def scrubbed(value: Any) -> Any:
    """Plain data, to be written as JSON, with each of its texts scrubbed: in one that is written already, a credential
    might take a part of the notation with it."""
    if isinstance(value, str):
        return scrub(value) if len(value) >= _LEAST else value
    if isinstance(value, dict):
        return {name: scrubbed(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [scrubbed(one) for one in value]
    return value


def _without_beginnings(text: str) -> str:
    """`text` without what may be a secret that a library has cut off."""
    for spelling in _hidden:
        if " " in spelling or "://" in spelling:  # others begin like it; a key alone is hidden as well
            continue
        least = max(_LEAST_BEGINNING, len(spelling) // 4)
        while (start := text.find(spelling[:least])) >= 0:
            end = start + max(_alike(text[start : start + len(other)], other) for other in _hidden)
            text = text[:start] + REMOVED + text[end:]
    return text


def _alike(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


@lru_cache(maxsize=256)
def _spellings(secret: str) -> tuple[str, ...]:
    """How a text may hold a secret, the longest first."""
    secret = secret.strip()
    written = json.dumps(secret)[1:-1]
    spellings = {
        secret, written, json.dumps(secret, ensure_ascii=False)[1:-1], json.dumps(written)[1:-1], repr(secret)[1:-1],
        html.escape(secret), quote(secret), quote(secret, safe=""), quote_plus(secret),
    }  # fmt: skip
    spellings |= {re.sub("%..", lambda m: m.group().lower(), spelling) for spelling in spellings}
    raw = secret.encode("utf-8", "surrogatepass")
    for before in range(
        3
    ):  # what stands before it decides how Base64 cuts it; its ends are shared with others
        coded = b64encode(b" " * before + raw).decode()
        end = (before + len(raw)) // 3 * 4
        spellings.add(coded[(0, 2, 3)[before] if before else 0 : end])
        spellings.add(coded[(0, 4, 4)[before] : end])
    return tuple(sorted((s for s in spellings if len(s) >= _LEAST), key=len, reverse=True))


class _Scrubbed(logging.Filter):
    """Of libraries that log addresses, headers and exceptions."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = scrub(record.getMessage()), ()
        if record.exc_info:
            record.exc_text = scrub(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        return True


_SCRUBBED = _Scrubbed()


def scrub_logs(*loggers: str) -> None:
    """Keep credentials out of what these loggers say."""
    for name in loggers:
        logging.getLogger(name).addFilter(_SCRUBBED)  # once, however often
