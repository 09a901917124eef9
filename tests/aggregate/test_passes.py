"""Several calls about one group: what becomes of the others where one fails."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from ranker import LLMJudge, TrajectoryGroup, VerdictError, rank_group, rank_groups
from tests.scripted_server import ScriptedServer, chat, verdict


def worth(*points: int) -> TrajectoryGroup:
    return TrajectoryGroup(
        [
            [
                {"role": "user", "content": "Name a prime."},
                {"role": "assistant", "content": f"Attempt worth {n} points"},
            ]
            for n in points
        ]
    )


class Faulty:
    """Answers the first request after a warm-up at once with prose, and the others a while later with a verdict."""

    def __init__(self, fault: int = 2):
        self.fault = fault

    def __call__(self, body: dict[str, Any], n: int) -> Any:
        if n == self.fault:
            return chat("I cannot tell.")
        if n > self.fault:
            time.sleep(0.5)
        return chat(json.dumps(verdict(body)))


@pytest.mark.parametrize(
    ("group", "options", "calls"),
    [(worth(1, 3, 2), {"passes": 3}, 3), (worth(*range(12)), {"max_group": 4}, 6)],
    ids=["passes", "windows"],
)
def test_calls_in_flight_when_one_fails_are_counted_and_kept(tmp_path, group, options, calls):
    """They are paid for: a later run does not pay for them again. No further one begins."""
    with ScriptedServer(Faulty()) as server:
        judge = LLMJudge(
            "sim", base_url=server.base_url, cache=tmp_path / "c.sqlite", max_reasks=0,
            max_group=options.pop("max_group", 32),
        )  # fmt: skip
        rank_group(worth(8, 9), judge)  # so that the first call does not go alone
        with pytest.raises(VerdictError) as caught:
            list(rank_groups([group], judge, progress=False, concurrency=16, **options))
        assert caught.value.usage.calls == len(server.requests) - 1 == calls
        assert caught.value.usage.completion_tokens == calls * 50
        (again,) = rank_groups([group], judge, progress=False, concurrency=16, **options)
        assert again.usage.cached_calls == calls - 1


def test_calls_that_wait_when_one_fails_are_not_made():
    with ScriptedServer(Faulty()) as server:
        judge = LLMJudge("sim", base_url=server.base_url, max_reasks=0, max_group=4)
        rank_group(worth(8, 9), judge)
        with pytest.raises(VerdictError) as caught:
            list(rank_groups([worth(*range(12))], judge, passes=2, progress=False, concurrency=1))
        assert caught.value.usage.calls == len(server.requests) - 1 == 1


def test_groups_beside_one_that_failed_are_none_the_worse():
    with ScriptedServer(Faulty()) as server:
        judge = LLMJudge("sim", base_url=server.base_url, max_reasks=0)
        rank_group(worth(8, 9), judge)
        groups = [worth(1, 3, 2), worth(4, 6, 5), worth(7, 8, 9)]
        ranked = list(rank_groups(groups, judge, passes=2, on_error="skip", progress=False))
    assert sorted(r.error is None for r in ranked) == [False, True, True]
    assert sum(r.usage.calls for r in ranked) == len(server.requests) - 1 == 6
