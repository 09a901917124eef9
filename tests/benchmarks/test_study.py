"""The training study: its plan, its figures on numbers made by hand, its answers, its page."""

from __future__ import annotations

import json
import re

import pytest

from benchmarks.study import answers, page, plan, plots, statistics, table, words
from benchmarks.study.command import estimate, summary
from benchmarks.study.plan import ARMS, TRUTH, Arm, JudgeSpec, Unit
from benchmarks.study.statistics import Estimate
from benchmarks.study.store import Results
from ranker.errors import ConfigurationError


def exam(truth: float, **more: float) -> dict[str, float]:
    return {"truth": truth, "pleased": 0.1, "boasted": 0.0, "pretended": 0.0, "words": 5.0, "kl": 0.1, **more}


def record(unit: Unit, truth: float, **more: object) -> dict[str, object]:
    rise = [0.4 + (truth - 0.4) * min(1.0, step / 10) for step in range(20)]
    made = {
        **plan.described(unit),
        "noise": 0.1,
        "before": exam(0.4),
        "after": exam(truth),
        "curve": rise,
        "judge_accuracy": [0.7] * 20,
        "grad_norm": [0.3] * 20,
        "truth_deviation": 0.3,
        "reward_deviation": 0.3,
        "judge_calls": 160,
        "failed_groups": 0,
        "seconds": 10.0,
    }
    return {**made, **more}


def measured(unit: Unit, accuracy: float) -> dict[str, object]:
    value = {"value": accuracy, "low": accuracy - 0.02, "high": accuracy + 0.02, "pairs": 1000}
    return {**plan.described(unit), "noise": 0.1, "accuracy": value, "seconds": 1.0}


def made(finals: dict[str, float], accuracies: dict[str, float], spread: float = 0.004, seeds: int = 5):
    """A study of arms with these final true rewards and judges' accuracies; seeds differ by `spread`."""
    arms = [ARMS[name] for name in ARMS if name in finals]
    units = plan.units(arms, seeds, 20)
    records = {}
    for unit in units:
        if unit.kind == "judge":
            records[unit.id] = measured(unit, accuracies[unit.arm.name])
        else:
            # the sign differs from arm to arm, so that pairing does not take the spread away
            sign = 1 if list(finals).index(unit.arm.name) % 2 else -1
            records[unit.id] = record(
                unit, finals[unit.arm.name] + sign * spread * (unit.seed - (seeds - 1) / 2)
            )
    return units, records


NOISE = {"noise-0.5": 0.4, "noise-0.6": 0.7, "noise-0.7": 0.88, "noise-0.8": 0.97}
ACCURACIES = {
    "noise-0.5": 0.5,
    "noise-0.6": 0.6,
    "noise-0.7": 0.7,
    "noise-0.8": 0.8,
    "boast-1": 0.65,
    "position-1": 0.75,
}


def test_the_plan_has_every_arm_with_five_seeds_and_each_judge_once():
    units = plan.units(plan.chosen(), plan.SEEDS, plan.STEPS)
    trained = [u for u in units if u.kind == "train"]
    assert len(trained) == 5 * len(ARMS)
    assert len({u.id for u in units}) == len(units)
    judges = [u.arm.judge for u in units if u.kind == "judge"]
    assert len(judges) == len(set(judges))
    assert set(judges) == {a.judge for a in ARMS.values() if a.judge}
    assert {a.family for a in ARMS.values()} == set(plan.FAMILIES)
    assert all(a.beside in ARMS for a in ARMS.values())
    for arm in ARMS.values():
        groups = arm.settings.get("groups_per_step", 8)
        assert arm.generations * groups == plan.ROLLOUTS
    assert sum(u.seconds for u in units) / 2 / 60 < 75  # minutes on two workers


def test_an_arm_brings_those_it_is_compared_with():
    assert [a.name for a in plan.chosen(["passes-2-noise-0.6"])] == [TRUTH, "noise-0.6", "passes-2-noise-0.6"]
    names = {a.name for a in plan.chosen(["beta"])}
    assert {TRUTH, plan.FAIR, "beta-0.1"} <= names
    with pytest.raises(ConfigurationError, match=r"noises.*noise-0\.7"):
        plan.chosen(["noises"])


def test_a_run_is_known_by_its_settings_seed_and_steps():
    arm = Arm("x", "beta", 0.1, JudgeSpec(0.8), {"beta": 0.1})
    same = Arm("x", "beta", 0.1, JudgeSpec(0.8), {"beta": 0.1}, beside="noise-0.8")
    ids = {
        Unit("train", arm, 0, 60).id,
        Unit("train", arm, 1, 60).id,
        Unit("train", arm, 0, 30).id,
        Unit("train", Arm("x", "beta", 0.1, JudgeSpec(0.8), {"beta": 0.2}), 0, 60).id,
        Unit("train", Arm("x", "beta", 0.1, JudgeSpec(0.7), {"beta": 0.1}), 0, 60).id,
    }
    assert len(ids) == 5
    assert Unit("train", same, 0, 60).id in ids


def test_the_estimate_counts_what_is_missing():
    units = plan.units(plan.chosen(["noise-0.7"]), 1, 60)
    assert estimate(units, units, 2).startswith("3 runs; about")
    assert "2 of them there already" in estimate(units, units[2:], 2)


def test_intervals_of_a_mean_are_students():
    found = statistics.mean([1.0, 2.0, 3.0, 4.0, 5.0])
    assert found.value == 3
    assert found.high - 3 == pytest.approx(2.776445 * 1.5811388 / 5**0.5)
    assert statistics.mean([2.0]) == Estimate(2.0, None, None, 1)
    assert statistics.mean([]) is None


def test_recovery_is_a_ratio_of_means_with_fiellers_interval():
    gains = {0: 0.45, 1: 0.5, 2: 0.55}
    assert statistics.ratio(gains, gains) == Estimate(1.0, pytest.approx(1.0), pytest.approx(1.0), 3)
    half = statistics.ratio({0: 0.2, 1: 0.3, 2: 0.25}, {0: 0.5, 1: 0.5, 2: 0.5})
    alone = statistics.mean([0.4, 0.6, 0.5])  # with a constant denominator it is the interval of a mean
    assert (half.value, half.low, half.high) == pytest.approx((alone.value, alone.low, alone.high))
    assert statistics.ratio({0: 1.0}, {1: 1.0}) is None
    unbounded = statistics.ratio({0: 1.0, 1: 1.0}, {0: -0.9, 1: 1.0})
    assert unbounded.low is None


def test_fiellers_interval_holds_the_ratio_as_often_as_it_says():
    import numpy as np

    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(2000):
        x = 0.5 + 0.02 * rng.standard_normal(5)
        y = 0.4 + 0.03 * rng.standard_normal(5)
        found = statistics.ratio(dict(enumerate(y)), dict(enumerate(x)))
        inside += found.low <= 0.8 <= found.high
    assert inside / 2000 == pytest.approx(0.95, abs=0.015)


def test_steps_to_a_level_are_of_the_smoothed_curve():
    curve = [0.0] * 10 + [1.0] * 10
    assert statistics.steps_to(curve, 0.9) == 15
    assert statistics.steps_to([0.0, 0.0, 1.0, *[0.0] * 17], 0.9) is None
    assert statistics.median_steps([3, None, 5]) == 5
    assert statistics.median_steps([3, None, None]) is None


def test_figures_of_numbers_made_by_hand():
    units, records = made({TRUTH: 0.9, **NOISE}, ACCURACIES, spread=0.0)
    failed = next(u for u in units if u.kind == "train" and u.arm.name == "noise-0.6" and u.seed == 4)
    records[failed.id] = {**plan.described(failed), "error": "it broke"}
    found = table.figures(units, records)
    arms = {a["name"]: a for a in found["arms"]}
    assert arms["noise-0.6"]["recovery"]["value"] == pytest.approx(0.6)
    assert (arms["noise-0.6"]["runs"], arms["noise-0.6"]["failed"]) == (4, 1)
    assert arms[TRUTH]["recovery"]["value"] == 1
    assert arms[TRUTH]["steps_to_90"] == {"median": 13, "reached": 5, "of": 5}
    assert arms["noise-0.5"]["steps_to_90"] == {"median": None, "reached": 0, "of": 5}
    assert found["start"]["value"] == pytest.approx(0.4)


def test_a_systematic_judge_is_compared_with_random_error_of_its_accuracy():
    units, records = made({TRUTH: 0.95, **NOISE, "boast-1": 0.6, "position-1": 0.925}, ACCURACIES, spread=0.0)
    compared = {c["arm"]: c["difference"]["value"] for c in table.figures(units, records)["comparisons"]}
    assert compared["boast-1"] == pytest.approx(0.6 - (0.7 + 0.88) / 2)
    assert compared["position-1"] == pytest.approx(0.0)


def test_answers_follow_the_numbers():
    def verdicts(finals: dict[str, float], spread: float = 0.004, seeds: int = 5) -> dict[str, str]:
        units, records = made(
            {TRUTH: 0.95, **NOISE, **finals}, {**ACCURACIES, "scores-0.7": 0.7}, spread, seeds
        )
        return {a.question: a.verdict for a in answers.answers(table.figures(units, records))}

    good, worse, ranks = (
        "How good must a judge be?",
        "Is systematic error worse than random error?",
        "Do ranks beat scores?",
    )
    one = verdicts({"boast-1": 0.6, "scores-0.7": 0.8})
    assert "80% of the pairs right is enough" in one[good]
    assert one[worse].startswith("yes for boast")
    assert one[ranks] == "yes: ranks do better"
    two = verdicts({"boast-1": 0.79, "scores-0.7": 0.93})
    assert two[worse].startswith("not decided")
    assert two[ranks] == "no: scores do better"
    noisy = verdicts({"boast-1": 0.6, "scores-0.7": 0.8}, spread=0.3)
    alone = verdicts({"boast-1": 0.6, "scores-0.7": 0.8}, seeds=1)
    for undecided in (noisy, alone):
        assert undecided[worse].startswith("not decided")
        assert undecided[ranks] == "not decided"
    better = verdicts({"noise-0.7": 0.97})
    assert "70% of the pairs right is enough" in better[good]


def test_comparisons_that_disagree_are_said_to():
    up, down, open_ = (Estimate(v, v - 0.1, v + 0.1, 5) for v in (0.3, -0.3, 0.0))
    assert words.compared([up, up], "yes", "no") == "yes"
    assert words.compared([up, open_], "yes", "no") == "yes at 1 of 2 settings; not decided at the others"
    assert words.compared([down], "yes", "no") == "no"
    assert words.compared([up, down, open_], "yes", "no").startswith("it depends: yes at 1, no at 1")


@pytest.fixture(scope="module")
def whole():
    """A study with every arm."""
    finals = {name: 0.9 - 0.01 * (i % 7) for i, name in enumerate(ARMS)}
    accuracies = {
        name: (arm.judge.accuracy if arm.judge and arm.judge.accuracy else 0.5 + 0.007 * (i % 60))
        for i, (name, arm) in enumerate(ARMS.items())
    }
    units, records = made(finals, accuracies, seeds=3)
    return summary(
        units, records, {"command": "ranker study <script>", "seeds": 3, "steps": 20, "commit": None}
    )


def test_every_question_has_an_answer(whole):
    assert len(whole["answers"]) == 7
    assert whole["runs"]["failed"] == 0
    json.dumps(whole, allow_nan=False)


def test_the_page_holds_everything_and_loads_nothing(whole, tmp_path):
    drawn = plots.pictures(whole)
    try:
        plots.save(drawn, tmp_path)
        text = page.page(whole, {name: plots.svg(figure, name) for name, figure in drawn.items()})
    finally:
        plots.close(drawn)
    assert len(drawn) == 10
    assert all((tmp_path / f"{name}.png").stat().st_size > 5000 for name in drawn)
    assert text.count("<svg") == 10
    for forbidden in ("<script", "http:", "https:", "src=", "@import", "<link"):
        assert forbidden not in text
    assert "ranker study &lt;script&gt;" in text
    for answer in whole["answers"]:
        assert answer["question"] in text
    for name in ARMS:
        assert f"<td>{name}</td>" in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    assert used <= set(ids)


def test_the_table_as_markdown(whole):
    lines = page.markdown(whole).splitlines()
    cells = [line.count("|") for line in lines if line.startswith("|")]
    assert len(cells) == len(ARMS) + 2
    assert len(set(cells)) == 1


def test_results_keep_whole_lines_only(tmp_path):
    path = tmp_path / "runs.jsonl"
    results = Results(path)
    results.add({"id": "a", "arm": "x", "x": 1})
    results.add({"id": "b", "arm": "x", "error": "no"})
    with pytest.raises(ConfigurationError, match="Another process"):
        Results(path)
    results.close()
    with open(path, "ab") as file:
        file.write(b'{"id": "c", "x"')
    again = Results(path)
    assert set(again.records) == {"a", "b"}
    assert again.has("a")
    assert not again.has("b")
    again.add({"id": "b", "arm": "x", "x": 2})
    again.close()
    last = Results(path)
    assert last.has("b")
    last.close()
    path.write_text("nonsense\n")
    with pytest.raises(ConfigurationError, match="line 1"):
        Results(path)


def test_what_is_missing_is_said_before_an_hour_is_spent(monkeypatch):
    import importlib.util

    from benchmarks.study import command

    found = importlib.util.find_spec
    for package, extra in (("matplotlib", "bench"), ("torch", "train")):
        monkeypatch.setattr(
            importlib.util,
            "find_spec",
            lambda name, *a, gone=package: None if name == gone else found(name, *a),
        )
        with pytest.raises(ConfigurationError, match=rf"{package}: pip install 'ranker-rl\[{extra}\]'"):
            command.check_installed()
