"""`ranker train`: a run from a config file, from its first line on the screen to its picture."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from grpo.config_file import Settings, read_settings
from grpo.runs.metrics import mean_truth
from grpo.runs.plot import plot
from grpo.runs.progress import Shown
from grpo.trainer import GRPOTrainer
from grpo.types import RolloutGroup
from ranker import ConfigurationError


def train(
    named: str, out: Path, resume: bool, changes: Sequence[str], console: Console
) -> list[dict[str, Any]]:
    """Train as a config says, into a run folder; returns the metrics of every step."""
    settings = read_settings(named, changes)
    settings.rows("eval_dataset")  # a file that is missing shows before a model is loaded
    quiet()
    trainer = make_trainer(settings, out, resume)
    try:
        return run(trainer, settings, out, console, named)
    finally:
        trainer.close()


def quiet() -> None:
    """Keep what transformers tells its developers off the screen."""
    from transformers.utils import logging as told

    told.set_verbosity_error()
    told.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers|peft")


def make_trainer(settings: Settings, out: Path | None, resume: bool = False) -> GRPOTrainer:
    """The trainer that a config describes."""
    model, tokenizer = settings.model()
    rows = settings.rows()
    if not rows:
        raise ConfigurationError(f"The dataset {settings.said['dataset']} has no rows.")
    return GRPOTrainer(
        model,
        tokenizer=tokenizer,
        dataset=rows,
        reward_fn=settings.rewards(),
        rollout=settings.function("rollout"),
        checker=settings.function("checker"),
        config=settings.config,
        out=out,
        resume=resume,
        describe=settings.said,
    )


def run(
    trainer: GRPOTrainer, settings: Settings, out: Path, console: Console, named: str
) -> list[dict[str, Any]]:
    """Train with a progress line; evaluate before and after where there are rows for it."""
    config = settings.config
    held_out = settings.rows("eval_dataset")
    console.print(
        f"Training {settings.said['model']} for {config.max_steps} steps of {config.groups_per_step} groups of "
        f"{config.num_generations}, into {out}" + (f" (from step {trainer.step})" if trainer.step else ""),
        highlight=False,
    )
    before = _evaluation(trainer, held_out, out, "before") if trainer.step == 0 else None
    with Shown(console, config.max_steps, trainer.step) as shown:
        history = trainer.train(shown)
    after = _evaluation(trainer, held_out, out, "after")
    if not trainer.is_main:
        return history
    if plot(history, out / "curves.png", f"{named}: {settings.said['model']}"):
        console.print(f"Curves: {out / 'curves.png'}", highlight=False)
    if after is not None:
        held = before if before is not None else _earlier(out)
        told = f"{held:.3f} before, " if held is not None else ""
        console.print(f"True reward on held-out rows: {told}{after:.3f} after", highlight=False)
    cost = sum(m["judge_cost_usd"] or 0.0 for m in history)
    calls = sum(m["judge_calls"] for m in history)
    if calls:
        console.print(f"The judge: {calls:,} calls, ${cost:.4f}", highlight=False)
    console.print(f"The trained model: {out / 'final'}", highlight=False)
    return history


def _evaluation(trainer: GRPOTrainer, rows: Any, out: Path, when: str) -> float | None:
    """Mean ground truth on held-out rows, kept in evaluation.json; None without rows or checker."""
    if not rows:
        return None
    groups = trainer.evaluate(rows)
    value = mean_truth(groups)
    if math.isnan(value) or not trainer.is_main:  # no rollout has a ground truth
        return None
    file = out / "evaluation.json"
    held = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    held[when] = {"ground_truth_mean": value, "rows": len(rows), "samples": samples(groups, 3)}
    file.write_text(json.dumps(held, indent=2, ensure_ascii=False), encoding="utf-8")
    return value


def samples(groups: Sequence[RolloutGroup], count: int) -> list[dict[str, Any]]:
    """What the policy said on the first rows."""
    return [
        {"ground_truth": g.ground_truths[0], "messages": list(t.messages)}
        for g in groups[:count]
        if (t := g.rollouts[0].trajectory) is not None
    ]


def _earlier(out: Path) -> float | None:
    file = out / "evaluation.json"
    if not file.exists():
        return None
    held = json.loads(file.read_text(encoding="utf-8")).get("before")
    return None if held is None else float(held["ground_truth_mean"])
