"""Judges on record: what was measured of a judge on a suite, or reckoned without a call, each with date and command.

The records lie in `data/judges.jsonl`, one a line; `ranker bench --publish FILE` appends to a file of the same form,
`ranker judges` and docs/which-judge.md show them.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from ranker.bench import provenance
from ranker.bench.forecast import Forecast
from ranker.bench.matrix import Matrix
from ranker.bench.observation import digest
from ranker.errors import ConfigurationError
from ranker.jsonl.appender import Appender
from ranker.jsonl.objects import read_objects
from ranker.runtime.outputs import make_folder
from ranker.statistics import NOTHING, Estimate

FILE = Path(__file__).with_name("data") / "judges.jsonl"
KEPT = ("pairwise_accuracy", "flip_rate", "position_bias", "length_bias", "attack_effect", "failure_rate")
BASELINE = "length"  # the one simulated judge on record: what the longer attempt alone tells


class Record(BaseModel):
    """One judge on one suite.

    Attributes:
        date: of the measurement, as YYYY-MM-DD.
        command: made the record; with what it was measured.
        groups: that it is of.
        metrics: those of `KEPT` that were measured, as in `results.json`.
        per_group: means of tokens and dollars.
        reckoned: nothing was called: tokens of the prompts were counted, those of replies bounded, and `prices` applied.
        prices: where the price of a reckoned record is from.
        note: what a reader must know, e.g. that the machine was busy.
    """

    judge: str = Field(min_length=1)
    suite: str = Field(min_length=1)
    date: datetime.date
    command: str = Field(min_length=1)
    groups: int = Field(ge=1)
    failed: int = Field(default=0, ge=0)
    metrics: dict[str, Estimate] = {}
    seconds_per_group: float | None = None
    per_group: dict[str, float | None] = {}
    reckoned: bool = False
    prices: str | None = None
    note: str | None = None
    ranker: str = ""
    commit: str | None = None

    @property
    def accuracy(self) -> Estimate:
        return self.metrics.get("pairwise_accuracy", NOTHING)

    @property
    def dollars(self) -> float | None:
        """Of 1,000 groups; None if unknown."""
        cost = self.per_group.get("cost_usd")
        return None if cost is None else 1_000 * cost

    @property
    def id(self) -> str:
        """A digest of what it says; the same on another day."""
        return digest(**self.model_dump(mode="json", exclude={"date", "commit", "ranker"}))


def read_judges(path: Path = FILE) -> list[Record]:
    """The records of a file, in its order.

    Raises:
        ConfigurationError: it cannot be read, or a line is no record.
    """
    records = []
    for line in read_objects(path):
        try:
            if line.fault is not None:
                raise ValueError(line.fault)
            records.append(Record.model_validate(dict(line.fields)))
        except (ValueError, ValidationError) as error:
            what = "; ".join(f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in error.errors()) \
                if isinstance(error, ValidationError) else str(error)  # fmt: skip
            raise ConfigurationError(
                f"{path}, {line.place}, is no record of a judge ({what}). `ranker bench --publish` writes them."
            ) from None
    return records


def newest(records: Iterable[Record]) -> list[Record]:
    """The last record of each judge on each suite; a measured one goes before a reckoned one."""
    last: dict[tuple[str, str], Record] = {}
    for record in records:
        at = (record.judge, record.suite)
        if at not in last or (not record.reckoned, record.date) >= (not last[at].reckoned, last[at].date):
            last[at] = record
    return list(last.values())


def by_suite(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Records of each suite, the most accurate judge first, then those without accuracy by price."""
    suites: dict[str, list[Record]] = {}
    for record in records:
        suites.setdefault(record.suite, []).append(record)
    for some in suites.values():
        some.sort(
            key=lambda r: (
                -(r.accuracy.value if r.accuracy.value is not None else -1),
                r.dollars or 0,
                r.judge,
            )
        )
    return suites


def measured(results: Mapping[str, Any], today: datetime.date) -> list[Record]:
    """Records of the cells of `results.json`, without those that have no verdict and without simulated judges other
    than the baseline."""
    return [
        Record(
            judge=cell["judge"],
            suite=provenance.bare(cell["suite"]),
            date=today,
            command=command_of(cell["judge"], cell["suite"], cell["groups"], results),
            groups=cell["groups"],
            failed=cell["failed"],
            metrics=kept(cell["metrics"]),
            seconds_per_group=None if cell["simulated"] else cell["seconds_per_group"],
            per_group={} if cell["simulated"] else dict(cell["per_group"]),
            ranker=results["ranker"],
            commit=results["commit"],
        )
        for cell in results["cells"]
        if cell["groups"] > cell["failed"] and (not cell["simulated"] or cell["judge"] == BASELINE)
    ]


def kept(metrics: Mapping[str, Mapping[str, float | None]]) -> dict[str, Estimate]:
    """The metrics of a record that were measured, rounded to what their intervals bear."""
    some = {name: metrics[name] for name in KEPT if name in metrics and metrics[name]["value"] is not None}
    return {
        name: Estimate(*(None if e[k] is None else round(e[k], 4) for k in ("value", "low", "high")))  # type: ignore[arg-type]
        for name, e in some.items()
    }


def reckoned(
    ahead: Sequence[Forecast], matrix: Matrix, header: Mapping[str, Any], today: datetime.date
) -> list[Record]:
    """Records of a forecast: what one ranking of a group would cost, without a call.

    Raises:
        ConfigurationError: more than one suite, whose tokens the forecast does not tell apart.
    """
    if len(matrix.suites) > 1:
        raise ConfigurationError("--publish with --dry-run takes one --suite at a time.")
    [suite] = matrix.suites
    return [
        Record(
            judge=one.judge,
            suite=provenance.bare(suite.name),
            date=today,
            command=f"{command_of(one.judge, suite.name, len(suite.groups), header)} --dry-run",
            groups=len(suite.groups),
            per_group={
                "prompt_tokens": round(one.prompt_tokens / one.calls, 1),
                "completion_tokens": round(one.completion_tokens / one.calls, 1),
                "cost_usd": one.cost_usd / one.calls,
            },
            reckoned=True,
            prices=f"litellm {importlib.metadata.version('litellm')}",
            ranker=header["ranker"],
            commit=header["commit"],
        )
        for one, judge in zip(ahead, matrix.judges, strict=True)
        if judge.paid and one.calls and one.cost_usd is not None
    ]


def command_of(judge: str, suite: str, groups: int, header: Mapping[str, Any]) -> str:
    """The command that measures one judge on one suite under the settings in the header of `results.json`, without folders,
    keys and headers."""
    words = ["ranker", "bench", "--judge", judge, "--suite", provenance.bare(suite), "--groups", str(groups)]
    words += ["--seed", str(header["seed"])] if header["seed"] else []
    words += ["--passes", str(header["passes"])] if header["passes"] > 1 else []
    words += ["--rubric", header["rubric"]] if header["rubric"] else []
    words += ["--accuracy-only"] if len(header["askings"]) == 1 else []
    return shlex.join([*words, "--out", "bench"])


def append(path: Path, records: Sequence[Record]) -> int:
    """Add records to a file, without those that it holds already; returns how many were added.

    Raises:
        ConfigurationError: the file is something else, or cannot be written.
    """
    make_folder(path.parent)
    sink = Appender(path, holds=("judge",), what="record of a judge")
    try:
        new = [record for record in records if record.id not in sink.done]
        for record in new:
            sink.write({"id": record.id, **record.model_dump(mode="json", exclude_defaults=True)})
    finally:
        sink.close()
    return len(new)
