"""The viewer's page in a real browser: keys, links, differences, hostile text, both widths, both colour schemes."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.browser import chromium
from tests.viewing.viewer import (
    failed,
    make_run,
    metrics,
    ranked,
    ranker,
    sample,
    tied,
    viewer,
    write,
    write_audit,
)

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
EVIL = (
    "<img src=x onerror=\"window.owned=1\"><script>window.owned=1</script>",
    "</script><script>window.owned=1</script>",
    "<style>*{display:none}</style>",
    "'\"><svg onload=window.owned=1>",
    "javascript:window.owned=1",
    "{{7*7}}${window.owned=1}",
    "<!--",
    "\x1b[2J\x00\u202eevil\u202c\u200b",
    "A" * 400,
    "Z" + "\u0300" * 100,
    "\n" * 20,
    "👩‍👩‍👧‍👦" * 30,
    "\ufdfa" * 20,
    "\ud800\udc00",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@contextmanager
def page(browser: Any, address: str, size: dict[str, int] = WIDE, **more: Any) -> Iterator[Any]:
    """A page; what its console reports, and what it does wrong, fails the test."""
    context = browser.new_context(viewport=size, **more)
    context.set_default_timeout(30_000)
    try:
        opened = context.new_page()
        faults: list[str] = []
        opened.on("pageerror", lambda error: faults.append(str(error)))
        opened.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        opened.goto(address)
        opened.wait_for_selector("#rows li:visible, #group h2:visible")
        yield opened
        assert not faults
        assert opened.evaluate("window.owned") is None
    finally:
        context.close()


def fits(opened: Any) -> bool:
    return bool(opened.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def until(opened: Any, expression: str, seconds: float = 60.0) -> None:
    """Wait for an expression to be true. Playwright's own way would have the page evaluate text, which its policy forbids."""
    end = time.monotonic() + seconds
    while not opened.evaluate(expression):
        assert time.monotonic() < end, expression
        opened.wait_for_timeout(30)


def texts(opened: Any, selector: str) -> list[str]:
    return list(opened.eval_on_selector_all(selector, "all => all.map((one) => one.textContent)"))


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    other = ranked(0, judge="judge-b")
    other["rewards"] = dict(zip(other["rewards"], [0.0, 1 / 3, 2 / 3, 1.0], strict=True))
    other["ranking"] = other["ranking"][::-1]
    return write(
        tmp_path / "g.jsonl",
        [ranked(0), tied(1), failed(2), "{bad", other, *(ranked(i) for i in range(5, 70))],
    )


def test_groups_are_found_opened_and_compared_by_keys(browser, groups):
    with viewer(groups) as view, page(browser, view.address) as opened:
        until(opened, "document.getElementById('count').textContent === '70 groups'")
        assert len(texts(opened, "#rows li")) == 50
        opened.click("#further")
        until(opened, "document.querySelectorAll('#rows li').length === 70")
        opened.keyboard.press("j")
        opened.keyboard.press("j")
        opened.keyboard.press("k")
        opened.keyboard.press("Enter")
        opened.wait_for_selector("#group article")
        assert "line=1" in opened.url
        assert texts(opened, "#group article h4") == ["t0", "t1", "t2", "t3"]
        assert texts(opened, "#group thead th") == ["attempt", "judge-a", "judge-b", "truth"]
        opened.keyboard.press("1")
        until(opened, "document.querySelector('.compare').textContent.includes('Choose another')")
        opened.keyboard.press("3")
        opened.wait_for_selector("#group mark")
        assert texts(opened, "#group mark") == ["0", "2"]
        assert texts(opened, "#group article h4") == ["t0", "t2"]
        assert "2 words of t0 and t2 differ." in opened.text_content(".compare")
        opened.reload()  # the address holds the state
        opened.wait_for_selector("#group mark")
        opened.keyboard.press("Escape")
        until(opened, "document.querySelectorAll('#group article').length === 4")
        opened.keyboard.press("j")
        until(opened, "document.title.startsWith('g1')")
        opened.keyboard.press("j")
        until(opened, "document.title.startsWith('g2')")
        assert "JudgeCallError" in opened.text_content("#group .fault")
        opened.go_back()
        until(opened, "document.title.startsWith('g1')")
        opened.keyboard.press("Escape")
        opened.wait_for_selector("#rows a:focus")
        opened.keyboard.press("/")
        opened.wait_for_selector("#words:focus")
        opened.keyboard.type("g42")
        until(opened, "document.querySelectorAll('#rows li').length === 1")
        assert "words=g42" in opened.url
        opened.keyboard.press("Escape")
        opened.keyboard.press("?")
        opened.wait_for_selector("#keys[open]")
        opened.keyboard.press("Escape")
        opened.click("#clear")
        until(opened, "document.querySelectorAll('#rows li').length > 1")
        opened.select_option("#state", "bad")
        until(opened, "document.querySelectorAll('#rows li').length === 1")
        assert "Line 4 is not JSON" in opened.text_content("#rows li")
        opened.select_option("#state", "")
        until(opened, "document.querySelectorAll('#rows li').length > 1")
        opened.select_option("#judge", "judge-b")
        opened.select_option("#agreement", ":0.5")
        until(opened, "document.getElementById('count').textContent === '1 group'")
        assert texts(opened, "#rows .name") == ["Question 0: which number is meant?"]


def test_a_run_is_walked_through_by_steps_and_goes_on_live(browser, tmp_path):
    run = make_run(tmp_path / "run")
    with viewer(run) as view, page(browser, view.address) as opened:
        opened.wait_for_selector("#curves figure")
        assert texts(opened, "#curves figcaption")[:2] == ["True reward", "Reward"]
        assert opened.locator("#curves .alarm").count() == opened.locator("#curves figure").count()
        assert texts(opened, ".sign") == ["Step 4: agreement fell to 0.70"]
        opened.focus("#step")
        opened.keyboard.press("ArrowLeft")
        until(opened, "document.getElementById('count').textContent === '2 groups'")
        assert "step=4" in opened.url
        assert "0.70 (0.60 to 0.80)" in "".join(texts(opened, "#curves .legend"))
        opened.check("#alarm")
        until(opened, "location.hash.includes('alarm=1')")
        opened.click("#every")
        until(opened, "document.getElementById('count').textContent === '4 groups'")
        opened.click("#clear")
        until(opened, "document.getElementById('count').textContent === '10 groups'")
        with open(run / "metrics.jsonl", "a") as out, open(run / "samples.jsonl", "a") as more:
            out.write(json.dumps(metrics(6)) + "\n")
            more.write(json.dumps(sample(6, 99)) + "\n")
        opened.evaluate("document.activeElement.blur()")
        until(opened, "document.getElementById('count').textContent === '11 groups'")
        assert opened.get_attribute("#step", "max") == "6"


def hostile(groups: int, size: int) -> list[dict[str, Any]]:
    rng = random.Random(0)
    found = []
    for g in range(groups):
        members = []
        for i in range(size):
            bad = rng.choice(EVIL)
            call = {"id": bad[:40], "function": {"name": bad[:80], "arguments": json.dumps({bad[:40]: bad})}}
            said = {"role": "assistant", "content": bad, "tool_calls": [call], bad[:40] or "x": bad}
            result = {"role": "tool", "tool_call_id": bad[:40], "content": bad}
            last = {"role": "assistant", "content": rng.choice(EVIL)}
            members.append(
                {
                    "id": f"{i}{bad[:60]}",
                    "messages": [{"role": "user", "content": rng.choice(EVIL)}, said, result, last],
                }
            )
        rewards = {m["id"]: i / size for i, m in enumerate(members)}
        reasons = {m["id"]: rng.choice(EVIL) for m in members}
        more = {
            "task": rng.choice(EVIL),
            "rubric": rng.choice(EVIL),
            "judge": rng.choice(EVIL),
            "warnings": [EVIL[0]],
        }
        found.append({"id": f"g{g}", "rewards": rewards, "reasons": reasons, "trajectories": members, **more})
    return found


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("size", "groups"), [(WIDE, 100), (PHONE, 10)], ids=["wide", "phone"])
def test_ten_thousand_hostile_attempts_run_nothing_and_break_nothing(browser, tmp_path, size, groups):
    file = write(tmp_path / "g.jsonl", hostile(groups, 100))
    with viewer(file) as view, page(browser, view.address, size) as opened:
        until(opened, f"document.querySelectorAll('#rows li').length === {min(groups, 50)}")
        assert fits(opened)
        for line in range(1, groups + 1):
            opened.evaluate(f"location.hash = 'line={line}'")
            until(opened, f"document.title.startsWith('g{line - 1} ')")
            until(opened, "document.querySelectorAll('#group article').length === 100")
            assert fits(opened)
            assert (
                opened.evaluate(
                    "document.querySelectorAll('#group :is(script, img, style, svg, iframe, object, link)').length"
                )
                == 0
            )
        assert opened.evaluate("window.owned") is None
        opened.evaluate("location.hash = 'line=1&compare=0,99'")
        opened.wait_for_selector("#group .attempts.two")
        assert fits(opened)


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("size", "scheme"), [(WIDE, "light"), (PHONE, "dark")], ids=["wide", "phone"])
def test_no_page_has_a_fault_of_accessibility(browser, groups, tmp_path, size, scheme):
    from axe_playwright_python.sync_playwright import Axe

    run, folder = make_run(tmp_path / "run"), tmp_path / "audit"
    folder.mkdir()
    write_audit(folder, edit="padding")
    for path, places in (
        (groups, ("", "#line=1", "#line=3", "#line=1&compare=0,2")),
        (run, ("", "#line=3")),
        (folder, ("",)),
    ):
        with viewer(path) as view:
            context = browser.new_context(viewport=size, color_scheme=scheme, bypass_csp=True)
            for place in places:
                opened = context.new_page()
                opened.goto(view.address + place)
                opened.wait_for_selector("#rows li:visible, #group h2:visible, #audit table:visible")
                opened.wait_for_timeout(300)
                faults = [
                    (v["id"], v["impact"], v["nodes"][0]["html"])
                    for v in Axe().run(opened).response["violations"]
                ]
                assert not faults, f"{path.name}{place}"
                assert fits(opened)
                opened.close()
            context.close()


def test_an_exported_page_works_alone(browser, tmp_path):
    file = write(tmp_path / "g.jsonl", [*hostile(3, 4), ranked(7)])
    out = tmp_path / "out.html"
    done = ranker("view", file, "--export", out)
    assert done.returncode == 0, done.stderr
    with page(browser, out.as_uri()) as opened:
        assert opened.text_content("#count") == "4 groups"
        opened.fill("#words", "group 7")
        until(opened, "document.querySelectorAll('#rows li').length === 1")
        opened.click("#rows a")
        opened.wait_for_selector("#group article")
        opened.click("[data-pick='0']")
        opened.click("[data-pick='3']")
        opened.wait_for_selector("#group mark")
        assert texts(opened, "#group mark") == ["0", "3"]
        assert opened.is_hidden("#export")
    with page(browser, f"{out.as_uri()}#line=1", PHONE) as opened:
        assert fits(opened)
        assert opened.locator("#group article").count() == 4


def test_the_page_exports_what_it_shows(browser, groups, tmp_path):
    with viewer(groups) as view, page(browser, f"{view.address}#words=g42", accept_downloads=True) as opened:
        with opened.expect_download() as loading:
            opened.click("#export")
        loading.value.save_as(tmp_path / "sent.html")
    with page(browser, (tmp_path / "sent.html").as_uri()) as opened:
        assert opened.text_content("#count") == "1 group"


def test_the_progress_of_a_large_file_is_shown_and_the_list_goes_on(browser, tmp_path):
    file = write(tmp_path / "g.jsonl", [ranked(0)])
    with viewer(file) as view, page(browser, view.address) as opened:
        with open(file, "a") as out:
            out.write(json.dumps(ranked(1)) + "\n" + json.dumps(ranked(2))[:40])
        until(opened, "document.getElementById('count').textContent === '2 groups'")
        until(opened, "document.getElementById('notice').textContent.includes('last line is incomplete')")
