"""The tables that the suites draw from hold what their types say."""

from __future__ import annotations

from dataclasses import asdict
from importlib.resources import files
from typing import Any

import pytest
from pydantic import TypeAdapter

from ranker.suites import (
    answers_text,
    arithmetic_work,
    code,
    constraints_checks,
    constraints_text,
    desk_world,
    lookup_text,
    toolenv_world,
)
from ranker.suites.arithmetic_work import Step
from ranker.suites.lookup_text import Field
from ranker.suites.tables import build, load

SPLITS = {
    "answers": answers_text.Words,
    "arithmetic": arithmetic_work.Words,
    "code": code.Words,
    "constraints": constraints_text.Words,
    "lookup": lookup_text.Words,
    "toolenv": toolenv_world.Voice,
}
TABLES: dict[str, Any] = {
    **{f"{suite}_{split}": kind for suite, kind in SPLITS.items() for split in ("train", "held_out")},
    "code_shared": code.Shared,
    "constraints_shared": constraints_checks.Shared,
    "desk": desk_world.Words,
    "lookup_shared": lookup_text.Shared,
    "toolenv_shared": toolenv_world.Shared,
}


def validated(table: Any) -> dict[str, Any]:
    """The fields of a table after pydantic has held each value against its type."""
    return asdict(TypeAdapter(type(table)).validate_python(asdict(table)))


def test_every_table_has_a_type() -> None:
    folder = files("ranker.suites").joinpath("data")
    assert {file.name for file in folder.glob("*.toml")} == {f"{name}.toml" for name in TABLES}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_holds_what_its_type_says(name: str) -> None:
    table = load(TABLES[name], name)
    assert validated(table) == asdict(table)
    assert load(TABLES[name], name) is table


def test_a_value_of_the_wrong_type_would_be_noticed() -> None:
    table = build(code.Shared, {"names": {"out": ["result", 3]}})
    with pytest.raises(ValueError, match="valid string"):
        validated(table)
    with pytest.raises(TypeError, match="nmaes"):
        build(code.Shared, {"nmaes": {}})


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("the profit = #3 - cost", Step("the profit", "-", "#3", "cost")),
        ("minutes = hours * 60", Step("minutes", "*", "hours", 60)),
    ],
)
def test_a_step_is_read_from_its_formula(text: str, step: Step) -> None:
    assert Step.parse(text) == step


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("due date: date", Field("due date", "date")),
        ("gate: G1/G2", Field("gate", "cat", values=("G1", "G2"))),
        ("crew: 7-64", Field("crew", "int", 7, 64)),
        ("weight in kg: 0.30-28.00", Field("weight", "dec", 0.3, 28.0, unit="kg")),
    ],
)
def test_a_field_is_read_from_its_line(text: str, field: Field) -> None:
    assert Field.parse(text) == field
