"""What a person sees of a run: trackers, curves, the progress line."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from grpo import GRPOConfig, GRPOTrainer
from grpo.demo.run import sparkline
from grpo.runs.plot import plot
from grpo.runs.progress import Shown
from tests.grpo_runs import ROWS, policy


def spread(group: Any) -> list[float]:
    return [float(i) for i in range(len(group))]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[dict[str, Any]], str]:
    model, tokenizer = policy()
    out = tmp_path_factory.mktemp("runs") / "run"
    config = GRPOConfig(
        max_steps=3,
        groups_per_step=2,
        num_generations=4,
        max_completion_length=4,
        report_to=("tensorboard",),
        save_steps=0,
    )
    trainer = GRPOTrainer(model, tokenizer=tokenizer, dataset=ROWS, reward_fn=spread, config=config, out=out)
    stream = io.StringIO()
    with Shown(Console(file=stream, width=200), 3) as shown:
        lines = trainer.train(shown)
    return out, lines, stream.getvalue()


def test_tensorboard_gets_every_number(history: Any) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out, lines, _ = history
    events = EventAccumulator(str(out / "tensorboard")).Reload()
    read = {e.step: e.value for e in events.Scalars("grad_norm")}
    assert read == pytest.approx({line["step"]: line["grad_norm"] for line in lines})
    assert "kl" not in events.Tags()["scalars"], "what was not measured is not made up"


def test_progress_without_a_terminal_is_a_line_now_and_then(history: Any) -> None:
    _, _, told = history
    assert "step 1/3" in told
    assert "step 3/3" in told
    assert "tok/s" in told
    assert "truth" not in told


def test_curves_are_drawn_of_what_was_measured(history: Any, tmp_path: Any) -> None:
    _, lines, _ = history
    assert plot(lines, tmp_path / "curves.png", "title")
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert not plot([{"step": 1, "reward_mean": None}], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_a_sparkline_runs_from_low_to_high() -> None:
    assert sparkline([0.0, 0.5, 1.0]) == "▁▅█"
    assert len(sparkline([0.3] * 500)) == 50
