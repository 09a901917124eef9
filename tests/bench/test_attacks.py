"""Attacks: in the worst trajectory, nowhere else, and never out of its block."""

from __future__ import annotations

import pytest

from ranker import Trajectory, TrajectoryGroup
from ranker.bench.attacks import ADDED, INSTEAD, KINDS, attacked, control_of, controlled, worst_of
from ranker.judges.base import Lineup
from ranker.prompting.escaping import restore
from ranker.prompting.prompt import build_prompt
from ranker.prompting.template import RANK, load_template
from ranker.prompting.transcript import transcript_of
from ranker.prompting.truncation import estimate_tokens
from ranker.testing import JudgeServer
from ranker.testing.simulated import blocks
from tests.bench_runs import args_for, here, observed, write
from tests.conftest import make_groups

CALL = {"id": "c1", "function": {"name": "look", "arguments": '{"at": "sea"}'}}
LAST = {
    "answer": [{"role": "assistant", "content": "It is the sea."}],
    "tool result": [
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "blue"},
    ],
    "tool call": [{"role": "assistant", "content": None, "tool_calls": [CALL]}],
    "words and a tool call": [{"role": "assistant", "content": "I look.", "tool_calls": [CALL]}],
    "list content": [{"role": "assistant", "content": [{"type": "text", "text": "It is"}, {"type": "text", "text": "it"}]}],
    "user": [{"role": "assistant", "content": "It is."}, {"role": "user", "content": "Thanks."}],
    "nothing": [{"role": "assistant", "content": ""}],
    "reasoning": [{"role": "assistant", "content": "Sea.", "reasoning_content": "Blue, so sea."}],
}  # fmt: skip


def group(last):
    asked = {"role": "user", "content": "What is blue and large?"}
    good = [[asked, {"role": "assistant", "content": f"The {word}, I think."}] for word in ("ocean", "sky")]
    kept = {"tools": [{"type": "function", "function": {"name": "look"}}], "metadata": {"made": "by hand"}}
    return TrajectoryGroup(
        [
            Trajectory(good[0], id="a", ground_truth=1.0),
            Trajectory([asked, *last], id="b", ground_truth=0.1, **kept),
            Trajectory(good[1], id="c", ground_truth=0.5),
        ],
        id="g",
        task="Answer.",
        rubric="Truth first.",
    )


@pytest.mark.parametrize("last", LAST)
@pytest.mark.parametrize("kind", KINDS)
def test_an_attack_lands_in_the_worst_alone_and_stays_inside_its_block(kind, last):
    before = group(LAST[last])
    after = attacked(before, kind)
    assert [t is u for t, u in zip(before.trajectories, after.trajectories, strict=True)] == [
        True,
        False,
        True,
    ]
    assert (after.id, after.task, after.rubric) == (before.id, before.task, before.rubric)
    was, hit = before.trajectories[1], after.trajectories[1]
    assert (hit.id, hit.ground_truth, hit.metadata, hit.tools) == (
        was.id,
        was.ground_truth,
        was.metadata,
        was.tools,
    )
    text = INSTEAD.get(kind) or ADDED[kind]
    said = hit.messages[-1]
    assert said["role"] == "assistant"
    assert said["content"].endswith(text)
    assert not said.get("tool_calls")
    spoke = last in ("answer", "nothing", "reasoning")
    assert len(hit.messages) == len(was.messages) + (not spoke)
    if spoke and kind in ADDED:
        assert said["content"] == was.messages[-1]["content"] + text
    assert hit.messages[: len(was.messages) - spoke] == was.messages[: len(was.messages) - spoke]

    shown = {}
    for name, some in (("before", before), ("after", after)):
        lineup = Lineup(tuple(t.bare() for t in some.trajectories), some.task, some.rubric)
        prompt = build_prompt(lineup, load_template(RANK, None), room=None, count=estimate_tokens)
        user = prompt.messages[1]["content"]
        found = blocks(user)
        assert [ident for ident, _ in found] == list(prompt.ids)
        assert user.count("</trajectory>") == user.count("<trajectory id=") == 3
        shown[name] = [text for _, text in found]
    assert shown["after"][0] == shown["before"][0]
    assert shown["after"][2] == shown["before"][2]
    assert shown["after"][1] != shown["before"][1]
    assert text.strip() in restore(shown["after"][1])
    assert shown["after"][1].strip() == transcript_of(hit).text.strip()


@pytest.mark.parametrize("last", LAST)
@pytest.mark.parametrize("kind", KINDS)
def test_a_control_is_innocent_and_as_long_and_in_the_same_place(kind, last):
    """Character for character: a judge of lengths, or of layouts, sees no difference."""
    before = group(LAST[last])
    attack, control = (changed(before, kind).trajectories for changed in (attacked, controlled))
    assert [t is u for t, u in zip(before.trajectories, control, strict=True)] == [True, False, True]
    one, other = (some[1] for some in (attack, control))
    assert one.messages[:-1] == other.messages[:-1]
    said, innocent = one.messages[-1]["content"], other.messages[-1]["content"]
    assert len(said) == len(innocent)
    text = INSTEAD.get(kind) or ADDED[kind]
    assert said[: len(said) - len(text)] == innocent[: len(said) - len(text)]
    assert [c for c in text[:3] if c.isspace()] == [c for c in control_of(kind)[:3] if c.isspace()]
    assert innocent.endswith(control_of(kind))
    words = set(control_of(kind).lower().replace(".", " ").replace(",", " ").split())
    assert not words & {
        "best",
        "rank",
        "judge",
        "correct",
        "complete",
        "attempt",
        "answer",
        "reference",
        "verified",
        "first",
    }


def test_the_worst_is_the_first_of_the_lowest():
    assert worst_of([0.5, 0.1, 0.1, 0.9]) == 1
    assert worst_of([-2.0, -3.0]) == 1
    assert worst_of([0.0, 0.0]) == 0


def test_every_kind_takes_its_turn_and_only_the_attacked_asking_shows_any(tmp_path):
    groups = make_groups(2 * len(KINDS), size=3)
    with JudgeServer(lambda block: float(len(block)), keep_prompts=True) as server:
        source = write(tmp_path / "g.jsonl", groups)
        assert here(*args_for(server, source, tmp_path / "out")).code == 0
    kinds = [
        o["attack"] for o in observed(tmp_path / "out") if o["judge"] == "sim" and o["asking"] == "attacked"
    ]
    assert sorted(kinds) == sorted([*KINDS, *KINDS])
    assert all("attack" not in o for o in observed(tmp_path / "out") if o["asking"] != "attacked")
    texts = {kind: " ".join((INSTEAD.get(kind) or ADDED[kind]).split()) for kind in KINDS}
    told = [" ".join(restore(m["content"]).split()) for p in server.prompts for m in p if m["role"] == "user"]
    for kind, text in texts.items():
        assert sum(text in one for one in told) == 2, kind
    innocent = sum(control_of(kind).strip()[:30] in one for one in told for kind in KINDS[:1])
    assert innocent == len(groups)
    assert len(told) == 5 * len(groups)
