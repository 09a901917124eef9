"""Rollouts from a server: the same training as in this process, always with the present adapter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.grpo_runs import (
    ROWS,
    begin,
    fives,
    furthest,
    lines,
    seeded,
    settings,
    spread,
    train,
    untimed,
    weights,
)
from tests.vllm_server import LORA, SETUP

pytest_plugins = ("tests.vllm_fixtures",)


async def converses(policy: Any, row: Any) -> list[Any]:
    messages = [{"role": "user", "content": row["prompt"]}]
    for turn in range(3):
        message = (await policy.chat(messages)).choices[0].message
        messages += [message.model_dump(exclude_none=True), {"role": "user", "content": f"t{turn}"}]
    return messages[:-1]


@pytest.mark.parametrize(
    "case",
    [
        {},
        {"max_pending_groups": 0, "beta": 0.1, "num_iterations": 2},
        {"temperature": 0.7, "top_k": 12, "top_p": 0.95, "min_p": 0.01},
        {"rollout": converses, "loss_type": "grpo"},
    ],
    ids=["plain", "on policy", "truncated", "turns"],
)
def test_a_server_gives_the_run_that_this_process_gives(serving, tmp_path, case):
    setup = {**SETUP, "chat": "rollout" in case}
    options = {**LORA, "setup": setup, "adam_epsilon": 1e-3, **case}
    here = seeded(begin(spread, **options))
    expected = here.train()
    server = serving(mode="processed_logprobs" if "top_k" in case else "raw_logprobs")
    there, found = train(spread, out=tmp_path / "run", vllm_server_base_url=server.url, **options)
    assert len(found) == len(expected) == 3
    for a, b in zip(untimed(expected), untimed(found), strict=True):
        assert b.pop("server_mismatch") < 1e-5
        assert a.keys() == b.keys()
        for name in a:
            assert b[name] == pytest.approx(a[name], abs=1e-4), (a["step"], name)
    assert furthest(weights(here), weights(there)) < 1e-4
    assert found[0]["sampler_mismatch"] < 1e-5
    assert found[-1]["grad_norm"] > 0


def test_every_step_samples_from_its_own_adapter(serving, tmp_path):
    server = serving()
    trainer, history = train(
        spread,
        out=tmp_path / "run",
        vllm_server_base_url=server.url,
        max_pending_groups=0,
        max_steps=4,
        **LORA,
    )
    assert all(line["sampler_mismatch"] < 1e-5 for line in history), "the ratio is 1 at every step"
    assert len({line["completion_tokens_mean"] for line in history}) > 1
    told = server.stats
    names = [call.split()[1] for call in told["calls"] if call.startswith("load")]
    assert [name.rsplit("-", 1)[1] for name in names] == ["0", "1", "2", "3"]
    assert len({name.rsplit("-", 1)[0] for name in names}) == 1
    assert set(told["asked"]) == set(names)
    assert set(told["asked"].values()) == {2 * 4 + 2}, "two groups of four, and two replies that are compared"
    assert [c for c in told["calls"] if c.startswith("unload")] == [f"unload {name}" for name in names]
    assert told["loaded"] == [], "all are unloaded, the last one at the end"
    assert list((tmp_path / "run" / "adapters").iterdir()) == []
    before = sum(told["asked"].values())
    for _ in range(2):
        groups = trainer.evaluate(ROWS[:3])
        assert [g.version for g in groups] == [4, 4, 4]
    told = server.stats
    later = told["asked"].keys() - set(names)
    assert [(name[-2:], told["asked"][name]) for name in later] == [("-4", 3 + 2)] * 2, (
        "no name is used twice"
    )
    assert sum(told["asked"].values()) == before + 10
    assert told["loaded"] == []


def test_a_server_may_be_started_anew_in_the_middle_of_a_rollout(serving, tmp_path):
    server = serving()
    count = 0

    async def rollout(policy: Any, row: Any) -> list[Any]:
        nonlocal count
        first = await policy.complete(row["prompt"])
        count += 1
        if count in (3, 11):
            server.restart()
        second = await policy.complete(row["prompt"])
        return [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": first + second}]

    options = {**LORA, "rollout": rollout, "max_pending_groups": 0}
    _, broken = train(spread, out=tmp_path / "run", vllm_server_base_url=server.url, **options)
    assert count == 3 * 8
    loads = [c for c in server.stats["calls"] if c.startswith("load")]
    assert loads[0].endswith("-1"), "the step's adapter was loaded again, since it is gone after a start"
    count = 100
    _, whole = train(spread, out=tmp_path / "other", vllm_server_base_url=serving().url, **options)
    for a, b in zip(untimed(whole), untimed(broken), strict=True):
        assert all(b[name] == pytest.approx(a[name], abs=1e-4) for name in a), a["step"]
    assert all(line["broken_rollouts"] == 0 for line in broken)


def test_a_run_goes_on_with_another_server(serving, tmp_path):
    out = tmp_path / "run"
    server = serving()
    options = {**LORA, "out": out, "max_steps": 5, "save_steps": 2}

    def stop(line: Any) -> None:
        if line["step"] == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(spread, vllm_server_base_url=server.url, report=stop, **options)
    (left,) = server.stats["loaded"]
    trainer, history = train(spread, vllm_server_base_url=[server.url, serving().url], resume=True, **options)
    assert [line["step"] for line in history] == [1, 2, 3, 4, 5]
    assert trainer.step == 5
    told = server.stats
    assert f"unload {left}" in told["calls"], "what the first run left is cleared away"
    assert told["loaded"] == []
    assert list((out / "adapters").iterdir()) == []
    held = lines(out / "metrics.jsonl")
    assert [line["step"] for line in held] == [1, 2, 3, 4, 5]
    assert held[2]["server_mismatch"] < 1e-5


def test_config_json_holds_no_key_of_a_server_s_address(serving, tmp_path):
    options = {**LORA, "out": tmp_path / "run", "max_steps": 1, "num_generations": 2, "groups_per_step": 1}
    address = f"{serving().url}/?key=CANARY-of-the-query"
    for resume in (False, True):
        train(spread, vllm_server_base_url=address, resume=resume, **options)
        held = (tmp_path / "run" / "config.json").read_text()
        assert "CANARY" not in held
        assert "http://127.0.0.1:" in held
    bare = "https://gateway.example/[key removed]/v1"
    keyed = "https://gateway.example/k9f3a7c2e5d8b1f4a6c9e2d5b8/v1"
    assert settings(vllm_server_base_url=keyed).to_record()["vllm_server_base_url"] == bare
    assert settings(vllm_server_base_url=[keyed, keyed]).to_record()["vllm_server_base_url"] == (bare, bare)
    assert settings().to_record() == settings().to_dict()


def test_several_servers_share_the_work(serving, tmp_path):
    two = [serving(), serving()]
    _, history = train(
        spread, out=tmp_path / "run", vllm_server_base_url=[s.url for s in two], num_generations=8, **LORA
    )
    assert history[-1]["server_mismatch"] < 1e-5
    asked: list[Counter[str]] = [Counter(s.stats["asked"]) for s in two]
    assert asked[0].keys() == asked[1].keys()
    assert all(sum(a.values()) > 12 for a in asked)
    assert sum((asked[0] + asked[1]).values()) == 3 * 16 + 3 * 4


def learn(url: str, out: Path) -> None:
    """One of two processes."""
    trainer, history = train(
        spread,
        out=out,
        vllm_server_base_url=url,
        checker=lambda t, row: fives(str(t.messages)),
        **{**LORA, "adam_epsilon": 1e-3},
    )
    if trainer.is_main:
        (out / "history.json").write_text(json.dumps(history))


@pytest.mark.slow
def test_two_processes_learn_from_a_server_what_one_learns(serving, tmp_path):
    launch = ["-m", "torch.distributed.run", "--nproc-per-node=2"]
    where = ["--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0"]
    root = Path(__file__).parents[2]
    alone = {
        "PYTHONPATH": str(root),
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
        "TOKENIZERS_PARALLELISM": "false",
    }
    server = serving()
    done = subprocess.run(
        [sys.executable, *launch, *where, __file__, server.url, str(tmp_path / "two")],
        env={**os.environ, **alone},
        cwd=root,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = server.stats
    assert sum(call.startswith("load") for call in told["calls"]) == 3, "one process loads"
    learn(serving().url, tmp_path / "one")
    one, two = (json.loads((tmp_path / name / "history.json").read_text()) for name in ("one", "two"))
    for a, b in zip(untimed(one), untimed(two), strict=True):
        assert a.keys() == b.keys()
        for name in a:
            assert b[name] == pytest.approx(a[name], abs=1e-4), (a["step"], name)


if __name__ == "__main__":
    learn(sys.argv[1], Path(sys.argv[2]))
