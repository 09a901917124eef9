"""docs/troubleshooting.md quotes messages that the code has."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"^### `(.*)`$", PAGE, re.MULTILINE)


@cache
def messages() -> str:
    """Every text in the code, a line each, with … for what is put in."""
    files = [path for package in ("ranker", "grpo") for path in (ROOT / package).rglob("*.py")]
    nodes = (node for path in files for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    return "\n".join(text for text in map(text_of, nodes) if text)


def text_of(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "…" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def test_it_has_what_users_are_likely_to_meet():
    assert len(QUOTED) >= 25
    assert len(set(QUOTED)) == len(QUOTED)


@pytest.mark.parametrize("quoted", QUOTED)
def test_quoted_messages_are_those_of_the_code(quoted):
    wanted = re.compile(r"[^\n]*?".join(re.escape(part) for part in quoted.split("…")))
    assert wanted.search(messages()), "no message of the code reads like this"
