"""A judge server that answers in scores: in RULER's format, or in that of our template `score`.

Its faults are those of `ranker.testing`, translated to scores, and three that only scores can have:
entries in another order than shown, a score outside [0, 1], and JSON in a code fence.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from benchmarks.ruler.groups import worth
from ranker.testing.faults import FAULTS, completion
from ranker.testing.simulated import blocks

Dialect = Literal["ruler", "ranker"]
Entry = tuple[str, float]  # id, score

_RULER_BLOCK = re.compile(r'<trajectory id="(\d+)">\n(.*?)\n</trajectory>', re.DOTALL)

# Faults of the connection or the text as a whole: the same bytes go wrong in either format.
WHOLE = (
    "429", "500", "503", "disconnect", "half_body", "wrong_encoding", "not_json", "bad_json", "truncated",
    "empty", "prose",
)  # fmt: skip


def _unknown_id(entries: list[Entry]) -> list[Entry]:
    return [("Q9", entries[0][1]), *entries[1:]]


def _missing_id(entries: list[Entry]) -> list[Entry]:
    return entries[1:]


def _repeated_id(entries: list[Entry]) -> list[Entry]:
    """One is scored twice, and another forgotten."""
    return [*entries[:-1], entries[0]]


def _nan(entries: list[Entry]) -> list[Entry]:
    return [(entries[0][0], float("nan")), *entries[1:]]


def _reordered(entries: list[Entry]) -> list[Entry]:
    """Best first, each score beside its own id."""
    return sorted(entries, key=lambda entry: -entry[1])


def _out_of_range(entries: list[Entry]) -> list[Entry]:
    """The lowest score is written as 15."""
    low = min(entries, key=lambda entry: entry[1])
    return [(name, 15.0 if name == low[0] else score) for name, score in entries]


_EDITS: dict[str, Callable[[list[Entry]], list[Entry]]] = {
    "unknown_id": _unknown_id,
    "missing_id": _missing_id,
    "repeated_id": _repeated_id,
    "nan": _nan,
    "reordered": _reordered,
    "score_15": _out_of_range,
}
SCORE_FAULTS: tuple[str, ...] = (*WHOLE, *_EDITS, "fenced")


@dataclass
class ScoreServer:
    """OpenAI-compatible; scores each trajectory by its hidden worth.

    Args:
        dialect: whose prompts it reads and whose format it writes.
        faults: share of requests that go wrong in each way, by name (see `SCORE_FAULTS`).
        bias: how much it favours what is shown first; a score is worth + bias·place, place running from
            1 (first) to 0 (last), scaled to [0, 1].
    """

    dialect: Dialect = "ruler"
    faults: Mapping[str, float] = field(default_factory=dict)
    bias: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = set(self.faults) - set(SCORE_FAULTS)
        if unknown:
            raise ValueError(f"no such faults: {', '.join(sorted(unknown))}")
        self.requests = 0
        self.counts: Counter[str] = Counter()
        self._rng = random.Random(self.seed)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 28)
        app.router.add_post("/v1/chat/completions", self._chat)
        return app

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests += 1
        fault = self._draw()
        self.counts[fault or "ok"] += 1
        entries = self._entries(body["messages"])
        if fault in _EDITS:
            entries = _EDITS[fault](entries)
        reply = self._write(entries)
        if fault in WHOLE:
            return await FAULTS[fault](request, [name for name, _ in entries], reply)
        return completion(f"```json\n{reply}\n```" if fault == "fenced" else reply, model=body["model"])

    def _entries(self, messages: list[dict[str, Any]]) -> list[Entry]:
        user = next(m["content"] for m in messages if m["role"] == "user")
        shown = _RULER_BLOCK.findall(user) if self.dialect == "ruler" else blocks(user)
        return [
            (name, self._score(worth(text), 1 - i / max(1, len(shown) - 1)))
            for i, (name, text) in enumerate(shown)
        ]

    def _score(self, truth: float, place: float) -> float:
        # Eight digits: a re-ask quotes the reply, and is searched for the first nine of a worth.
        return round((truth + self.bias * place) / (1 + self.bias), 8)

    def _write(self, entries: list[Entry]) -> str:
        if self.dialect == "ruler":
            told = [{"trajectory_id": i, "explanation": "It is so.", "score": s} for i, s in entries]
            return json.dumps({"scores": told})
        reasons = [{"id": name, "reason": "It is so."} for name, _ in entries]
        return json.dumps({"reasons": reasons, "scores": [{"id": i, "score": s} for i, s in entries]})

    def _draw(self) -> str | None:
        point = self._rng.random()
        for name, share in self.faults.items():
            if point < share:
                return name
            point -= share
        return None
