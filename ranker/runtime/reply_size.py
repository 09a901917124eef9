"""Replies over HTTP, read and unpacked up to a size: a small packed one may hold gigabytes."""

from __future__ import annotations

import json
import zlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

MOST = 2**21  # bytes of a judge's reply
_MOST_VALUES = 200_000  # of a reply's JSON: more take longer to read than other calls should wait
ACCEPTED = "gzip"  # what zlib unpacks piece by piece


class UnreadableReply(Exception):
    """A reply that is larger than anything that was asked for, or packed in a way that cannot be bounded."""


class Unpacker:
    """Unpacks a body piece by piece.

    Args:
        encoding: the Content-Encoding of the reply.
        most: bytes of the body, unpacked.

    Raises:
        UnreadableReply: the body is larger, damaged, or packed in another way than gzip.
    """

    def __init__(self, encoding: str, most: int):
        self._packed = encoding not in ("", "identity")
        if self._packed and encoding not in ("gzip", "x-gzip", "deflate"):
            raise UnreadableReply(f"The reply is packed as {encoding[:40]!r}, where {ACCEPTED} was offered.")
        self._unpack = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, whichever it is
        self._most = self._room = self._room_packed = most

    def feed(self, piece: bytes) -> bytes:
        """What the next bytes of the body hold."""
        self._room_packed -= len(piece)
        body = self._unpacked(piece) if self._packed else piece
        self._room -= len(body)
        if self._room < 0 or self._room_packed < 0:
            raise UnreadableReply(
                f"The reply is larger than {self._most:,} bytes{' unpacked' if self._packed else ''}."
            )
        return body

    def _unpacked(self, piece: bytes) -> bytes:
        try:
            return self._unpack.decompress(piece, self._room + 1)
        except zlib.error as error:
            raise UnreadableReply(f"The reply's compression is damaged ({error}).") from None


def bounded(client: httpx.AsyncClient, most: int) -> None:
    """Have a client read no reply of more than `most` bytes, unpacked; more is an UnreadableReply."""
    import httpx

    class Body(httpx.AsyncByteStream):
        def __init__(self, packed: Any, unpacker: Unpacker):
            self._packed = packed
            self._unpacker = unpacker

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async with aclosing(aiter(self._packed)) as pieces:
                async for piece in pieces:
                    yield self._unpacker.feed(piece)

        async def aclose(self) -> None:
            await self._packed.aclose()

    async def bound(response: httpx.Response) -> None:
        encoding = response.headers.pop("content-encoding", "").strip().lower()
        response.stream = Body(response.stream, Unpacker(encoding, most))

    client.headers["Accept-Encoding"] = ACCEPTED
    client.event_hooks["response"].append(bound)


def reply_text(raw: bytes) -> str:
    """The text of a reply whose JSON can be read in a tenth of a second at most.

    Raises:
        ValueError: it is no UTF-8, or holds too many values.
    """
    if raw.count(b",") > _MOST_VALUES:
        raise ValueError(f"more than {_MOST_VALUES:,} values")
    return raw.decode("utf-8-sig")


def reply_json(raw: bytes) -> Any:
    """The JSON of a reply.

    Raises:
        ValueError: what `reply_text` raises, or it is no JSON, or is nested too deeply.
    """
    try:
        return json.loads(reply_text(raw))
    except RecursionError:
        raise ValueError("nested too deeply") from None
