"""`ranker train`: a run from a config file, from its first line on the screen to its picture."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from grpo.config_file import Settings, read_settings
from grpo.rollouts.collect import Example
from grpo.runs.metrics import mean_truth
from grpo.runs.plot import plot
from grpo.runs.progress import TrainingProgress
from grpo.trainer import GRPOTrainer
from grpo.types import RolloutGroup
from ranker import ConfigurationError


def train(
    named: str, out: Path, resume: bool, changes: Sequence[str], console: Console
) -> list[dict[str, Any]]:
    """Train as a config says, into a run folder, with a progress line; evaluate before and after where there are
    examples for it. Returns the metrics of every step."""
    settings = read_settings(named, changes)
    held_out = settings.examples("eval_dataset")  # a file that is missing shows before a model is loaded
    quiet()
    trainer = make_trainer(settings, out, resume)
    say = partial(console.print, highlight=False)
    config = settings.config
    say(
        f"Training {settings.said['model']} for {config.max_steps} steps of {config.groups_per_step} groups of "
        f"{config.num_generations}, into {out}" + (f" (from step {trainer.step})" if trainer.step else "")
    )
    try:
        if trainer.step == 0:
            _evaluate(trainer, held_out, out, "before")
        with TrainingProgress(console, config.max_steps, trainer.step) as progress:
            history = trainer.train(progress)
        after = _evaluate(trainer, held_out, out, "after")
    finally:
        trainer.close()
    if not trainer.is_main:
        return history
    if plot(history, out / "curves.png", f"{named}: {settings.said['model']}"):
        say(f"Curves: {out / 'curves.png'}")
    if after is not None:
        before = _evaluations(out).get("before")
        comparison = f"{before['ground_truth_mean']:.3f} before, " if before else ""
        say(f"True reward on held-out examples: {comparison}{after:.3f} after")
    cost = sum(m["judge_cost_usd"] or 0.0 for m in history)
    calls = sum(m["judge_calls"] for m in history)
    if calls:
        say(f"The judge: {calls:,} calls, ${cost:.4f}")
    say(f"The trained model: {out / 'final'}")
    return history


def quiet() -> None:
    """Keep what transformers tells its developers off the screen."""
    from transformers.utils import logging as hf_logging

    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers|peft")


def make_trainer(settings: Settings, out: Path | None, resume: bool = False) -> GRPOTrainer:
    """The trainer that a config describes."""
    model, tokenizer = settings.model()
    examples = settings.examples()
    if not examples:
        raise ConfigurationError(f"The dataset {settings.said['dataset']} has no examples.")
    return GRPOTrainer(
        model,
        tokenizer=tokenizer,
        dataset=examples,
        reward_fn=settings.rewards(),
        rollout=settings.function("rollout"),
        checker=settings.function("checker"),
        config=settings.config,
        out=out,
        resume=resume,
        describe=settings.said,
    )


def _evaluate(trainer: GRPOTrainer, examples: Sequence[Example] | None, out: Path, when: str) -> float | None:
    """Mean ground truth on held-out examples, written to evaluation.json; None without examples or checker."""
    if not examples:
        return None
    groups = trainer.evaluate(examples)
    value = mean_truth(groups)
    if math.isnan(value) or not trainer.is_main:  # no rollout has a ground truth
        return None
    result = {"ground_truth_mean": value, "rows": len(examples), "samples": samples(groups, 3)}
    text = json.dumps({**_evaluations(out), when: result}, indent=2, ensure_ascii=False)
    (out / "evaluation.json").write_text(text, encoding="utf-8")
    return value


def _evaluations(out: Path) -> dict[str, Any]:
    """What evaluation.json holds so far."""
    file = out / "evaluation.json"
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}


def samples(groups: Sequence[RolloutGroup], count: int) -> list[dict[str, Any]]:
    """What the policy said on the first examples."""
    return [
        {"ground_truth": g.ground_truths[0], "messages": list(t.messages)}
        for g in groups[:count]
        if (t := g.rollouts[0].trajectory) is not None
    ]
