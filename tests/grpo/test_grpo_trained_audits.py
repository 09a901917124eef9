"""Audits that are trained on, and audits of a judge that is one of several reward functions."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from grpo import ProcessRewards, Reward
from grpo.advantages import corrected, group_advantages
from ranker import rank_group
from ranker.watch.audit import Audit
from tests.grpo.test_grpo_audit import LONG, STEPS, truth
from tests.grpo_runs import lines, opposite, spread, train


def test_audited_groups_are_trained_on_what_the_auditor_said(tmp_path):
    """Where there is an answer that is whole; elsewhere, and where nothing was audited, on what the judge said."""

    def judge(group: Any) -> list[float]:
        if group.id.endswith("7"):
            raise ValueError("not this one")
        return opposite(group)

    def auditor(group: Any) -> list[float | None]:
        if group.id.endswith("1"):
            raise ValueError("gone")
        return [None, *spread(group)[1:]] if group.id.endswith("2") else list(spread(group))

    audit = Audit(auditor=auditor, share=0.5, train_on_audits=True)
    out = tmp_path / "run"
    _, history = train(
        judge, out=out, checker=truth, audit=audit, max_failed_share=1.0, **{**LONG, "max_steps": 40}
    )
    audits = {a["group"]: a for a in lines(out / "audits.jsonl")}
    seen = set()
    for sample in lines(out / "samples.jsonl"):
        trained = [r["reward"] for r in sample["rollouts"]]
        audited = audits.get(sample["group"])
        last = sample["row"][-1]
        kind = ("none" if audited is None else "whole", last if last in "127" else "other")
        seen.add(kind)
        if audited is not None and last not in "12":
            assert trained == audited["auditor"]
            assert audited["judge"] is None if last == "7" else audited["judge"] != audited["auditor"]
            by_judge, by_auditor = group_advantages([audited["judge"] or trained, audited["auditor"]])
            made = corrected(by_judge, by_auditor, 1.0 if last == "7" else 1 / audit.share)
            assert [r["advantage"] for r in sample["rollouts"]] == pytest.approx(made.values)
        elif last == "7":
            assert trained == [None] * len(trained)
        else:
            assert trained != [None] * len(trained)
            assert audited is None or audited["error"] or trained == audited["judge"]
    assert seen >= {(a, b) for a in ("none", "whole") for b in ("1", "2", "7", "other")}
    assert all(line["judge_accuracy"] in (0.0, None) for line in history), "of the judge, not of its auditor"


def test_the_judges_and_the_auditors_values_are_scaled_each_by_their_own_deviation(tmp_path):
    """The auditor counts to a thousand, the judge to one: neither makes the other's advantages small or large."""

    def auditor(group: Any) -> list[float]:
        return [1000 * value for value in opposite(group)]

    audit, out = Audit(auditor=auditor, share=0.5, train_on_audits=True), tmp_path / "run"
    train(spread, out=out, audit=audit, scale_rewards="batch", **{**LONG, "groups_per_step": 6})
    audits = {a["group"]: a for a in lines(out / "audits.jsonl")}
    mixed = 0
    for step in range(1, STEPS + 1):
        groups = [s for s in lines(out / "samples.jsonl") if s["step"] == step]
        rewards = {s["group"]: [r["reward"] for r in s["rollouts"]] for s in groups}
        audited = [k for k in rewards if k in audits]
        mixed += 0 < len(audited) < len(groups)
        judged = [audits[k]["judge"] if k in audits else v for k, v in rewards.items()]
        by_judge = dict(zip(rewards, group_advantages(judged, "batch"), strict=True))
        by_auditor = dict(zip(audited, group_advantages([rewards[k] for k in audited], "batch"), strict=True))
        for s in groups:
            k = s["group"]
            made = corrected(by_judge[k], by_auditor[k], 2.0) if k in audits else by_judge[k]
            assert [r["advantage"] for r in s["rollouts"]] == pytest.approx(made.values)
            known = [abs(v) for v in made.values if v is not None]
            assert not known or 0.1 < max(known) < 10
    assert mixed > 4


# Several reward functions.


def by_spread(trajectories: Any) -> list[float]:
    return [truth(t, None) for t in trajectories]


def by_opposite(trajectories: Any) -> list[float]:
    return [1 - value for value in by_spread(trajectories)]


def against(group: Any) -> list[float]:
    """A penalty that outweighs the judge."""
    return [-5 * value for value in spread(group)]


def test_the_auditor_is_compared_with_the_judge_and_not_with_what_is_mixed_with_it(tmp_path):
    rewards = [Reward(partial(rank_group, judge=by_spread), "judge"), Reward(against, "short", weight=2.0)]
    out = tmp_path / "run"
    _, history = train(rewards, out=out, checker=truth, audit=Audit(share=1.0), **LONG)
    audits = lines(out / "audits.jsonl")
    assert all(a["agreement"] == pytest.approx(1.0) for a in audits if a["weight"])
    assert history[-1]["judge_alarm"] == 0.0
    assert {line["judge_accuracy"] for line in history} <= {1.0, None}
    _, history = train([rewards[1], replace(rewards[1], name="other")], checker=truth, **LONG)
    assert {line["judge_accuracy"] for line in history} <= {0.0, None}, "no judge: all of them together"


def test_the_auditor_takes_the_judges_place_and_leaves_the_other_functions_theirs(tmp_path):
    """Also what they said of turns; and where one of them fails, the group fails."""

    def turns(group: Any) -> ProcessRewards:
        if group.id.endswith("3"):
            raise ValueError("not this one")
        return ProcessRewards([[value] for value in spread(group)], [2.0 * v for v in spread(group)])

    judge = Reward(partial(rank_group, judge=by_opposite), "judge", 0.5)
    audit, out = Audit(auditor=spread, share=0.5, train_on_audits=True), tmp_path / "run"
    train(
        [judge, Reward(turns, "turns")], out=out, audit=audit, credit="process", max_failed_share=1.0, **LONG
    )
    audits = {a["group"]: a for a in lines(out / "audits.jsonl")}
    seen = set()
    for sample in lines(out / "samples.jsonl"):
        audited, failed = sample["group"] in audits, sample["row"].endswith("3")
        seen.add((audited, failed))
        for i, attempt in enumerate(sample["rollouts"]):
            if failed:
                assert attempt["reward"] is None
                continue
            parts = attempt["rewards"]
            by = audits[sample["group"]]["auditor"][i] if audited else parts["judge"]
            assert attempt["reward"] == pytest.approx(0.5 * by + parts["turns"])
            assert attempt["turn_rewards"] == pytest.approx([parts["turns"] / 2])
        assert (
            not audited
            or failed
            or audits[sample["group"]]["judge"]
            == pytest.approx([0.5 * attempt["rewards"]["judge"] for attempt in sample["rollouts"]])
        )
    assert seen == {(a, f) for a in (True, False) for f in (True, False)}
