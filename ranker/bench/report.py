"""`report.html`: one page for people, made from what a folder holds."""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ranker.bench import pictures
from ranker.bench.intervals import Estimate
from ranker.bench.pictures import Bin, Cell
from ranker.errors import ConfigurationError
from ranker.files import Line, read_lines

MOST_BYTES = 2_900_000
LONG, SHOWN = 1_500, 1_200  # characters from which a text is folded, and those that stay in sight
# Controls, directions, zero widths, tags, lone surrogates, letters and marks that show nothing, private use.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ud800-\udfff\ue000-\uf8ff\ufeff\uffa0\ufff0-\ufffb"
    "\U000110bd\U000110cd\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)


@dataclass(frozen=True, slots=True)
class Results:
    """What `results.json` tells.

    Attributes:
        cells: by suite; real judges before simulated ones, the best of each first.
        differences: a - b by suite, metric, a and b, both ways round.
        suites, labels: short names of suites and judges.
    """

    header: Mapping[str, Any]
    cells: Mapping[str, Sequence[Cell]]
    differences: Mapping[tuple[str, str, str, str], Estimate]
    suites: Mapping[str, str]
    labels: Mapping[str, str]


def write_report(folder: Path) -> Path:
    """Write `report.html` beside `results.json` and `disagreements.jsonl`, from these two alone.

    Raises:
        ConfigurationError: there are none, they are torn or something else's, or the page cannot be written.
    """
    results = read_results(folder / "results.json")
    groups = read_disagreements(folder / "disagreements.jsonl", results)
    path, beside = folder / "report.html", folder / f".report.html.{os.getpid()}"
    try:
        beside.write_bytes(page(results, groups).encode("utf-8"))
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}. Make room and run "
                                 f"`ranker report {folder}`.") from None  # fmt: skip
    return path


def page(results: Results, groups: Sequence[Mapping[str, Any]]) -> str:
    """The whole page; of the groups as many as leave it under `MOST_BYTES`, in the order given."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        finalize=visible,
    )  # fmt: skip
    env.filters.update(
        num=num,
        money=lambda x: "unknown" if x is None else pictures.money(x),
        above=lambda e, x: e.low is not None and e.low > x,
        below=lambda e, x: e.high is not None and e.high < x,
        folded=folded, pretty=pretty,
    )  # fmt: skip
    template = env.get_template("report.html.j2")
    rendered = map(template.make_module().group, groups)  # type: ignore[attr-defined]
    told = {"results": results, "told": results.header, "total": len(groups), **_drawn(results)}
    room = MOST_BYTES - len(template.render(told, shown=[]).encode())
    shown = []
    for text in rendered:
        if len(text.encode()) <= room:
            room -= len(text.encode())
            shown.append(text)
    return template.render(told, shown=shown)


def _drawn(results: Results) -> dict[str, Any]:
    """The pictures of each suite, and what marks each judge in them; of simulated judges only the accuracy is
    drawn where there are real ones."""
    kinds = {c.judge: c.simulated for some in results.cells.values() for c in some}
    marks = pictures.marks([j for j, s in kinds.items() if not s], [j for j, s in kinds.items() if s])
    made: dict[str, Any] = {}
    for i, (suite, cells) in enumerate(results.cells.items()) if pictures.available() else ():
        real = [c for c in cells if not c.simulated]
        made[suite] = {
            "accuracy": pictures.accuracy(f"a{i}", cells, marks),
            "cost": pictures.against(f"c{i}", real, marks, lambda c: c.cost, "$ for 1,000 groups"),
            "seconds": pictures.against(f"s{i}", real, marks, lambda c: c.seconds, "seconds a group"),
            "truth": pictures.reliability(f"t{i}", real or cells, marks, lambda c: c.by_truth_gap, "gap of the truth"),
            "rank": pictures.reliability(f"r{i}", real or cells, marks, lambda c: c.by_rank_gap, "gap in the ranking"),
        }  # fmt: skip
    return {"pictures": made, "marks": marks, "kinds": kinds, "drawn": pictures.available()}


def visible(value: Any) -> Any:
    """Text in which what a reader would not see, or what would turn the text around it, is named by its number."""
    if not isinstance(value, str):
        return value
    made = _UNSEEN.sub(lambda found: f"⟨U+{ord(found.group()):04X}⟩", value.replace("\r\n", "\n"))
    return Markup(made) if isinstance(value, Markup) else made


def num(x: float | None, spec: str = ".2f") -> str:
    """A number for reading: with a minus sign, and no negative zero."""
    told = "–" if x is None else f"{x:{spec}}"
    return told.replace("-", "−" if any(digit in told for digit in "123456789") else "")


def folded(text: str) -> tuple[str, str]:
    """The part of a text that is in sight, and the rest of a long one."""
    if len(text) <= LONG:
        return text, ""
    at = max(text.rfind(end, SHOWN // 2, SHOWN) for end in ("\n", " ")) + 1 or SHOWN
    return text[:at], text[at:]


def read_results(path: Path) -> Results:
    """Raises ConfigurationError where the file is missing, torn, or no `results.json`."""
    remedy = "`ranker bench … --out` the same folder writes it anew; what was answered is kept."
    try:
        told = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}. A folder of `ranker bench` is wanted; "
                                 f"{remedy}") from None  # fmt: skip
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is no whole JSON file ({error}); {remedy}") from None
    try:
        if told["schema_version"] != 1:
            raise ValueError(f"schema_version is {told['schema_version']!r}, this version of Ranker reads 1")
        return _results(told)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ConfigurationError(f"{path} is no results.json of `ranker bench` ({what}); {remedy}") from None


def _results(told: Mapping[str, Any]) -> Results:
    names = list(dict.fromkeys(str(cell["judge"]) for cell in told["cells"]))
    suites = list(dict.fromkeys(str(cell["suite"]) for cell in told["cells"]))
    labels = _unique({name: visible(name.partition("@http")[0]) for name in names})
    cells: dict[str, list[Cell]] = {suite: [] for suite in suites}
    for one in told["cells"]:
        cells[str(one["suite"])].append(_cell(one, labels[str(one["judge"])]))
    for some in cells.values():
        some.sort(key=lambda c: (c.simulated, -(c.metrics["pairwise_accuracy"].value or 0.0)))
    differences = {}
    for one in told.get("differences", ()):
        e = _estimate(one)
        back = Estimate(*(None if x is None else -x for x in (e.value, e.high, e.low)))
        differences[one["suite"], one["metric"], one["a"], one["b"]] = e
        differences[one["suite"], one["metric"], one["b"], one["a"]] = back
    header = {
        "ranker": "", "commit": "", "machine": {}, "seed": None, "passes": 1, "rubric": None, "askings": [],
        "judges": [], "suites": [], "metrics": {}, **{k: v for k, v in told.items() if v is not None},
    }  # fmt: skip
    header |= {key: dict(header[key]) for key in ("machine", "metrics")}
    header |= {key: [dict(one) for one in header[key]] for key in ("judges", "suites")}
    short = {s: s.replace("\\", "/").rpartition("/")[2] if s.endswith(".jsonl") else s for s in suites}
    return Results(header, cells, differences, _unique(short), labels)


def _cell(told: Mapping[str, Any], label: str) -> Cell:
    bins = {
        kind: tuple(
            Bin(float(b["low"]), float(b["high"]), int(b["pairs"]), _estimate(b["accuracy"]))
            for b in told.get("reliability", {}).get(kind, ())
        )
        for kind in ("by_truth_gap", "by_rank_gap")
    }
    simulated = bool(told.get("simulated"))
    cost = _number(told.get("per_group", {}).get("cost_usd"))
    return Cell(
        str(told["judge"]), str(told["suite"]), label, simulated, int(told["groups"]), int(told["failed"]),
        dict(told.get("errors", {})), {str(k): _estimate(e) for k, e in told["metrics"].items()},
        {str(k): _estimate(e) for k, e in told.get("attacks", {}).items()}, **bins,
        cost=None if cost is None or simulated else 1_000 * cost, seconds=_number(told.get("seconds_per_group")),
    )  # fmt: skip


def _estimate(told: Mapping[str, Any]) -> Estimate:
    return Estimate(*(_number(told[key]) for key in ("value", "low", "high")))


def _number(given: Any) -> float | None:
    if given is not None and (isinstance(given, bool) or not isinstance(given, (int, float))):
        raise TypeError(f"{given!r} stands where a number should")
    return None if given is None or not math.isfinite(given) else float(given)


def _unique(short: Mapping[str, str]) -> dict[str, str]:
    """Short names where they are the only ones of their kind, long ones elsewhere."""
    times = Counter(short.values())
    return {name: s if s and times[s] == 1 else name for name, s in short.items()}


def read_disagreements(path: Path, results: Results) -> list[dict[str, Any]]:
    """What the page shows of each group: judges that are real first, then the furthest from the truth.

    Raises:
        ConfigurationError: the file is torn, or holds something else.
    """
    if not path.exists():
        return []
    simulated = {c.judge for some in results.cells.values() for c in some if c.simulated}
    made = []
    for line in read_lines(path):
        try:
            made.append(_disagreement(line, results, simulated))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            told = line.error or f"it is no group that `ranker bench` ranked: {error!r}"
            raise ConfigurationError(f"{path}, line {line.number}: {told} Run `ranker bench` into this folder again, "
                                     "or take the file away to do without its groups.") from None  # fmt: skip
    return sorted(made, key=lambda g: (g["simulated"], 1.0 if g["agreement"] is None else g["agreement"]))


def _disagreement(line: Line, results: Results, simulated: set[str]) -> dict[str, Any]:
    group, fields = line.group, line.fields
    if group is None:
        raise ValueError("no group")
    judge, suite = str(fields["judge"]), str(fields["suite"])
    ids, truths = group.ids, [t.ground_truth for t in group.trajectories]
    tiers = [[ids.index(name) for name in tier] for tier in fields["ranking"]]
    if sorted(i for tier in tiers for i in tier) != list(range(len(ids))):
        raise ValueError("the ranking does not name every trajectory once")
    levels = sorted({t for t in truths if t is not None}, reverse=True)
    place, true_place = _places(tiers), _places([[i for i, t in enumerate(truths) if t == x] for x in levels])
    shared = _shared([t.messages for t in group.trajectories])
    first = group.trajectories[0]
    alike = first.tools if all(t.tools == first.tools for t in group.trajectories) else None
    return {
        "judge": results.labels.get(judge, judge), "simulated": judge in simulated,
        "suite": results.suites.get(suite, suite), "group": line.id.removeprefix(f"{judge}/{suite}/"),
        "agreement": _number(fields.get("agreement")), "task": group.task, "rubric": group.rubric,
        "shared": first.messages[:shared], "tools": alike,
        "attempts": [
            {
                "id": ids[i], "place": place[i], "truth": truths[i], "true_place": true_place.get(i),
                "reason": str((fields.get("reasons") or {}).get(ids[i], "")),
                "messages": group.trajectories[i].messages[shared:],
                "tools": None if alike else group.trajectories[i].tools,
            }
            for tier in tiers for i in tier
        ],
    }  # fmt: skip


def _places(tiers: Iterable[Sequence[int]]) -> dict[int, str]:
    """Each member's place, counted from 1; those who share one get all of theirs."""
    made, taken = {}, 0
    for tier in tiers:
        last = taken + len(tier)
        made.update(dict.fromkeys(tier, str(last) if len(tier) == 1 else f"{taken + 1}–{last}"))
        taken = last
    return made


def _shared(conversations: Sequence[Sequence[Any]]) -> int:
    """How many messages all attempts begin with; each keeps one of its own."""
    count, most = 0, min(map(len, conversations)) - 1
    while count < most and all(c[count] == conversations[0][count] for c in conversations):
        count += 1
    return count


def pretty(value: Any) -> str:
    """JSON, or text that is JSON, laid out for reading; other text, and JSON that names a key twice, as it is."""
    given = value
    if isinstance(value, str):
        if value.strip()[:1] not in ("{", "["):
            return value
        try:
            value = json.loads(value, object_pairs_hook=_object)
        except (ValueError, RecursionError):
            return str(given)
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key stands twice")
    return made
