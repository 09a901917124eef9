"""Which run folders are refused, and which go on."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import pytest

from grpo import RunFolderError, TrainingError
from grpo.cli.train import make_trainer
from grpo.config_file import make_settings
from ranker import BudgetExceeded, JudgeCallError, RankerError
from ranker.jsonl.group_file import dump_line
from tests.grpo_runs import LONG, ROWS, begin, halt, likes_fives, policy, spread, train


@pytest.fixture
def halted(tmp_path: Path) -> Path:
    return halt(tmp_path / "run")


def test_a_folder_with_a_run_is_not_written_over(halted):
    before = {p: p.read_bytes() for p in halted.rglob("*") if p.is_file()}
    with pytest.raises(RunFolderError, match="holds a run already: go on with --resume"):
        begin(spread, out=halted, **LONG)
    assert before == {p: p.read_bytes() for p in halted.rglob("*") if p.is_file()}


def test_other_settings_are_named(halted):
    with pytest.raises(RunFolderError) as caught:
        begin(spread, out=halted, resume=True, **{**LONG, "learning_rate": 3e-4, "seed": 7})
    for part in ("learning_rate was 0.01 and is 0.0003", "seed was 0 and is 7"):
        assert part in str(caught.value)
    assert "beta" not in str(caught.value)
    begin(spread, out=halted, resume=True, **{**LONG, "save_steps": 3}).close()


@pytest.mark.parametrize("change", [{"format": 99}, {"format": None}, "[]", "{", ""])
def test_a_run_of_another_format_is_refused(halted, change):
    held = halted / "config.json"
    fields = json.loads(held.read_text())
    held.write_text(change if isinstance(change, str) else json.dumps({**fields, **change}))
    with pytest.raises(RunFolderError, match=r"format|cannot be read"):
        begin(spread, out=halted, resume=True, **LONG)


def test_another_model_is_refused(halted):
    with pytest.raises(RunFolderError, match="another model"):
        begin(spread, model=policy(hidden_size=16), out=halted, resume=True, **LONG)


def test_a_run_stopped_by_its_judge_goes_on_when_that_is_mended(tmp_path):
    def down(group):
        raise ConnectionError("no route to the judge")

    with pytest.raises(TrainingError, match="no route to the judge"):
        train(down, out=tmp_path / "run", max_steps=5, save_steps=2)
    _, history = train(likes_fives, out=tmp_path / "run", resume=True, max_steps=5, save_steps=2)
    assert [line["failed_groups"] for line in history] == [0] * 5


def test_a_judges_limit_is_of_the_whole_run_and_may_be_raised(serve, tmp_path):
    model, tokenizer = policy()
    model.save_pretrained(tmp_path / "tiny")
    tokenizer.save_pretrained(tmp_path / "tiny")
    (tmp_path / "rows.jsonl").write_bytes(b"".join(dump_line(row) for row in ROWS))
    server = serve(len)
    said = {
        "model": str(tmp_path / "tiny"),
        "dataset": str(tmp_path / "rows.jsonl"),
        "max_steps": 4,
        "groups_per_step": 2,
        "max_completion_length": 8,
        "save_steps": 1,  # groups that wait for the judge are in a checkpoint
        "judge": {"model": "sim", "base_url": server.base_url},
    }

    def limited(calls: int, resume: bool) -> list[dict[str, Any]]:
        trainer = make_trainer(
            make_settings({**said, "judge": {**said["judge"], "max_calls": calls}}, None),
            tmp_path / "run",
            resume,
        )
        try:
            return trainer.train()
        finally:
            trainer.close()

    for resume in (False, True):
        with pytest.raises(BudgetExceeded, match="max_calls=3"):
            limited(3, resume)
        assert server.requests == 3, "started again, it has spent its limit"
    assert len(limited(20, True)) == 4
    assert server.requests == 8


def test_a_run_begun_anew_takes_no_rewards_of_the_start_before(tmp_path):
    """Both judges fail before the first step: the folder is free to begin anew, and holds the first one's rewards."""
    asked: list[int] = []

    def first_only(group):
        asked.append(len(group))
        if len(asked) > 1:
            raise JudgeCallError("no such key", status_code=401)
        return [9.0] * (len(group) - 1) + [0.0]

    def refused(group):
        raise JudgeCallError("no such key", status_code=401)

    for judge, beta in ((first_only, 0.0), (refused, 0.1)):
        with pytest.raises(JudgeCallError):
            train(judge, out=tmp_path / "run", beta=beta)
    train(spread, out=tmp_path / "run", beta=0.1, resume=True)
    samples = [json.loads(line) for line in (tmp_path / "run" / "samples.jsonl").read_text().splitlines()]
    assert not [s for s in samples if any(r["reward"] == 9.0 for r in s["rollouts"])]


@pytest.mark.parametrize("ended", ["refused", "failed", "done"])
def test_a_run_goes_on_in_the_same_process(tmp_path, ended):
    """As in a notebook, where nobody calls close()."""
    if ended == "refused":
        with pytest.raises(RankerError):
            begin(spread, out=tmp_path / "run", rows=[])
    elif ended == "failed":
        with pytest.raises(TrainingError):
            begin(lambda group: [], out=tmp_path / "run").train()
    else:
        begin(spread, out=tmp_path / "run").train()
    gc.collect()
    begin(spread, out=tmp_path / "run", resume=True).close()


def test_config_json_holds_no_key_of_a_judge_s_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM_KEY", "CANARY-of-a-variable")
    model, tokenizer = policy()
    model.save_pretrained(tmp_path / "tiny")
    tokenizer.save_pretrained(tmp_path / "tiny")
    (tmp_path / "rows.jsonl").write_bytes(b"".join(dump_line(row) for row in ROWS))
    judge = {
        "model": "sim",
        "base_url": "http://127.0.0.1:1/k3yA9f8e7d6c5b4a39281706f/v1?key=CANARY-of-the-query",
        "extra": {"api_key": "CANARY-of-a-field", "top_p": 0.5},
        "headers": {"x-api-key": "$TEAM_KEY"},
    }
    said = {"model": str(tmp_path / "tiny"), "dataset": str(tmp_path / "rows.jsonl"), "judge": judge}
    for resume in (False, True):
        make_trainer(make_settings(said, None), tmp_path / "run", resume).close()
        held = (tmp_path / "run" / "config.json").read_text()
        assert "CANARY" not in held
        assert "k3yA9f8e" not in held
        assert json.loads(held)["judge"]["headers"] == {"x-api-key": "$TEAM_KEY"}
        assert json.loads(held)["judge"]["extra"]["top_p"] == 0.5
