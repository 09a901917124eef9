"""What `credit="turns"` costs a judge in tokens: prompt and reply with it and without, on the same groups.

    python -m benchmarks.judges.turn_tokens --json benchmarks/results/turn_tokens.json

The groups are those of the suites desk, toolenv and tau-airline, four attempts each ($RANKER_DATA names the folder of the
published file, where it is not to be fetched). The reply is of a judge that names one turn that helped and one that hurt for every
attempt, beside a reason of one sentence. Tokens are counted as judges count them before a call (`estimate_tokens`), and with
--tokenizer by a model's own tokenizer.json as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness import add_record, parser, source, write_record
from ranker import TrajectoryGroup
from ranker.aggregate.dedupe import distinct_of
from ranker.judges.base import Lineup
from ranker.judges.credit import Credit
from ranker.prompting.prompt import Prompt, build_prompt
from ranker.prompting.template import BLOCKS, RANK, TURN_BLOCKS, TURNS, load_template
from ranker.prompting.truncation import estimate_tokens
from ranker.suites import load
from ranker.trajectory import assistant_turns

SUITES = ("desk", "toolenv", "tau-airline")
REASON = "It looked up the right order first, but then replaced the item although the rules ask for a repair."
ASKED: tuple[Credit | None, ...] = (None, "turns")
Count = Callable[[str], int]


def reply(prompt: Prompt) -> str:
    """A reply as judges write it."""
    turns = prompt.turns
    said: dict[str, Any] = {"reasons": [{"id": name, "reason": REASON} for name in prompt.ids]}
    if turns is not None:
        said["turns"] = [
            {"id": name, "helped": [min(own)], "hurt": [max(own)] if len(own) > 1 else []}
            for name, own in zip(prompt.ids, turns, strict=True)
            if own
        ]
    return json.dumps({**said, "ranking": [[name] for name in prompt.ids]})


def tokens(group: TrajectoryGroup, credit: Credit | None, count: Count) -> tuple[int, int]:
    """Of the prompt and of the reply."""
    template = load_template(TURNS, None, TURN_BLOCKS) if credit else load_template(RANK, None, BLOCKS)
    lineup = Lineup(distinct_of(group).trajectories, group.task, group.rubric)
    prompt = build_prompt(lineup, template, room=None, count=count, credit=credit)
    return sum(count(message["content"]) for message in prompt.messages), count(reply(prompt))


def row(suite: str, groups: int, count: Count) -> dict[str, Any]:
    """The mean of a group, in tokens, and what the turns add."""
    some = [g for g in load(suite, groups).groups if len(distinct_of(g).trajectories) > 1]
    plain, turns = ([tokens(group, credit, count) for group in some] for credit in ASKED)
    before, after = (sum(map(sum, each)) for each in (plain, turns))
    n = len(some)
    attempts = [t for group in some for t in group.trajectories]
    return {
        "groups": n,
        "turns_per_attempt": round(sum(len(assistant_turns(t)) for t in attempts) / len(attempts), 1),
        "prompt": [round(sum(p for p, _ in each) / n) for each in (plain, turns)],
        "reply": [round(sum(r for _, r in each) / n) for each in (plain, turns)],
        "tokens": [before, after],
        "added": round(after / before - 1, 4),
    }


def measure(groups: int, count: Count) -> dict[str, Any]:
    """Every suite, and all together."""
    rows = {suite: row(suite, groups, count) for suite in SUITES}
    before, after = (sum(r["tokens"][i] for r in rows.values()) for i in (0, 1))
    return {**rows, "added": round(after / before - 1, 4)}


def main() -> None:
    options = parser("benchmarks.judges.turn_tokens", __doc__)
    options.add_argument("--groups", type=int, default=40)
    options.add_argument("--tokenizer", type=Path, help="a model's tokenizer.json")
    add_record(options)
    args = options.parse_args()
    record: dict[str, Any] = {
        **source("benchmarks.judges.turn_tokens"),
        "estimated": measure(args.groups, estimate_tokens),
    }
    if args.tokenizer is not None:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(args.tokenizer))
        record["tokenized"] = measure(args.groups, lambda text: len(tokenizer.encode(text).ids))
    write_record(args.json, record)


if __name__ == "__main__":
    main()
