"""A group as it is shown."""

from __future__ import annotations

import json
from dataclasses import asdict

from ranker.viewing.card import advantages_of, card_of
from ranker.viewing.groups import Groups
from ranker.viewing.records import judged
from ranker.viewing.source import source_of
from tests.viewing.viewer import failed, make_run, ranked, sample, tied, write


def card(record):
    return card_of(1, judged(record, 1))


def texts(attempt) -> list[str]:
    return [block.text for turn in (*attempt.steps, *attempt.last) for block in turn.blocks]


def test_attempts_stand_in_the_judges_order_with_what_is_known_of_each():
    record = ranked(3)
    record["rewards"] = {"t0": 0.0, "t1": 1.0, "t2": 0.5, "t3": 0.5}
    record["ranking"] = [["t1"], ["t2", "t3"], ["t0"]]
    record |= {
        "consistency": 0.8,
        "prompt_id": "rank.v1",
        "usage": {"calls": 2, "prompt_tokens": 900, "cost_usd": 0.0123},
    }
    shown = card(record)
    assert [(a.name, a.place, a.reward, a.true_place) for a in shown.attempts] == [
        ("t1", "1", 1.0, "2"), ("t2", "2–3", 0.5, "3"), ("t3", "2–3", 0.5, "4"), ("t0", "4", 0.0, "1"),
    ]  # fmt: skip
    assert [b.text for b in shown.shared] == ["Question 3: which number is meant?"]
    assert texts(shown.attempts[0]) == ["It is 1 for group 3."]
    assert shown.attempts[0].reason == "Reason 1."
    assert (shown.right, shown.pairs) == (2.5, 6)
    notes = dict(shown.notes)
    assert notes["agreement of the passes"] == "0.80 (Kendall's W)"
    assert notes["cost"] == "$0.012"
    assert notes["prompt"] == "rank.v1"


def test_advantages_are_the_trainers():
    from grpo.advantages import group_advantages

    for rewards in (
        [0.0, 1 / 3, 2 / 3, 1.0],
        [1.0, None, 0.5],
        [0.5, 0.5],
        [1.0],
        [None, None],
        [-3.2, 1.7, 0.4],
    ):
        (expected,) = group_advantages([rewards])
        mine = advantages_of(rewards)
        assert [a is None for a in mine] == [a is None for a in expected.values]
        assert all(abs(a - b) < 1e-12 for a, b in zip(mine, expected.values, strict=True) if a is not None)


def test_failed_tied_unranked_and_broken_groups_have_cards():
    shown = card(failed(1))
    assert (shown.state, shown.error) == ("failed", "JudgeCallError: the server did not answer")
    assert [a.place for a in shown.attempts] == [None] * 4
    assert card(tied(1)).state == "tied"
    assert {a.place for a in card(tied(1)).attempts} == {"1–4"}
    assert card({"id": "g", "trajectories": [["x"]]}).fault.startswith("Line 1: trajectory 0")
    lone = card({"id": "b", "error": {"type": "GroupError", "message": "bad line"}})
    assert (lone.error, lone.attempts) == ("GroupError: bad line", ())


def test_debiased_rewards_turn_marks_and_covariates_are_shown():
    record = ranked(0, size=2)
    record["reward_deviation"] = {"t0": 0.25}
    record["turn_rewards"] = {"t0": [0.5, -0.25]}
    record["covariates"] = {"t0": {"length": 12}}
    record["cut"] = {"t0": 70}
    record["trajectories"][0]["messages"][1:] = [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "function": {"name": "look", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "found"},
        {"role": "assistant", "content": "Done."},
    ]
    first = card(record).attempts[0]
    assert first.deviation == 0.25
    assert [(turn.mark, [b.who for b in turn.blocks]) for turn in (*first.steps, *first.last)] == [
        ("+0.50", ["calls look"]), (None, ["result of look"]), ("−0.25", ["assistant"]),
    ]  # fmt: skip
    assert first.notes == (("length", "12"), ("not shown to the judge", "70 characters"))
    record["trajectories"][0]["turns"] = [{"reward": 1, "reason": "good"}]
    del record["turn_rewards"]
    assert card(record).attempts[0].steps[0].mark == "+1.00, good"


def test_rewards_beside_the_attempts_and_labels_count_as_rewards():
    record = ranked(0)
    beside = record.pop("rewards")
    label = dict(record)
    for member in record["trajectories"]:
        member["reward"] = beside[member["id"]]
    assert [round(a.reward, 3) for a in card(record).attempts] == [1.0, 0.667, 0.333, 0.0]
    label["trajectories"] = [{k: v for k, v in m.items() if k != "reward"} for m in record["trajectories"]]
    label["label"] = {"seconds": 4.0}
    assert [round(a.reward, 3) for a in card(label).attempts] == [1.0, 0.667, 0.333, 0.0]


def test_a_sample_of_a_run_has_its_own_advantages_and_anchor():
    anchor = {
        "messages": [{"role": "assistant", "content": "As at the start."}],
        "reward": 0.2,
        "ground_truth": 0.0,
    }
    shown = card(sample(3, 9, anchor=anchor, row="row-1"))
    assert (shown.id, shown.step, shown.judge) == ("3/9", 3, "small")
    assert [(a.name, a.reward, a.advantage) for a in shown.attempts] == [
        ("2", 1.0, 1.0), ("1", 0.5, 0.0), ("anchor: the policy at the start", 0.2, None), ("0", 0.0, -1.0),
    ]  # fmt: skip
    assert shown.attempts[0].notes == (("tokens", "9"), ("cut off", "at the length limit"))
    assert [b.text for b in shown.shared] == ["Task 9."]
    broken = sample(1, 1)
    broken["rollouts"][0] |= {"messages": None, "error": "the tool crashed"}
    assert ("error", "the tool crashed") in card(broken).attempts[-1].notes


def test_hostile_text_is_made_visible_everywhere():
    evil = "\x1b[2J\u202e\x00\ud800"
    record = ranked(0, judge=f"j{evil}", task=f"t{evil}", rubric=f"r{evil}", prompt_id=evil, warnings=[evil])
    record["reasons"] = dict.fromkeys(record["reasons"], evil)
    record["covariates"] = {"t0": {evil: 1}}
    for member in record["trajectories"]:
        member["messages"] = [
            {"role": "user", "content": evil},
            {"role": "assistant", "content": evil, evil: evil},
        ]
    shown = json.dumps(asdict(card(record)), ensure_ascii=False)
    assert not set(shown) & set("\x1b\u202e\x00\ud800")
    assert "⟨U+001B⟩[2J⟨U+202E⟩" in shown
    assert "\\u0000" not in shown


def test_judges_stand_side_by_side_on_the_same_attempts_alone(tmp_path):
    other = ranked(0, judge="judge-b")
    other["rewards"] = dict(zip(other["rewards"], [0.0, 1 / 3, 2 / 3, 1.0], strict=True))
    other["ranking"] = other["ranking"][::-1]
    elsewhere = ranked(0, judge="judge-c")
    elsewhere["trajectories"][0]["messages"][1]["content"] = "Another attempt."
    groups = Groups(source_of(write(tmp_path / "g.jsonl", [ranked(0), other, elsewhere, ranked(1)])))
    first, second = groups.card(1).opinions
    assert (first.judge, first.places, first.right, first.pairs) == ("judge-a", ("1", "2", "3", "4"), 6.0, 6)
    assert (second.judge, second.line, second.places, second.right) == (
        "judge-b",
        2,
        ("4", "3", "2", "1"),
        0.0,
    )
    assert (second.alike, second.both) == (0.0, 6)
    assert groups.card(3).opinions == groups.card(4).opinions == ()


def test_a_runs_auditor_stands_beside_its_judge(tmp_path):
    groups = Groups(source_of(make_run(tmp_path / "run")))
    groups.read_all()
    line = groups.find("2/4")
    judge, auditor = groups.card(line).opinions
    assert (judge.places, auditor.judge, auditor.places) == (("1", "2", "3"), "auditor", ("3", "2", "1"))
    assert auditor.right == 3.0
    assert groups.card(groups.find("2/5")).opinions == ()
    alone = Groups(source_of(tmp_path / "run" / "audits.jsonl")).card(1)
    assert [o.judge for o in alone.opinions] == ["judge", "auditor"]
    assert alone.fault.startswith("An audit's record")
