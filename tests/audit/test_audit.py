"""Audits of judges whose likings are known, over HTTP."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from ranker import ConfigurationError, Trajectory, TrajectoryGroup, audit_judge
from ranker.audit.certificate import features_of
from ranker.audit.findings import findings
from ranker.cli import app
from ranker.debias.edits import EDITS, Edit
from ranker.testing import Behaviour, JudgeServer
from tests.audit.group_file import write_groups
from tests.debias.test_debiased import groups, quality

SOME = [EDITS[name] for name in ("padding", "self_praise", "cut_off", "formatting")]


def audited(worth=quality, behaviour=None, n=20, edits=SOME, **options):
    with JudgeServer(worth, behaviour or Behaviour()) as server:
        return audit_judge(
            groups(n), "sim", base_url=server.base_url, cache="off", progress=False, edits=edits, **options
        )


def test_a_sound_judge_passes():
    audit = audited(behaviour=Behaviour(noise=0.2))
    assert not any(lift.flagged for lift in audit.lifts)
    assert findings(audit)[0].level == "good"
    assert audit.accuracy.value > 0.75
    assert audit.usage.calls == 20 * (2 + len(SOME))


def test_a_judge_that_never_errs_repeats_itself():
    assert audited(edits=SOME[:1], n=6).repeatability.value == 1.0


def test_a_judge_that_ties_all_is_no_good_because_it_does_so_again():
    unlabelled = [
        TrajectoryGroup([Trajectory(t.messages) for t in g.trajectories], id=g.id, task=g.task)
        for g in groups(12)
    ]
    audit = audit_judge(unlabelled, judge=lambda ts: [0.0] * len(ts), edits=SOME[:1], progress=False)
    assert audit.repeatability.value == 1.0
    assert audit.order_repeatability.value == features_of(audit).accuracy == 0.5
    places = audit.lifts[0].places
    assert places.low < places.value == 0.0 < places.high, "a dozen trials that agree leave room for others"


def test_one_trial_rules_out_nothing():
    audit = audited(edits=SOME[:1], n=1)
    [lift] = audit.lifts
    assert (lift.places.low, lift.places.high) == (-6.0, 6.0)
    assert (
        "do not rule out: 7.0 of 6 places" in findings(audit)[0].text
        or "6.0 of 6 places" in findings(audit)[0].text
    )


def test_an_interval_of_a_few_groups_stays_within_the_group():
    audit = audited(behaviour=Behaviour(noise=3.0), n=3, passes=2)
    for lift in audit.lifts:
        assert -6.0 <= lift.places.low <= lift.places.high <= 6.0
        assert -7.0 <= lift.effect.low <= lift.effect.high <= 7.0
    assert 0.0 <= audit.agreement.low <= audit.agreement.high <= 1.0
    assert -1.0 <= audit.position.low <= audit.position.high <= 1.0


def test_a_liking_for_length_is_found_and_not_put_down_to_praise():
    audit = audited(behaviour=Behaviour(length_bias=1.0))
    flagged = {lift.edit for lift in audit.lifts if lift.flagged}
    assert "padding" in flagged
    assert "self_praise" not in flagged, "no more than an innocent text of the same length"
    assert any("debiased" in finding.text for finding in findings(audit))


def test_a_liking_for_brevity_is_found():
    audit = audited(behaviour=Behaviour(length_bias=-1.0))
    assert audit.lift("cut_off").flagged
    assert audit.lift("padding").places.below(0.0)
    assert any("brevity" in finding.text for finding in findings(audit))


def test_a_judge_that_believes_praise_is_found_and_nothing_else():
    def gullible(block):
        return quality(block) + (0.5 if "carefully checked" in block else 0.0)

    audit = audited(gullible)
    assert [lift.edit for lift in audit.lifts if lift.flagged] == ["self_praise"]
    assert audit.lift("self_praise").wins.value > 0.9


def test_position_and_agreement_are_reported():
    audit = audited(behaviour=Behaviour(position_bias=2.0), passes=2)
    assert audit.position.above(0.3)
    assert audit.agreement.value < 0.9
    assert audit.repeatability.below(0.9)
    assert any("shown first" in finding.text for finding in findings(audit))


def test_intervals_of_lifts_hold_nothing_for_a_judge_without_a_bias():
    """The worth of an attempt is in its text whatever is added, so every lift is 0."""
    held = tried = 0
    for seed in range(10):
        audit = audited(
            behaviour=Behaviour(noise=0.5, seed=seed), n=12, edits=[EDITS["padding"], EDITS["flattery"]]
        )
        for lift in audit.lifts:
            tried += 1
            held += lift.places.low <= 0.0 <= lift.places.high
    assert held >= 0.8 * tried


def test_what_cannot_be_audited_is_refused():
    lonely = TrajectoryGroup([Trajectory([{"role": "assistant", "content": "a"}])])
    with pytest.raises(ConfigurationError, match="at least two attempts"):
        audit_judge([lonely], "sim", base_url="http://127.0.0.1:9/v1")
    never = Edit.of("never", lambda t: None)
    with pytest.raises(ConfigurationError, match="never"):
        audited(edits=[never])


def test_the_command_writes_a_page_and_numbers(tmp_path):
    file = write_groups(tmp_path, 12)
    with JudgeServer(quality, Behaviour(length_bias=1.0)) as server:
        result = CliRunner().invoke(
            app,
            ["audit", str(file), "--judge", "sim", "--base-url", server.base_url, "--out", str(tmp_path / "audit"),
             "--edit", "padding", "--edit", "cut_off", "--cache", "off", "--predict"],
        )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "padding" in result.output
    assert 'reward="debiased"' in " ".join(result.output.split())
    data = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert {lift["edit"] for lift in data["lifts"]} == {"padding", "cut_off"}
    page = (tmp_path / "audit" / "audit.html").read_text()
    assert "Audit of sim" in page
    assert "<script" not in page
    (tmp_path / "audit" / "audit.html").unlink()
    assert CliRunner().invoke(app, ["report", str(tmp_path / "audit")]).exit_code == 0
    assert (tmp_path / "audit" / "audit.html").read_text() == page, "the same from what is recorded"


@pytest.mark.parametrize(
    ("text", "says"),
    [("{", "Expecting"), ("[]", "attribute"), ('{"judge": "j", "groups": "many"}', "groups")],
)
def test_a_page_is_not_made_of_something_else(tmp_path, text, says):
    (tmp_path / "audit.json").write_text(text)
    result = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert isinstance(result.exception, ConfigurationError)
    assert says in str(result.exception)
    assert "Run the same `ranker audit` again" in str(result.exception)


def test_the_command_names_the_nearest_edit(tmp_path):
    file = tmp_path / "groups.jsonl"
    file.write_text("")
    result = CliRunner().invoke(
        app, ["audit", str(file), "--judge", "sim", "--out", str(tmp_path / "a"), "--edit", "pading"]
    )
    assert isinstance(result.exception, ConfigurationError)
    assert "padding" in str(result.exception)


def test_where_no_trial_gave_a_verdict_nothing_is_said_of_the_edits(tmp_path):
    file, out = write_groups(tmp_path, 4), tmp_path / "audit"
    with JudgeServer(quality) as server:
        result = CliRunner().invoke(
            app,
            ["audit", str(file), "--judge", "sim", "--base-url", server.base_url, "--out", str(out), "--predict",
             "--edit", "padding", "--cache", "off", "--max-calls", "8"],
        )  # fmt: skip
    assert result.exit_code == 1, result.output
    told = " ".join(result.output.split())
    assert "No trial gave a verdict" in told
    assert "4 calls failed" in told
    assert "is likely to keep" not in told, "which exploits there are is not known"
    page = (out / "audit.html").read_text()
    assert "No trial gave a verdict" in page
    (out / "audit.html").unlink()
    assert CliRunner().invoke(app, ["report", str(out)]).exit_code == 0
    assert (out / "audit.html").read_text() == page


def test_a_folder_that_cannot_be_made_is_refused_before_a_call(tmp_path):
    out = tmp_path / "audit"
    out.write_text("")
    with JudgeServer(quality) as server:
        result = CliRunner().invoke(
            app,
            ["audit", str(write_groups(tmp_path, 4)), "--judge", "sim", "--base-url", server.base_url,
             "--out", str(out), "--edit", "padding", "--cache", "off"],
        )  # fmt: skip
        assert server.requests == 0
    assert isinstance(result.exception, ConfigurationError)
    assert f"{out} cannot be created" in str(result.exception)
