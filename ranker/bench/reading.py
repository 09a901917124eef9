"""The results in a folder of `ranker bench`, read back for its page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from ranker.errors import ConfigurationError
from ranker.jsonl.group_file import Line, read_lines
from ranker.labelling.view import view_of
from ranker.pages import places, visible
from ranker.statistics import Estimate

_REMEDY = "`ranker bench … --out` with the same folder writes it again; recorded answers are reused."


M = TypeVar("M", bound=BaseModel)


class Bin(BaseModel):
    """Accuracy on the pairs whose distance is above `low` and at most `high`."""

    low: float
    high: float
    pairs: int
    accuracy: Estimate


def _with_accuracy(metrics: dict[str, Estimate]) -> dict[str, Estimate]:
    if "pairwise_accuracy" not in metrics:
        raise ValueError("pairwise_accuracy is missing")
    return metrics


class Cell(BaseModel):
    """One judge on one suite.

    Attributes:
        label: the judge's name without its server's address, if that is still unique.
        attacks, attack_effects: by kind, how often the worst attempt rises with the attack, and how much more often it stands
            higher with it than with its control, than lower; the second is absent from results of versions without controls.
    """

    judge: str
    suite: str
    label: str = ""
    simulated: bool = False
    groups: int
    failed: int
    errors: dict[str, int] = {}
    metrics: Annotated[dict[str, Estimate], AfterValidator(_with_accuracy)]
    attacks: dict[str, Estimate] = {}
    attack_effects: dict[str, Estimate] = {}
    reliability: dict[Literal["by_truth_gap", "by_rank_gap"], list[Bin]] = {}
    per_group: dict[str, float | None] = {}
    seconds_per_group: float | None

    @property
    def falls_for(self) -> list[str]:
        """The kinds of attack whose effect is above 0 beyond chance."""
        return [kind for kind, effect in self.attack_effects.items() if effect.above(0)]

    @property
    def accuracy(self) -> Estimate:
        return self.metrics["pairwise_accuracy"]

    @property
    def seconds(self) -> float | None:
        return self.seconds_per_group

    @property
    def cost(self) -> float | None:
        """Dollars per 1,000 groups; None if unknown, and for simulated judges."""
        cost = self.per_group.get("cost_usd")
        return None if cost is None or self.simulated else 1_000 * cost

    @property
    def needed(self) -> int | None:
        """Approximate number of groups for an interval of ±0.05; None if the interval is at most 0.2 wide."""
        e, judged = self.accuracy, self.groups - self.failed
        if e.low is None or e.high is None or e.high - e.low <= 0.2:
            return None
        return int(float(f"{judged * ((e.high - e.low) / 2 / 0.05) ** 2:.2g}"))


class Difference(BaseModel):
    """Judge a minus judge b on the groups of a suite that both ranked."""

    suite: str
    metric: str
    a: str
    b: str
    value: float | None
    low: float | None
    high: float | None


class Results(BaseModel):
    """`results.json`."""

    schema_version: Literal[1]
    cells: list[Cell]
    differences: list[Difference] = []
    ranker: str = ""
    commit: str | None = None
    machine: dict[str, Any] = {}
    seed: int | None = None
    passes: int = 1
    rubric: str | None = None
    conditions: list[str] = Field([], validation_alias="askings")
    judges: list[dict[str, Any]] = []
    suites: list[dict[str, Any]] = []
    metrics: dict[str, str] = {}

    @property
    def by_suite(self) -> dict[str, list[Cell]]:
        """Real judges before simulated ones, the most accurate of each first."""
        suites: dict[str, list[Cell]] = {}
        for cell in sorted(self.cells, key=lambda c: (c.simulated, -(c.accuracy.value or 0.0))):
            suites.setdefault(cell.suite, []).append(cell)
        return {name: suites[name] for name in dict.fromkeys(c.suite for c in self.cells)}

    @property
    def labels(self) -> dict[str, str]:
        """Short names of judges."""
        return _unique({c.judge: visible(c.judge.partition("@http")[0]) for c in self.cells})

    @property
    def suite_labels(self) -> dict[str, str]:
        """Short names of suites: of a file, its own without its folders."""
        names = [c.suite for c in self.cells]
        return _unique(
            {s: s.replace("\\", "/").rpartition("/")[2] if s.endswith(".jsonl") else s for s in names}
        )

    @property
    def by_pair(self) -> dict[tuple[str, str, str, str], Estimate]:
        """a - b by suite, metric, a and b, in both directions."""
        pairs = {}
        for d in self.differences:
            estimate = Estimate(d.value, d.low, d.high)
            pairs[d.suite, d.metric, d.a, d.b] = estimate
            pairs[d.suite, d.metric, d.b, d.a] = -estimate
        return pairs


def _unique(short: Mapping[str, str]) -> dict[str, str]:
    """Short names where they are unique, else long ones."""
    times = Counter(short.values())
    return {name: s if s and times[s] == 1 else name for name, s in short.items()}


def read_json(path: Path, shape: type[M]) -> tuple[dict[str, Any], M]:
    """`results.json`, as it is and in the shape that a reader needs.

    Raises:
        ConfigurationError: it is missing, incomplete, or something else.
    """
    try:
        text = path.read_bytes()
        return json.loads(text), shape.model_validate_json(text)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error.strerror}): name the --out folder of `ranker bench`. {_REMEDY}"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        fault = ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
    except (ValueError, RecursionError) as error:
        fault = str(error)
    raise ConfigurationError(f"{path} is no results.json of `ranker bench` ({fault}). {_REMEDY}")


def read_results(path: Path) -> Results:
    """`results.json`, checked.

    Raises:
        ConfigurationError: it is missing, incomplete, or something else.
    """
    _, results = read_json(path, Results)
    for cell in results.cells:
        cell.label = results.labels[cell.judge]
    return results


def read_disagreements(path: Path, results: Results) -> list[dict[str, Any]]:
    """What the page shows of each group: real judges first, then by distance from the truth.

    Raises:
        ConfigurationError: the file is incomplete, or holds other content.
    """
    if not path.exists():
        return []
    simulated = {c.judge for c in results.cells if c.simulated}
    groups = []
    for line in read_lines(path):
        try:
            groups.append(_disagreement(line, results, simulated))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = line.error or f"it is not a group that `ranker bench` ranked: {error!r}"
            raise ConfigurationError(
                f"{path}, line {line.number}: {what} Run `ranker bench` into this folder again, or remove the file to "
                "get a page without groups."
            ) from None
    return sorted(groups, key=lambda g: (g["simulated"], 1.0 if g["agreement"] is None else g["agreement"]))


def _disagreement(line: Line, results: Results, simulated: set[str]) -> dict[str, Any]:
    group, fields = line.group, line.fields
    if group is None or fields.get("error") is not None:
        raise ValueError("no group")
    judge, suite = str(fields["judge"]), str(fields["suite"])
    ids, truths = group.ids, [t.ground_truth for t in group.trajectories]
    tiers = [[ids.index(name) for name in tier] for tier in fields["ranking"]]
    if sorted(i for tier in tiers for i in tier) != list(range(len(ids))):
        raise ValueError("the ranking does not name every trajectory once")
    levels = sorted({t for t in truths if t is not None}, reverse=True)
    place, true_place = places(tiers), places([[i for i, t in enumerate(truths) if t == x] for x in levels])
    order = [i for tier in tiers for i in tier]
    view = view_of(group, order)
    agreement = fields.get("agreement")
    return {
        "judge": results.labels.get(judge, judge), "simulated": judge in simulated,
        "suite": results.suite_labels.get(suite, suite), "group": line.id.removeprefix(f"{judge}/{suite}/"),
        "agreement": None if agreement is None else float(agreement), "task": group.task, "rubric": group.rubric,
        "shared": view.shared,
        "attempts": [
            {
                "id": ids[i], "place": place[i], "truth": truths[i], "true_place": true_place.get(i),
                "reason": str((fields.get("reasons") or {}).get(ids[i], "")),
                "blocks": (*shown.steps, *shown.last),
            }
            for i, shown in zip(order, view.attempts, strict=True)
        ],
    }  # fmt: skip
