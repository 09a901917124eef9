"""What every engine must do as a judge."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from typing import Any

import numpy as np

from ranker import LLMJudge, RankedGroup, TrajectoryGroup, VerdictError, rank_groups
from ranker.judges.llm import response_format
from ranker.judges.verdict import schema

OPTIONS: dict[str, Any] = {"cache": "off", "timeout": 300.0}


def window_of(judge: LLMJudge) -> int:
    return asyncio.run(judge.window())


def ranked(groups: list[TrajectoryGroup], judge: LLMJudge, **options: Any) -> list[RankedGroup]:
    return list(rank_groups(groups, judge, on_error="skip", progress=False, **options))


def check_outcomes(results: list[RankedGroup]) -> None:
    """Each group has a right reward, or an error of the verdict's: nothing else, and no reward beside an error."""
    for result in results:
        if result.error is None:
            assert all(r is not None and np.isfinite(r) and 0 <= r <= 1 for r in result.rewards)
        else:
            assert isinstance(result.error, VerdictError), result.error
            assert all(r is None for r in result.rewards)
        assert (
            1 <= result.usage.calls <= 9
        )  # and of four questions asked again each once more, without the reply
        assert result.usage.completion_tokens > 0


def poem(url: str, judge: LLMJudge, model: str, ids: list[str] | None) -> dict[str, Any]:
    """What the model writes in the judge's format when asked for something else entirely."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "Write a short poem about the sea. No JSON, please."}],
        "max_tokens": 600,
        "temperature": 0.7,
        "seed": 1,
        **response_format("json_schema", schema(judge.form, ids)),
    }
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=300) as reply:
        (choice,) = json.loads(reply.read())["choices"]
    text = choice["message"]["content"]
    if choice["finish_reason"] == "length":  # the form was kept up to here
        return {"cut": text}
    found: dict[str, Any] = json.loads(text)
    return found
