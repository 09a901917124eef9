"""Writes docs/which-judge.md from the judges on record.

python -m docs.which_judge
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ranker.bench.records import BASELINE, Record, by_suite, newest, read_judges
from ranker.bench.records_text import MEANING, markdown
from ranker.suites import GENERATED, REAL

PAGE = Path(__file__).with_name("which-judge.md")
HEAD = """\
# Which judge should I use?

The one that orders *your* attempts well enough, at a price you can pay. Nobody can tell that from a table, but a few dozen groups
with ground truth can:

```bash
ranker recommend groups.jsonl --budget 1 --judge openai/gpt-5-nano --judge openai/gpt-5-mini
```

It forecasts what each judge would cost, without a call; ranks some of the groups with every judge that it can reach, up to the
budget; compares them on the same groups; and prints the command to use. Without `--judge` it looks at `local` and at usual API
judges, and says which keys it lacks. If your groups carry no ground truth, it says so and stops: rank 30 or more of them yourself
with [`ranker label`](labelling.md) and give it the result. The measurements lie in the folder `recommend` (`--out`), of the
form that [`ranker bench`](bench.md) writes, and the same command goes on with them: what was answered is not paid for again. The
budget is that of one call of the command. Where a judge costs more than was reckoned, because it thinks before it answers, and the
budget ends before it has ranked all the groups, nothing is recommended, with exit code 1; call it again to go on.

What it recommends: the cheapest judge that is within 0.05 of the best one with 95 % confidence; if none is, the best one; and
none at all if no judge is shown to beat a coin. The best one is the most accurate of those that are shown to. A judge that failed
on more than a fifth of the groups is left out, and named. With so few groups it often cannot tell two good judges apart, and says so.

The rest of this page is what is on record, which `ranker judges` shows as well:

```bash
ranker judges
ranker judges --suite humaneval-samples
```

It tells what to expect before you measure. Real attempts say more than generated ones, and neither says what a judge does on
yours. Which errors matter in training, beyond accuracy, is in [the study](study.md); what a judge can be talked into,
[`ranker audit`](bias.md) tells.

This page is generated from [judges.jsonl](../ranker/bench/data/judges.jsonl) by `python -m docs.which_judge`, so do not edit it.
"""
TAIL = """\
## Add a judge

```bash
ranker bench --judge openai/gpt-5-mini --suite game24 --groups 2 --out bench --publish judges.jsonl
ranker bench --judge openai/gpt-5-mini --suite game24 --accuracy-only --dry-run --out bench --publish judges.jsonl
ranker judges judges.jsonl --suite game24
```

The first measures (take all groups for a figure that is worth something) and appends a record to `judges.jsonl`; the second reckons
what the judge would cost, without a call. `ranker judges FILE` shows your records together with the packaged ones. Records hold
names of judges and suites, figures, date, version, commit and command; no keys, headers, folders or texts. To share yours, add
their lines to `ranker/bench/data/judges.jsonl`, and run `python -m docs.which_judge`.
"""


def page() -> str:
    """The whole page as Markdown."""
    records = newest(read_judges())
    measured = by_suite(r for r in records if not r.reckoned)
    asked = any(not r.reckoned and not r.judge.startswith("local") and r.judge != BASELINE for r in records)
    parts = [HEAD, "## On real attempts\n", f"{MEANING}\n", *_tables(measured, REAL)]
    parts += ["## On generated attempts\n", *_tables(measured, (*GENERATED, "desk"))]
    return "\n".join((*parts, _prices([r for r in records if r.reckoned], asked), TAIL, _commands(records)))


def _tables(measured: dict[str, list[Record]], suites: Sequence[str]) -> list[str]:
    return [f"### {suite}\n\n{markdown(measured[suite])}\n" for suite in suites if suite in measured]


def _prices(records: Sequence[Record], asked: bool) -> str:
    suites = [suite for suite in (*REAL, *GENERATED) if any(r.suite == suite for r in records)]
    cost = {(r.judge, r.suite): r.dollars for r in records}
    judges = sorted({r.judge for r in records}, key=lambda j: sum(cost.get((j, s)) or 0 for s in suites))
    if not judges:
        return ""
    rows = [["judge", *suites], ["---"] * (len(suites) + 1)]
    for judge in judges:
        figures = (cost.get((judge, suite)) for suite in suites)
        rows.append([f"`{judge}`", *("–" if x is None else f"{x:.2f}" for x in figures)])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    stated = ", ".join(sorted({f"{r.prices} on {r.date}" for r in records}))
    unasked = "" if asked else "No judge behind an API has been put on record yet. "
    return f"""\
## What API judges would cost

{unasked}Reckoned without a call: dollars for ranking 1,000 groups once, from the tokens of the prompts and a reply of a sentence on each
attempt, both estimated, at the list prices in {stated}. What a model thinks before it answers comes on top, and for judges that think can cost more than all the rest; `--batch` halves
the price where the provider has a batch API.

{table}
"""


def _commands(records: Sequence[Record]) -> str:
    lines: dict[str, list[str]] = {}
    for record in records:
        what = (
            "the prices above" if record.reckoned else f"{record.judge} on {record.suite}, {record.groups:,}"
        )
        lines.setdefault(made_by(record), []).append(what)
    shown = "\n".join(f"* {command}: {'; '.join(dict.fromkeys(what))}" for command, what in lines.items())
    return f"""\
## How each record was made

With JUDGE, SUITE and the number N of groups as stated; [judges.jsonl](../ranker/bench/data/judges.jsonl) has every command, with the commit.

{shown}
"""


def made_by(record: Record) -> str:
    """The command of a record, with what differs between records of one kind left open, its date, and its note."""
    command = record.command
    opened = ((record.judge, "--judge", "JUDGE"), (record.suite, "--suite", "SUITE"), (record.suite, "--families", "SUITE"),
              (str(record.groups), "--groups", "N"))  # fmt: skip
    for value, name, instead in opened:
        command = command.replace(f"{name} {value} ", f"{name} {instead} ")
    return f"`{command}`, {record.date}" + (f" ({record.note})" if record.note else "")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
