"""`ranker demo`: the config demo, an agent trained on a judge's rankings; with --ranking, groups ranked by a local model."""

from __future__ import annotations

import itertools
import time
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ranker.aggregate.agreement import agreement
from ranker.errors import ConfigurationError
from ranker.extras import install
from ranker.jsonl.group_file import read_groups
from ranker.judges.provider_error import short
from ranker.prompting.transcript import transcribe
from ranker.rank import rank_groups
from ranker.ranked import RankedGroup
from ranker.testing import Behaviour, JudgeServer

_SHOWN = ("instructions-0", "service-0")


def demo(
    out: Annotated[Path | None, typer.Option(help="The run folder. Default: a new one, ranker-demo.")] = None,
    ranking: Annotated[
        bool, typer.Option("--ranking", help="Only rank twelve packaged groups with a small local model.")
    ] = False,
    judge: Annotated[
        str, typer.Option(help="With --ranking, a local judge: local, local:NAME or local:PATH.")
    ] = "local",
    passes: Annotated[int, typer.Option(min=1, help="With --ranking, passes over each group.")] = 1,
    retune: Annotated[
        bool,
        typer.Option(
            "--retune", help="The judge learns from its audits while it trains the agent (20 to 30 minutes)."
        ),
    ] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a setting of the config demo; repeatable."),
    ] = None,
) -> None:
    """Train a small agent on a judge's rankings, in a few minutes: no key, no GPU.

    A strong judge, for which the checker stands in, audits 18 % of the groups, and those are trained on what it says of them: the
    watch sees whether the judge is still right, and stops where it is not. Shows the true reward before and after with its curve, attempts before and after, and
    the judge's cost.
    With --ranking: the rewards that a small local model gives, beside the ground truth.
    """
    if ranking:
        _ranking(judge, passes)
        return
    try:
        from grpo.demo.run import demo as start  # needs torch, which the reward library does without
    except ImportError as error:
        raise ConfigurationError(f"The demo needs torch and more ({error}): {install('train')}.") from None
    numbered = (Path("ranker-demo" if n == 1 else f"ranker-demo-{n}") for n in itertools.count(1))
    folder = out or next(path for path in numbered if not path.exists())
    start(folder, changes or [], Console(emoji=False), retune)


def _ranking(judge: str, passes: int) -> None:
    console = Console(emoji=False)
    with resources.as_file(resources.files("ranker.suites") / "data" / "sample.jsonl") as path:
        groups = read_groups(path)
    console.print(
        f"Ranking {len(groups)} groups of {len(groups[0])} attempts with the judge {judge} …", markup=False
    )
    started = time.monotonic()
    ranked = list(rank_groups(groups, judge, passes=passes, concurrency=1))
    seconds = time.monotonic() - started
    for group in ranked:
        if group.group.id in _SHOWN:
            _show(console, group)
    with JudgeServer(groups, Behaviour(noise=0.25)) as server:  # the truth with some noise
        url = server.base_url
        better = list(rank_groups(groups, "openai/simulated", base_url=url, cache="off", progress=False))
    _compare(console, {ranked[0].judge: ranked, "simulated, better": better})
    _explain(console, ranked, seconds)


def _show(console: Console, ranked: RankedGroup) -> None:
    """One group's attempts, best reward first."""
    said = (
        ["the judge's reason"] if any(ranked.reasons) else []
    )  # a judge that reads probabilities gives none
    table = Table(
        "reward", "truth", "attempt", *said, title=f"Group {ranked.group.id}", title_justify="left"
    )  # fmt: skip
    order = sorted(range(len(ranked.group)), key=lambda i: -(ranked.rewards[i] or 0.0))
    for i in order:
        trajectory = ranked.group.trajectories[i]
        last = transcribe(trajectory).pieces[-1].partition("\n")[2].strip()
        figures = f"{ranked.rewards[i]:.2f}", f"{trajectory.ground_truth:.1f}"
        reason = [Text(ranked.reasons[i])] if said else []
        table.add_row(*figures, Text(short(last, 110)), *reason)
    console.print(table)


def _compare(console: Console, judged: dict[str, list[RankedGroup]]) -> None:
    kinds = list(dict.fromkeys(str(r.group.metadata["kind"]) for r in next(iter(judged.values()))))
    table = Table(
        "judge", *kinds, "all (95 % interval)", title="Agreement with the truth (0.5 is chance)", title_justify="left"
    )  # fmt: skip
    for name, ranked in judged.items():
        cells = [agreement([r for r in ranked if r.group.metadata["kind"] == kind]) for kind in kinds]
        table.add_row(Text(name), *(f"{cell.value:.2f}" for cell in cells), f"{agreement(ranked):.2f}")
    console.print(table)


def _explain(console: Console, ranked: list[RankedGroup], seconds: float) -> None:
    tokens = sum(r.usage.prompt_tokens for r in ranked)
    if agreement(ranked).above(0.5):
        verdict = "better than chance here. Measure it on your own groups before you train on it."
    else:
        verdict = (
            "not significantly better than chance: its rewards are mostly noise. It is used so that the demo "
            "runs without an API key; do not train on it."
        )
    console.print(
        f"\n{sum(r.usage.calls for r in ranked)} judge calls read {tokens:,} tokens in {seconds:.0f} s and cost nothing. "
        f"This judge is {verdict}\n"
        "The second judge is simulated: a server on this machine that knows the truth, with some noise. It shows what "
        "the figures of a good judge look like.\n"
        "A reward is linear in rank: the best attempt of a group gets 1, the worst 0, ties share. GRPO normalizes "
        "rewards within the group, so a judge only has to give an order.\n\n"
        "Your own groups, a better judge:\n"
        "  ranker rank groups.jsonl --judge openai/gpt-5-mini --out ranked.jsonl --max-cost 5",
        highlight=False,
    )
