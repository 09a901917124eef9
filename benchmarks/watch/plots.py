"""The figures of the study of the watch, drawn from its numbers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.harness import Json
from benchmarks.watch.plan import AUDITORS, BOUND, BOUNDS, EXPLOITED, SHARE, SHARES
from ranker.pages.figures import COLOURS, FAINT, INK, MARKERS, Drawing, reach
from ranker.statistics import Estimate

Figures = Mapping[str, Any]
_REWARD, _ALL, _AUDITED, _ALARM = INK, COLOURS[2], COLOURS[0], COLOURS[1]
COLUMNS = 2
KINDS = [(a, equals) for a in AUDITORS for equals in (False, True) if a < 1 or not equals]
_PLACES = (
    ("handed_back", "handed back", "o"),
    ("at_alarm", "at the alarm", "s"),
    ("final", "at the end, without a stop", "X"),
    ("best", "best of the run", "*"),
)


def drawings(figures: Figures) -> dict[str, Drawing]:
    """By name."""
    every = {
        "runs": _runs(figures["examples"]),
        "in_time": _in_time(figures),
        "false_alarms": _false(figures),
        "lost": _lost(figures["arms"]),
    }
    return {name: drawing for name, drawing in every.items() if drawing is not None}


def estimate(of: Any) -> Estimate:
    """A figure, from numbers or from their JSON."""
    return of if isinstance(of, Estimate) else Estimate(of["value"], of["low"], of["high"])


def _runs(examples: Sequence[Json]) -> Drawing | None:
    """A small picture for each arm."""
    if not examples:
        return None
    rows = -(-len(examples) // COLUMNS)

    def draw(axes: Any) -> None:
        figure = axes.figure
        axes.remove()
        grid = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False)
        for place, one in zip(grid.flat, examples, strict=False):
            _one(place, one)
        for place in grid.flat[len(examples) :]:
            place.remove()
        for place in grid[-1]:
            place.set_xlabel("step")
        handles, labels = grid[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, fontsize=8.5, loc="outside lower center", ncols=2)

    spoken = "; ".join(
        f"{e['arm']}: a quarter lost {_at(e['lost'])}, alarm {_at(e['alarm'] and e['alarm']['step'])}"
        for e in examples
    )
    return Drawing(
        f"True reward and agreement of one run of each arm: {spoken}.", draw, 0.8 + 1.45 * rows, 5.6
    )


def _at(step: int | None) -> str:
    return "never" if step is None else f"at step {step}"


def _one(axes: Any, one: Json) -> None:
    steps = range(1, len(one["true_reward"]) + 1)
    axes.plot(steps, one["true_reward"], color=_REWARD, linewidth=2, label="true reward")
    whole = [float("nan") if v is None else v for v in one["agreement"]]
    axes.plot(steps, whole, color=_ALL, linewidth=1, label="agreement, all groups")
    if one["audited"]:
        at, value, low, high = zip(*one["audited"], strict=True)
        axes.fill_between(at, low, high, step="post", color=_AUDITED, alpha=0.15, linewidth=0)
        axes.step(at, value, where="post", color=_AUDITED, linewidth=1.2, label="audited, with its band")
    alarm = one["alarm"]["step"] if one["alarm"] else float("nan")  # the legend names it all the same
    lost = float("nan") if one["lost"] is None else one["lost"]
    axes.axvline(alarm, color=_ALARM, linewidth=2, label="alarm")
    axes.axvline(lost, color=_REWARD, linewidth=1.2, linestyle="--", label="a quarter lost")
    axes.axhline(BOUND, color=FAINT, linewidth=0.8, linestyle=":", label=f"bound {BOUND:g}")
    axes.set_ylim(-0.02, 1.04)
    axes.set_xlim(0, len(one["true_reward"]))
    axes.set_title(one["arm"], fontsize=9.5, loc="left", pad=3)


def _main(figures: Figures, **of: float) -> Json | None:
    """The summary of a setting that the study asks about."""
    wanted = {"share": SHARE, "auditor": 1.0, "min_agreement": BOUND, "ranking": False, "equals": False, **of}
    return next(
        (s for s in figures["settings"] if all(s["setting"][k] == v for k, v in wanted.items())), None
    )


def _lines(axes: Any, figures: Figures, over: str, values: Sequence[float], key: str) -> list[str]:
    """A figure against a setting, a line for each auditor; what it says in words."""
    spoken = []
    for i, (auditor, equals) in enumerate(KINDS):
        found = [(v, s) for v in values if (s := _main(figures, auditor=auditor, equals=equals, **{over: v}))]
        known = [
            (values.index(v) + 0.07 * (i - 2), e)
            for v, s in found
            if (e := estimate(s[key])).value is not None
        ]
        words = named(auditor, equals)
        if axes is not None:
            colour, marker = COLOURS[AUDITORS.index(auditor)], MARKERS[i][0]
            for x, e in known:
                axes.errorbar(x, e.value, yerr=reach(e), color=colour, linewidth=0.9, capsize=2)
            places, heights = [x for x, _ in known], [e.value for _, e in known]
            axes.plot(
                places,
                heights,
                color=colour,
                marker=marker,
                linestyle="--" if equals else "-",
                linewidth=1.8,
                label=words,
            )
        spoken.append(f"{words}: {', '.join(f'{e.value:.2f}' for _, e in known)}")
    if axes is not None:
        names = [f"{v:.0%}" if over == "share" else f"{v:g}" for v in values]
        axes.set_xticks(range(len(values)), names)
        axes.set_xlim(-0.3, len(values) - 0.7)
        axes.set_ylim(-0.03, 1.03)
    return spoken


def named(auditor: float, equals: bool) -> str:
    """An auditor in words."""
    if auditor == 1:
        return "auditor always right"
    return f"right in {auditor:.0%} of the pairs, {'equal attempts tied' if equals else 'never ties'}"


def _panels(
    figures: Figures, panels: Sequence[tuple[str, Sequence[float], str, str, str]], height: float
) -> Drawing | None:
    """Panels below each other: a setting, its values, a figure, the title and the label."""
    said = [_lines(None, figures, over, values, key) for over, values, key, _, _ in panels]
    if not all(said):
        return None

    def draw(axes: Any) -> None:
        figure = axes.figure
        axes.remove()
        places = figure.subplots(len(panels), 1)
        for place, (over, values, key, title, label) in zip(places, panels, strict=True):
            _lines(place, figures, over, values, key)
            place.set_title(title, fontsize=9.5, loc="left")
            place.set_xlabel(label)
            place.set_ylabel("share of replays")
        named = places[0].get_legend_handles_labels()
        figure.legend(*named, fontsize=8.5, loc="outside lower center", ncols=1)

    alt = ". ".join(
        f"{title}: {'; '.join(words)}" for (_, _, _, title, _), words in zip(panels, said, strict=True)
    )
    return Drawing(f"{alt}.", draw, height, 5.6)


def _in_time(figures: Figures) -> Drawing | None:
    share = "share of the groups that is audited"
    return _panels(
        figures,
        [
            (
                "share",
                SHARES,
                "in_time",
                "Alarm before a quarter was lost, of runs that lost a quarter",
                share,
            ),
            (
                "share",
                SHARES,
                "safe",
                "Alarm in time or nothing lost, of all runs with a flawed judge",
                share,
            ),
            ("share", SHARES, "alarmed", "Any alarm, of all runs with a flawed judge", share),
        ],
        9.0,
    )


def _false(figures: Figures) -> Drawing | None:
    return _panels(
        figures,
        [
            ("share", SHARES, "false", f"False alarms at the bound {BOUND:g}", "share of the groups that is audited"),
            ("min_agreement", BOUNDS, "false", f"False alarms at {SHARE:.0%} audits", "bound (min_agreement)"),
            ("min_agreement", BOUNDS, "in_time", f"In time, of runs that lost a quarter, at {SHARE:.0%} audits", "bound (min_agreement)"),
        ],
        9.0,
    )  # fmt: skip


def _lost(arms: Sequence[Json]) -> Drawing | None:
    """What an alarm would have saved."""
    rows = [
        a for a in arms if a["name"] in EXPLOITED and estimate(a["where_alarmed"]["best"]).value is not None
    ]
    if not rows:
        return None

    def draw(axes: Any) -> None:
        for y, arm in enumerate(rows):
            its = {key: estimate(arm["where_alarmed"][key]).value for key, _, _ in _PLACES}
            known = [v for v in its.values() if v is not None]
            axes.plot([min(known), max(known)], [y, y], color=FAINT, linewidth=0.8)
            for i, (key, label, marker) in enumerate(_PLACES):
                axes.plot(
                    its[key], y, marker, color=COLOURS[i], markersize=7, label=label if y == 0 else None
                )
        names = [f"{a['name']} ({estimate(a['alarmed']).value:.0%})" for a in rows]
        axes.set_yticks(range(len(rows)), names, fontsize=8.5)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(0, 1)
        axes.set_xlabel("true reward, replays with an alarm (their share)")
        axes.figure.legend(fontsize=8.5, loc="outside lower center", ncols=2)

    def spoken(arm: Json) -> str:
        its = arm["where_alarmed"]
        return ", ".join(f"{label} {estimate(its[key]).value:.2f}" for key, label, _ in _PLACES)

    words = "; ".join(f"{a['name']}: {spoken(a)}" for a in rows)
    return Drawing(f"True reward in the replays with an alarm. {words}.", draw, 1.4 + 0.32 * len(rows), 5.6)
