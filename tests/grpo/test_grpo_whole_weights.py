"""All weights handed over to a server: the same training as in this process, never on other weights than the present ones."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from grpo.errors import TrainingError
from ranker import ConfigurationError
from tests.grpo_runs import begin, furthest, policy, seeded, spread, train, untimed, weights
from tests.vllm_server import SETUP

pytest_plugins = ("tests.vllm_fixtures",)
WHOLE: dict[str, Any] = {"setup": SETUP, "learning_rate": 3e-3, "adam_epsilon": 1e-3}
TIED = {**SETUP, "tie_word_embeddings": True}


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose output layer is its embeddings."""
    folder = tmp_path_factory.mktemp("tied")
    policy(**TIED)[0].save_pretrained(folder)
    return folder


@pytest.mark.parametrize("case", [{}, {"max_pending_groups": 0, "beta": 0.1}], ids=["plain", "on policy"])
def test_a_server_gives_the_run_that_this_process_gives(serving, tmp_path, case):
    here = seeded(begin(spread, **WHOLE, **case))
    expected = here.train()
    server = serving()
    there, found = train(spread, out=tmp_path / "run", vllm_server_base_url=server.url, **WHOLE, **case)
    for a, b in zip(untimed(expected), untimed(found), strict=True):
        assert b.pop("server_mismatch") < 1e-5
        assert all(b[name] == pytest.approx(a[name], abs=1e-4) for name in a), a["step"]
    assert furthest(weights(here), weights(there)) < 1e-4
    calls = server.stats["calls"]
    assert [c.rsplit("-", 1)[1] for c in calls if c.startswith("reload")] == ["0", "1", "2"]
    assert calls.count("reset") == 3, "nothing computed by earlier weights is left"
    assert list((tmp_path / "run" / "adapters").iterdir()) == []


def test_a_server_started_anew_gets_the_present_weights_again(serving, tmp_path):
    """It answers as before, by the weights of its start; such a reply is never trained on."""
    server = serving()
    count = 0

    async def rollout(policy: Any, row: Any) -> list[Any]:
        nonlocal count
        first = await policy.complete(row["prompt"])
        count += 1
        if count in (11, 19):
            server.restart()
        second = await policy.complete(row["prompt"])
        return [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": first + second}]

    options = {**WHOLE, "rollout": rollout, "max_pending_groups": 0}
    _, broken = train(spread, out=tmp_path / "run", vllm_server_base_url=server.url, **options)
    assert [c.rsplit("-", 1)[1] for c in server.stats["calls"] if c.startswith("reload")] == ["2"], (
        "64 requests reload it once"
    )
    count = 100
    _, whole = train(spread, out=tmp_path / "other", vllm_server_base_url=serving().url, **options)
    for a, b in zip(untimed(whole), untimed(broken), strict=True):
        assert all(b[name] == pytest.approx(a[name], abs=1e-4) for name in a), a["step"]
    assert all(line["sampler_mismatch"] < 1e-5 for line in broken)


def test_a_tied_output_layer_arrives_with_the_embeddings(serving, tied, tmp_path):
    server = serving(model=str(tied))
    trainer, history = train(
        spread, out=tmp_path / "run", vllm_server_base_url=server.url, **{**WHOLE, "setup": TIED}
    )
    assert all(line["server_mismatch"] < 1e-5 for line in history)
    names = [c.rsplit("-", 1)[1] for c in server.stats["calls"] if c.startswith("reload")]
    assert names == ["0", "0", "1", "2"], "once with other embeddings, to see"
    here = seeded(begin(spread, **{**WHOLE, "setup": TIED}))
    here.train()
    assert furthest(weights(here), weights(trainer)) < 1e-4, "the look left no trace"


def test_a_server_that_keeps_the_tied_output_layer_is_refused_at_once(serving, tied, tmp_path):
    server = serving(model=str(tied), keeps_head=True)
    with pytest.raises(ConfigurationError, match="keeps the old one"):
        begin(
            spread, out=tmp_path / "run", vllm_server_base_url=server.url, **{**WHOLE, "setup": TIED}
        ).train()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"dev": False}, "VLLM_SERVER_DEV_MODE=1"),
        ({"resets": False}, "could not be emptied"),
    ],
    ids=["no way", "stale cache"],
)
def test_a_server_that_cannot_take_weights_is_named(serving, tmp_path, spec, message):
    server = serving(**spec)
    with pytest.raises(ConfigurationError, match=message) as caught:
        begin(spread, out=tmp_path / "run", vllm_server_base_url=server.url, **WHOLE).train()
    assert server.url in str(caught.value)


def test_a_server_that_does_not_see_the_folder_is_named(serving, tmp_path, monkeypatch):
    from grpo.runs import checkpoint

    monkeypatch.setattr(
        checkpoint, "save_whole", lambda folder, model, tokenizer: None
    )  # a folder of its own
    with pytest.raises(ConfigurationError, match="under this very path"):
        begin(spread, out=tmp_path / "run", vllm_server_base_url=serving().url, **WHOLE).train()


def test_another_run_on_the_same_server_is_noticed(serving, tmp_path):
    server = serving()

    async def rollout(policy: Any, row: Any) -> list[Any]:
        body = json.dumps({"new_version": "policy-ffffffff-3.12345678"}).encode()
        request = urllib.request.Request(f"{server.url}/update_weight_version", data=body)
        urllib.request.urlopen(request, timeout=10).close()
        said = await policy.complete(row["prompt"])
        return [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": said}]

    with pytest.raises(TrainingError, match="Another run put its weights"):
        train(spread, out=tmp_path / "run", vllm_server_base_url=server.url, rollout=rollout, **WHOLE)
