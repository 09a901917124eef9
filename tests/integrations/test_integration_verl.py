"""The reward manager in the installed verl: its config, its loader, its reward workers under Ray."""

from __future__ import annotations

import asyncio
import os
import random
import re
import string
from pathlib import Path

import numpy as np
import pytest

from ranker.errors import BudgetExceeded, ConfigurationError, GroupError, JudgeCallError

pytest.importorskip("verl")

import torch
import verl
from hydra import compose, initialize_config_dir
from tensordict import TensorDict
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from verl import DataProto
from verl.experimental.reward_loop.reward_loop import RewardLoopManager, migrate_legacy_reward_impl
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage
from verl.trainer.ppo.reward import load_reward_manager, resolve_reward_manager_cls

from ranker.integrations.verl import attempt_of, reward_manager

PROMPT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say a word."}]


def worth(text: str) -> float:
    if "poison" in text:
        raise KeyError("poison")
    return float(re.findall(r"worth (\d+)", text)[-1])


def letters() -> PreTrainedTokenizerFast:
    """A tokenizer whose tokens are characters."""
    vocabulary = {c: i for i, c in enumerate(["<pad>", "<end>", *string.printable])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>")


LETTERS = letters()


def ids(text: str) -> torch.Tensor:
    return torch.tensor(LETTERS.encode(text, add_special_tokens=False), dtype=torch.int64)


def rollout(uid: str, *texts: str) -> DataProto:
    """One rollout as verl's agent loop hands it to a reward worker, a row for each text of the policy."""
    asked = [ids("as the model was asked") for _ in texts]
    made = [torch.cat([ids(text), torch.tensor([LETTERS.eos_token_id])]) for text in texts]
    masks = [torch.ones(len(a) + len(m), dtype=torch.int64) for a, m in zip(asked, made, strict=True)]

    def padded(rows: list[torch.Tensor]) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=0)

    n = len(texts)
    batch = {"prompts": padded(asked), "responses": padded(made), "attention_mask": padded(masks)}
    of_the_row = {
        "uid": uid,
        "raw_prompt": PROMPT,
        "data_source": "words",
        "reward_model": {"ground_truth": "a secret answer"},
    }
    return DataProto(
        batch=TensorDict(batch, batch_size=n),
        non_tensor_batch={
            **{k: np.array([v] * n) for k, v in of_the_row.items()},
            "prompt_len": np.array([len(a) for a in asked]),
            "response_len": np.array([len(m) for m in made]),
        },
    )


def batch_of(*rollouts: tuple[str, str]) -> DataProto:
    """A whole batch as verl's trainer holds it: prompts padded left, responses right."""
    made = [torch.cat([ids(text), torch.tensor([LETTERS.eos_token_id])]) for _, text in rollouts]
    asked = ids("as the model was asked")
    width, length = len(asked) + 5, max(map(len, made)) + 3
    prompts = torch.zeros(len(made), width, dtype=torch.int64)
    responses = torch.zeros(len(made), length, dtype=torch.int64)
    prompts[:, 5:] = asked
    mask = torch.zeros(len(made), width + length, dtype=torch.int64)
    mask[:, 5:width] = 1
    for row, text in enumerate(made):
        responses[row, : len(text)] = text
        mask[row, width : width + len(text)] = 1
    raw = np.empty(len(made), dtype=object)
    raw[:] = [PROMPT for _ in made]
    return DataProto(
        batch=TensorDict(
            {"prompts": prompts, "responses": responses, "attention_mask": mask}, batch_size=len(made)
        ),
        non_tensor_batch={"uid": np.array([uid for uid, _ in rollouts], dtype=object), "raw_prompt": raw},
    )


PAGE = (Path(__file__).parents[2] / "docs" / "integrations" / "verl.md").read_text()
TOLD = re.findall(
    r"[a-z_.]+=[\w.-]+", re.findall(r"^```console\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)[0]
)


def config(path: Path, *overrides: str, size: int = 4):
    """verl's own configuration with what the documentation tells to set."""
    here = [f"reward.reward_manager.module.path={path}", f"actor_rollout_ref.rollout.n={size}"]
    with initialize_config_dir(str(Path(verl.__file__).parent / "trainer" / "config"), version_base=None):
        return migrate_legacy_reward_impl(compose("ppo_trainer", overrides=[*TOLD, *here, *overrides]))


@pytest.fixture
def program(tmp_path):
    """Write the file that the configuration names."""

    def write(server, **options) -> Path:
        path = tmp_path / "my_reward.py"
        given = "".join(f", {k}={v!r}" for k, v in options.items())
        path.write_text(
            "from ranker.integrations.verl import reward_manager\n\n"
            f'RankRewards = reward_manager("sim", base_url={server.base_url!r}{given})\n'
        )
        return path

    return write


def manager(program, server, *overrides: str, size: int = 4, **options):
    return load_reward_manager(config(program(server, **options), *overrides, size=size), LETTERS)


async def test_verl_loads_it_and_each_rollout_gets_its_rank(serve, program):
    server = serve(worth, keep_prompts=True)
    made = manager(program, server, passes=2)
    assert isinstance(made, RewardManagerBase)
    texts = {"worth 3": 1.0, "worth 1": 0.0, "worth 2, so": 0.5, "worth 2, or": 0.5}
    results = await asyncio.gather(*(made.run_single(rollout("p", text)) for text in texts))
    assert [r["reward_score"] for r in results] == list(texts.values())
    assert [r["reward_extra_info"] for r in results] == [
        {"acc": reward, "judge_calls": 2.0, "tied_groups": 0.0} for reward in texts.values()
    ]
    shown = server.prompts[0][-1]["content"]
    assert "Be brief." in shown
    assert "secret" not in shown
    assert "<end>" not in shown


async def test_groups_that_end_mixed_up_are_kept_apart(serve, program):
    server = serve(worth)
    made = manager(program, server)
    wanted = {(f"p{p}", f"worth {value} of p{p}"): value / 3 for p in range(5) for value in range(4)}
    order = list(wanted)
    random.Random(0).shuffle(order)
    results = await asyncio.gather(*(made.run_single(rollout(*which)) for which in order))
    assert [r["reward_score"] for r in results] == pytest.approx([wanted[which] for which in order])
    assert server.requests == 5


async def test_a_failed_group_is_an_error_for_each_rollout_and_leaves_the_others_alone(serve, program):
    made = manager(program, serve(worth), size=2)
    results = await asyncio.gather(
        *(made.run_single(rollout(*which)) for which in
          [("bad", "worth 1 poison"), ("good", "worth 1"), ("bad", "worth 2"), ("good", "worth 2")]),
        return_exceptions=True,
    )  # fmt: skip
    assert [type(r) for r in results] == [JudgeCallError, dict, JudgeCallError, dict]
    assert [r["reward_score"] for r in results[1::2]] == [0.0, 1.0]


async def test_an_incomplete_group_is_given_up_together(serve, program):
    server = serve(worth)
    made = manager(program, server, patience=0.3)
    results = await asyncio.gather(
        *(made.run_single(rollout("p", f"worth {i}")) for i in range(3)), return_exceptions=True
    )
    assert [type(r) for r in results] == [GroupError] * 3
    assert "3 of 4 rollouts of prompt p" in str(results[0])
    assert server.requests == 0
    # The same prompt again is a group of its own.
    again = await asyncio.gather(*(made.run_single(rollout("p", f"worth {i}")) for i in range(4)))
    assert [r["reward_score"] for r in again] == pytest.approx([0, 1 / 3, 2 / 3, 1])


async def test_rewards_become_verls_scores_and_advantages(serve, program):
    server = serve(worth)
    given = config(program(server), size=2)
    made = load_reward_manager(given, LETTERS)
    rollouts = [("p", "worth 1"), ("q", "worth 10 and more words"), ("q", "worth 9"), ("p", "worth 2")]
    data = batch_of(*rollouts)
    results = await asyncio.gather(*(made.run_single(data[i : i + 1]) for i in range(4)))
    rewards = [r["reward_score"] for r in results]
    assert rewards == [0.0, 1.0, 0.0, 1.0]
    scores = resolve_reward_manager_cls(given).assemble_rm_scores(data, rewards)
    lengths = data.batch["attention_mask"][:, data.batch["prompts"].size(1) :].sum(1)
    assert torch.equal(scores.sum(1), torch.tensor(rewards))
    assert torch.equal(scores[torch.arange(4), lengths - 1], torch.tensor(rewards))
    mask = torch.ones_like(scores)
    advantages, _ = compute_grpo_outcome_advantage(scores, mask, data.non_tensor_batch["uid"])
    assert torch.allclose(advantages[:, 0], torch.tensor([-1.0, 1.0, -1.0, 1.0]) / 2**0.5, atol=1e-4)


def test_all_contexts_of_a_rollout_are_shown():
    told = attempt_of(rollout("p", "a first context", "later"), LETTERS)
    assert [m["content"] for m in told.messages] == ["Be brief.", "Say a word.", "a first context"]
    ((asked, made),) = told.histories
    assert (asked["content"], made["content"]) == ("as the model was asked", "later")


async def test_limits_hold_for_all_groups(serve, program):
    server = serve(worth)
    made = manager(program, server, size=2, max_calls=1)
    await asyncio.gather(*(made.run_single(rollout("p", f"worth {i}")) for i in range(2)))
    results = await asyncio.gather(
        *(made.run_single(rollout("q", f"worth {i}")) for i in range(2)), return_exceptions=True
    )
    assert [type(r) for r in results] == [BudgetExceeded] * 2


async def test_what_cannot_work_is_told_before_training(serve, program):
    server = serve(worth)
    with pytest.raises(ConfigurationError):
        reward_manager("sim", base_url=server.base_url, no_such_option=1)
    with pytest.raises(ConfigurationError, match="at least 2 rollouts"):
        manager(program, server, size=1)
    with pytest.raises(ConfigurationError, match="val_kwargs"):
        manager(program, server, "trainer.test_freq=5")
    with pytest.raises(ConfigurationError, match=r"reward\.num_workers=9 or more"):
        manager(program, server, "data.train_batch_size=1025")
    assert manager(program, server, "trainer.test_freq=5", "actor_rollout_ref.rollout.val_kwargs.n=4")
    data = rollout("p", "worth 1")
    del data.non_tensor_batch["uid"]
    with pytest.raises(GroupError, match="uid"):
        await manager(program, server).run_single(data)


@pytest.mark.enable_socket
@pytest.mark.timeout(500)
async def test_rollouts_of_a_group_meet_whichever_reward_worker_they_come_to(serve, program, tmp_path):
    """Real Ray, verl's own reward workers in processes of their own."""
    import ray

    server = serve(worth)
    LETTERS.save_pretrained(tmp_path / "tokenizer")
    given = config(
        program(server, max_calls=4),
        f"actor_rollout_ref.model.path={tmp_path / 'tokenizer'}",
        "reward.num_workers=2",
        "data.train_batch_size=16",
    )
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    ray.init(num_cpus=3, include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False)
    try:
        workers = RewardLoopManager(given).reward_loop_worker_handles
        assert len(workers) == 2
        wanted = [(f"p{p}", f"worth {value} of p{p}", value / 3) for p in range(4) for value in range(4)]
        sent = [
            workers[i % 2].compute_score.remote(rollout(uid, text)) for i, (uid, text, _) in enumerate(wanted)
        ]
        results = await asyncio.gather(*sent)
        assert [r["reward_score"] for r in results] == pytest.approx([reward for _, _, reward in wanted])
        assert server.requests == 4
        # The limit is the run's, not each worker's; and the error says so in the worker's caller.
        over = [workers[i % 2].compute_score.remote(rollout("q", f"worth {i}")) for i in range(4)]
        failed = await asyncio.gather(*over, return_exceptions=True)
        assert all(isinstance(f, BudgetExceeded) for f in failed)
    finally:
        ray.shutdown()


async def test_the_program_of_the_page(serve, tmp_path, monkeypatch):
    server = serve(worth)
    monkeypatch.setenv("OPENAI_API_BASE", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-the-documents-0000")
    path = tmp_path / "my_reward.py"
    path.write_text(re.findall(r"^```py\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)[0])
    made = load_reward_manager(config(path, size=2), LETTERS)
    results = await asyncio.gather(*(made.run_single(rollout("p", f"worth {i}")) for i in range(2)))
    assert [r["reward_score"] for r in results] == [0.0, 1.0]
