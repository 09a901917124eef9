"""Which JSON types a tool's parameter may have, for call formats that write every value as bare text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def json_types(schema: Any, root: Mapping[str, Any]) -> set[str]:
    """The types that a JSON schema allows; none where it states none.

    Args:
        root: the schema of all parameters, with the definitions that ``$ref`` names.
    """
    types: set[str] = set()
    left, met = [schema], set()
    while left:
        part = left.pop()
        if not isinstance(part, Mapping):
            continue
        stated = part.get("type") or ()
        types.update([stated] if isinstance(stated, str) else stated)
        if part.get("nullable"):  # as transformers writes `str | None` of a function
            types.add("null")
        for value in (*part.get("enum", ()), *([part["const"]] if "const" in part else ())):
            types.add("string" if isinstance(value, str) else "null" if value is None else "other")
        for several in ("anyOf", "oneOf", "allOf"):
            left += part.get(several, ())
        reference = part.get("$ref")
        if isinstance(reference, str) and reference not in met:
            met.add(reference)
            place: Any = root
            for step in reference.removeprefix("#/").split("/"):
                place = place.get(step) if isinstance(place, Mapping) else None
            left.append(place)
    return types
