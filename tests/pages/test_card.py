"""The card of a group in a notebook: everything in it is text, it is small, and it lies well on a page in a real browser."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ranker import JudgeError, Trajectory, TrajectoryGroup
from tests.test_outline import group, ranked

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HOSTILE = "</div></details><script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\">\u202e{{ 7*7 }}"


def hostile() -> TrajectoryGroup:
    talk = [{"role": "user", "content": HOSTILE}, {"role": "assistant", "content": HOSTILE}]
    return TrajectoryGroup(
        [Trajectory(talk, id=HOSTILE), Trajectory(talk, id="t1")], id=HOSTILE, task=HOSTILE, rubric=HOSTILE
    )


def test_a_card_shows_places_rewards_reasons_and_what_was_said() -> None:
    card = ranked()._repr_html_()
    told = " ".join(html.unescape(re.sub(r"<style>.*?</style>|<[^>]*>", " ", card, flags=re.DOTALL)).split())
    assert "primes 3 attempts judge openai/gpt-5-mini $0.0012" in told
    assert "1 1.00 t2 Reason 2. assistant It is 2." in told
    assert told.index("Reason 2.") < told.index("Reason 1.") < told.index("Reason 0.")


def test_a_card_of_a_group_that_was_not_ranked_or_failed() -> None:
    assert "It is 0." in group()._repr_html_()
    failed = ranked(rewards=[None] * 3, ranking=[], reasons=[], error=JudgeError("the judge <b>was</b> away"))
    assert "the judge &lt;b&gt;was&lt;/b&gt; away" in failed._repr_html_()
    debiased = ranked(rewards=[-1.5, 0.25, 2.0])._repr_html_()
    assert "−1.50" in debiased


def test_everything_from_outside_is_text() -> None:
    of = hostile()
    for card in (
        of._repr_html_(),
        ranked(of, reasons=[HOSTILE] * 2, judge=HOSTILE, warnings=(HOSTILE,))._repr_html_(),
    ):
        assert "<script" not in card
        assert "<img" not in card
        assert "\u202e" not in card
        assert "{{ 7*7 }}" in card
        assert not re.search(r"(?:src|href)=", card.replace("src=x", ""))


def test_a_card_of_a_huge_group_is_bounded_and_says_what_is_missing() -> None:
    long = [{"role": "assistant", "content": "w" * 100_000}] * 200
    card = TrajectoryGroup(
        [Trajectory([{"role": "user", "content": f"{i}"}, *long]) for i in range(100)]
    )._repr_html_()
    assert len(card) < 1_000_000
    assert "84 more attempts" in card
    assert "181 earlier messages" in card
    assert "98,000 more characters" in card
    assert "more messages" in TrajectoryGroup([Trajectory(long), Trajectory(long)])._repr_html_()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.parametrize("width", [1280, 390])
def test_no_script_of_an_attempt_runs_and_nothing_sticks_out(tmp_path: Path, width: int) -> None:
    card = ranked(hostile(), reasons=[HOSTILE * 20] * 2)._repr_html_().replace("<details", "<details open")
    page = tmp_path / "page.html"
    page.write_text(
        f"<!doctype html><title>still</title><body style='margin:0'>{card}"
        "<script>document.body.dataset.over = document.documentElement.scrollWidth > innerWidth</script>"
    )
    done = subprocess.run(
        [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900", "--dump-dom",
         f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "<title>still</title>" in done.stdout
    assert 'data-over="false"' in done.stdout
