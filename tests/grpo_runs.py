"""Small training runs: in this process, or in processes of their own that can be killed.

`Nursery` imports torch once and forks a process for each run, so that a run starts in no time and can be
ended by SIGKILL at a chosen moment. A run is described by a spec, see `run`.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from grpo import GRPOConfig, GRPOTrainer
from ranker import rank_group
from ranker.watch.audit import Audit

torch.set_num_threads(1)  # more only wait for each other on matrices this small
SIZE = 40
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} <eos> {% endfor %}"
    "{% if add_generation_prompt %}assistant {% endif %}"
)
ROWS = [{"id": f"r{i}", "prompt": f"t{i} t{i + 1} t3"} for i in range(10)]


class FatalTokenizer(PreTrainedTokenizerFast):
    """Kills its process when it is saved for the n-th time, in the middle of that checkpoint."""

    dies_at = 0

    def save_pretrained(self, *args: Any, **kwargs: Any) -> Any:
        self.dies_at -= 1
        if self.dies_at == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().save_pretrained(*args, **kwargs)


def policy(seed: int = 0, chat: bool = False, **settings: Any) -> tuple[Any, Any]:
    """A Llama of two layers with random weights, and a tokenizer of forty words."""
    words = [f"t{i}" for i in range(SIZE - 6)] + ["user", "assistant", "tool", "<pad>", "<bos>", "<eos>"]
    raw = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<pad>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = FatalTokenizer(
        tokenizer_object=raw, eos_token="<eos>", pad_token="<pad>", bos_token="<bos>", padding_side="left"
    )
    if chat:
        tokenizer.chat_template = TEMPLATE
    ids = {"pad_token_id": SIZE - 3, "bos_token_id": SIZE - 2, "eos_token_id": SIZE - 1}
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=SIZE, max_position_embeddings=128, **{**ids, **shape, **settings})
    torch.manual_seed(seed)
    return LlamaForCausalLM(config), tokenizer


def fives(text: str) -> float:
    """How often t5 stands in a text: what the policies here learn to say."""
    return text.split().count("t5") / 8


def likes_fives(group: Any) -> list[float]:
    return [fives(t.messages[-1]["content"]) for t in group.trajectories]


def spread(group: Any) -> list[float]:
    """Differs between any two attempts that differ, so that no group is tied."""
    return [sum(map(ord, t.messages[-1]["content"])) % 97 / 97 for t in group.trajectories]


def opposite(group: Any) -> list[float]:
    return [1 - value for value in spread(group)]


def judge_at(url: str, **options: Any) -> Any:
    return partial(rank_group, judge="openai/sim", base_url=url, cache="off", **options)


def settings(**changed: Any) -> GRPOConfig:
    usual = {
        "num_generations": 4, "groups_per_step": 2, "max_steps": 3, "max_completion_length": 8,
        "learning_rate": 1e-2, "lr_scheduler_type": "constant", "save_steps": 2,
    }  # fmt: skip
    return GRPOConfig(**{**usual, **changed})


def train(
    reward_fn: Any = likes_fives, *, report: Any = None, **options: Any
) -> tuple[GRPOTrainer, list[dict[str, Any]]]:
    """Train to the end; what is no argument of the trainer is a setting."""
    trainer = begin(reward_fn, **options)
    try:
        return trainer, trainer.train(report)
    finally:
        trainer.close()


_ARGUMENTS = ("rollout", "checker", "out", "resume", "audit", "describe")


def begin(
    reward_fn: Any = likes_fives, *, model: Any = None, rows: Any = ROWS, setup: Any = None, **options: Any
) -> GRPOTrainer:
    causal, tokenizer = model or policy(**(setup or {}))
    given = {name: options.pop(name) for name in _ARGUMENTS if name in options}
    return GRPOTrainer(
        causal, tokenizer=tokenizer, dataset=rows, reward_fn=reward_fn, config=settings(**options), **given
    )


def seeded(trainer: Any) -> Any:
    """Have the engine in this process draw from the seeds that a server is sent."""
    inside = trainer.engine.generate

    async def generate(prompt: Any, random: Any, most: int | None = None) -> Any:
        return await inside(prompt, np.random.default_rng(int(random.integers(1 << 53))), most)

    trainer.engine.generate = generate
    return trainer


LONG = {"max_steps": 8, "save_steps": 2, "save_total_limit": None}


def halt(out: Path) -> Path:
    """Leave a run that stopped in its step 7, with checkpoints at 2, 4 and 6."""
    trainer = begin(spread, out=out, **LONG)

    def stop(line: Mapping[str, Any]) -> None:
        if line["step"] == 7:
            raise InterruptedError

    with contextlib.suppress(InterruptedError):
        trainer.train(stop)
    trainer.close()
    for thread in threading.enumerate():  # groups still at the judge are written when they come back
        if thread.name.startswith("reward-"):
            thread.join()
    return out


def weights(trainer: GRPOTrainer) -> dict[str, np.ndarray]:
    return {name: w.detach().float().numpy().copy() for name, w in trainer.model.named_parameters()}


def furthest(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> float:
    """The largest difference between any two weights."""
    assert a.keys() == b.keys()
    return max(float(np.abs(a[name] - b[name]).max()) for name in a)


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


# What differs from run to run.
TIMED = ("tokens_per_second", "step_seconds", "generate_seconds", "judge_wait_seconds", "update_seconds")


def untimed(metrics: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in TIMED} for line in metrics]


def run(spec: Mapping[str, Any]) -> GRPOTrainer:
    """Train as told.

    Keys of `spec`: `out`, `resume`, `config` (settings), `policy` (of `policy`), `judge` (address of a judge
    server; without it the reward is a function), `calls` (a file that gets a line for each group the reward
    function is called with), `die` (when to kill itself: {"step": n}, {"reward": n} or {"save": n}),
    `hold` (the reward function waits until this file is gone), `audit` (settings of `Audit`, whose auditor is `spread` unless they say otherwise),
    `wrong` (the rewards are the opposite of `spread`), `limit` (largest file in bytes, of
    which the first checkpoint may have more).
    """
    die = spec.get("die", {})
    inside = judge_at(spec["judge"]) if spec.get("judge") else opposite if spec.get("wrong") else spread
    count = 0

    def reward(group: Any) -> Any:
        nonlocal count
        count += 1
        if spec.get("calls"):
            with open(spec["calls"], "a", encoding="utf-8") as file:
                file.write(f"{group.id}\n")
        if count == die.get("reward"):
            os.kill(os.getpid(), signal.SIGKILL)
        while spec.get("hold") and Path(spec["hold"]).exists():
            time.sleep(0.01)
        return inside(group)

    def report(line: Mapping[str, Any]) -> None:
        if line["step"] == die.get("step"):
            os.kill(os.getpid(), signal.SIGKILL)
        if line["step"] == 1 and spec.get("limit"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (spec["limit"], resource.RLIM_INFINITY))

    model = policy(**spec.get("policy", {}))
    model[1].dies_at = die.get("save", 0)
    trainer, _ = train(
        reward,
        model=model,
        report=report,
        out=spec["out"],
        resume=spec.get("resume", False),
        audit=Audit(**{"auditor": spread, **spec["audit"]}) if "audit" in spec else None,
        **spec.get("config", {}),
    )
    return trainer


class Nursery:
    """A process that has imported everything and forks one for each run."""

    def __init__(self) -> None:
        environment = {
            **os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "RANKER_CACHE": "off",
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.grpo_runs"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
            cwd=Path(__file__).parent.parent,
        )

    def _ask(self, **request: Any) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def start(self, spec: Mapping[str, Any]) -> int:
        """Begin a run; returns its process id."""
        return self._ask(run=dict(spec))

    def wait(self, pid: int) -> int:
        """Wait for its end; returns the exit status, negative for a signal."""
        return self._ask(wait=pid)

    def run(self, spec: Mapping[str, Any]) -> int:
        return self.wait(self.start(spec))

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


def serve() -> None:
    """The nursery's side: a request a line, a number a line in reply."""
    import peft  # noqa: F401 - it takes a second, once

    import grpo.trainer  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                child(request["run"])
        print(answer, flush=True)


def child(spec: Mapping[str, Any]) -> None:
    """Run a spec and leave; what an error says goes to OUT.log."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(f"{spec['out']}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    status = 0
    try:
        run(spec)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        status = 1
    os._exit(status)


if __name__ == "__main__":
    serve()
