"""What a person sees of a run: trackers, curves, the progress line."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console

from grpo import GRPOConfig, GRPOTrainer
from grpo.demo.run import sparkline
from grpo.runs import samples
from grpo.runs.loggers import loggers
from grpo.runs.plot import plot
from grpo.runs.progress import TrainingProgress
from tests.cli.test_cli import ranker
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
    with TrainingProgress(Console(file=stream, width=200), 3) as shown:
        lines = trainer.train(shown)
    return out, lines, stream.getvalue()


def test_tensorboard_gets_every_number(history: Any) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out, lines, _ = history
    events = EventAccumulator(str(out / "tensorboard")).Reload()
    read = {e.step: e.value for e in events.Scalars("grad_norm")}
    assert read == pytest.approx({line["step"]: line["grad_norm"] for line in lines})
    assert "kl" not in events.Tags()["scalars"], "what was not measured is not made up"


def test_tensorboard_gets_samples_as_text(history: Any) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out, _, _ = history
    events = EventAccumulator(str(out / "tensorboard")).Reload()
    [shown] = events.Tensors("samples/text_summary")
    told = shown.tensor_proto.string_val[0].decode()
    assert shown.step == 1, "the first step and every tenth"
    assert told.count("**group ") == 8
    assert "**group 0, attempt 3 · reward 3 · advantage 1.16**" in told
    said = json.loads((out / "samples.jsonl").read_text().splitlines()[0])["rollouts"][3]["messages"][-1][
        "content"
    ]
    assert all(f"    {line}" in told for line in said.splitlines() if line.strip().isalnum())


def test_samples_are_a_row_for_each_attempt_whatever_it_holds() -> None:
    hostile = "<script>alert(1)</script>\u202e ![x](http://there/x.png)\n# head\n"
    attempt = {"messages": [{"role": "assistant", "content": hostile * 900}], "reward": 0.5, "advantage": None,
               "ground_truth": None, "reason": hostile}  # fmt: skip
    broken = {"messages": None, "reward": None, "advantage": None, "ground_truth": None, "error": "it broke"}
    record = {
        "step": 10,
        "group": 7,
        "prompt": [{"role": "user", "content": "Say."}],
        "rollouts": [attempt, broken],
    }
    assert [step for step in range(1, 31) if samples.due(step)] == [1, 10, 20, 30]
    table = samples.rows([record] * 9)
    assert len(table) == 2 * samples.GROUPS
    first, second = (dict(zip(samples.COLUMNS, row, strict=True)) for row in table[:2])
    assert (first["step"], first["group"], first["attempt"], first["reward"]) == (10, 7, 0, 0.5)
    assert "Say." in first["prompt"]
    assert len(first["reply"]) < samples.TEXT + 100
    assert "more characters" in first["reply"]
    assert "\u202e" not in first["reply"] + first["reason"]
    assert (second["reply"], second["error"]) == ("", "it broke")
    told = samples.markdown(table)
    assert all(line.startswith(("    ", "**group")) for line in told.split("\n") if line)
    assert samples.unmarked("![x](y) <b>") == "\\!\\[x\\](y) \\<b\\>"


@pytest.mark.usefixtures("socket_enabled")  # W&B talks to a process of its own
@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_hosted_trackers_get_numbers_and_a_table(
    name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offline, with the library itself where it is installed."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip(name)
    monkeypatch.chdir(tmp_path)
    [tracker] = loggers((name,), tmp_path / "run", {"seed": 1})
    attempt = {
        "messages": [{"role": "assistant", "content": "w1"}],
        "reward": 0.5,
        "advantage": None,
        "ground_truth": 1.0,
    }
    groups = [{"step": 1, "group": 0, "prompt": [], "rollouts": [attempt] * 2}]
    tracker.log(1, {"step": 1, "reward_mean": 0.5}, groups)
    tracker.log(2, {"step": 2, "reward_mean": 0.6}, groups)
    tracker.close()
    if name == "wandb":
        [kept] = tmp_path.rglob("media/table/samples_*.table.json")
        table = json.loads(kept.read_text())
        assert table["columns"] == list(samples.COLUMNS)
        assert [row[5] for row in table["data"]] == [0.5, 0.5]
    else:
        kept = b"".join(path.read_bytes() for path in (tmp_path / "trackio").rglob("*.db*"))
        assert b"ground_truth" in kept
        assert b"reward_mean" in kept


def test_progress_without_a_terminal_is_a_line_now_and_then(history: Any) -> None:
    _, _, told = history
    assert "step 1/3" in told
    assert "step 3/3" in told
    assert "tok/s" in told
    assert "truth" not in told


def test_a_folder_s_name_is_not_taken_for_markup(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    out = tmp_path / "[/b]:warning:"
    done = ranker("train", "quick", "--set", "max_steps=1", "--out", out)
    assert done.returncode == 0, done.stderr
    assert f", into {out}\n" in done.stdout
    assert f"The trained model: {out / 'final'}\n" in done.stdout


def test_without_out_the_folder_has_the_config_s_name(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = ranker("train", "quick", "--set", "max_steps=1")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "quick-run" / "metrics.jsonl").exists()
    assert "--resume" in ranker("train", "quick", "--set", "max_steps=1").stderr


def test_curves_are_drawn_of_what_was_measured(history: Any, tmp_path: Any) -> None:
    _, lines, _ = history
    assert plot(lines, tmp_path / "curves.png", "title")
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert not plot([{"step": 1, "reward_mean": None}], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_a_sparkline_runs_from_low_to_high() -> None:
    assert sparkline([0.0, 0.5, 1.0]) == "▁▅█"
    assert len(sparkline([0.3] * 500)) == 50
