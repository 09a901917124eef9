"""TRL's side of `trl_overhead`: takes steps with one kind of reward function and prints their times as JSON.

It runs under the Python that has TRL. Ranker, and what it needs beyond that, may lie in folders named by `--also`; they
come after the Python's own.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import math
import os
import site
import sys
import tempfile
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
speed_model: Any = importlib.import_module("speed_model")
trl_side: Any = importlib.import_module("trl_side")


def plain(completions: list[str], **_: Any) -> list[float]:
    """A reward that costs nothing."""
    return [speed_model.reward(text) for text in completions]


def by_reward(trajectories: Any) -> list[float]:
    """A judge that ranks by that reward, in this process."""
    return [speed_model.reward(trajectory.messages[-1]["content"]) for trajectory in trajectories]


def reward_of(kind: str, base_url: str | None) -> Any:
    if kind == "plain":
        return plain
    from ranker.integrations.trl import rank_reward

    if kind == "function":
        return rank_reward(by_reward)
    return rank_reward("sim", base_url=base_url, cache="off")


def measure(work: Any, reward: Any) -> dict[str, Any]:
    trl = importlib.import_module("trl")
    datasets = importlib.import_module("datasets")
    whole = trl_side.Clock()
    with tempfile.TemporaryDirectory() as folder:
        batch = speed_model.GROUPS * speed_model.GENERATIONS
        trainer = trl.GRPOTrainer(
            model=speed_model.build_model(work),
            reward_funcs=reward,
            args=trl.GRPOConfig(
                output_dir=folder,
                use_cpu=True,
                bf16=False,
                gradient_checkpointing=False,
                per_device_train_batch_size=batch,
                num_generations=speed_model.GENERATIONS,
                max_completion_length=work.completion,
                max_steps=work.warm_up + work.steps,
                learning_rate=speed_model.LEARNING_RATE,
                seed=work.seed,
                report_to="none",
                logging_strategy="no",
                save_strategy="no",
                disable_tqdm=True,
            ),
            train_dataset=datasets.Dataset.from_list(speed_model.prompts(work)),
            processing_class=speed_model.build_tokenizer(),
        )
        trl_side.check_lengths(trainer, work)
        trainer.add_callback(trl_side.step_timer(whole))
        trainer.train()
        unrewarded = sum(
            math.isnan(value) for values in trainer._logs["rewards"].values() for value in values
        )
    if unrewarded:
        raise RuntimeError(f"{unrewarded} completions have no reward")
    return {
        "step_seconds": whole.seconds[work.warm_up :],
        "versions": {name: importlib.metadata.version(name) for name in ("trl", "transformers", "torch")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    speed_model.add_work(parser)
    parser.add_argument("--kind", choices=("plain", "function", "server"), required=True)
    parser.add_argument("--base-url", help="the judge's, for the kind `server`")
    parser.add_argument("--also", action="append", default=[], help="a folder with packages")
    given = parser.parse_args()
    for folder in given.also:
        site.addsitedir(folder)
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    warnings.simplefilter("ignore")
    with redirect_stdout(sys.stderr):
        told = measure(speed_model.work_of(given), reward_of(given.kind, given.base_url))
    print(json.dumps(told))


if __name__ == "__main__":
    main()
