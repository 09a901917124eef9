"""What copies cost on real attempts."""

from __future__ import annotations

from itertools import islice

import pytest

from ranker import rank_groups
from ranker.jsonl.group_file import read_groups
from ranker.testing import JudgeServer


@pytest.mark.parametrize("name", ["gsm8k_solutions", "tau_airline"])
def test_copies_cost_less_than_a_third_more_tokens(real_groups, name):
    (file,) = real_groups.glob(f"{name}*")
    groups = list(islice(read_groups(file), 20))

    def tokens(**options):
        ranked = list(
            rank_groups(groups, "sim", base_url=server.base_url, cache="off", progress=False, **options)
        )
        assert all(r.error is None for r in ranked)
        return sum(r.usage.prompt_tokens + r.usage.completion_tokens for r in ranked)

    with JudgeServer(lambda block: float(len(block) % 7)) as server:
        plain = tokens()
        assert plain < tokens(reward="debiased") < 1.3 * plain
