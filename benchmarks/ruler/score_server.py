"""Judge servers that answer in scores: in the format of our template `score`, or in RULER's.

Their faults are those of `ranker.testing`, translated to scores, and three that only scores can have:
entries in another order than shown, a score outside [0, 1], and JSON in a code fence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

from aiohttp import web

from ranker.testing import JudgeServer
from ranker.testing.faults import FAULTS, completion
from ranker.testing.simulated import blocks

Entry = tuple[str, float]  # id, score

_RULER_BLOCK = re.compile(r'<trajectory id="(\d+)">\n(.*?)\n</trajectory>', re.DOTALL)

# Faults of the connection or the text as a whole: the same bytes go wrong in either format.
WHOLE = (
    "429", "500", "503", "disconnect", "half_body", "wrong_encoding", "not_json", "bad_json", "truncated",
    "empty", "prose",
)  # fmt: skip


def _out_of_range(entries: list[Entry]) -> list[Entry]:
    """The lowest score is written as 15."""
    low = min(entries, key=lambda entry: entry[1])
    return [(name, 15.0 if name == low[0] else score) for name, score in entries]


_EDITS: dict[str, Callable[[list[Entry]], list[Entry]]] = {
    "unknown_id": lambda entries: [("Q9", entries[0][1]), *entries[1:]],
    "missing_id": lambda entries: entries[1:],
    "repeated_id": lambda entries: [*entries[:-1], entries[0]],  # scored twice, and another forgotten
    "nan": lambda entries: [(entries[0][0], float("nan")), *entries[1:]],
    "reordered": lambda entries: sorted(entries, key=lambda entry: -entry[1]),  # each score beside its own id
    "score_15": _out_of_range,
}
SCORE_FAULTS: tuple[str, ...] = (*WHOLE, *_EDITS, "fenced")


class ScoreServer(JudgeServer):
    """Scores each trajectory by its hidden truth + bias·place, place running from 1 (shown first) to 0 (last), scaled
    to [0, 1]; in the format of our template `score`."""

    def __post_init__(self) -> None:
        faults, self.faults = self.faults, {}  # those of scores, which the base does not know
        super().__post_init__()
        self.faults = faults

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests += 1
        fault = self._draw()
        self.counts[fault or "ok"] += 1
        shown = self.shown(next(m["content"] for m in body["messages"] if m["role"] == "user"))
        last, bias = max(1, len(shown) - 1), self.behaviour.position_bias
        # Eight digits: a re-ask quotes the reply, and is searched for the first nine of a worth.
        entries = [
            (name, round((self.truth.of(text) + bias * (1 - i / last)) / (1 + bias), 8))
            for i, (name, text) in enumerate(shown)
        ]
        entries = _EDITS[fault](entries) if fault in _EDITS else entries
        reply = json.dumps(self.written(entries))
        if fault in WHOLE:
            return await FAULTS[fault](request, [name for name, _ in entries], reply)
        return completion(f"```json\n{reply}\n```" if fault == "fenced" else reply, model=body["model"])

    def shown(self, prompt: str) -> Sequence[tuple[str, str]]:
        """The ids and texts in a prompt."""
        return blocks(prompt)

    def written(self, entries: Sequence[Entry]) -> object:
        """The verdict."""
        reasons = [{"id": name, "reason": "It is so."} for name, _ in entries]
        return {"reasons": reasons, "scores": [{"id": i, "score": s} for i, s in entries]}


class RulerServer(ScoreServer):
    """The same in RULER's format."""

    def shown(self, prompt: str) -> Sequence[tuple[str, str]]:
        return _RULER_BLOCK.findall(prompt)

    def written(self, entries: Sequence[Entry]) -> object:
        return {"scores": [{"trajectory_id": i, "explanation": "It is so.", "score": s} for i, s in entries]}
