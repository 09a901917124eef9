"""Values as data frames, data sets and SDKs hold them, as plain lists, dicts and scalars."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from operator import is_
from typing import Any

_ATOMS = (str, int, float, bool, type(None))


def plain(value: Any) -> Any:
    """`value` with arrays as lists, their scalars as Python's, members of an Enum as their values and objects with
    ``model_dump()`` as dicts, at any depth. What holds none of these is returned as it is, not copied.

    Raises:
        RecursionError: it is nested too deeply.
    """
    kind = type(value)
    if kind in _ATOMS:
        return value
    if kind is dict or kind is list:  # nearly all there is
        return _members(value)
    if isinstance(value, Enum):
        return plain(value.value)
    if (listed := unarrayed(value)) is not value:
        return plain(listed)
    if isinstance(value, (Mapping, list, tuple)):
        return _members(value)
    return plain(value.model_dump(exclude_none=True)) if hasattr(value, "model_dump") else value


def _members(value: Any) -> Any:
    if isinstance(value, Mapping):
        members = {key: plain(member) for key, member in value.items()}
        return value if all(map(is_, members.values(), value.values())) else members
    items = [plain(item) for item in value]
    return value if all(map(is_, items, value)) else items


def unarrayed(value: Any) -> Any:
    """An array, a series or a scalar of numpy, pandas or torch as what it holds; anything else as it is."""
    array = hasattr(value, "dtype") and hasattr(value, "tolist") and not isinstance(value, type)
    return value.tolist() if array else value
