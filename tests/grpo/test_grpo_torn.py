"""Files of a run folder that a power loss tore."""

from __future__ import annotations

import json

import pytest

from grpo.cli.train import _evaluate, _evaluations
from tests.cli.test_cli import ranker
from tests.grpo_runs import ROWS, begin, fives


@pytest.mark.parametrize("torn", [b'{"before": {"ground_truth_mea', b"", b"[]", b'{"before": 7}', b"\xff"])
def test_a_torn_evaluation_is_written_anew(tmp_path, torn):
    (tmp_path / "evaluation.json").write_bytes(torn)
    held = _evaluations(tmp_path)
    assert held == ({"before": 7} if b"7" in torn else {})


def test_a_torn_evaluation_ends_no_run(tmp_path):
    """The figure of this end of the run is written, whole; that of the other is lost."""

    def truth(trajectory, row):
        return fives(trajectory.messages[-1]["content"])

    trainer = begin(max_steps=1, checker=truth, out=tmp_path)
    assert _evaluate(trainer, ROWS[:2], tmp_path, "before") is not None
    trainer.close()
    file = tmp_path / "evaluation.json"
    assert json.loads(file.read_text()).keys() == {"before"}
    file.write_bytes(file.read_bytes()[:30])
    resumed = begin(max_steps=1, checker=truth, out=tmp_path, resume=True)
    value = _evaluate(resumed, ROWS[:2], tmp_path, "after")
    resumed.close()
    held = json.loads(file.read_text())
    assert held.keys() == {"after"}
    assert held["after"]["ground_truth_mean"] == value


def test_a_torn_config_says_what_to_do(tmp_path):
    (tmp_path / "config.json").write_text('{"format": 1, "rank')
    done = ranker("train", "quick", "--set", "max_steps=1", "--out", tmp_path, "--resume")
    assert done.returncode == 1
    assert "begin anew in another folder" in done.stderr
    assert "Traceback" not in done.stderr
