"""llama.cpp's server as the judge."""

from __future__ import annotations

from typing import Any

import pytest

from ranker import LLMJudge
from tests.conftest import make_groups
from tests.engines.conftest import WINDOW
from tests.engines.judging import OPTIONS, check_outcomes, poem, ranked, window_of

pytestmark = pytest.mark.timeout(900)


def judge_at(server: Any, **options: Any) -> LLMJudge:
    return LLMJudge("qwen", base_url=f"{server.url}/v1", **OPTIONS, **options)


def test_the_format_is_enforced(llamacpp):
    found = poem(llamacpp.url, judge_at(llamacpp), "qwen", ["AB", "CD"])
    assert "cut" in found or set(found) == {"reasons", "ranking"}, found
    if "cut" not in found:
        assert {name for place in found["ranking"] for name in place} <= {"AB", "CD"}


def test_its_window_is_found(llamacpp):
    assert window_of(judge_at(llamacpp)) == WINDOW


def test_groups_are_ranked_or_fail_by_name(llamacpp):
    judge = judge_at(llamacpp, max_tokens=400)
    check_outcomes(ranked(make_groups(3, size=3), judge))
    assert window_of(judge) == WINDOW


def test_ids_in_the_schema_leave_none_to_invent(llamacpp):
    judge = judge_at(llamacpp, max_tokens=400, ids_in_schema=True)
    results = ranked(make_groups(3, size=3), judge)
    check_outcomes(results)
    assert not any("unknown" in str(r.error) for r in results)


def test_prompts_beyond_the_window_are_cut_to_it(llamacpp):
    """Three times the window: the server would refuse them."""
    groups = make_groups(1, size=3)
    for trajectory in groups[0].trajectories:
        trajectory.messages[1]["content"] += " word" * 2_000
    (result,) = ranked(groups, judge_at(llamacpp, max_tokens=300))
    check_outcomes([result])
    assert result.error is not None or any(result.cut)
