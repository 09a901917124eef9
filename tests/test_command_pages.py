"""docs/commands/ is what the commands' help says, and the commands shown there run."""

from __future__ import annotations

import re

import pytest

from docs import commands
from ranker.cli import app

PAGES = commands.pages()


def test_pages_are_up_to_date():
    written = {path.name: path.read_text(encoding="utf-8") for path in commands.FOLDER.glob("*.md")}
    assert written == PAGES, "Run `python -m docs.commands` and commit docs/commands."


@pytest.mark.parametrize("name", sorted(PAGES))
def test_pages_hold_no_markup_of_the_terminal(name):
    assert not re.search(r"\[/?(bold|dim|italic|red|green)\b", PAGES[name])


def test_every_command_has_a_page_that_names_its_options():
    names = [command.name for command in app.registered_commands] + [
        group.name for group in app.registered_groups
    ]
    assert {f"{name}.md" for name in names} | {"ranker.md"} == set(PAGES)
    assert all(f"[{name}]({name}.md): " in PAGES["ranker.md"] for name in names)
    assert "`--max-cost <float>`: Dollars; stops before" in PAGES["rank.md"]
    assert "## The judge\n" in PAGES["rank.md"]
    assert "## ranker models fetch\n" in PAGES["models.md"]
    assert "(default: 1; x>=1)" in PAGES["rank.md"]
    assert "--help" not in "".join(PAGES.values())
