"""Writes docs/which-judge.md from the judges on record.

python -m docs.which_judge
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ranker.bench.records import Record, by_suite, newest, read_judges
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
form that [`ranker bench`](bench.md) writes, and the same command goes on with them.

What it recommends: the cheapest judge that is within 0.05 of the best one with 95 % confidence; if none is, the best one; and
none at all if no judge is shown to beat a coin. With so few groups it often cannot tell two good judges apart, and says so.

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
    parts = [HEAD, "## On real attempts\n", f"{_legend()}\n", *_tables(measured, REAL)]
    parts += ["## On generated attempts\n", *_tables(measured, (*GENERATED, "desk"))]
    return "\n".join((*parts, _prices([r for r in records if r.reckoned]), TAIL, _commands(records)))


def _legend() -> str:
    return f"{MEANING} A dash: not measured."


def _tables(measured: dict[str, list[Record]], suites: Sequence[str]) -> list[str]:
    return [f"### {suite}\n\n{markdown(measured[suite])}\n" for suite in suites if suite in measured]


def _prices(records: Sequence[Record]) -> str:
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
    return f"""\
## What API judges would cost

Nobody has put a measurement of these judges on record yet. Their price can be reckoned without a call: dollars for ranking 1,000
groups once, from the tokens of the prompts and a reply of a sentence on each attempt, at the list prices in {stated}.
What a model thinks before it answers comes on top, and for judges that think can cost more than all the rest; `--batch` halves
the price where the provider has a batch API.

{table}
"""


def _commands(records: Sequence[Record]) -> str:
    lines: dict[str, list[str]] = {}
    for record in records:
        note = f" ({record.note})" if record.note else ""
        lines.setdefault(f"`{record.command}`, {record.date}{note}", []).append(
            f"{record.judge} on {record.suite}"
        )
    shown = "\n".join(f"* {command}: {', '.join(what)}" for command, what in lines.items())
    return f"## How each record was made\n\n{shown}\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
