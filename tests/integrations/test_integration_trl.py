"""Rankings as rewards of TRL's trainers: real training of small models."""

from __future__ import annotations

import asyncio
import datetime
import inspect
import json
import multiprocessing
import os
import pickle
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

from hypothesis import given
from hypothesis import strategies as st

from ranker import Audit, ConfigurationError, GroupError, JudgeAlarm, JudgeCallError, VerdictError
from ranker.aggregate.rewards import rank_rewards
from ranker.integrations.batch_layout import BatchLayout, groups_of
from ranker.integrations.completions import identity, messages_of, trajectory_of
from ranker.integrations.trl import rank_reward
from ranker.judges.verdict import tiers_of
from ranker.testing import Behaviour
from ranker.testing.simulated import blocks
from tests.grpo_models import llama, tokenizer

GROUP = 4
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "integrations" / "trl.md"
EXAMPLE = ROOT / "examples" / "train_with_trl.py"
LONELY = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "TOKENIZERS_PARALLELISM": "false"}


def digits(text: str) -> float:
    """The hidden truth: the sum of the digits of a text; those of the prompt are the same in a group."""
    return float(sum(int(c) for c in text if c.isdigit()))


def fair(texts: list[str]) -> list[float]:
    """The rewards that a group of completions should have."""
    return rank_rewards(tiers_of([digits(text) for text in texts]), len(texts))


def said(completion: Any) -> str:
    return completion if isinstance(completion, str) else completion[-1]["content"]


def rows(count: int, chat: bool, **columns: Any) -> list[dict[str, Any]]:
    texts = [f"w{i} w{i + 1}" for i in range(count)]
    return [{"prompt": [{"role": "user", "content": text}] if chat else text, **columns} for text in texts]


def trainer_of(folder: Path, reward: Any, dataset: list[dict[str, Any]], **changed: Any) -> Any:
    """TRL's trainer of a small Llama on the CPU: two groups of four a step, two steps."""
    import datasets
    import trl

    defaults = {
        "output_dir": str(folder),
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "per_device_train_batch_size": 2 * GROUP,
        "num_generations": GROUP,
        "max_completion_length": 6,
        "max_steps": 2,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "log_completions": True,
        "num_completions_to_print": 0,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
    }
    more = {name: changed.pop(name) for name in ("tools", "processing_class") if name in changed}
    return trl.GRPOTrainer(
        model=llama(),
        reward_funcs=reward,
        args=trl.GRPOConfig(**{**defaults, **changed}),
        train_dataset=datasets.Dataset.from_list(dataset),
        **{"processing_class": tokenizer(), **more},
    )


def completions(folder: Path) -> list[dict[str, Any]]:
    """The lines of TRL's own tables of completions, step by step."""
    import pandas

    tables = [pandas.read_parquet(file) for file in sorted(folder.glob("completions/*.parquet"))]
    return [row for table in tables for row in table.to_dict("records")]


def groups(lines: list[Any]) -> list[list[Any]]:
    return [lines[i : i + GROUP] for i in range(0, len(lines), GROUP)]


@pytest.mark.parametrize("chat", [False, True], ids=["text", "messages"])
def test_the_policy_is_rewarded_as_the_judge_ranks(serve, tmp_path, chat):
    server = serve(digits, keep_prompts=True)
    reward = rank_reward("sim", "More digits.", passes=2, base_url=server.base_url, seed=3)
    trainer = trainer_of(tmp_path, reward, rows(4, chat))
    before = [weight.detach().clone() for weight in trainer.model.parameters()]
    trainer.train()
    lines = completions(tmp_path)
    assert len(lines) == 2 * 2 * GROUP
    for group in groups(lines):
        assert len({str(line["prompt"]) for line in group}) == 1
        assert [line["rank_reward"] for line in group] == pytest.approx(
            fair([written(line) for line in group])
        )
        assert all(line["rank_reward/reason"].startswith("quality") or tied(group) for line in group)
    assert "More digits." in str(server.prompts[0])
    first, second, _ = trainer.state.log_history
    for log in (first, second):
        assert log["rewards/rank_reward/mean"] == pytest.approx(0.5)
        assert log["rank_reward/failed_groups"] == 0
        assert log["rank_reward/judge_seconds"] > 0
        assert 0 <= log["rank_reward/consistency"] <= 1
        assert 0 <= log["rank_reward/tied_groups"] <= 1
    assert any((a != b).any() for a, b in zip(before, trainer.model.parameters(), strict=True))


def written(line: dict[str, Any]) -> str:
    """What the policy said, from a line of TRL's table."""
    return said(line["completion"] if isinstance(line["completion"], str) else list(line["completion"]))


def tied(group: list[dict[str, Any]]) -> bool:
    return len({written(line) for line in group}) == 1


def test_rows_with_the_same_prompt_are_groups_of_their_own(serve, tmp_path):
    server = serve(digits, keep_prompts=True)
    reward = rank_reward("sim", base_url=server.base_url)
    prompt = [{"prompt": "w1 w2", "rubric": "Be first."}, {"prompt": "w1 w2", "rubric": "Be last."}]
    trainer_of(tmp_path, reward, prompt).train()
    shown = [blocks(prompt[-1]["content"]) for prompt in server.prompts]
    assert all(2 <= len(group) <= GROUP for group in shown)
    asked = Counter(
        "first" if "Be first." in str(p) else "last" if "Be last." in str(p) else "" for p in server.prompts
    )
    assert asked == {"first": 2, "last": 2}
    for group in groups(completions(tmp_path)):
        assert [line["rank_reward"] for line in group] == pytest.approx(
            fair([written(line) for line in group])
        )


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_judge_that_fails_costs_its_groups_and_training_goes_on(serve, tmp_path, share, caplog):
    server = serve(digits, faults={"prose": share}, seed=1)
    reward = rank_reward("sim", base_url=server.base_url, max_reasks=0)
    trainer = trainer_of(tmp_path, reward, rows(8, False), max_steps=4)
    before = [weight.detach().clone() for weight in trainer.model.parameters()]
    trainer.train()
    batch_groups = groups(completions(tmp_path))
    failed = [g for g in batch_groups if all(line["rank_reward"] != line["rank_reward"] for line in g)]  # NaN
    assert len(failed) == server.counts["prose"] > 0
    assert all(line["advantage"] == 0 for group in failed for line in group)
    for group in batch_groups:
        if group not in failed:
            assert [line["rank_reward"] for line in group] == pytest.approx(
                fair([written(line) for line in group])
            )
    *steps, _ = trainer.state.log_history
    assert len(steps) == 4
    assert sum(step["rank_reward/failed_groups"] for step in steps) / 4 == len(failed) / len(batch_groups)
    assert "groups have no rewards. VerdictError" in caplog.text
    weights = list(trainer.model.parameters())
    assert all(weight.isfinite().all() for weight in weights)
    if share == 1:
        assert all((a == b).all() for a, b in zip(before, weights, strict=True))


def test_training_stops_where_it_is_told_to_or_nothing_would_succeed(serve, tmp_path):
    broken = serve(digits, faults={"prose": 1.0})
    with pytest.raises(VerdictError):
        trainer_of(
            tmp_path,
            rank_reward("sim", base_url=broken.base_url, max_reasks=0, on_error="raise"),
            rows(4, False),
        ).train()
    locked = serve(digits, api_key="sk-right-000000")
    reward = rank_reward("sim", base_url=locked.base_url, api_key="sk-wrong-111111")
    with pytest.raises(JudgeCallError) as caught:
        trainer_of(tmp_path, reward, rows(4, False)).train()
    assert "sk-wrong" not in str(caught.value)
    assert "sk-wrong" not in repr(reward)


def test_an_audit_is_logged_and_stops_training_under_an_alarm(serve, tmp_path):
    def auditor(group: Any) -> list[float]:
        return [digits(t.messages[-1]["content"]) for t in group.trajectories]

    right = serve(digits)
    out = tmp_path / "audits.jsonl"
    audit = Audit(auditor=auditor, share=1.0, on_alarm="stop")
    reward = rank_reward("sim", base_url=right.base_url, audit=audit, audit_out=out)
    trainer = trainer_of(tmp_path, reward, rows(8, False), max_steps=3)
    trainer.train()
    first, _, last, _ = trainer.state.log_history
    assert last["rank_reward/judge_agreement"] == 1.0
    assert (first["rank_reward/audited_groups"], last["rank_reward/audited_groups"]) == (2, 6)
    assert [json.loads(line)["step"] for line in out.read_text().splitlines()] == [0, 0, 1, 1, 2, 2]
    wrong = serve(lambda text: -digits(text))
    reward = rank_reward("sim", base_url=wrong.base_url, audit=audit)
    trainer = trainer_of(tmp_path, reward, rows(8, False), max_steps=30, max_completion_length=12)
    with pytest.raises(JudgeAlarm, match="since step 0"):
        trainer.train()
    assert 0 < trainer.state.global_step < 30


def test_several_judges_are_asked_at_once(tmp_path):
    """Each waits for the other to be asked too."""
    asked = {"a": asyncio.Event(), "b": asyncio.Event()}

    def judge(own: str, other: str) -> Any:
        async def ranked(trajectories: Any) -> list[float]:
            asked[own].set()
            await asyncio.wait_for(asked[other].wait(), 60)
            return [digits(t.messages[-1]["content"]) for t in trajectories]

        return ranked

    rewards = [rank_reward(judge("a", "b"), name="a"), rank_reward(judge("b", "a"), name="b")]
    trainer_of(tmp_path, rewards, rows(4, False), max_steps=1).train()
    lines = completions(tmp_path)
    assert len(lines) == 2 * GROUP
    for group in groups(lines):
        for name in ("a", "b"):
            assert [line[name] for line in group] == pytest.approx(fair([written(line) for line in group]))


def add(a: int, b: int) -> int:
    """
    Adds two numbers.

    Args:
        a: the one
        b: the other
    """
    return a + b


def test_a_judge_is_shown_tools_and_what_they_said(serve, tmp_path):
    from trl.chat_template_utils import qwen3_chat_template

    server = serve(digits, keep_prompts=True)
    reward = rank_reward("sim", base_url=server.base_url)
    trainer = trainer_of(
        tmp_path, reward, rows(4, True), tools=[add], processing_class=tokenizer(template=qwen3_chat_template)
    )
    call = {"type": "function", "function": {"name": "add", "arguments": {"a": 1, "b": 2}}}
    attempts = [
        [
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "name": "add", "content": "3"},
            {"role": "assistant", "content": f"It is {n}."},
        ]
        for n in (3, 5, 4, 9)
    ]
    prompts = [[{"role": "user", "content": "One and two?"}]] * GROUP
    rewards = asyncio.run(reward(prompts=prompts, completions=attempts, log_metric=trainer._log_metric))
    assert rewards == pytest.approx([0, 2 / 3, 1 / 3, 1])
    prompt = str(server.prompts)
    assert "Adds two numbers." in prompt
    assert prompt.count("It is") == GROUP


def test_what_a_batch_does_not_make_whole_groups_of_is_refused(serve, tmp_path):
    server = serve(digits)
    reward = rank_reward("sim", base_url=server.base_url)
    trainer = trainer_of(tmp_path, reward, rows(4, False))
    called = {"completions": ["1", "2", "3", "4"], "log_metric": trainer._log_metric}
    with pytest.raises(ConfigurationError, match="do not share a prompt"):
        asyncio.run(reward(prompts=["a", "a", "b", "b"], **called))
    called["completions"] = ["1", "2", "3"]
    with pytest.raises(ConfigurationError, match="multiple"):
        asyncio.run(reward(prompts=["a", "a", "a"], **called))
    assert server.requests == 0


def test_without_a_trainer_completions_of_one_row_are_a_group(serve):
    server = serve(digits)
    reward = rank_reward("sim", base_url=server.base_url)
    prompts = ["a", "b", "a", "a", "b", "a"]
    answer = [0, 0, 1, 0, 0, 1]
    completions = ["1", "5", "3", "2", "4", "8"]
    rewards = asyncio.run(reward(prompts=prompts, completions=completions, answer=answer))
    assert rewards == [0, 1, 0, 1, 0, 1]
    assert server.requests == 3
    lone = asyncio.run(reward(prompts=["a", "a", "b"], completions=["1", "2", "3"]))
    assert lone == [0, 1, None]


def test_rows_that_differ_in_a_column_that_json_cannot_hold_are_groups_of_their_own(serve):
    server = serve(digits)
    reward = rank_reward("sim", base_url=server.base_url)
    when = [datetime.date(2026, 1, 1)] * 2 + [datetime.date(2026, 1, 2)] * 2
    rewards = asyncio.run(reward(prompts=["a"] * 4, completions=["1", "2", "3", "4"], when=when))
    assert rewards == [0, 1, 0, 1]
    assert server.requests == 2


def test_wrong_settings_are_told_before_training():
    for wrong in (
        {"passes": 0},
        {"on_error": "ignore"},
        {"concurrency": 0},
        {"reward": "best"},
        {"temprature": 1},
        {"rubric": " "},
    ):
        with pytest.raises(ConfigurationError):
            rank_reward("sim", **{"base_url": "http://127.0.0.1:1/v1", **wrong})


def test_limits_hold_for_the_whole_run(serve, tmp_path):
    server = serve(digits)
    reward = rank_reward("sim", base_url=server.base_url, max_calls=3)
    trainer = trainer_of(tmp_path, reward, rows(8, False), max_steps=4)
    trainer.train()
    assert server.requests == 3
    assert [log.get("rank_reward/failed_groups") for log in trainer.state.log_history[:4]] == [0, 0.5, 1, 1]


def test_it_is_an_async_function_with_a_name_and_survives_pickling(serve):
    server = serve(digits)
    reward = rank_reward("sim", "More digits.", base_url=server.base_url, name="judged")
    again = pickle.loads(pickle.dumps(reward))
    for one in (reward, again):
        assert inspect.iscoroutinefunction(one)
        assert one.__name__ == "judged"
    assert asyncio.run(again(prompts=["a", "a"], completions=["2", "1"])) == [1.0, 0.0]


def test_debiased_rewards_do_not_depend_on_which_group_was_judged_first(serve):
    """Groups are weighed in the order of the batch, and copies are no completions."""
    server = serve(digits, Behaviour(length_bias=3.0), keep_prompts=True)
    words = [f"{i * 7 % 10}" + " word" * (i * 5 % 9) for i in range(24)]
    prompts = [f"p{i // 4}" for i in range(24)]

    def rewards(**more):
        reward = rank_reward(
            "sim", base_url=server.base_url, reward="debiased", covariates=("length",), **more
        )
        again = pickle.loads(pickle.dumps(reward))
        return [asyncio.run(one(prompts=prompts, completions=words)) for one in (reward, reward, again)]

    first, second, again = rewards(concurrency=1)
    assert len(first) == 24
    assert first == again, "what a copy of the function begins with"
    assert first != second, "the function remembers the groups that it has seen"
    assert rewards(concurrency=16) == [first, second, again]
    assert len(blocks(server.prompts[0][-1]["content"])) == GROUP + 1
    sums = [sum(first[i : i + GROUP]) for i in range(0, 24, GROUP)]
    assert sums == pytest.approx([0.0] * 6, abs=1e-6)


def test_a_policy_is_trained_on_debiased_rewards(serve, tmp_path):
    server = serve(digits, Behaviour(length_bias=1.0))
    reward = rank_reward("sim", base_url=server.base_url, reward="debiased", passes=2)
    trainer = trainer_of(tmp_path, reward, rows(4, False), scale_rewards="batch")
    before = [weight.detach().clone() for weight in trainer.model.parameters()]
    trainer.train()
    lines = completions(tmp_path)
    assert len(lines) == 2 * 2 * GROUP, "copies are no completions"
    assert any(line["rank_reward"] < 0 for line in lines)
    assert any((a != b).any() for a, b in zip(before, trainer.model.parameters(), strict=True))


@pytest.mark.timeout(600)
def test_the_async_trainers_worker_scores_groups_with_it_in_a_spawned_process(serve):
    server = serve(digits)
    reward = rank_reward("sim", base_url=server.base_url)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=score_in_worker, args=(reward, results))
    process.start()
    process.join(500)
    assert process.exitcode == 0
    result = results.get(timeout=60)
    assert result == ([0.0, 1.0, 0.5], "rank_reward")


SHARED = (
    "rollout_buffer", "model_version_value", "heartbeat_value", "failed_event", "exception_info_queue", "metrics_queue",
)  # fmt: skip


def score_in_worker(reward: Any, results: Any) -> None:
    """One group through the rollout loop of TRL's asynchronous trainer, without a vLLM server."""
    import accelerate
    import datasets
    from trl.chat_template_utils import qwen3_chat_template
    from trl.experimental.async_grpo.async_rollout_worker import (
        RolloutGroup,
        TrainingSequence,
        _AsyncRolloutLoop,
    )

    accelerate.PartialState()  # as TRL's own child does, for its log
    loop = _AsyncRolloutLoop(
        model_name="tiny",
        dataset=datasets.Dataset.from_list(rows(2, True)),
        reward_funcs=[reward],
        processing_class=tokenizer(template=qwen3_chat_template),
        eos_token_ids=[1],
        num_generations=3,
        **dict.fromkeys(SHARED),
    )
    texts = ["1", "3", "2"]
    turns = [[TrainingSequence([4, 5], [0, 1], [0.0, -1.0], i)] for i in range(3)]
    group = RolloutGroup(
        prompts=[[{"role": "user", "content": "Say a number."}]] * 3,
        reward_kwargs={"answer": ["3"] * 3},
        completions=[[{"role": "assistant", "content": text}] for text in texts],
        completions_ids=[[5]] * 3,
        completions_sequences=turns,
        tool_call_counts=[0] * 3,
        tool_failure_counts=[0] * 3,
        model_version=0,
        group_id=0,
        env_rewards=[None] * 3,
        rollout_rewards=[None] * 3,
    )
    samples = asyncio.run(loop._score_group(group))
    results.put(([s.metrics["rewards/rank_reward"] for s in samples], loop.reward_func_names[0]))


# What needs no trainer.


@given(st.lists(st.sampled_from("abcde"), max_size=30))
def test_every_completion_is_in_one_group_of_its_like(keys):
    positions = groups_of(keys, None)
    assert sorted(i for members in positions for i in members) == list(range(len(keys)))
    for members in positions:
        assert {i for i, key in enumerate(keys) if key == keys[members[0]]} == set(members)


@given(st.lists(st.sampled_from("ab"), max_size=6), st.integers(1, 5))
def test_groups_of_known_size_are_neighbours(rows_of, size):
    keys = [key for key in rows_of for _ in range(size)]
    positions = groups_of(keys, size)
    assert [i for members in positions for i in members] == list(range(len(keys)))
    assert [keys[members[0]] for members in positions] == rows_of


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=20), st.lists(st.integers(0, 20), max_size=3))
def test_each_group_is_judged_in_one_process_that_holds_its_start(keys, cuts):
    inside = sorted(min(cut, len(keys)) for cut in cuts)
    starts = (0, *inside, len(keys))
    groups = groups_of(keys, None)
    layouts = [BatchLayout(groups, starts, rank) for rank in range(len(starts) - 1)]
    assert sorted(members for layout in layouts for members in layout.local_groups) == sorted(groups)
    for layout in layouts:
        needed = {i for members in layout.local_groups for i in members}
        assert all(layout.is_local(i) or i in layout.scattered for i in needed)


def test_prompts_and_completions_become_messages():
    tools = [
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
    ]
    told_tools = trajectory_of([{"role": "user", "content": "Q"}], tools)
    assert [m["role"] for m in told_tools.messages] == ["user", "assistant"]
    assert [m["content"] for m in trajectory_of("Q", "A").messages] == ["Q", "A"]
    with pytest.raises(GroupError):
        trajectory_of("Q", [{"role": "robot", "content": "A"}])


class Picture:
    """Like PIL's images: JSON cannot hold it, and it tells its bytes."""

    def __init__(self, pixels: bytes):
        self.pixels = pixels

    def tobytes(self) -> bytes:
        return self.pixels


def test_the_same_picture_is_the_same_prompt():
    def asked(pixels: bytes) -> list[dict[str, Any]]:
        parts = [{"type": "image", "image": Picture(pixels)}, {"type": "text", "text": "What is it?"}]
        return [{"role": "user", "content": parts}]

    assert identity(asked(b"a")) == identity(asked(b"a")) != identity(asked(b"b"))
    assert json.dumps(messages_of(asked(b"a"), "user")) != json.dumps(messages_of(asked(b"b"), "user"))
    trajectory_of(asked(b"a"), "A cat.")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("source", [PAGE, EXAMPLE], ids=["page", "example"])
def test_the_page_and_the_example_do_what_they_say(serve, tmp_path, source):
    """Their programs, with a model of some thousand weights and two steps."""
    server = serve(digits, keep_prompts=True)
    (code,) = (
        re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
        if source == PAGE
        else [EXAMPLE.read_text()]
    )
    llama().save_pretrained(tmp_path / "tiny")
    tokenizer().save_pretrained(tmp_path / "tiny")
    for there, here in {
        '"Qwen/Qwen2.5-0.5B-Instruct"': '"tiny"',
        "max_steps=100": "max_steps=2, use_cpu=True, bf16=False",
    }.items():
        assert there in code
        code = code.replace(there, here)
    reached = {
        "OPENAI_API_BASE": server.base_url,
        "OPENAI_API_KEY": "sk-for-the-documents-0000",
        "RANKER_JUDGE": "openai/gpt-5-mini",
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, **LONELY, **reached},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert server.counts["ok"] == server.requests == 2
    assert "the image counts, not the rhyme" in str(server.prompts[0])
    assert "Unclosed" not in done.stderr
