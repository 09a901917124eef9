"""docs/api.md is what the code says, and the packages show exactly their public names."""

from __future__ import annotations

import importlib
import re

import pytest

from docs import api

PAGE = api.PAGE.read_text(encoding="utf-8")


def test_page_is_up_to_date():
    assert api.page() == PAGE, "Run `python -m docs.api` and commit docs/api.md."


@pytest.mark.parametrize("module", api.MODULES)
def test_every_public_name_is_on_the_page_with_a_meaning(module):
    section = PAGE.split(f"\n## {module}\n")[1].split("\n## ")[0]
    entries = dict(
        re.findall(r"^### (\S+)\n\n```py\n.*?^```\n\n([^\n]+)$", section, re.DOTALL | re.MULTILINE)
    )
    assert list(entries) == list(importlib.import_module(module).__all__)
    assert all(meaning.endswith(".") and len(meaning) > 10 for meaning in entries.values())


def test_signatures_are_those_of_the_code():
    assert (
        "async LLMJudge.complete(messages: Sequence[Message], ids: Sequence[str], budget: Budget) -> Reply"
        in PAGE
    )
    assert (
        "class FunctionJudge(function: Callable[[Sequence[Trajectory]], Any], name: str | None = None)"
        in PAGE
    )
    assert '    on_error: OnError = "raise",\n' in PAGE


@pytest.mark.parametrize("package", ["ranker", "grpo"])
def test_dir_shows_exactly_the_public_names(package):
    module = importlib.import_module(package)
    assert sorted(dir(module)) == sorted(module.__all__)
    assert all(getattr(module, name) is not None for name in module.__all__)


@pytest.mark.parametrize("module", ["trl", "verl", "verifiers", "art", "tinker"])
def test_every_integration_is_on_the_page(module):
    assert f"ranker.integrations.{module}" in api.MODULES
