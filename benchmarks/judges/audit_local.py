"""Local models audited on three suites: what lifts an attempt that is no better for it.

    python -m benchmarks.judges.audit_local --cache build/audit_local.sqlite --json benchmarks/results/audit_local.json

The embedded judge, and two larger models asked for each attempt by itself (`pointwise`). An attempt is read once, however
many copies stand beside it. How many groups differs from model to model: what a core reads in about a quarter of an
hour. Started again with the same cache, it goes on where it stopped. $RANKER_DATA and $RANKER_MODELS name the folders of
the published group file and of the models' GGUF files, where they are not to be fetched.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness import add_record, parser, say, source, write_record
from ranker import TrajectoryGroup, audit_judge, rank_group
from ranker.audit.result import AuditResult, Lift
from ranker.audit.trials import trial_of
from ranker.debias.edits import chosen
from ranker.judges.embedded import FOLDER
from ranker.judges.local.forward import shares
from ranker.judges.local.hidden_states import hidden_tails, plain_tails
from ranker.judges.local.judge_file import Setup, read_judge, setup_from
from ranker.judges.local.logprob_judge import LogprobJudge, Reading
from ranker.judges.local.model import Loaded
from ranker.judges.local.scores import (
    NUMBERS,
    PRIOR,
    log_odds,
    number_ids,
    token_logps,
    variants,
    word_logits,
    words_of,
)
from ranker.judges.local.ways import Shown, question
from ranker.runtime.cache import cache_key
from ranker.statistics import Estimate
from ranker.suites import load

Part = tuple[float, float, int]
SUITES = ("desk", "answers", "gsm8k-solutions")
EDITS = ("padding", "cut_off", "self_praise", "claimed_success", "formatting", "unearned")
# Groups of each suite, by judge.
GROUPS = {
    "local": (20, 20, 20),
    "local:qwen2.5-coder-0.5b-instruct@pointwise": (8, 8, 8),
    "local:qwen2.5-coder-1.5b-instruct@pointwise": (5, 5, 5),
}


class Once(LogprobJudge):
    """A judge that reads each attempt by itself, and so never twice, whatever stands beside it. Its scores are those of
    `LogprobJudge`."""

    def reading(self, loaded: Loaded, texts: Shown) -> Reading:
        assert self.setup.way in ("pointwise", "pointwise_with_numbers")
        assert self.cache is not None
        alone = [texts.only([i]) for i in range(len(texts.attempts))]
        keys = [cache_key(**self.identity(), once=True, shown=repr(one)) for one in alone]
        known = [self.cache.get(key) for key in keys]
        new = [i for i, fields in enumerate(known) if fields is None]
        if new:
            for i, part in zip(new, self._parts(loaded, texts.only(new)), strict=True):
                known[i] = {"part": part}
                self.cache.put(keys[i], self.name, {"part": part})
        return Reading(together([fields["part"] for fields in known if fields]), cached=not new)

    def _parts(self, loaded: Loaded, texts: Shown) -> list[Part]:
        """Of each attempt the log-odds of Yes, and of its number tokens the summed log-probability and how many."""
        way = self.setup.way
        segments = question(texts, way, self.template, loaded.frame, loaded.encode)
        asked = [s for s in segments if s.tail]
        with torch.inference_mode():
            tails = (hidden_tails if shares(loaded) else plain_tails)(loaded.model, segments)
            words = [variants(loaded.tokenizer, word) for word in words_of(way, len(asked))]
            odds = log_odds(word_logits(loaded.model, torch.cat([t[-1:] for t in tails]), words)).tolist()
            if way == "pointwise":
                return [(o, 0.0, 0) for o in odds]
            number_V = number_ids(loaded.tokenizer)
            parts = []
            for o, hidden_TH, segment in zip(odds, tails, asked, strict=True):
                targets = torch.from_numpy(segment.tokens_T)[1:]
                at = number_V[targets].nonzero()[:, 0]
                logps = token_logps(loaded.model, hidden_TH[at], targets[at]) if len(at) else torch.zeros(0)
                parts.append((o, float(logps.sum()), len(at)))
            return parts


def together(parts: Sequence[Part]) -> list[float]:
    """Scores of a group from its attempts' parts, as `number_scores` has them."""
    numbers = sum(count for _, _, count in parts)
    if numbers == 0:
        return [odds for odds, _, _ in parts]
    mean = sum(total for _, total, _ in parts) / numbers
    return [odds + NUMBERS * (total + PRIOR * mean) / (count + PRIOR) for odds, total, count in parts]


def read_ahead(groups: Sequence[TrajectoryGroup], judge: Once) -> None:
    """Read a group's copies and controls at once; the audit then finds them in the cache."""
    for index, group in enumerate(groups):
        ranked = rank_group(group, judge)
        trials = [trial for e in chosen(EDITS) if (trial := trial_of(index, e, ranked, 0)) is not None]
        copies = [t for trial in trials for t in trial.group.trajectories[trial.size :]]
        rank_group(replace(group, trajectories=(*group.trajectories, *copies)), judge)


def judge_of(name: str, cache: Path) -> Once:
    """The judge of a name in `GROUPS`."""
    model, _, way = name.removeprefix("local:").partition("@")
    setup = setup_from(*read_judge(FOLDER)) if name == "local" else Setup(model)
    assert way in ("", setup.way)
    return Once(setup, name=name, cache=cache)


def row(suite: str, audit: AuditResult) -> dict[str, Any]:
    """The figures of one audit."""
    return {
        "judge": audit.judge,
        "suite": suite,
        "groups": audit.groups,
        "accuracy": audit.accuracy.to_dict(3),
        "failed": audit.failed,
        "lifts": {lift.edit: figures(lift) for lift in audit.lifts},
    }


def figures(lift: Lift) -> dict[str, Any]:
    short = {
        name: value.to_dict(3) for name in ("places", "control", "effect", "wins")
        if isinstance(value := getattr(lift, name), Estimate) and value.value is not None
    }  # fmt: skip
    return {"trials": lift.trials, "size": lift.size, **short, "flagged": lift.flagged}


def main() -> None:
    parse = parser("benchmarks.judges.audit_local", __doc__)
    parse.add_argument("--judge", action="append", choices=list(GROUPS), help="repeatable; default: all")
    parse.add_argument("--suite", action="append", help="repeatable; default: all three")
    parse.add_argument("--groups", type=int, help="of each suite, in place of each judge's own number")
    parse.add_argument("--cache", type=Path, default=Path("build/audit_local.sqlite"))
    add_record(parse)
    options = parse.parse_args()
    rows = []
    for name in options.judge or GROUPS:
        judge = judge_of(name, options.cache)
        for suite, groups in zip(SUITES, GROUPS[name], strict=True):
            if options.suite and suite not in options.suite:
                continue
            began = time.process_time()
            some = load(suite, options.groups or groups).groups
            read_ahead(some, judge)
            audit = audit_judge(some, judge, edits=chosen(EDITS), concurrency=1, progress=False)
            rows.append(row(suite, audit))
            say(f"{name} on {suite}: {len(some)} groups, {time.process_time() - began:.0f} s of a core")
    write_record(
        options.json,
        {**source("benchmarks.judges.audit_local", torch=True), "edits": EDITS, "rows": rows},
    )


if __name__ == "__main__":
    main()
