"""Servers that are down, fail, hang, answer nonsense or serve something else: a right token or a clear error."""

from __future__ import annotations

import copy
import math
import socket
import threading
import time
import urllib.error
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpo import GRPOConfig, TrainingError
from grpo.errors import ReplyError
from grpo.rollouts.remote import read_reply, request_body
from grpo.rollouts.server import Answer, Server, context_of
from grpo.sampling import Sampling
from ranker import ConfigurationError
from tests.grpo_runs import begin, policy, spread, train
from tests.vllm_server import LORA, VLLMServer

pytest_plugins = ("tests.vllm_fixtures",)

PLAIN = Sampling(max_completion_length=8)
ENDS = frozenset({39})


def answer(tokens: Any = (3, 4, 39), logps: Any = (-1.0, -2.0, -0.5), **changed: Any) -> dict[str, Any]:
    """What a server says to the prompt 1, 2."""
    choice = {
        "token_ids": list(tokens),
        "prompt_token_ids": [1, 2],
        "logprobs": {"token_logprobs": list(logps), "top_logprobs": None},
        "finish_reason": "stop" if tokens and tokens[-1] == 39 else "length",
        **changed,
    }
    return {"choices": [choice], "usage": {"completion_tokens": len(tokens)}}


def read(data: Any, sampling: Sampling = PLAIN) -> Any:
    return read_reply(data, [1, 2], 8, sampling, ENDS, 40)


def test_a_reply_is_read_as_it_was_sampled():
    made = read(answer())
    assert (made.tokens, made.logps, made.support, made.ended) == ([3, 4, 39], [-1.0, -2.0, -0.5], [], True)
    assert not read(answer((3, 4), (-1.0, -2.0))).ended
    assert read(answer((3,), (1e-7,))).logps == [0.0], "rounding"
    without = answer()
    del without["usage"], without["choices"][0]["prompt_token_ids"]
    assert read(without).tokens == [3, 4, 39]


BROKEN = {
    "fewer ids": answer((3, 39)) | {"usage": {"completion_tokens": 3}},
    "fewer log-probs": answer(logps=(-1.0, -2.0)),
    "more log-probs": answer(logps=(-1.0, -2.0, -0.5, -0.5)),
    "both short": answer((3, 4), (-1.0, -2.0)) | {"usage": {"completion_tokens": 3}},
    "nothing": answer((), ()),
    "too many": answer([3] * 9, [-1.0] * 9),
    "nan": answer(logps=(-1.0, math.nan, -0.5)),
    "infinite": answer(logps=(-1.0, -math.inf, -0.5)),
    "null": answer(logps=(None, -2.0, -0.5)),
    "text": answer(logps=("-1.0", -2.0, -0.5)),
    "truth": answer(logps=(True, -2.0, -0.5)),
    "masked": answer(logps=(-9999.0, -2.0, -0.5)),
    "a logit": answer(logps=(7.5, -2.0, -0.5)),
    "unknown id": answer((3, 40, 39)),
    "negative id": answer((3, -1, 39)),
    "id as text": answer(("3", 4, 39)),
    "id as float": answer((3.0, 4, 39)),
    "ids as text": answer(token_ids="3 4 39"),
    "past the end": answer((3, 39, 4)),
    "no end": answer((3, 4, 5), finish_reason="stop"),
    "aborted": answer((3, 4, 5), finish_reason="abort"),
    "no choices": {"choices": []},
    "two choices": {"choices": [{}, {}]},
    "no object": {"choices": ["text"]},
    "empty": {},
}


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in BROKEN.items()])
def test_a_reply_that_cannot_be_trained_on_breaks_its_attempt(data):
    with pytest.raises(ReplyError, match="rollout server"):
        read(data)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (answer(token_ids=None), "no token ids.*0.10.2"),
        (answer(logprobs=None), "no log-probs"),
        (answer(prompt_token_ids=[1, 2, 2]), "another prompt"),
    ],
)
def test_a_server_of_another_kind_is_refused(data, told):
    with pytest.raises(ConfigurationError, match=told):
        read(data)


@given(st.lists(st.integers(0, 39), max_size=10), st.lists(st.floats(), max_size=10), st.integers(0, 10))
def test_whatever_is_read_is_whole(tokens, logps, counted):
    data = answer(tokens, logps)
    data["usage"]["completion_tokens"] = counted
    try:
        made = read(data)
    except ReplyError:
        return
    assert made.tokens == tokens
    assert len(tokens) == len(made.logps) == counted > 0
    assert all(-9999 < logp <= 0 for logp in made.logps)
    assert made.ended == (tokens[-1] == 39)


def test_what_truncated_sampling_left_is_taken_from_the_reply():
    sampling = Sampling(top_k=2)
    half = math.log(0.5)
    top = {"token_id:3": half, "token_id:7": half, "token_id:9": -9999.0}
    data = answer((3,), (half,), logprobs={"token_logprobs": [half], "top_logprobs": [top]})
    made = read(data, sampling)
    assert [kept.tolist() for kept in made.support] == [[3, 7]]
    for spoilt in (
        {**top, "token_id:7": -1.0},  # before it was renormalised
        {"token_id:7": half, "token_id:8": half},  # the one drawn is missing
        {"3": half, "7": half},  # no ids
        {"token_id:3": half, "token_id:77": half},
        None,
    ):
        bad = copy.deepcopy(data)
        bad["choices"][0]["logprobs"]["top_logprobs"] = [spoilt]
        with pytest.raises(ReplyError):
            read(bad, sampling)
    data["choices"][0]["logprobs"]["top_logprobs"] = None
    with pytest.raises(ReplyError, match="did not say"):
        read(data, sampling)


def test_a_request_leaves_nothing_to_the_servers_defaults():
    body = request_body([1, 2], 8, 5, Sampling(0.7, 20, 0.9, 0.01), ENDS)
    for name in ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "presence_penalty", "seed"):
        assert body[name] is not None, name
    assert body["stop_token_ids"] == [39]


@pytest.mark.parametrize(
    ("status", "text", "found"),
    [
        (400, "This model's maximum context length is 4096 tokens. However, you requested 9", 4096),
        (400, "over the context length", 0),
        (400, "top_k must be", None),
        (404, "maximum context length is 4096", None),
    ],
)
def test_a_refusal_for_length_is_told_from_others(status, text, found):
    assert context_of(Answer(status, {}, text)) == found


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"vllm_server_base_url": "localhost:8000"}, "no address"),
        ({"vllm_server_base_url": "file:///tmp"}, "no address"),
        ({"vllm_server_base_url": "http://user:secret-word@host:8000"}, r"\$RANKER_ROLLOUT_API_KEY"),
    ],
)
def test_addresses_that_are_none_are_refused(setting, told, tmp_path):
    with pytest.raises(ConfigurationError, match=told) as caught:
        begin(out=tmp_path / "run", lora_r=4, **setting)
    assert "secret-word" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"vllm_server_base_url": 8000}, "vllm_server_base_url .*text"),
        ({"vllm_server_base_url": ""}, "empty"),
        ({"vllm_server_base_url": []}, "empty"),
        ({"vllm_server_timeout": 0}, "vllm_server_timeout"),
        ({"vllm_server_base_url": "http://h:1", "top_p": 0.9}, "set top_k too"),
        ({"vllm_server_base_url": "http://h:1", "min_p": 0.1}, "set top_k too"),
    ],
)
def test_settings_that_cannot_work_are_refused(setting, told):
    with pytest.raises(ConfigurationError, match=told):
        GRPOConfig(**setting)


@pytest.mark.parametrize("url", ["http://h:8000", "http://h:8000/", "http://h:8000/v1", "http://h:8000/v1/"])
def test_an_address_may_end_in_v1(url):
    assert Server(url, None, 1.0, 1).url == "http://h:8000/v1"


def test_without_a_folder_for_weights_there_is_no_training_from_a_server():
    with pytest.raises(ConfigurationError, match="vllm_adapter_folder"):
        begin(lora_r=4, vllm_server_base_url="http://127.0.0.1:9")


def test_a_server_that_is_down_at_the_start_is_named(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(TrainingError, match=f"{url}/v1 is not there"):
        begin(out=tmp_path / "run", vllm_server_base_url=url, vllm_server_timeout=0.5, **LORA)
    assert not (tmp_path / "run").exists()


def test_a_judge_server_is_no_rollout_server(serve, tmp_path):
    with pytest.raises(ConfigurationError, match="no way to load adapters"):
        begin(out=tmp_path / "run", vllm_server_base_url=serve(len).base_url, **LORA)


@pytest.mark.parametrize(
    ("spec", "options", "told"),
    [
        ({"updating": False}, {}, "VLLM_ALLOW_RUNTIME_LORA_UPDATING"),
        ({"lora": False}, {}, "LoRA is not enabled.*--enable-lora and --max-lora-rank"),
        ({"max_lora_rank": 2}, {}, "rank 4 is greater than max_lora_rank 2.*--max-lora-rank of at least lora_r"),
        ({}, {"temperature": 0.5}, "before temperature.*--logprobs-mode processed_logprobs"),
        ({}, {"top_k": 3}, "--logprobs-mode processed_logprobs"),
        ({"mode": "processed_logprobs", "max_logprobs": 20}, {"top_k": 9}, "--max-logprobs 25"),
        ({"key": "right-key-abcdef"}, {}, r"refuses the key \(401\).*RANKER_ROLLOUT_API_KEY"),
    ],
)  # fmt: skip
def test_a_server_started_without_what_is_needed_is_refused(serving, tmp_path, spec, options, told):
    server = serving(**spec)
    kind = ReplyError if options == {"top_k": 3} else ConfigurationError
    with pytest.raises(kind, match=told):
        begin(out=tmp_path / "run", vllm_server_base_url=server.url, **LORA, **options)


def test_a_server_of_another_model_is_refused(serving, tmp_path):
    policy(seed=1, initializer_range=0.3)[0].save_pretrained(tmp_path / "other")
    with pytest.raises(ConfigurationError, match="it serves another model"):
        begin(out=tmp_path / "run", vllm_server_base_url=serving(model=str(tmp_path / "other")).url, **LORA)


def test_a_server_that_does_not_use_its_adapter_is_refused(serving, tmp_path):
    """At the first step the adapter changes nothing yet."""
    with pytest.raises(ConfigurationError, match="does not use what it loaded"):
        train(spread, out=tmp_path / "run", vllm_server_base_url=serving(deaf=True).url, max_steps=9, **LORA)


def test_one_server_among_others_that_does_not_use_its_adapter_is_found(serving, tmp_path):
    """Those that are right must not bring the difference down."""
    right, deaf = [serving() for _ in range(3)], serving(deaf=True)
    urls = [s.url for s in (*right, deaf)]
    with pytest.raises(ConfigurationError, match="does not use what it loaded") as caught:
        train(spread, out=tmp_path / "run", vllm_server_base_url=urls, max_steps=2, **LORA)
    assert deaf.url in str(caught.value)


def test_keys_reach_the_server_and_nothing_else(serving, tmp_path, monkeypatch):
    right, wrong = "right-key-0123456789", "wrong-key-0123456789"
    server = serving(key=right)
    monkeypatch.setenv("RANKER_ROLLOUT_API_KEY", wrong)
    with pytest.raises(ConfigurationError) as caught:
        begin(out=tmp_path / "run", vllm_server_base_url=server.url, **LORA)
    assert wrong not in str(caught.value)
    monkeypatch.setenv("RANKER_ROLLOUT_API_KEY", right)
    train(spread, out=tmp_path / "run", vllm_server_base_url=server.url, max_steps=1, **LORA)
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or right.encode() not in file.read_bytes(), file


@pytest.mark.parametrize("fault", ["500", "429", "503", "disconnect"])
def test_failures_that_pass_change_nothing(serving, tmp_path, fault):
    server = serving()
    found = []
    for name in ("whole", "failing"):
        trainer = begin(
            spread, out=tmp_path / name, vllm_server_base_url=server.url, max_steps=1, max_pending_groups=0, **LORA
        )  # fmt: skip
        if name == "failing":
            server.fail(fault, 3, after=4)
        found.append(trainer.train()[0])
    assert found[1]["broken_rollouts"] == 0
    assert found[1]["reward_mean"] == pytest.approx(found[0]["reward_mean"], abs=1e-6)
    assert found[1]["completion_tokens_mean"] == found[0]["completion_tokens_mean"]


@pytest.mark.parametrize("fault", ["nan", "short_logprobs", "short_ids", "unknown_id", "not_json"])
def test_a_bad_reply_costs_its_attempt_and_no_more(serving, tmp_path, fault):
    server = serving()
    trainer = begin(
        spread, out=tmp_path / "run", vllm_server_base_url=server.url, max_steps=2, max_pending_groups=0, **LORA
    )  # fmt: skip
    server.fail(fault, 1, after=5)
    first, second = trainer.train()
    assert first["broken_rollouts"] == 1
    assert first["failed_groups"] == second["broken_rollouts"] == 0
    assert math.isfinite(first["loss"])
    assert first["sampler_mismatch"] < 1e-5


@pytest.mark.parametrize("fault", ["500", "nan", "abort", "past_end"])
def test_a_server_that_only_answers_nonsense_stops_the_run(serving, tmp_path, fault):
    server = serving()
    trainer = begin(
        spread, out=tmp_path / "run", vllm_server_base_url=server.url, groups_per_step=4, num_generations=2, **LORA
    )  # fmt: skip
    server.fail(fault, 10_000)
    with pytest.raises((TrainingError, ReplyError), match=r"rollouts came to an end|failed"):
        trainer.train()


@pytest.mark.parametrize("fault", ["no_ids", "no_logprobs", "other_prompt"])
def test_a_server_that_changes_its_kind_stops_the_run(serving, tmp_path, fault):
    server = serving()
    trainer = begin(spread, out=tmp_path / "run", vllm_server_base_url=server.url, **LORA)
    server.fail(fault, 1, after=2)
    with pytest.raises(ConfigurationError):
        trainer.train()


def test_a_server_that_hangs_stops_the_run(serving, tmp_path):
    server = serving()
    trainer = begin(
        spread, out=tmp_path / "run", vllm_server_base_url=server.url, vllm_server_timeout=8.0, **LORA
    )
    server.fail("hang", 1, after=3)
    with pytest.raises(TrainingError, match=r"did not answer within 8 seconds.*--resume"):
        trainer.train()


def started_again(server: VLLMServer, gone: Callable[[], bool]) -> threading.Thread:
    """Starts the server anew once it is gone, as whoever runs it does."""

    def watch() -> None:
        while not gone():
            time.sleep(0.02)
        server.restart()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def is_down(server: VLLMServer) -> bool:
    try:
        server.get("/health")
    except urllib.error.HTTPError:
        return False
    except OSError:
        return True
    return False


def test_a_server_whose_engine_dies_while_it_loads_an_adapter_is_waited_for(serving, tmp_path):
    """Its front end answers 500 for a moment, as for an adapter that it refuses."""
    dies = tmp_path / "dies"
    dies.touch()
    server = serving(dies=str(dies))
    thread = started_again(server, lambda: is_down(server))
    trainer = begin(
        spread,
        out=tmp_path / "run",
        vllm_server_base_url=server.url,
        max_pending_groups=0,
        max_steps=2,
        **LORA,
    )
    thread.join()
    assert not dies.exists()
    assert [line["broken_rollouts"] for line in trainer.train()] == [0, 0]


def test_a_server_that_is_killed_while_it_loads_an_adapter_is_waited_for(serving, tmp_path):
    server = serving(load_seconds=1.0)
    count = 0

    def begun() -> bool:
        nonlocal count
        count += 1
        return count > 20  # 0.4 seconds, of the one that loading takes

    adapters = tmp_path / "run" / "adapters"
    thread = started_again(server, lambda: any(adapters.glob("policy-*/adapter_config.json")) and begun())
    trainer = begin(
        spread,
        out=tmp_path / "run",
        vllm_server_base_url=server.url,
        max_pending_groups=0,
        max_steps=1,
        **LORA,
    )
    thread.join()
    assert trainer.train()[0]["broken_rollouts"] == 0


def test_a_wait_is_announced_once_for_all_requests(serving, tmp_path, caplog):
    server = serving()
    trainer = begin(
        spread,
        out=tmp_path / "run",
        vllm_server_base_url=server.url,
        groups_per_step=8,
        max_pending_groups=0,
        max_steps=1,
        **LORA,
    )
    server.kill()
    thread = threading.Timer(4.0, server.start)
    thread.start()
    with caplog.at_level("WARNING", logger="ranker"):
        assert trainer.train()[0]["broken_rollouts"] == 0
    thread.join()
    waits = [r.getMessage() for r in caplog.records if "waiting" in r.getMessage()]
    assert len(waits) == 1
    assert server.url in waits[0]


def test_a_server_that_is_gone_at_the_end_holds_up_nothing(serving, tmp_path, caplog):
    server = serving()
    trainer = begin(spread, out=tmp_path / "run", vllm_server_base_url=server.url, max_steps=1, **LORA)
    with caplog.at_level("WARNING", logger="ranker"):
        (line,) = trainer.train(report=lambda line: server.kill())
    assert line["broken_rollouts"] == 0
    assert (tmp_path / "run" / "final").is_dir()
    assert any("could not unload" in r.getMessage() for r in caplog.records)


def test_a_server_that_goes_away_for_good_stops_the_run(serving, tmp_path):
    server = serving()
    trainer = begin(
        spread, out=tmp_path / "run", vllm_server_base_url=server.url, vllm_server_timeout=6.0, **LORA
    )
    server.kill()
    with pytest.raises(TrainingError, match=r"is not there.*--resume"):
        trainer.train()


@pytest.mark.parametrize("tells", [True, False], ids=["told", "found out"])
def test_replies_end_where_the_servers_context_ends(serving, tmp_path, tells):
    """Its context is shorter than the model's: some replies are cut off, one prompt has no room at all."""
    server = serving(context=9, tells=tells)
    rows = [{"prompt": "t1 t2 t3"}, {"prompt": " ".join(["t4"] * 20)}]
    trainer = begin(
        spread,
        rows=rows,
        out=tmp_path / "run",
        vllm_server_base_url=server.url,
        shuffle_dataset=False,
        max_pending_groups=0,
        max_steps=1,
        max_failed_share=1.0,
        **LORA,
    )
    (line,) = trainer.train()
    assert trainer.engine.context == 9
    assert line["truncated_share"] > 0
    assert line["completion_tokens_mean"] <= 6
    assert line["broken_rollouts"] == 4, "as in this process, a prompt without room breaks its attempts"
