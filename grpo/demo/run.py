"""`ranker demo`: the whole loop on a small agent, shown as it happens."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from grpo.cli.train import make_trainer, quiet
from grpo.config_file import read_settings
from grpo.runs.folder import whole_lines
from grpo.runs.metrics import mean_truth
from grpo.runs.plot import plot
from grpo.runs.progress import TrainingProgress
from grpo.trainer import GRPOTrainer
from grpo.types import RolloutGroup
from ranker import Audit
from ranker.statistics import percentile

_BARS = "▁▂▃▄▅▆▇█"


RETUNE = ("max_steps=48", "audit.on_alarm=retune", "audit.retune_every=16")


def demo(out: Path, changes: Sequence[str], console: Console, retune: bool = False) -> None:
    """Train the config `demo` and show what it did; leaves a run folder.

    Args:
        retune: whether the judge learns from its audits as it goes.
    """
    say = partial(console.print, highlight=False)
    settings = read_settings("demo", [*(RETUNE if retune else ()), *changes])
    quiet()
    held_out = settings.examples("eval_dataset") or []
    trainer = make_trainer(settings, out)
    config = settings.config
    say(
        "[bold]An agent learns from a judge's rankings.[/bold] It is a clerk at a returns desk with two tools, warm-started "
        "on attempts of clerks who\nmake mistakes. Each letter is answered "
        f"{config.num_generations} times; a judge orders the {config.num_generations} transcripts; ranks become rewards, and "
        "GRPO does the rest.\nThe judge is a language model in this process: SmolLM2-135M-Instruct with an adapter that comes "
        "with the package (no key, no server).\n" + _audit_in_words(settings.audit()) + "\n"
    )
    before = trainer.evaluate(held_out)
    say(f"Before: true reward {_mean_with_interval(before)} on {len(held_out)} letters it is not trained on.")
    try:
        with TrainingProgress(console, config.max_steps) as shown:
            history = trainer.train(shown)
        after = trainer.evaluate(held_out)
    finally:
        trainer.close()
    _group(console, out)
    _samples(console, before, after)
    show_audits(say, trainer, history, out)
    _curve(say, history, before, after)
    _cost(say, history, out)


def _audit_in_words(audit: Audit | None) -> str:
    if audit is None:
        return "A checker knows the truth. Neither judge nor policy ever sees it: it only draws the curve.\n"
    more = {
        "stop": "When they no longer agree, training stops and hands back the policy from before.",
        "retune": "The judge learns from its audits as the clerk goes on.",
    }.get(audit.on_alarm, "When they no longer agree, it says so.")
    taught = ", and trains on its ranking of those" if audit.train_on_audits else ""
    return (
        f"A strong judge audits {audit.share:.0%} of the groups{taught}; here the checker, which knows the truth, stands in for "
        f"it.\nThe watch compares the two judges. {more}\nOtherwise the truth only draws the curve.\n"
    )


def show_audits(
    say: Callable[[str], None], trainer: GRPOTrainer, history: Sequence[Mapping[str, Any]], out: Path
) -> None:
    """What the audits showed, and what followed."""
    line = history[-1]
    if line.get("audited_groups") is None:
        return
    asked, every = sum(1 for _ in whole_lines(out / "audits.jsonl")), sum(m["groups"] for m in history)
    agreed = [m["judge_agreement"] for m in history if m["judge_agreement"] is not None]
    if agreed:
        low, high = line["judge_agreement_low"], line["judge_agreement_high"]
        say(
            f"\nThe watch: the auditor was asked about {asked} of {every} groups ({asked / every:.0%}). The judge agreed with it on "
            f"{agreed[0]:.2f} of what it tells apart at first, and on {agreed[-1]:.2f} ({low:.2f} to {high:.2f}) in the latest audits: "
            f"{sparkline(agreed)}"
        )
    versions = [record for _, record in whole_lines(out / "retunes.jsonl")]
    for made in versions:
        what = "taken" if made["accepted"] else "left aside"
        measured = "" if "error" in made else (
            f": {made['before']['value']:.2f} → {made['after']['value']:.2f} on {made['held_out']} audited groups that it did not "
            "learn from"
        )  # fmt: skip
        say(f"  step {made['step']}: version {made['version']} of the judge {what}{measured}")
    if trainer.stopped is not None:
        say(
            f"[bold red]Alarm in step {trainer.stopped.step}:[/bold red] {escape(trainer.stopped.reason)}.\n"
            f"[bold]Training stopped there; the policy handed back is that of step {trainer.handed_back}.[/bold]"
        )
    elif not versions:
        say("No alarm: they agree still.")


def _mean_with_interval(groups: Sequence[RolloutGroup]) -> str:
    low, high = interval(groups)
    return f"{mean_truth(groups):.2f} (95 % interval {low:.2f} to {high:.2f})"


def interval(groups: Sequence[RolloutGroup]) -> tuple[float, float]:
    """95 % bootstrap interval of the mean ground truth, over examples."""
    truths = np.array([np.mean([t for t in g.ground_truths if t is not None]) for g in groups])
    mean = percentile(np.mean, truths)
    assert mean.low is not None
    assert mean.high is not None
    return mean.low, mean.high


def _group(console: Console, out: Path) -> None:
    """One of the first groups that the judge alone ranked: the attempts, its ranks, the truth."""
    audited = {audit["group"] for _, audit in whole_lines(out / "audits.jsonl")}
    group = next((g for _, g in whole_lines(out / "samples.jsonl") if g["group"] not in audited), None)
    if group is None:
        return
    title = "One of the first groups, as ranked"
    table = Table("rank reward", "truth", "what the clerk did", title=title, title_justify="left")
    for attempt in sorted(group["rollouts"], key=lambda a: -(a["reward"] or 0.0)):
        if attempt["messages"] is None or attempt["reward"] is None:
            continue
        table.add_row(
            f"{attempt['reward']:.2f}", f"{attempt['ground_truth']:.1f}", Text(_story(attempt["messages"]))
        )
    console.print(Text(f"\nA letter: {group['prompt'][-1]['content']}"))
    console.print(table)


def _story(messages: Sequence[Mapping[str, Any]]) -> str:
    """Calls, results and reply in one line."""
    parts = []
    for message in messages:
        for call in message.get("tool_calls") or []:
            spec = call["function"]
            arguments = spec["arguments"]
            arguments = json.loads(arguments) if isinstance(arguments, str) else arguments
            values = ", ".join(map(str, arguments.values())) if isinstance(arguments, dict) else arguments
            parts.append(f"{spec['name']}({values})")
        if text := message.get("content"):
            parts.append(text if message["role"] == "assistant" else "→ " + _short(text))
    return "  ".join(parts)


def _short(result: str) -> str:
    try:
        read = json.loads(result)
    except ValueError:
        return result
    return ", ".join(str(v) for k, v in read.items() if k != "order")


def _samples(console: Console, before: Sequence[RolloutGroup], after: Sequence[RolloutGroup]) -> None:
    title = "The same letters before and after"
    table = Table("letter", "before", "truth", "after", "truth", title=title, title_justify="left")
    ordered = sorted(range(len(before)), key=lambda i: (before[i].ground_truths[0] or 0.0, i))
    worst = ordered[: len(before) // 2]
    for i in worst[:: max(1, len(worst) // 4)][:4]:
        cells: list[Text | str] = []
        for group in (before[i], after[i]):
            trajectory = group.rollouts[0].trajectory
            story = "" if trajectory is None else _story(list(trajectory.messages)[2:])
            cells += [Text(story), f"{group.ground_truths[0]:.1f}"]
        table.add_row(Text(before[i].example["prompt"][-1]["content"]), *cells)
    console.print(table)


def _curve(
    say: Callable[[str], None],
    history: Sequence[Mapping[str, Any]],
    before: Sequence[RolloutGroup],
    after: Sequence[RolloutGroup],
) -> None:
    truths = [m["ground_truth_mean"] for m in history if m["ground_truth_mean"] is not None]
    agreed = [m["judge_accuracy"] for m in history if m["judge_accuracy"] is not None]
    say(f"\nTrue reward while training: {sparkline(truths)}  {truths[0]:.2f} → {truths[-1]:.2f}")
    if agreed:
        say(
            f"[bold]The judge ordered {np.mean(agreed):.0%} of the pairs as the truth does (50 % is chance).[/bold]"
        )
    say(
        f"[bold]True reward on held-out letters: {_mean_with_interval(before)} before, {_mean_with_interval(after)} after.[/bold]"
    )


def sparkline(values: Sequence[float]) -> str:
    """Values between 0 and 1 as a line of at most 50 bars."""
    parts = np.array_split(np.array(values), min(50, len(values)))
    return "".join(_BARS[min(len(_BARS) - 1, int(max(0.0, p.mean()) * len(_BARS)))] for p in parts)


def _cost(say: Callable[[str], None], history: Sequence[Mapping[str, Any]], out: Path) -> None:
    calls = sum(m["judge_calls"] for m in history)
    seconds = sum(m["step_seconds"] for m in history)
    waited = sum(m["judge_wait_seconds"] for m in history)
    say(
        f"{calls:,} judge calls cost ${sum(m['judge_cost_usd'] or 0.0 for m in history):.2f}. Training took {seconds:.0f} s, "
        f"{waited:.0f} s of them waiting for the judge."
    )
    if plot(history, out / "curves.png", "ranker demo"):
        say(f"Curves: {escape(str(out / 'curves.png'))}")
    say(
        f"Everything else: {escape(str(out))}\n\nYour own agent and your own judge:\n"
        "  ranker train my_run.toml --out run     (docs/training.md has a config to start from)"
    )
