"""The site is built of docs/ without a warning: every link leads somewhere, every page is in its table of contents."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"]
    done = subprocess.run(
        [*command, "-d", out / "trees", "docs", out / "html"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out / "html"


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.ids.add(named.get("id") or "")
        self.found |= {named[key] or "" for key in ("href", "src") if key in named}


def read(page: Path) -> _Links:
    links = _Links()
    links.feed(page.read_text(encoding="utf-8"))
    return links


def test_every_link_of_every_page_leads_somewhere(site):
    pages = {path: read(path) for path in site.rglob("*.html")}
    assert len(pages) >= len(list((ROOT / "docs").rglob("*.md")))
    for path, links in pages.items():
        for link in links.found:
            target, _, anchor = link.partition("#")
            if re.match(r"\w+:", link) or not target:
                continue
            file = (path.parent / target.partition("?")[0]).resolve()
            assert file.exists(), f"{path.name} links to {link}"
            assert not anchor or file not in pages or anchor in pages[file].ids, f"{path.name}: {link}"


def test_nothing_is_loaded_from_elsewhere(site):
    for path in site.rglob("*.html"):
        loaded = re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"(https?:[^\"]+)\"", path.read_text())
        assert not loaded, path.name


def test_the_reference_has_whole_docstrings(site):
    text = (site / "api.html").read_text()
    assert "ranker.rank_group" in text
    assert "on_error" in text
    assert "comes back with" in text  # from the arguments of rank_groups
    assert 'class="highlight-python' in text
    index = (site / "searchindex.js").read_text()
    assert "troubleshooting" in index
    assert "openrlhf" in index


def test_other_files_of_the_repository_are_pages_or_are_handed_out(site):
    for page, words in {
        "changes": "Keep a Changelog",
        "contributing": "Data flow",
        "card": "held out from training",
        "examples": "choose_a_judge.py",
    }.items():
        assert words in (site / "site" / f"{page}.html").read_text()
    assert list(site.glob("_downloads/*/rank_a_group.ipynb"))
    assert list(site.glob("_downloads/*/beside_ruler.json"))
