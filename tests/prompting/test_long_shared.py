"""Groups whose shared parts alone are longer than a small window: two attempts always fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from ranker import LLMJudge, Trajectory, rank_group, rank_groups
from ranker.jsonl.group_file import read_groups
from ranker.judges.base import Lineup
from ranker.prompting.prompt import build_prompt
from ranker.prompting.sharing import share
from ranker.prompting.template import load_template
from ranker.prompting.transcript import transcript_of
from ranker.prompting.truncation import FLOOR, PART_FLOOR, estimate_tokens, minimum_tokens, truncate

TAU = Path(__file__).parents[1] / "data" / "tau_airline.jsonl.gz"


def words(n: int, mark: str) -> str:
    return " ".join(f"{mark}{i}" for i in range(n))


def attempts(count: int, common: int, own: int = 800) -> list[Trajectory]:
    """Attempts that read the same long results, each with an answer of its own between them."""
    return [
        Trajectory(
            [
                message
                for part in range(common)
                for message in (
                    {"role": "tool", "content": words(700, f"result{part}-")},
                    {"role": "assistant", "content": words(own, f"attempt{a}-{part}-")},
                )
            ]
        )
        for a in range(count)
    ]


@pytest.mark.parametrize("window", [2_048, 3_072, 4_096])
def test_real_groups_with_a_long_system_prompt_fit_small_windows(serve, window):
    """Of the 25, 25, 18 and 5 did not."""
    server = serve(lambda text: float(len(text)))
    judge = LLMJudge("sim", base_url=server.base_url, context_window=window)
    results = list(rank_groups(read_groups(TAU), judge, on_error="skip", progress=False))
    assert [str(r.error) for r in results if r.error is not None] == []


@pytest.mark.parametrize("common", [1, 2, 4, 8, 16])
def test_a_pair_fits_wherever_it_would_without_sharing(common):
    """Shared parts are cut further than attempts are, and written twice where they are too many for that."""
    lineup = Lineup(tuple(attempts(2, common)))
    template = load_template()
    room = 600 + 2 * FLOOR
    prompt = build_prompt(lineup, template, room=room, count=estimate_tokens)
    assert sum(estimate_tokens(m["content"]) for m in prompt.messages) <= room
    assert all(prompt.cut)
    assert all(f'<trajectory id="{name}">' in prompt.messages[1]["content"] for name in prompt.ids)


def test_shared_parts_are_cut_before_attempts_are():
    shared = share([transcript_of(t).pieces for t in attempts(2, 3)])
    parts, streams = minimum_tokens(shared, estimate_tokens)
    assert len(shared.parts) == 3
    room = parts + sum(streams) - 500
    assert truncate(shared, room, estimate_tokens) is None
    cut, lost = truncate(shared, room, estimate_tokens, part_floor=PART_FLOOR) or pytest.fail("does not fit")
    sizes = [estimate_tokens(text) for text in cut.parts]
    assert all(PART_FLOOR // 2 < size < FLOOR for size in sizes), "cut evenly"
    assert all(estimate_tokens(text) > FLOOR - 60 for text in cut.streams)
    assert all(lost)
    assert truncate(shared, 2 * FLOOR + 2 * PART_FLOOR, estimate_tokens, part_floor=PART_FLOOR) is None


def test_a_group_too_large_for_its_windows_is_ranked_in_smaller_ones(serve):
    """Four attempts are long enough for their sentences to be shared, and three are not: each of those takes more room."""
    common = words(220, "common")[:1_200]
    group = [
        Trajectory([{"role": "assistant", "content": f"{common}.\n{words(120, f'own{a}-')[:700]}"}])
        for a in range(4)
    ]
    server = serve(lambda text: float(len(text)), keep_prompts=True)
    judge = LLMJudge("sim", base_url=server.base_url, context_window=3_050)
    ranked = rank_group(group, judge, task=words(500, "task")[:3_000])
    assert None not in ranked.rewards
    assert "windows of 2" in " ".join(ranked.warnings)
    assert len(server.prompts) == server.counts["ok"] == 8
