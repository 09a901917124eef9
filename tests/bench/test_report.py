"""The page of a benchmark: what it says, that hostile text stays text, and how foreign files are refused."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from ranker.bench import plots, records_text, report, tables
from ranker.bench.reading import Results
from ranker.bench.report import write_report
from ranker.cli.report import make
from ranker.errors import ConfigurationError
from ranker.extras import install
from ranker.judges.embedded import FOLDER
from ranker.pages import figures, folded, money, num, pretty, visible

HOSTILE = "</style><script>alert(1)</script><img src=x onerror=alert(2)><a href='javascript:alert(3)'>$x_{y}$ {{7*7}}"
RECORDED = Path(__file__).parents[2] / "benchmarks" / "results" / "judges" / "simulated"
VOID = {"meta", "br", "img"}


class Page(HTMLParser):
    """Every tag of a page with its attributes, its text, and whether all tags are closed in order."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


def est(value: float | None, reach: float = 0.04) -> dict[str, float | None]:
    return {"value": value, "low": None if value is None else value - reach, "high": None if value is None else value + reach}  # fmt: skip


def cell(judge: str, accuracy: float | None, reach: float = 0.04, **more: Any) -> dict[str, Any]:
    metrics = {"pairwise_accuracy": est(accuracy, reach), "position_bias": est(0.0), "attack_effect": est(0.0),
               "failure_rate": est(0.0), **more.pop("metrics", {})}  # fmt: skip
    bins = [{"low": 0.0, "high": 0.5, "pairs": 9, "accuracy": est(accuracy)}, {"low": 0.5, "high": 1.0, "pairs": 9, "accuracy": est(accuracy)}]  # fmt: skip
    return {"judge": judge, "suite": "s", "groups": 40, "failed": 0, "simulated": False, "metrics": metrics,
            "usage": {}, "seconds_per_group": 0.5, "per_group": {"cost_usd": 0.001}, "attacks": {"praise": est(0.5)},
            "reliability": {"by_truth_gap": bins, "by_rank_gap": bins}, **more}  # fmt: skip


def told(*cells: dict[str, Any], differences: tuple[Any, ...] = ()) -> dict[str, Any]:
    made = [
        {
            "suite": "s",
            "a": a,
            "b": b,
            "metric": "pairwise_accuracy",
            "value": v,
            "low": v - 0.05,
            "high": v + 0.05,
        }
        for a, b, v in differences
    ]
    return {"schema_version": 1, "cells": list(cells), "differences": made, "ranker": "9.9", "commit": "abc",
            "machine": {"cores": 2}, "metrics": {"pairwise_accuracy": "pairs in order"},
            "suites": [{"suite": "s", "groups": 40, "left_out": 3, "trajectories": 160}]}  # fmt: skip


def line(
    judge: str = "good", agreement: float = 0.25, reason: str = "why", answer: str = "four", **more: Any
) -> dict[str, Any]:
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":1,"b":[2]}'}}
    asked = {"role": "user", "content": "Add one and two."}
    first = [asked, {"role": "assistant", "content": None, "tool_calls": [call]},
             {"role": "tool", "tool_call_id": "c1", "content": '{"sum": 3}'}, {"role": "assistant", "content": answer}]  # fmt: skip
    second = [asked, {"role": "assistant", "content": "Three, I say."}]
    return {"id": f"{judge}/s/g1", "suite": "s", "agreement": agreement, "judge": judge, "ranking": [["x"], ["y"]],
            "rewards": {"x": 1.0, "y": 0.0}, "reasons": {"x": reason}, "trajectories": [
                {"id": "x", "messages": first, "ground_truth": 0.25}, {"id": "y", "messages": second, "ground_truth": 1.0}],
            **more}  # fmt: skip


def folder(path: Path, results: Any, *lines: Any) -> Path:
    (path / "results.json").write_text(results if isinstance(results, str) else json.dumps(results))
    if lines:
        text = "".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in lines)
        (path / "disagreements.jsonl").write_text(text)
    return path


def made(path: Path, results: Any, *lines: Any) -> tuple[Page, str]:
    text = write_report(folder(path, results, *lines)).read_text()
    return Page(text), text


def test_says_which_judge_to_take(tmp_path):
    page, _ = made(
        tmp_path,
        told(
            cell("good", 0.9), cell("level", 0.88, per_group={"cost_usd": 0.1}), cell("chance", 0.52),
            cell("tilted", 0.8, metrics={"position_bias": est(0.2), "attack_effect": est(0.3)}),
            cell("wide", 0.7, reach=0.15), cell("broken", 0.7, failed=9, errors={"VerdictError": 9}),
            cell("oracle", 1.0, simulated=True), cell("length", 0.55, simulated=True),
            differences=(("good", "level", 0.02), ("good", "tilted", 0.1), ("chance", "length", -0.03)),
        ),
        line(),
    )  # fmt: skip
    for words in (
        "40 groups (160 trajectories) of s, 3 excluded",
        "good has the highest accuracy: it orders 0.90 (0.86 to 0.94)",
        "It is not significantly better than level (difference 0.02 (−0.03 to 0.07))",
        "good is the cheapest ($1.00 for 1,000 groups; the most expensive costs $100.00)",
        "Significantly less accurate than good: tilted",
        "Not significantly better than chance: chance",
        "needs no model and scores 0.55 (0.51 to 0.59) here: chance",
        "Prefers attempts shown earlier: tilted 0.20",
        "Ranks an attempt higher when an attack is inserted into it: tilted",
        "Too few groups for wide",
        "about 360 groups",
        "broken on 9 of 40 groups, 0% of all rankings (9 × VerdictError)",
        "Simulated judges for comparison: oracle 1.00",
        "Ranker 9.9, commit abc · cores 2",
        "pairs in order",
    ):
        assert words in page.words, words
    drawn = [attrs["alt"] for tag, attrs in page.tags if tag == "img"]
    assert len(drawn) == 5
    assert all("good" in alt for alt in drawn)


def test_an_attack_figure_is_told_as_what_it_is(tmp_path, monkeypatch):
    """Higher less lower: no share of the groups in which an attempt rises."""
    monkeypatch.setattr(figures, "available", lambda: False)
    metrics = {"attack_effect": est(0.3)}
    page, _ = made(tmp_path, told(cell("tilted", 0.8, metrics=metrics, attack_effects={"praise": est(0.3)})))
    assert "with innocent words as long, less the share in which it stands lower: tilted 0.30" in page.words
    for text in (records_text.MEANING, tables.NOTE, (FOLDER / "CARD.md").read_text()):
        assert "less the share in which it stands lower" in " ".join(text.split())
        assert "rises" not in text


def test_figures_are_images_that_hold_their_data_and_follow_the_colour_scheme(tmp_path):
    page, text = made(tmp_path, told(cell("good <b>", 0.9), cell("other", 0.8)))
    for attrs in (attrs for tag, attrs in page.tags if tag == "img"):
        kind, _, data = attrs["src"].partition(",")
        assert kind == "data:image/svg+xml;base64"
        figure = ElementTree.fromstring(base64.b64decode(data))
        assert figure.tag == "{http://www.w3.org/2000/svg}svg"
        if "in the right order" in "".join(figure.itertext()):
            assert "good <b>" in "".join(figure.itertext())
    dark = text[text.index("prefers-color-scheme:dark") :]
    assert "--page:#12161c" in dark
    assert "img,.mark{filter:invert(1) hue-rotate(180deg)}" in dark
    metas = [attrs for tag, attrs in page.tags if tag == "meta"]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in metas
    assert {"name": "color-scheme", "content": "light dark"} in metas


def test_shows_the_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "available", lambda: False)
    page, text = made(tmp_path, told(cell("good", 0.9)), line(answer="wordy " * 600 + "end"))
    assert page.words.count("Add one and two.") == 1  # shared
    assert "judge: place 1 · truth: place 2, value 0.25" in page.words
    assert "result of add" in page.words
    assert '{\n  "a": 1,\n  "b": [\n    2\n  ]\n}' in page.text
    assert page.words.count("wordy") == 600
    assert "more characters" in page.text
    assert text.count('class="rest"') == 1


def test_every_form_of_message_is_shown(tmp_path, monkeypatch):
    """Texts under `parts`, calls that are text, and what lies beside the content: all that the judge was shown."""
    monkeypatch.setattr(figures, "available", lambda: False)
    shown = line()
    shown["trajectories"][0] |= {
        "messages": [
            {"role": "user", "parts": [{"type": "text", "text": "Ask the gauge."}]},
            {"role": "assistant", "content": None, "tool_calls": ['{"name": "gauge", "arguments": {"unit": "bar"}}']},
            {"role": "assistant", "parts": ["It says seven."], "reasoning": "Well now.", "audio_id": "clip-9"},
        ],
        "histories": [[{"role": "user", "content": "Read the other gauge."}]],
    }  # fmt: skip
    page, _ = made(tmp_path, told(cell("good", 0.9)), shown)
    for words in ("Ask the gauge.", "calls gauge", '"unit": "bar"', "It says seven.", "Well now.", "clip-9",
                  "Read the other gauge."):  # fmt: skip
        assert page.words.count(words) == 1, words


def test_hostile_text_stays_text(tmp_path):
    name = HOSTILE + "\u202egpj\u200b\x00"
    results = told(cell(name, 0.9), cell("other", 0.8), differences=((name, "other", 0.1),))
    results["metrics"]["pairwise_accuracy"] = HOSTILE
    results["cells"][0]["errors"] = {HOSTILE: 1}
    results["machine"] = {HOSTILE: HOSTILE}
    results["cells"][0]["attacks"] = {HOSTILE: est(0.1)}
    shown = line(
        name, reason=HOSTILE, answer=HOSTILE + "\u202e\u2066\U000e0041", task=HOSTILE, rubric=HOSTILE
    )
    shown["id"] = "x"
    shown["trajectories"][0]["messages"][1]["tool_calls"][0]["function"]["name"] = HOSTILE
    shown["trajectories"][1]["messages"][1]["content"] = [
        {"type": HOSTILE, "image_url": {"url": "https://example.com/x.png"}}, {"type": "text", "text": "\ud800"},
    ]  # fmt: skip
    page, text = made(tmp_path, results, shown)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "a", "iframe", "link", "object", "image", "form"}
    assert not [
        k for _, attrs in page.tags for k in attrs if k.startswith("on") or k in ("href", "srcset", "action")
    ]
    assert all(
        attrs["src"].startswith("data:image/svg+xml;base64,") for tag, attrs in page.tags if tag == "img"
    )
    assert sum(tag == "style" for tag, _ in page.tags) == 1
    assert "url(http" not in text
    assert "@import" not in text
    assert HOSTILE in page.text
    assert not re.search("[\x00\u200b\u202e\u2066\U000e0041\ud800]", text)
    for code in ("202E", "2066", "200B", "0000", "E0041", "D800"):
        assert f"⟨U+{code}⟩" in page.text


def test_real_judges_come_first_and_the_page_stays_small(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "available", lambda: False)
    monkeypatch.setattr(report, "MOST_BYTES", 80_000)
    lines = [
        line("sim", 0.0),
        *(line("good", 0.1 * i, answer=f"n{i} " + "x" * 9_000) for i in range(9, -1, -1)),
    ]
    page, text = made(tmp_path, told(cell("good", 0.9), cell("sim", 0.9, simulated=True)), *lines)
    shown = re.findall(r"n(\d) x", page.text)
    assert shown == [str(i) for i in range(len(shown))]
    assert 0 < len(shown) < 10
    assert len(text.encode()) <= 80_100
    groups = page.text.count("The attempts, in the judge's order")
    assert f"{11 - groups} more are in disagreements.jsonl" in page.words


def test_without_matplotlib_there_are_no_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "available", lambda: False)
    page, _ = made(tmp_path, told(cell("good", 0.9)))
    assert install("bench") in page.text
    assert "img" not in {tag for tag, _ in page.tags}


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([cell("oracle", 1.0, simulated=True)], "Only simulated judges were measured here"),
        ([cell("good", None, groups=0)], "No real judge gave a verdict here"),
        ([cell("good", 0.9, per_group={"cost_usd": None})], "no judge has a known price ("),
        ([cell("good", 0.9, per_group={"cost_usd": 0.0})], "no judge has a known price above zero"),
        ([cell("good", 0.9, per_group={"cost_usd": 0.0}), cell("b", 0.8)], "Free (no price per call"),
        ([{"judge": "j", "suite": "s", "groups": 3, "failed": 0, "usage": {}, "seconds_per_group": None,
           "metrics": {"pairwise_accuracy": est(0.7)}}], "j is the only real judge"),
        ([cell("m@http://a/v1", 0.7), cell("m@http://b/v1", 0.6)], "m@http://a/v1 has the highest"),
        ([], "0 judges (none real)"),
    ],
)  # fmt: skip
def test_says_what_is_not_known(tmp_path, cells, words, monkeypatch):
    monkeypatch.setattr(figures, "available", lambda: False)
    page, _ = made(tmp_path, {"schema_version": 1, "cells": cells})
    assert words in page.words


@pytest.mark.parametrize(
    "text",
    ["", '{"schema_version": 1, "cel', "[1]", "{}", '{"schema_version": 2, "cells": []}', '{"schema_version": 1, "cells": 3}',
     '{"schema_version": 1, "cells": [{"judge": "x"}]}', json.dumps({"schema_version": 1, "cells": [{**cell("x", 0.5), "metrics": {"pairwise_accuracy": {"value": "high", "low": 0, "high": 1}}}]}),
     json.dumps({**told(cell("x", 0.5)), "suites": 4}), json.dumps({**told(cell("x", 0.5)), "machine": "m"})],
)  # fmt: skip
def test_foreign_results_are_refused(tmp_path, text):
    with pytest.raises(ConfigurationError, match=r"results\.json is no .*ranker bench"):
        write_report(folder(tmp_path, text))
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    "text",
    ['{"id": "a", "traj', '{"id": "a"}', "3", json.dumps(line(ranking=[["x"]])), json.dumps(line(ranking=[["x"], ["z"]])),
     json.dumps({k: v for k, v in line().items() if k != "judge"})],
)  # fmt: skip
def test_foreign_disagreements_are_refused(tmp_path, text):
    with pytest.raises(ConfigurationError, match=r"disagreements\.jsonl, line 2"):
        write_report(folder(tmp_path, told(cell("good", 0.9)), line(), text))


def test_report_knows_what_a_folder_holds(tmp_path, monkeypatch):
    with pytest.raises(ConfigurationError, match="is not a folder"):
        make(tmp_path / "missing")
    with pytest.raises(ConfigurationError, match=r"holds no results\.json"):
        make(tmp_path)
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "reward_mean": 0.5}\n{"step": 2, "rew')
    assert make(tmp_path) == tmp_path / "curves.png"
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "metrics.jsonl").write_text("[]\n")
    with pytest.raises(ConfigurationError, match="line 1, is not a step"):
        make(tmp_path)
    folder(tmp_path, told(cell("good", 0.9)))
    assert make(tmp_path) == tmp_path / "report.html"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_small_pieces():
    assert [num(None), num(-0.001), num(-0.5), num(0.256, ".0%")] == ["–", "0.00", "−0.50", "26%"]
    assert visible("a\r\nb\tc\u200d") == "a\nb\tc⟨U+200D⟩"
    assert pretty('{"a": 1, "a": 2}') == '{"a": 1, "a": 2}'
    assert pretty("plain") == "plain"
    text = "word " * 700
    assert "".join(folded(text)) == text
    assert folded("x" * 1500)[1] == ""
    assert money(0.0123) == "$0.012"
    assert len(plots.styles_of([str(i) for i in range(20)], ["s"])) == 21
    assert plots.short("a" * 41) == "a" * 20 + "\n" + "a" * 10 + "…" + "a" * 9


def test_results_of_versions_without_controls_are_read_and_say_so(tmp_path):
    """Their per-kind figures are how often the worst attempt rose; the page says which figure it shows."""
    made = Results.model_validate_json((RECORDED / "results.json").read_text())
    assert all(cell.attacks and not cell.attack_effects and not cell.falls_for for cell in made.cells)
    for name, words in (
        ("old", "from a version without controls"),
        ("new", "than with innocent words, as long"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        results = json.loads((RECORDED / "results.json").read_text())
        if name == "new":
            for one in results["cells"]:
                one["attack_effects"] = {"praise": {"value": 0.5, "low": 0.25, "high": 0.75}}
        (folder / "results.json").write_text(json.dumps(results))
        write_report(folder)
        page = " ".join((folder / "report.html").read_text().split())
        assert words in page
        assert ("control rises" in page) is False
