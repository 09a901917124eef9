"""Our update beside TRL's of the same batch, from what the parts found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.harness import Json


def ratios(parts: Mapping[str, Json]) -> list[Json]:
    """One for each size and precision that both have; see `beside`."""
    updates = [row for part in parts.values() for row in part["rows"] if row.get("of") == "update"]
    ours = [row for row in updates if "layout" in row and "seconds" in row]
    theirs = [row for row in updates if "way" in row and "seconds" in row]
    found = []
    for own in ours:
        same = [row for row in theirs if all(row[name] == own[name] for name in ("size", "precision"))]
        if same:
            found.append(beside(own, same))
    return found


def beside(own: Json, theirs: Sequence[Json]) -> Json:
    """Ours and the fastest of TRL's ways.

    Returns:
        `speed`: completion tokens a second of ours, divided by TRL's. `memory`: our peak as a part of TRL's.
        `grad_norm`: of the first update, ours divided by TRL's; 1 where both compute the same.
    """
    best = max(theirs, key=lambda row: float(row["completion_tokens_per_second"]))
    return {
        "size": own["size"],
        "precision": own["precision"],
        "way": best["way"],
        "speed": own["completion_tokens_per_second"] / best["completion_tokens_per_second"],
        "memory": own["peak_memory_gb"] / best["peak_memory_gb"],
        "grad_norm": own["grad_norm"] / best["grad_norm"] if own["groups"] == best["groups"] else None,
    }
