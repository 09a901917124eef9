"""Who may ask: one token, compared in constant time, never written anywhere."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import os
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from ranker.errors import ConfigurationError

TOKEN_VARIABLE = "RANKER_SERVE_TOKEN"  # noqa: S105 - the name of a variable
_LEAST = 16


def find_token(variable: str | None, file: Path | None) -> str | None:
    """The token, from a file or an environment variable; None where neither is named and the usual variable is
    not set.

    Raises:
        ConfigurationError: the named place holds none, or it is too short or not printable ASCII.
    """
    if variable is not None and file is not None:
        raise ConfigurationError("Give --token-env or --token-file, not both.")
    if file is not None:
        try:
            token, where = file.read_text(encoding="utf-8").strip(), str(file)
        except (OSError, UnicodeDecodeError):
            raise ConfigurationError(f"The token file {file} cannot be read.") from None
    else:
        where = f"${variable or TOKEN_VARIABLE}"
        value = os.environ.get(variable or TOKEN_VARIABLE)
        if value is None and variable is None:
            return None
        token = (value or "").strip()
    if len(token) < _LEAST or not (token.isascii() and token.isprintable()):
        raise ConfigurationError(
            f"{where} holds no usable token: it must be at least {_LEAST} printable ASCII characters, e.g. "
            "`openssl rand -hex 32`."
        )
    return token


def loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def from_here(host: str | None, origin: str | None) -> bool:
    """Whether a request was sent to this machine by its own name, and by no page of another site (which may point a name
    of its own at this machine): its headers Host and Origin."""
    named = (host or "localhost").lower()
    try:
        name = urlsplit(f"//{named}").hostname or ""
    except ValueError:
        name = ""
    return loopback(name) and origin in {None, f"http://{named}"}


def allowed(header: str | None, token: str | None) -> bool:
    """Whether an Authorization header carries the token: ``Bearer TOKEN``, or ``Basic`` with the token as password,
    for clients that can only be given an address (``http://user:TOKEN@host``)."""
    if token is None:
        return True
    scheme, _, value = (header or "").partition(" ")
    sent = value.strip()
    if scheme.lower() == "basic":
        try:
            sent = base64.b64decode(sent, validate=True).decode("utf-8").partition(":")[2]
        except (binascii.Error, ValueError):
            sent = ""
    elif scheme.lower() != "bearer":
        sent = ""
    # Digests: of equal length whatever was sent.
    return hmac.compare_digest(
        *(sha256(text.encode("utf-8", "surrogateescape")).digest() for text in (sent, token))
    )
