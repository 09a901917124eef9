"""Images of trajectories for judges that can see.

In a transcript an image is a tag, `<image 1a2b3c4d>`. For a judge that sees, the image follows its tag, the first time
that the tag stands in the prompt: in the attempt's block, or among the shared parts. The text is the same for all judges.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ranker.prompting.compact_json import compact
from ranker.prompting.content_parts import MEDIA
from ranker.prompting.fields import digest
from ranker.prompting.prompt import Message, Prompt
from ranker.trajectory import Trajectory

MAX_IMAGES = 32  # in one call
MAX_BYTES = 5_000_000  # of one image, as base64
MAX_BYTES_TOGETHER = 20_000_000
IMAGE_TOKENS = 1_600  # that an image may take: what large ones do with the providers that say it

_TAG = re.compile(r"<image ([0-9a-f]{8})>")
_BLOCK = re.compile(r'<trajectory id="')
_DATA = re.compile(r"data:image/(?:png|jpe?g|gif|webp);base64,", re.IGNORECASE)
_NOTE = "An image follows its tag <image …> where the tag stands first; the tag again is the same image again.\n\n"


def words_of(content: Any) -> str:
    """The text of a message's content."""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def count_images(messages: Iterable[Message]) -> int:
    """How many images go along with the messages."""
    contents = (message["content"] for message in messages)
    return sum(part["type"] == "image_url" for c in contents if not isinstance(c, str) for part in c)


def tokens_of(messages: Sequence[Message], count: Callable[[str], int]) -> int:
    """Tokens of the messages' words, as `count` counts them, and of their images."""
    return sum(count(words_of(m["content"])) for m in messages) + count_images(messages) * IMAGE_TOKENS


def images_of(trajectories: Iterable[Trajectory]) -> dict[str, dict[str, Any] | None]:
    """The images in these attempts, by the number in their tag, as OpenAI's parts have them (`url`, `detail`); None for
    one that cannot be sent: a file elsewhere, too large, or of another kind than PNG, JPEG, GIF and WebP."""
    images: dict[str, dict[str, Any] | None] = {}
    for trajectory in trajectories:
        for message in (m for history in (trajectory.messages, *trajectory.histories) for m in history):
            for part in _parts(message.get("content"), message.get("parts")):
                images.setdefault(digest(compact(part)), _image(part))
    return images


def most_images(room: int | None) -> int:
    """How many images a prompt of `room` tokens may have: half of the room is for words."""
    return MAX_IMAGES if room is None else min(MAX_IMAGES, max(0, room) // 2 // IMAGE_TOKENS)


def show(prompt: Prompt, images: Mapping[str, dict[str, Any] | None], most: int) -> Prompt:
    """The prompt with up to `most` of the images in their places, the attempts served in turn; the others stay tags, with
    a warning."""
    *before, user = prompt.messages
    text = user["content"]
    places: dict[str, int] = {}
    for tag in _TAG.finditer(text):
        if tag[1] in images:
            places.setdefault(tag[1], tag.end())
    chosen = _choose(text, places, images, most)
    warnings = tuple(w for w in prompt.warnings if "<image …>" not in w)
    if missing := len(places) - len(chosen):
        bounds = f"{MAX_BYTES:,} bytes each and {MAX_BYTES_TOGETHER:,} together, as PNG, JPEG, GIF or WebP"
        said = (
            f"{missing} of {len(places)} images were not sent (at most {most} go with this call, of {bounds})"
        )
        warnings = (*warnings, f"{said}; they are shown as <image …>.")
    if not chosen:
        return replace(prompt, warnings=warnings)
    parts: list[dict[str, Any]] = []
    start, note = 0, _NOTE
    for name in sorted(chosen, key=places.__getitem__):
        parts.append({"type": "text", "text": note + text[start : places[name]]})
        parts.append({"type": "image_url", "image_url": images[name]})
        start, note = places[name], ""
    parts.append({"type": "text", "text": text[start:]})
    return replace(prompt, messages=(*before, {**user, "content": parts}), warnings=warnings)


def _choose(
    text: str, places: Mapping[str, int], images: Mapping[str, dict[str, Any] | None], most: int
) -> set[str]:
    """Those that are shared first, then the first of each attempt, then the second of each, as far as they fit."""
    starts = [block.start() for block in _BLOCK.finditer(text)]
    turns: dict[int, int] = {}
    order = []
    for name, place in places.items():
        block = sum(start < place for start in starts)  # 0: before all attempts
        turns[block] = turns.get(block, 0) + 1
        order.append((turns[block] if block else 0, place, name))
    chosen: set[str] = set()
    together = 0
    for _, _, name in sorted(order):
        image = images[name]
        size = 0 if image is None else len(image["url"])
        if image is not None and len(chosen) < most and together + size <= MAX_BYTES_TOGETHER:
            chosen.add(name)
            together += size
    return chosen


def _parts(*values: Any) -> Iterator[Mapping[str, Any]]:
    """The parts that are images, at any depth: a tool's result may hold some."""
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from _parts(*value)
        elif isinstance(value, Mapping):
            if MEDIA.get(str(value.get("type"))) == "image":
                yield value
            else:
                yield from _parts(*(value.get(key) for key in ("content", "output", "toolResult")))


def _image(part: Mapping[str, Any]) -> dict[str, Any] | None:
    url = next((url for url in _urls(part) if _sendable(url)), None)
    if url is None:
        return None
    inside = part.get("image_url")
    detail = inside.get("detail") if isinstance(inside, Mapping) else part.get("detail")
    return {"url": url, **({"detail": detail} if detail in ("low", "high", "auto") else {})}


def _sendable(url: str) -> bool:
    if not _DATA.match(url):
        return url.startswith(("https://", "http://")) and len(url) < 8_000
    return len(url) <= MAX_BYTES


def _urls(part: Mapping[str, Any]) -> Iterator[str]:
    """What OpenAI, Anthropic, Inspect and MCP have for the address or the bytes of an image."""
    source = part.get("source")
    for record in (part, part.get("image_url"), source if isinstance(source, Mapping) else None):
        if isinstance(record, str):
            yield record
        if not isinstance(record, Mapping):
            continue
        for key in ("url", "image", "image_url"):
            if isinstance(record.get(key), str):
                yield record[key]
        kind = next((record[k] for k in ("media_type", "mime_type", "mimeType") if record.get(k)), None)
        if isinstance(record.get("data"), str) and isinstance(kind, str):
            yield f"data:{kind};base64,{record['data']}"
