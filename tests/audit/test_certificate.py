"""The certificate: from an audit to what a policy keeps."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.study.fitting import fit
from ranker.audit.certificate import (
    Coefficients,
    Features,
    coefficients,
    features_of,
    predict,
    predicted,
    quality,
    reckoned,
)
from ranker.audit.result import AuditResult, Lift
from ranker.cli import app
from ranker.statistics import NOTHING, Estimate
from ranker.testing import Behaviour, JudgeServer
from tests.audit.group_file import write_groups
from tests.debias.test_debiased import quality as truth

MODEL = Coefficients(0.06, 0.25, 0.02, 0.1, -0.3, 0.05, 0.3)
SOUND = Features(0.9, 0.0, 0.0, 0.0, None)


def lift(edit, value, low, high):
    return Lift(
        edit, "same", 30, Estimate(value, low, high), NOTHING, Estimate(value, low, high), NOTHING, 8.0
    )


def test_a_judge_without_an_exploit_keeps_what_random_error_leaves():
    for accuracy in (0.5, 0.6, 0.8):
        recoveries = predicted(replace(SOUND, accuracy=accuracy), MODEL).recovery.value
        assert recoveries == pytest.approx(1 - math.exp(-(accuracy - 0.5) / 0.06), abs=1e-3)


def test_an_exploit_above_the_threshold_is_learned():
    below, at, above = (predicted(replace(SOUND, exploit=e, edit="cut_off"), MODEL) for e in (0.1, 0.25, 0.5))
    assert below.captured < 0.01
    assert at.captured == pytest.approx(0.5)
    assert above.recovery.value == pytest.approx(-0.3, abs=0.01)
    assert (
        at.recovery.high - at.recovery.low
        > above.recovery.high - above.recovery.low
        > below.recovery.high - below.recovery.low
    )
    drifting = predicted(replace(SOUND, exploit=0.5, edit="padding", harmless=True), MODEL)
    assert drifting.recovery.value == pytest.approx(0.1, abs=0.01)
    unsure = predicted(replace(SOUND, exploit=0.5, exploit_deviation=0.2, edit="cut_off"), MODEL)
    assert unsure.captured < above.captured


def test_without_truth_accuracy_is_reckoned_from_agreement():
    """Two independent rankings, each right with probability a, agree on a² + (1 - a)² of the pairs."""
    for accuracy in (0.5, 0.7, 1.0):
        repeated = accuracy**2 + (1 - accuracy) ** 2
        assert reckoned(Estimate(repeated, None, None)).value == pytest.approx(accuracy)
    unknown = AuditResult("sim", 30, (), repeatability=Estimate(0.58, 0.54, 0.62))
    assert features_of(unknown).accuracy == pytest.approx(0.7)
    known = replace(unknown, accuracy=Estimate(0.9, 0.85, 0.95))
    assert features_of(known).accuracy == 0.9
    assert features_of(known).accuracy_deviation == pytest.approx(0.05 / 1.96)


def test_an_uncertain_accuracy_widens_the_prediction():
    sure, unsure = (
        predicted(replace(SOUND, accuracy=0.55, accuracy_deviation=d), MODEL) for d in (0.0, 0.05)
    )
    assert unsure.recovery.high - unsure.recovery.low > 1.5 * (sure.recovery.high - sure.recovery.low)


def test_the_exploit_is_the_largest_lift_of_a_flagged_edit():
    lifts = (
        replace(lift("padding", 2.0, 1.0, 3.0), flagged=True),
        lift("cut_off", 3.0, -0.5, 6.5),
        replace(lift("unearned", 1.0, 0.8, 1.2), flagged=True),
    )
    features = features_of(AuditResult("sim", 30, lifts, repeatability=Estimate(0.9, 0.8, 1.0)))
    assert (features.edit, features.exploit, features.harmless) == ("padding", 0.25, True)
    assert features.exploit_deviation == pytest.approx(1 / 1.96 / 8)
    cut = (replace(lift("padding", 7.0, 3.0, 8.0), flagged=True),)
    features = features_of(AuditResult("sim", 4, cut, repeatability=Estimate(0.9, 0.8, 1.0)))
    assert features.exploit_deviation == pytest.approx(4 / 1.96 / 8), (
        "of the end that the group does not cut off"
    )
    assert features_of(AuditResult("sim", 30, lifts)) is None
    assert predict(AuditResult("sim", 30, lifts)) is None


def test_coefficients_are_fitted_again():
    rng = np.random.default_rng(0)
    features = [
        Features(
            float(rng.uniform(0.5, 1)), 0.0, float(rng.choice([0.0, rng.uniform(0, 0.7)])), 0.01, "padding"
        )
        for _ in range(200)
    ]
    recoveries = []
    for one in features:
        caught = rng.random() < predicted(one, MODEL).captured
        gain = 1 - math.exp(-max(0.0, one.accuracy - 0.5) / MODEL.tau)
        recoveries.append(float(rng.normal(MODEL.captured, 0.3) if caught else rng.normal(gain, 0.05)))
    fitted = fit(features, recoveries)
    assert fitted.tau == pytest.approx(MODEL.tau, rel=0.25)
    assert fitted.threshold == pytest.approx(MODEL.threshold, abs=0.03)
    assert fitted.captured == pytest.approx(MODEL.captured, abs=0.1)
    reached = quality([(predicted(f, fitted), k) for f, k in zip(features, recoveries, strict=True)])
    assert reached["r2"] > 0.8
    assert 0.8 < reached["coverage"] <= 0.99


def test_the_fitted_coefficients_mean_something():
    model = coefficients()
    assert 0 < model.tau < 0.3
    assert 0.05 < model.threshold < 0.6
    assert model.captured < 0.5


def test_the_command_predicts(tmp_path):
    file = write_groups(tmp_path, 12)
    with JudgeServer(truth, Behaviour(length_bias=3.0)) as server:
        result = CliRunner().invoke(
            app,
            ["audit", str(file), "--judge", "sim", "--base-url", server.base_url, "--out", str(tmp_path / "audit"),
             "--edit", "padding", "--edit", "cut_off", "--cache", "off", "--predict"],
        )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "likely to keep" in " ".join(result.output.split())
    assert "one small agent" in " ".join(result.output.split()), "its domain is said"
    prediction = json.loads((tmp_path / "audit" / "audit.json").read_text())["prediction"]
    assert prediction["edit"] in ("padding", "cut_off")
    assert prediction["recovery"]["low"] < prediction["recovery"]["value"] < prediction["recovery"]["high"]
    assert "What a policy would keep" in (tmp_path / "audit" / "audit.html").read_text()
