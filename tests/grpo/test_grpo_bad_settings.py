"""Settings that contradict each other, prompts that do not fit, disks that are full."""

from __future__ import annotations

import resource
from dataclasses import fields

import pytest

from grpo import GRPOConfig, RunFolderError, TrainingError
from grpo.runs.folder import RunFolder
from ranker import ConfigurationError
from tests.grpo_runs import ROWS, begin, likes_fives, lines, settings, spread, train

REFUSED = [
    ({"num_generations": 1}, "num_generations is 1; it takes at least 2"),
    ({"num_generations": 8.0}, "num_generations .*whole number"),
    ({"num_generations": True}, "num_generations"),
    ({"groups_per_step": 0}, "groups_per_step"),
    ({"max_steps": -1}, "max_steps"),
    ({"num_iterations": 0}, "num_iterations"),
    ({"max_completion_length": 0}, "max_completion_length"),
    ({"temperature": 0.0}, "temperature"),
    ({"temperature": -1.0}, "temperature"),
    ({"top_p": 0.0}, "top_p"),
    ({"top_p": 1.5}, "top_p"),
    ({"top_k": -1}, "top_k"),
    ({"min_p": 1.0}, "min_p"),
    ({"learning_rate": "1e-5"}, "learning_rate .*a number"),
    ({"learning_rate": -1e-5}, "learning_rate"),
    ({"learning_rate": float("nan")}, "learning_rate"),
    ({"epsilon": 1.0}, "epsilon"),
    ({"loss_type": "ppo"}, "loss_type .*'dapo'"),
    ({"loss_type": "cispo"}, "epsilon_high"),
    ({"loss_type": "cispo", "epsilon_high": 0.2}, "epsilon_high"),
    ({"loss_type": "cispo", "epsilon_high": 5.0, "delta": 6.0}, "delta"),
    ({"delta": 1.1}, r"delta is 1\.1.*set delta above"),
    ({"importance_sampling_level": "group"}, "importance_sampling_level"),
    ({"kl_estimator": "k4"}, "kl_estimator"),
    ({"scale_rewards": True}, "scale_rewards"),
    ({"max_pending_groups": -1}, "max_pending_groups"),
    ({"max_failed_share": 0.0}, "max_failed_share"),
    ({"max_failed_share": 1.5}, "max_failed_share"),
    ({"lora_r": -1}, "lora_r"),
    ({"lora_target_modules": [1]}, "lora_target_modules"),
    ({"dtype": "float16"}, "dtype"),
    ({"bf16": "yes"}, "bf16 .*true or false"),
    ({"save_total_limit": 0}, "save_total_limit"),
    ({"report_to": "tensorboard"}, "report_to .*list"),
    ({"report_to": ["mlflow"]}, r"report_to\[0\] is 'mlflow'; it takes 'tensorboard', 'wandb' or 'trackio'"),
    ({"seed": -1}, "seed"),
    ({"temperature": float("nan")}, "temperature"),
    ({"temperature": float("inf")}, "temperature"),
    ({"learning_rate": float("inf")}, "learning_rate"),
    ({"beta": float("inf")}, "beta"),
    ({"delta": float("nan")}, "delta"),
    ({"adam_beta1": 1.0}, "adam_beta1 is 1.0; it takes less than 1"),
    ({"adam_beta2": 2.0}, "adam_beta2"),
    ({"reward_timeout": 0}, "reward_timeout"),
]


@pytest.mark.parametrize(("given", "told"), REFUSED)
def test_settings_that_cannot_work_are_refused_by_name(given, told):
    with pytest.raises(ConfigurationError, match=told):
        GRPOConfig(**given)


def test_every_setting_is_documented_and_survives_json():
    for field in fields(GRPOConfig):
        assert field.name in (GRPOConfig.__doc__ or ""), field.name
    assert settings(learning_rate=1, report_to=[]) == settings(learning_rate=1.0, report_to=())


@pytest.mark.parametrize(
    "name",
    [
        "nonsense",
        "cosine_with_min_lr",
        "warmup_stable_decay",
        "reduce_lr_on_plateau",
        "greedy",
    ],
)
def test_a_schedule_that_cannot_be_used_is_refused(name):
    with pytest.raises(ConfigurationError, match=name):
        train(lr_scheduler_type=name, max_steps=1)


def test_the_learning_rate_logged_is_the_one_used():
    _, history = train(spread, max_steps=2, lr_scheduler_type="linear", learning_rate=1e-2)
    assert [line["learning_rate"] for line in history] == [1e-2, 5e-3]


@pytest.mark.parametrize("tied", [False, True])
def test_warm_up_and_schedule_count_the_same_steps_whatever_the_iterations(tied):
    function = (lambda group: [0.5] * len(group)) if tied else spread
    _, history = train(
        function,
        max_steps=6,
        num_iterations=2,
        warmup_steps=4,
        lr_scheduler_type="linear",
        learning_rate=1e-2,
    )
    assert [line["learning_rate"] for line in history] == [0.0, 2.5e-3, 5e-3, 7.5e-3, 1e-2, 5e-3]


def test_trackers_that_are_not_installed_are_named():
    for name in ("wandb", "trackio"):
        try:
            __import__(name)
        except ImportError:
            with pytest.raises(ConfigurationError, match=f"{name}.*pip install"):
                train(report_to=[name])


LONG = {"id": "long", "prompt": "t1 " * 200}


def test_a_prompt_beyond_the_context_costs_its_group_and_no_more(tmp_path):
    rows = [*ROWS[:3], LONG]
    _, history = train(spread, rows=rows, max_steps=4, shuffle_dataset=False, out=tmp_path / "run")
    assert [line["failed_groups"] for line in history] == [0, 1, 0, 1]
    assert [line["broken_rollouts"] for line in history] == [0, 4, 0, 4]
    (error, *_) = [s["error"] for s in lines(tmp_path / "run" / "samples.jsonl") if "error" in s]
    assert "200 tokens" in error
    assert "context 128" in error


def test_a_run_of_which_no_prompt_fits_stops_and_says_so():
    with pytest.raises(TrainingError, match="200 tokens and the model's context 128"):
        train(spread, rows=[LONG], max_steps=50)


def test_a_reply_is_cut_off_at_the_end_of_the_context():
    _, history = train(spread, rows=[{"prompt": "t1 " * 125}], max_steps=2)
    assert history[0]["completion_tokens_mean"] <= 3
    assert history[0]["truncated_share"] > 0.5
    assert history[0]["failed_groups"] == 0


def test_a_prompt_without_tokens_costs_its_group_and_no_more():
    rows = [*ROWS[:3], {"id": "blank", "prompt": "   "}]
    _, history = train(spread, rows=rows, max_steps=4, shuffle_dataset=False)
    assert [line["failed_groups"] for line in history] == [0, 1, 0, 1]


def test_a_short_run_that_learned_nothing_does_not_end_well():
    with pytest.raises(TrainingError):
        train(lambda group: [], max_steps=1)


def test_evaluation_refuses_rows_without_a_prompt():
    with pytest.raises(ConfigurationError, match="Example 0"):
        begin(likes_fives).evaluate([{"question": "t1"}])


def test_a_dataset_that_can_be_read_only_once_is_refused():
    with pytest.raises(ConfigurationError, match="dataset"):
        begin(rows=iter(ROWS))


@pytest.mark.parametrize(
    "name",
    ["samples.jsonl", "rewards.jsonl"],
)
def test_a_full_disk_under_a_file_stops_the_run(tmp_path, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).symlink_to("/dev/full")
    with pytest.raises(RunFolderError, match=f"{name} cannot be written") as caught:
        train(spread, out=tmp_path / "run")
    assert "make room" in str(caught.value)
    (tmp_path / "run" / name).unlink()
    _, history = train(spread, out=tmp_path / "run", resume=True)
    assert len(history) == len(lines(tmp_path / "run" / "metrics.jsonl")) == 3


def test_a_full_disk_is_named(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "samples.jsonl").symlink_to("/dev/full")
    with pytest.raises(RunFolderError, match="No space left"):
        train(spread, out=tmp_path / "run")


def test_metrics_on_a_full_device_are_not_read_for_ever(tmp_path):
    folder = RunFolder(tmp_path / "run", {})
    (tmp_path / "run" / "metrics.jsonl").symlink_to("/dev/full")
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), before[1]))
    try:
        assert folder.metrics() == []
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        folder.close()


def test_a_metrics_file_that_outgrows_its_limit_stays_whole(tmp_path):
    """A disk that fills up in the middle of a line."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(line):
        size = (tmp_path / "run" / "metrics.jsonl").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, before[1]))

    try:
        with pytest.raises(RunFolderError, match=r"jsonl cannot be written: File too large"):
            train(spread, out=tmp_path / "run", save_steps=0, report=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [line["step"] for line in lines(tmp_path / "run" / "metrics.jsonl")] == [1]
    _, history = train(spread, out=tmp_path / "run", save_steps=0, resume=True)
    assert [line["step"] for line in history] == [1, 2, 3]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot be used as a run folder"):
        begin(out=tmp_path / "file")
    with pytest.raises(ConfigurationError, match="run folder"):
        begin(resume=True)
