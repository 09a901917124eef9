"""The record as one table for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.harness import Json

HEAD = ("part", "what", "precision", "result", "seconds", "tokens/s", "GB", "of peak", "how")
Line = tuple[str, ...]


def text(record: Json) -> str:
    """The table, under a line that names the device."""
    gpu = record["gpu"] or {"device": "unknown device", "versions": {}}
    versions = ", ".join(f"{name} {version}" for name, version in gpu["versions"].items() if version)
    lines = [HEAD, *(line for name, part in record["parts"].items() for line in of_part(name, part))]
    lines += [beside(row) for row in record["beside_trl"]]
    title = f"{gpu['device']}; {versions}; {record['seconds']} s"
    return "\n".join([title, f"attention: {gpu.get('attention', 'unknown')}", *aligned(lines)])


def of_part(name: str, part: Json) -> Iterator[Line]:
    """A line for the part, and one for each of its results."""
    yield (name, "", "", part["status"], f"{part['seconds']:.1f}", "", "", "", _line_of(part["reason"]))
    for row in part["rows"]:
        yield ("", *_result(row))


def _result(row: Json) -> Line:
    what = " ".join(str(row[key]) for key in ("architecture", "size", "of") if key in row)
    how = str(row.get("attention") or row.get("way") or row.get("prompts") or "")
    if "way" in row and "attention" in row:
        how = f"{row['way']}, {row['attention']}"
    if row.get("refused"):
        how += f"; refused: {_line_of(row['refused'][0])}"
    if "error" in row:
        return (what, row.get("precision", ""), "error", "", "", "", "", _line_of(row["error"]))
    if "tflops" in row:
        return (what, "bfloat16", f"{row['tflops']:.4g} TFLOP/s", "", "", "", "", "")
    if "ok" in row:
        return (what or "update", row["precision"], _verdict(row), "", "", "", "", how)
    share = f"{row['share_of_peak']:.1%}" if "share_of_peak" in row else ""
    speed = f"{row['completion_tokens_per_second']:.0f}"
    return (
        what,
        row["precision"],
        "",
        f"{row['seconds']:.3f}",
        speed,
        f"{row['peak_memory_gb']:.2f}",
        share,
        how,
    )


def _verdict(row: Json) -> str:
    apart = row["log_probs"]["ours"]["largest"] if "log_probs" in row else row["loss_apart"]
    return f"{'ok' if row['ok'] else 'WRONG'}, {apart:.1e} apart"


def beside(row: Json) -> Line:
    """Ours beside TRL's."""
    result = f"{row['speed']:.2f} × TRL's speed, {row['memory']:.2f} × its memory"
    return ("beside TRL", f"{row['size']} update", row["precision"], result, "", "", "", "", row["way"])


def aligned(lines: Sequence[Line]) -> Iterator[str]:
    """Every column as wide as its widest entry."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    for line in lines:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def _line_of(reason: str | None) -> str:
    """The line of an error that says what it is: the last that names one."""
    lines = reason.strip().splitlines() if reason else [""]
    return next((line for line in reversed(lines) if "Error" in line), lines[-1])[:100]
