"""`sharing=`: sentences too, whole messages only, or nothing shown once; the same text in each case."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ranker import ConfigurationError, LLMJudge, rank_group
from ranker.jsonl.group_file import read_groups
from ranker.judges.base import Lineup
from ranker.prompting.prompt import build_prompt
from ranker.prompting.sharing import PART_REFERENCE, expand, share
from ranker.prompting.template import load_template
from ranker.prompting.transcript import transcript_of
from ranker.prompting.truncation import estimate_tokens
from tests.scripted_server import GROUP, REWARDS, ScriptedServer, chat, verdict


@pytest.fixture(scope="module")
def lineup(real_groups: Any) -> Lineup:
    """A group whose attempts share messages, and sentences of others."""
    group = next(iter(read_groups(real_groups / "tau_airline.jsonl")))
    return Lineup(tuple(group.trajectories))


def test_each_level_shows_the_same_text(lineup):
    streams = [transcript_of(t).pieces for t in lineup.trajectories]
    whole = tuple("".join(pieces) for pieces in streams)
    sizes = {}
    for sharing in ("fine", "messages", "off"):
        shared = share(streams, sharing)
        assert tuple(expand(text, shared.parts) for text in shared.streams) == whole
        sizes[sharing] = sum(map(len, (*shared.parts, *shared.streams)))
    assert sizes["fine"] < sizes["messages"] < sizes["off"] == sum(map(len, whole))
    assert not any(PART_REFERENCE.search(text) for text in share(streams, "off").streams)
    pieces = {piece for stream in streams for piece in stream}
    for part in share(streams, "messages").parts:
        assert any(part.startswith(piece) for piece in pieces), "begins with a whole message"


def test_prompts_without_sharing_are_cut_to_the_room_too(lineup):
    template = load_template()
    for sharing in ("messages", "off"):
        prompt = build_prompt(lineup, template, room=6_000, count=estimate_tokens, sharing=sharing)
        assert any(prompt.cut)
        assert sum(estimate_tokens(m["content"]) + 8 for m in prompt.messages) <= 6_000


def test_a_judge_is_shown_what_it_was_asked_to(tmp_path):
    task = "The same long opening of all attempts, which is shown once where messages are shared. " * 2
    group = [[{**m, "content": task} if m["role"] == "user" else m for m in attempt] for attempt in GROUP]
    with ScriptedServer(lambda body, n: chat(json.dumps(verdict(body)))) as server:
        options: dict[str, Any] = {"base_url": server.base_url, "cache": str(tmp_path / "cache.sqlite")}
        for sharing in ("fine", "off"):
            assert rank_group(group, "m", sharing=sharing, **options).rewards == REWARDS
        shown = [body["messages"][1]["content"].count(task.strip()) for body in server.requests]
        assert shown == [1, 3], "two calls, since the cache knows them apart"
        file = tmp_path / "judge.json"
        fields = {"schema_version": 1, "judge": "api", "model": "m", "base_url": server.base_url}
        file.write_text(json.dumps({**fields, "sharing": "off"}))
        rank_group(group, str(file), cache="off")
        assert server.requests[-1]["messages"][1]["content"].count(task.strip()) == 3


def test_another_word_is_refused():
    with pytest.raises(ConfigurationError, match="choose fine, messages, off"):
        LLMJudge("openai/m", sharing="coarse")  # type: ignore[arg-type]
