"""The study of the watch: replays on runs made by hand, what a run lost, costs, a study that goes on where it stopped."""

from __future__ import annotations

import gzip
import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks.watch import analysis, command, cost, examples, live, losses, page, plan, plots, recording
from benchmarks.watch.plan import Setting
from benchmarks.watch.recording import Group, Run
from benchmarks.watch.replay import Drawing, Kept, audits, by_step, chances, held, noise_for, replay, said
from benchmarks.watch.replays import Seen, replays
from ranker.errors import ConfigurationError
from ranker.suites import desk
from ranker.watch.agreement import Audited
from ranker.watch.watch import Watch

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "watch"
EVERY = Setting(share=1.0, power=0.0)
TRUTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def made(right: int, wrong: int, arm: str = "longer-1", seed: int = 5, falls: bool = True) -> Run:
    """A run whose judge is right for some steps and inverted for others, two groups a step; with it the truth falls."""
    groups = []
    for step in range(1, right + wrong + 1):
        good = step <= right
        truth = tuple(t * (1.0 if good or not falls else 0.3) for t in TRUTHS)
        judge = tuple(range(6)) if good else tuple(range(5, -1, -1))
        groups += [Group(step, 2 * (step - 1) + k, max(0, step - 2), judge, truth, 3, 0.4) for k in range(2)]
    steps = right + wrong
    columns = {name: [0.5 + 0.01 * (s % 2) for s in range(steps)] for name in recording.FREE}
    return Run(arm, seed, steps, tuple(groups), columns, {"6": [1000, 1100]})


def test_a_replay_raises_the_alarm_when_the_judge_turns():
    run = made(20, 20)
    found = audits(run, EVERY, 0, 0.0)
    assert [len(several) for _, several in found] == [2] * 40
    assert [a.agreement for _, several in found for a in several] == [1.0] * 40 + [0.0] * 40
    outcome = replay(found, EVERY)
    assert outcome.alarm is not None
    assert 20 < outcome.alarm.step <= 24
    assert outcome.alarm.began in (20, 21)
    assert outcome.audited == 80
    assert outcome.until == 2 * outcome.alarm.step
    assert replay(audits(made(40, 0), EVERY, 0, 0.0), EVERY).alarm is None


def test_a_group_without_a_judgement_is_asked_about_and_not_counted():
    run = made(2, 0)
    failed = Group(3, 4, 1, (None,) * 6, TRUTHS, failed=True)
    cut = Group(3, 5, 1, (0, *[None] * 5), (0.5, *[None] * 5))
    whole = Run(run.arm, run.seed, 3, (*run.groups, failed, cut), run.columns, {})
    assert [a.group for _, several in audits(whole, EVERY, 0, 0.0) for a in several] == [0, 1, 2, 3]


def test_the_quick_watch_is_the_watch():
    rng = np.random.default_rng(0)
    for _ in range(5):
        watches = Kept(0.7, 0.1), Watch(0.7, 0.1)
        for step in range(1, 40):
            low = 0.5 if step > 20 else 0.9
            found = [
                Audited(step, 2 * step + k, float(rng.random() < low), float(rng.random())) for k in range(2)
            ]
            first, second = (watch.add(step, found) for watch in watches)
            assert first == second
        assert watches[0].alarms == watches[1].alarms


def test_other_schedules_stay_within_the_share():
    for share, power in itertools.product((0.02, 0.1, 0.2), (0.0, 0.5, 0.75, 0.9)):
        chance = np.array(chances(share, power, 480))
        assert chance.mean() == pytest.approx(share, rel=0.06)
        assert np.all(np.diff(chance) <= 1e-12)
    moving = made(20, 20)
    moving.columns["entropy"][10:] = [3.0] * 30
    for waiting in ("signs", "suspicion"):
        setting = Setting(share=0.5, waiting=waiting)
        drawing = Drawing(moving, setting, 1)
        asked = []
        for step, groups in by_step(moving):
            now = list(drawing.of(step, groups))
            asked += now
            drawing.learn(step, [Audited(step, g.index, 1.0 if step <= 20 else 0.0, 1.0) for g in now])
        since = min(g.step for g in asked if g.step > 5 and sum(o.step == g.step for o in asked) == 2)
        assert since <= (13 if waiting == "signs" else 30)
        assert len(asked) <= 0.5 * 80 + 10  # the half that is drawn varies


def test_an_auditor_errs_as_often_as_it_should():
    rng = np.random.default_rng(1)
    groups = [
        Group(1, i, 0, tuple(range(8)), tuple(rng.integers(0, 11, 8) / 10), None, None) for i in range(300)
    ]
    run = Run("truth", 5, 1, tuple(groups), {}, {})
    noise = noise_for([run], 0.85)
    for equals in (False, True):
        setting = Setting(auditor=0.85, equals=equals)
        right, ties = [], []
        for group in groups:
            values = said(group, setting, noise, 5, 0)[:-1]
            for (a, x), (b, y) in itertools.combinations(zip(group.truth, values, strict=True), 2):
                (ties if a == b else right).append((x > y) == (a > b) if a != b else x == y)
        assert np.mean(right) == pytest.approx(0.85, abs=0.02)
        assert np.mean(ties) == (1.0 if equals else 0.0)
    assert said(groups[0], Setting(), 0.0, 5, 0) == [*groups[0].truth, None]
    ranked = said(groups[0], Setting(ranking=True), 0.0, 5, 0)[:-1]
    assert [x > y for x in ranked for y in ranked] == [
        x > y for x in groups[0].truth for y in groups[0].truth
    ]


def test_a_quarter_of_the_gain_is_lost():
    rise = [0.4 + 0.05 * i for i in range(11)]  # to 0.9
    fell = losses.of_means([*rise, *[0.9] * 5, *[0.7] * 10], 0.4)
    assert fell.best == pytest.approx(0.9)
    # a quarter of the gain is 0.125; the mean of five steps, four of them after the fall, is 0.74
    assert fell.lost == 18
    assert fell.noticed == 20
    assert fell.fall(26) == pytest.approx(0.2)
    assert fell.at(0) == 0.4
    assert losses.of_means([*rise, *[0.9] * 5, *[0.8] * 10], 0.4).lost is None
    assert (
        losses.of_means([0.5, 0.51, 0.5, 0.47, 0.48, 0.47], 0.5).lost is None
    )  # no gain, and a fall by chance
    assert losses.of_means([0.5] * 5 + [0.3] * 5, 0.5).lost == 5


def test_in_time_is_before_the_loss():
    run = made(20, 20)
    its = losses.course(run)
    assert its.start == pytest.approx(0.5)
    assert its.lost == 19
    seen = Seen(run, its, replay(audits(run, EVERY, 0, 0.0), EVERY))
    assert not seen.in_time
    assert seen.before(None)
    summary = analysis.summary([seen])
    assert (summary["in_time"].value, summary["safe"].value, summary["alarmed"].value) == (0.0, 0.0, 1.0)
    assert summary["false"].value is None
    harmless = made(20, 20, falls=False)
    unhurt = Seen(harmless, losses.course(harmless), replay(audits(harmless, EVERY, 0, 0.0), EVERY))
    assert analysis.summary([unhurt])["in_time"].value is None
    assert analysis.summary([unhurt])["safe"].value == 1.0
    alarmed = analysis.where_alarmed([seen, unhurt])
    assert alarmed["best"].value == pytest.approx(0.5)
    assert alarmed["lost_at_alarm"].value == pytest.approx(its.fall(seen.outcome.alarm.step) / 2)


def test_a_false_alarm_is_one_with_a_good_judge():
    good, bad = made(20, 20, arm="noise-0.8"), made(40, 0, arm="noise-0.8", seed=6)
    found = replays([good, bad], [EVERY], 3)[EVERY]
    assert [s.run.seed for s in found] == [5] * 3 + [6] * 3
    assert analysis.summary(found)["false"].value == 0.5
    assert analysis.summary(found)["alarmed_by_arm"]["noise-0.8"].value == 0.5


def test_the_choice_is_made_on_some_seeds_and_confirmed_on_others():
    runs = [made(30, 10, seed=seed) for seed in (5, 6, 8)] + [made(40, 0, "truth", seed) for seed in (5, 8)]
    early, none = Setting(share=1.0, power=0.0), Setting(share=1e-6)
    rows, best = analysis.chosen(replays(runs, [none, early], 2))
    assert best == none  # neither is in time, and the first of equals is taken
    assert [row["choosing"]["audited_share"].value for row in rows] == [pytest.approx(0.0, abs=0.01), 1.0]
    assert rows[1]["confirming"]["in_time"].value == 0.0


def test_intervals_hold_a_judge_that_is_always_right():
    its = held(made(40, 0), Setting(share=0.3), 1)
    assert its.alike
    assert its.by_chance


def test_the_win_rate_follows_the_truth_or_misleads():
    def run(rising: bool) -> Run:
        groups = []
        for step in range(1, 41):
            truth = tuple(step / 40 if rising else 1 - step / 40 for _ in range(4))
            place = tuple(2 if k < step / 10 else 0 for k in range(4))  # more and more above the anchor
            groups.append(Group(step, step - 1, 0, place, truth, 1, 0.5))
        return Run("longer-1", 5, 40, tuple(groups), {}, {})

    assert losses.win_rate_correlation(run(True)) > 0.9
    assert losses.win_rate_correlation(run(False)) < -0.9
    assert losses.win_rate_correlation(made(10, 0)) is None


def sample(values: list, truths: list, anchor: float | None = None, above: list | None = None) -> dict:
    rollouts = [{"reward": v, "ground_truth": t} for v, t in zip(values, truths, strict=True)]
    if above is not None:
        rollouts = [{**r, "above_anchor": a} for r, a in zip(rollouts, above, strict=True)]
    line = {"step": 3, "group": 17, "version": 1, "rollouts": rollouts}
    return line if anchor is None else {**line, "anchor": {"ground_truth": anchor}}


def test_a_group_is_kept_as_places_and_tenths(tmp_path):
    lines = [
        sample([0.5, 1.0, None, 0.5], [0.30000000000000004, 1.0, None, 0.0]),
        sample([0.0, 0.5, 1.0], [0.1, 0.2, 0.9], 0.4, [0.0, 0.0, 1.0]),
        sample([0.0, 0.5, 1.0], [0.1, 0.2, 0.9], 0.4, [1.0, 1.0, 1.0]),
        sample([0.0, 0.5, 1.0], [0.1, 0.2, 0.9], 0.4, [0.0, 0.5, 1.0]),
    ]
    whole = {
        "arm": "truth", "seed": 5, "steps": 3, "columns": {}, "prompt_tokens": {},
        "groups": [recording.packed(line) for line in lines],
    }  # fmt: skip
    recording.write(tmp_path / "a.json.gz", whole)
    recording.write(tmp_path / "b.json.gz", whole)
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()
    assert recording.read_whole(tmp_path / "a.json.gz") == whole
    plain, *anchored = recording.read(whole).groups
    assert plain == Group(3, 17, 1, (0, 2, None, 0), (0.3, 1.0, None, 0.0))
    assert plain.alive == [0, 1, 3]
    assert [losses.judged_wins(g) for g in anchored] == [[0, 0, 1], [1, 1, 1], [0, 0.5, 1]]
    assert anchored[0].anchor == 0.4
    (tmp_path / "a.json.gz").write_bytes((tmp_path / "b.json.gz").read_bytes()[:30])
    assert recording.read_whole(tmp_path / "a.json.gz") is None
    assert recording.read_whole(tmp_path / "none") is None
    with pytest.raises(ValueError, match="tenths"):
        recording.packed(sample([0.0, 1.0], [0.25, 0.5]))


def test_an_audit_costs_what_its_tokens_cost():
    assert cost.dollars(48, 1000, 704, (1.25, 10.0)) == pytest.approx(48 * (1000 * 1.25 + 704 * 10) / 1e6)
    small, large = desk.groups(1, 0)[0], desk.groups(1, 0, size=12)[0]
    tokens = [cost.prompt_tokens(group, desk.RUBRIC, recording.MODEL) for group in (small, large)]
    assert 300 < tokens[0] < tokens[1]
    assert all(0 < p < 100 for model in cost.MODELS for p in cost.price(model))
    rows = cost.table({0.1: 48.0}, {cost.DESK: {"prompt": 1000.0, "attempts": 8}})
    assert [row["model"] for row in rows] == list(cost.MODELS)
    assert all(row["usd"] > 0 for row in rows)


def test_the_plan_has_fresh_seeds_and_names_its_arms():
    units = plan.units(plan.arms())
    assert len(units) == 14 * 5
    assert {u.seed for u in units}.isdisjoint(range(5))
    assert set(plan.GOOD) | set(plan.EXPLOITED) <= set(plan.NAMES)
    with pytest.raises(ConfigurationError, match=r"longest.*longer-1"):
        plan.arms(["longest"])
    assert len(set(plan.asked())) == len(list(plan.asked()))
    assert Setting() in plan.asked()
    assert Setting() in plan.tried()
    assert {s.share for s in plan.tried()} == {plan.SHARE}


@pytest.fixture(scope="module")
def recorded() -> dict:
    return json.loads((RESULTS / "watch.json").read_text())


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    files = [recording.file_of(RESULTS / "runs", unit) for unit in plan.units(plan.arms())]
    return [recording.read(json.loads(gzip.decompress(path.read_bytes()))) for path in files]


def test_the_recorded_figures_are_those_of_the_recorded_runs(recorded, runs):
    assert recorded["runs"] == len(runs) == 70
    assert json.loads(json.dumps(examples.examples(runs))) == recorded["examples"]
    lost = {arm["name"]: arm["lost"] for arm in recorded["arms"]}
    for name in plan.NAMES:
        assert lost[name] == [losses.course(run).lost for run in runs if run.arm == name]


def test_the_main_setting_is_replayed_to_the_recorded_figures(recorded, runs):
    found = analysis.summary(replays(runs, [Setting()], recorded["draws"])[Setting()])
    again = json.loads(json.dumps(found, default=lambda e: e.to_dict(4)))
    assert {"setting": page.setting(recorded)["setting"], **again} == page.setting(recorded)


def test_live_runs_had_the_alarm_of_their_replay(recorded):
    assert recorded["live"]
    for one in recorded["live"]:
        assert one["same_audits"]
        assert one["live_alarm"] == one["replayed_alarm"]


def test_the_page_holds_everything_and_loads_nothing(recorded, tmp_path):
    text = page.write(recorded, tmp_path).read_text()
    drawings = plots.drawings(recorded)
    assert set(drawings) == {"runs", "in_time", "false_alarms", "lost"}
    assert all((tmp_path / f"{name}.png").stat().st_size > 5000 for name in drawings)
    assert len(re.findall(r'<img alt="[^"]+" src="data:image/svg\+xml;base64,', text)) == 4
    for forbidden in ("<script", "http:", "https:", 'src="/', "@import", "<link"):
        assert forbidden not in text
    for name in plan.NAMES:
        assert f'<th scope="row">{name}</th>' in text
    for rows in page.tables(recorded):
        assert rows.row_count


def test_a_live_run_has_the_audits_of_its_replay():
    unit = plan.units(plan.arms(["boast-1"]), [5], 3)[0]
    setting = Setting(share=0.5)
    made = recording.record(unit)
    run = recording.read({"arm": "boast-1", "seed": 5, "steps": 3, **made})
    its = live.compared(unit, run, setting)
    assert its["audits"] > 3
    assert its["same_audits"]
    assert [g.index for g in run.groups] == list(range(24))
    assert any(g.anchor is not None for g in run.groups)
    assert all(math.isfinite(t) for counted in run.prompt_tokens.values() for t in counted)


def test_the_study_goes_on_where_it_stopped(tmp_path, monkeypatch):
    made: list[str] = []

    def here(units, workers, do):
        for unit in units:
            made.append(unit.arm.name)
            yield unit, do(unit)

    monkeypatch.setattr(command, "work", here)
    monkeypatch.delenv("RANKER_DATA", raising=False)

    def study() -> dict:
        assert command.study(tmp_path, [5], 1, ["boast-1"], 2, 1, Console(quiet=True))
        return json.loads((tmp_path / "watch.json").read_text())

    figures = study()
    assert made == ["boast-1"]
    assert figures["runs"] == 1
    kept = tmp_path / "runs" / "boast-1-5.json.gz"
    before = recording.read_whole(kept)
    assert (before["arm"], before["seed"], before["steps"], len(before["groups"])) == ("boast-1", 5, 2, 16)
    assert study() == figures
    assert made == ["boast-1"]
    kept.write_bytes(kept.read_bytes()[:100])  # as a full disk might leave it
    study()
    assert made == ["boast-1"] * 2
    assert {**recording.read_whole(kept), "seconds": 0, "commit": 0} == {**before, "seconds": 0, "commit": 0}
