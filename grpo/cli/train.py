"""`ranker train`: a run from a config file, from its first line on the screen to its picture."""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from grpo.config_file import Settings, read_settings
from grpo.rewards import Reward
from grpo.rollouts.collect import Example
from grpo.runs.folder import spent, write_json
from grpo.runs.metrics import mean_truth
from grpo.runs.plot import plot
from grpo.runs.progress import TrainingProgress
from grpo.trainer import GRPOTrainer
from grpo.types import RolloutGroup
from ranker import Budget, ConfigurationError, rank_group
from ranker.judges.options import JudgeOptions
from ranker.judges.preflight import preflight
from ranker.rank import judge_for
from ranker.runtime.event_loop import run_sync
from ranker.secrets import hide_fields
from ranker.usage import Usage
from ranker.watch.audit import Audit


def train(
    named: str, out: Path, resume: bool, changes: Sequence[str], console: Console
) -> list[dict[str, Any]]:
    """Train as a config says, into a run folder, with a progress line; evaluate before and after where there are
    examples for it. Returns the metrics of every step."""
    settings = read_settings(named, changes)
    held_out = settings.examples("eval_dataset")  # a file that is missing shows before a model is loaded
    if os.environ.get("RANK", "0") == "0":
        check_judges([*settings.rewards(), *auditor_of(settings)])  # so does a wrong key
    quiet()
    trainer = make_trainer(settings, out, resume)
    say = partial(console.print, highlight=False, markup=False)
    config = settings.config
    say(
        f"Training {settings.said['model']} for {config.max_steps} steps of {config.groups_per_step} groups of "
        f"{config.num_generations}, into {out}" + (f" (from step {trainer.step})" if trainer.step else "")
    )
    try:
        if trainer.step == 0:
            _evaluate(trainer, held_out, out, "before")
        with TrainingProgress(console, config.max_steps, trainer.step, shown=trainer.is_main) as progress:
            history = trainer.train(progress)
        after = _evaluate(trainer, held_out, out, "after")
    finally:
        trainer.close()
    if not trainer.is_main:
        return history
    if trainer.stopped is not None:
        say(
            f"[bold red]Stopped at step {trainer.stopped.step}:[/bold red] {escape(trainer.stopped.reason)}.\nThe policy handed "
            f"back is that of step {trainer.handed_back}. Go on with a better judge, or beyond the alarm with --resume --set "
            "audit.on_alarm=warn.",
            markup=True,
        )
    if plot(history, out / "curves.png", f"{named}: {settings.said['model']}"):
        say(f"Curves: {out / 'curves.png'}")
    if after is not None:
        before = _evaluations(out).get("before")
        earlier = before.get("ground_truth_mean") if isinstance(before, dict) else None
        comparison = f"{earlier:.3f} before, " if isinstance(earlier, float) else ""
        say(f"True reward on held-out examples: {comparison}{after:.3f} after")
    cost = sum(m["judge_cost_usd"] or 0.0 for m in history)
    calls = sum(m["judge_calls"] for m in history)
    if calls:
        say(f"The judge: {calls:,} calls, ${cost:.4f}")
    say(f"The trained model: {out / 'final'}")
    say(f"Its samples and curves: ranker view {out}")
    return history


def check_judges(rewards: Sequence[Reward]) -> None:
    """See that the servers of the judges among the rewards take their keys and know their names.

    Raises:
        RankerError: fatal; see `preflight`.
    """
    for reward in rewards:
        function = reward.function
        if isinstance(function, partial) and function.func is rank_group:
            settings = function.keywords
            options = {name: settings[name] for name in JudgeOptions.__annotations__.keys() & settings.keys()}
            judge, rule = settings.get("judge"), settings.get("reward", "rank")
            reach = settings.get("base_url"), settings.get("api_key")
            named = judge_for(judge, rule, *reach, options, credit=settings.get("credit"))
            run_sync(preflight(named))


def auditor_of(settings: Settings) -> list[Reward]:
    """The auditor, where it is a judge."""
    audit = settings.audit()
    return [Reward(audit.auditor, "auditor")] if audit is not None and callable(audit.auditor) else []


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
    rewards, audit = settings.rewards(), settings.audit()
    _allot(rewards, audit, out if resume else None)  # before groups that waited at a kill go to their judge
    return GRPOTrainer(
        model,
        tokenizer=tokenizer,
        dataset=examples,
        reward_fn=rewards,
        rollout=settings.function("rollout"),
        checker=settings.function("checker"),
        config=settings.config,
        out=out,
        resume=resume,
        audit=audit,
        describe=hide_fields({key: value for key, value in settings.said.items() if key != "audit"}),
    )


def _allot(rewards: Sequence[Reward], audit: Audit | None, out: Path | None) -> None:
    """Give each budget of a judge or the auditor what this process may spend: an equal part of what is left of the limit. What the
    run in `out` has spent so far counts; of several judges, all of it against each one's: a limit is never exceeded."""
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    by_judges, by_auditor = (Usage(), Usage()) if out is None else spent(out)
    asked: list[tuple[Any, Usage]] = [(reward.function, by_judges) for reward in rewards]
    asked += [(audit.auditor, by_auditor)] if audit is not None else []
    for function, usage in asked:
        budget: Budget | None = getattr(function, "keywords", {}).get("budget")
        if budget is None:
            continue
        budget.calls += usage.calls
        budget.cost_usd += (usage.cost_usd or 0.0) + usage.unconfirmed_usd
        if world > 1 and budget.max_calls is not None:
            share, more = divmod(max(0, budget.max_calls - budget.calls), world)
            budget.max_calls = budget.calls + share + (rank < more)
        if world > 1 and budget.max_cost_usd is not None:
            left = max(0.0, budget.max_cost_usd - budget.cost_usd)
            budget.max_cost_usd = budget.cost_usd + left / world


def _evaluate(trainer: GRPOTrainer, examples: Sequence[Example] | None, out: Path, when: str) -> float | None:
    """Mean ground truth on held-out examples, written to evaluation.json; None without examples or checker."""
    if not examples:
        return None
    groups = trainer.evaluate(examples)
    value = mean_truth(groups)
    if math.isnan(value) or not trainer.is_main:  # no rollout has a ground truth
        return None
    result = {"ground_truth_mean": value, "rows": len(examples), "samples": samples(groups, 3)}
    write_json(out / "evaluation.json", {**_evaluations(out), when: result})
    return value


def _evaluations(out: Path) -> dict[str, Any]:
    """What evaluation.json holds so far; nothing where it was torn."""
    try:
        held = json.loads((out / "evaluation.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return held if isinstance(held, dict) else {}


def samples(groups: Sequence[RolloutGroup], count: int) -> list[dict[str, Any]]:
    """What the policy said on the first examples."""
    return [
        {"ground_truth": g.ground_truths[0], "messages": list(t.messages)}
        for g in groups[:count]
        if (t := g.rollouts[0].trajectory) is not None
    ]
