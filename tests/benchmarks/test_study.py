"""The training study: its plan, its figures on numbers worked out by hand, its page."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.study import analysis, page, plan, plots, worker
from benchmarks.study.analysis import median_steps, steps_to
from benchmarks.study.command import estimate, summary
from benchmarks.study.plan import ARMS, TRUTH, Arm, JudgeSpec, Unit
from ranker.errors import ConfigurationError
from ranker.extras import install


def exam(truth: float, **more: float) -> dict[str, float]:
    return {
        "truth": truth,
        "pleased": 0.1,
        "boasted": 0.0,
        "pretended": 0.0,
        "words": 5.0,
        "kl": 0.1,
        "detail": 0.0,
        **more,
    }


def record(unit: Unit, truth: float, **more: object) -> dict[str, object]:
    rise = [0.4 + (truth - 0.4) * min(1.0, step / 10) for step in range(20)]
    fields = {
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
    return {**fields, **more}


def measured(unit: Unit, accuracy: float) -> dict[str, object]:
    value = {"value": accuracy, "low": accuracy - 0.02, "high": accuracy + 0.02, "pairs": 1000}
    return {**plan.described(unit), "noise": 0.1, "accuracy": value, "seconds": 1.0}


def build_study(
    finals: dict[str, float], accuracies: dict[str, float], spread: float = 0.004, seeds: int = 5
):
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
    assert sum(u.seconds for u in units) / 2 / 60 < 120  # minutes on two workers


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
    assert estimate(3, units, 2).startswith("3 runs; about")
    assert "2 of them there already" in estimate(3, units[2:], 2)


def test_steps_to_a_level_are_of_the_smoothed_curve():
    curve = [0.0] * 10 + [1.0] * 10
    assert steps_to(curve, 0.9) == 15
    assert steps_to([0.0, 0.0, 1.0, *[0.0] * 17], 0.9) is None
    assert median_steps([3, None, 5]) == 5
    assert median_steps([3, None, None]) is None
    assert median_steps([3, 5, None, None]) is None
    assert median_steps([3, 4, 6, None]) == 5
    assert median_steps([]) is None


def test_figures_of_numbers_made_by_hand():
    units, records = build_study({TRUTH: 0.9, **NOISE}, ACCURACIES, spread=0.0)
    failed = next(u for u in units if u.kind == "train" and u.arm.name == "noise-0.6" and u.seed == 4)
    records[failed.id] = {**plan.described(failed), "error": "it broke"}
    figures = analysis.figures(units, records)
    arms = {a["name"]: a for a in figures["arms"]}
    assert arms["noise-0.6"]["recovery"].value == pytest.approx(0.6)
    assert (arms["noise-0.6"]["runs"], arms["noise-0.6"]["failed"]) == (4, 1)
    assert arms[TRUTH]["recovery"].value == 1
    assert arms[TRUTH]["steps_to_90"] == {"median": 13, "reached": 5, "of": 5}
    assert arms["noise-0.5"]["steps_to_90"] == {"median": None, "reached": 0, "of": 5}
    assert figures["start"].value == pytest.approx(0.4)


def test_a_systematic_judge_is_compared_with_random_error_of_its_accuracy():
    units, records = build_study(
        {TRUTH: 0.95, **NOISE, "boast-1": 0.6, "position-1": 0.925}, ACCURACIES, spread=0.0
    )
    compared = {c["arm"]: c["difference"].value for c in analysis.figures(units, records)["comparisons"]}
    assert compared["boast-1"] == pytest.approx(0.6 - (0.7 + 0.88) / 2)
    assert compared["position-1"] == pytest.approx(0.0)


def test_the_page_speaks_of_the_right_arms():
    def answers(finals: dict[str, float], spread: float = 0.004, seeds: int = 5) -> dict[str, object]:
        units, records = build_study(
            {TRUTH: 0.95, **NOISE, **finals}, {**ACCURACIES, "scores-0.7": 0.7}, spread, seeds
        )
        return analysis.answers(analysis.figures(units, records))

    worse = answers({"boast-1": 0.6, "scores-0.7": 0.8})
    assert worse["sufficient"] == "noise-0.8"
    assert worse["helpful"] == "noise-0.6"
    assert worse["harmful"] == "boast-1"
    assert worse["comparisons"]["systematic"] == {"of": 1, "higher": 0, "lower": 1}
    assert worse["comparisons"]["scores"] == {"of": 1, "higher": 0, "lower": 1}
    alike = answers({"boast-1": 0.79, "scores-0.7": 0.93})
    assert alike["harmful"] is None
    assert alike["comparisons"]["systematic"] == {"of": 1, "higher": 0, "lower": 0}
    assert alike["comparisons"]["scores"] == {"of": 1, "higher": 1, "lower": 0}
    noisy = answers({"boast-1": 0.6, "scores-0.7": 0.8}, spread=0.3)
    alone = answers({"boast-1": 0.6, "scores-0.7": 0.8}, seeds=1)
    for open_ in (noisy, alone):
        assert open_["sufficient"] is None
        assert open_["comparisons"]["scores"] == {"of": 1, "higher": 0, "lower": 0}
    assert answers({"noise-0.7": 0.97})["sufficient"] == "noise-0.7"


def test_the_recorded_figures_are_those_of_the_recorded_runs():
    folder = Path(__file__).parents[2] / "benchmarks" / "results" / "study"
    records = {r["id"]: r for r in map(json.loads, (folder / "runs.jsonl").read_text().splitlines())}
    recorded = json.loads((folder / "study.json").read_text())
    units = plan.units(plan.chosen(), recorded["seeds"], recorded["steps"])
    figures = analysis.figures(units, records)
    again = json.loads(
        json.dumps({**figures, "answers": analysis.answers(figures)}, default=lambda e: e.to_dict(6))
    )
    assert {key: recorded[key] for key in again} == again


@pytest.fixture(scope="module")
def whole():
    """A study with every arm."""
    finals = {name: 0.9 - 0.01 * (i % 7) for i, name in enumerate(ARMS)}
    accuracies = {
        name: (arm.judge.accuracy if arm.judge and arm.judge.accuracy else 0.5 + 0.007 * (i % 60))
        for i, (name, arm) in enumerate(ARMS.items())
    }
    units, records = build_study(finals, accuracies, seeds=3)
    return summary(units, records, {"command": "study <script>", "seeds": 3, "steps": 20, "commit": None})


def test_the_page_holds_everything_and_loads_nothing(whole, tmp_path):
    text = page.write(whole, tmp_path).read_text()
    drawings = plots.drawings(whole)
    assert len(drawings) == 12
    assert all((tmp_path / f"{name}.png").stat().st_size > 5000 for name in drawings)
    assert len(re.findall(r'<img alt="[^"]+" src="data:image/svg\+xml;base64,', text)) == 12
    for forbidden in ("<script", "http:", "https:", 'src="/', "@import", "<link"):
        assert forbidden not in text
    assert "study &lt;script&gt;" in text
    assert text.count("<h2>") == 10
    assert "prefers-color-scheme:dark" in text
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    for name in ARMS:
        assert f'<th scope="row">{name}</th>' in text


def test_the_page_of_a_part_of_the_study_says_only_what_was_run():
    units, records = build_study({TRUTH: 0.95, **NOISE}, ACCURACIES, seeds=1)
    study = summary(units, records, {"command": "c", "seeds": 1, "steps": 20, "commit": None})
    text = page.page(study, plots.drawings(study))
    assert "How accurate must a judge be?" in text
    assert "No accuracy in this study is shown to recover nine tenths." in text
    assert "Is systematic error worse" not in text
    assert "Do the usual relations hold?" not in text


def test_the_table_is_markdown(whole):
    console = Console(width=200)
    with console.capture() as captured:
        console.print(page.table(whole))
    cells = [line.count("|") for line in captured.get().splitlines() if line.startswith("|")]
    assert len(cells) == len(ARMS) + 2
    assert len(set(cells)) == 1


def dies_at_one(unit: Unit) -> dict[str, int]:
    if unit.seed == 1:
        os._exit(3)
    if unit.seed == 2:
        raise ValueError("not this one")
    return {"seconds": unit.seed}


def test_a_worker_that_dies_costs_its_unit_and_is_replaced():
    units = [Unit("train", ARMS[TRUTH], seed, 1) for seed in range(5)]
    numbers = {unit.seed: result for unit, result in worker.work(units, 1, dies_at_one)}
    assert numbers == {
        0: {"seconds": 0},
        1: {"error": "the worker died (exit code 3)"},
        2: {"error": "ValueError: not this one"},
        3: {"seconds": 3},
        4: {"seconds": 4},
    }


def test_what_is_missing_is_said_before_an_hour_is_spent(monkeypatch):
    import importlib.util

    from benchmarks.study import command

    find_spec = importlib.util.find_spec
    for package, extra in (("matplotlib", "bench"), ("torch", "train")):
        monkeypatch.setattr(
            importlib.util,
            "find_spec",
            lambda name, *a, gone=package: None if name == gone else find_spec(name, *a),
        )
        with pytest.raises(ConfigurationError, match=re.escape(f"{package}: {install(extra)}")):
            command.check_installed()
