"""The tables of words, stories and functions that the suites draw from: TOML files in the folder `data`.

A table is read when a suite first draws from it. That it holds what its type says is for the tests to check.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar, get_args, get_type_hints

T = TypeVar("T")


def load(kind: type[T], name: str) -> T:
    """The table `data/NAME.toml` as an instance of the dataclass `kind`, whose fields are the table's keys."""
    key: Any = kind
    table: T = _load(key, name)
    return table


def load_split(kind: type[T], suite: str, held_out: bool) -> T:
    """A suite's table for one split: `data/SUITE_held_out.toml` or `data/SUITE_train.toml`."""
    return load(kind, f"{suite}_{'held_out' if held_out else 'train'}")


@cache
def _load(kind: Any, name: str) -> Any:
    text = files(__package__).joinpath("data", f"{name}.toml").read_text("utf-8")
    return build(kind, tomllib.loads(text))


def build(kind: Any, value: Any) -> Any:
    """A value of TOML as a type asks for it: dataclasses of tables, or of strings that they `parse`; tuples of arrays.

    Raises:
        TypeError: a table lacks a field of its dataclass, or has another key.
    """
    if hasattr(kind, "__dataclass_fields__"):
        if isinstance(value, str):
            return kind.parse(value)
        hints = _hints(kind)
        return kind(**{key: build(hints.get(key), item) for key, item in value.items()})
    inner = get_args(kind)
    if isinstance(value, list) and inner:
        if inner[0] is str:
            return tuple(value)
        inner = inner[:1] * len(value) if inner[1:] == (...,) else inner
        return tuple(build(item_kind, item) for item_kind, item in zip(inner, value, strict=True))
    if isinstance(value, dict) and inner:
        return {key: build(inner[1], item) for key, item in value.items()}
    return value


_hints = cache(get_type_hints)
