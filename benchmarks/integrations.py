"""Which releases of the other trainers the adapters were tested with.

`make record-integrations` starts this once in the environment of each adapter; each run replaces its own entry of the record.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.harness import ROOT, Json, add_record, parser, source, versions, write_record

MODULE = "benchmarks.integrations"


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser(MODULE, __doc__)
    options.add_argument("name", help="the adapter's name in the Makefile")
    options.add_argument("--file", help="what its test file is called, if not the same")
    options.add_argument("--versions", nargs="+", default=[], metavar="REQUIREMENT", help="what to record")
    add_record(options)
    chosen = options.parse_args(arguments)
    code, counts = run(ROOT / "tests" / "integrations" / f"test_integration_{chosen.file or chosen.name}.py")
    names = [re.split(r"[\[=<>!~;]", requirement)[0] for requirement in chosen.versions]
    entry = {
        **source(MODULE),
        "command": f"make test-integration-{chosen.name}",
        "date": datetime.now(UTC).date().isoformat(),
        "versions": versions(*dict.fromkeys([*names, "litellm", "openai", "pytest"])),
        **counts,
    }
    path: Path | None = chosen.json
    write_record(path, merged(path, chosen.name, entry))
    return code


def run(tests: Path, *more: str) -> tuple[int, Json]:
    """Run tests with this Python: pytest's exit status, and how many tests ended how."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "tests.xml"
        options = ["-q", "--timeout", "600", f"--junitxml={report}", *more]
        command = [sys.executable, "-m", "pytest", *options, str(tests)]
        code = subprocess.run(command, check=False, cwd=ROOT).returncode
        return code, counted(report)


def counted(report: Path) -> Json:
    """How many tests ended how, by a report in JUnit's format."""
    suites = list(ElementTree.parse(report).getroot().iter("testsuite"))
    total, failed, errors, skipped = (
        sum(int(suite.get(kind, 0)) for suite in suites)
        for kind in ("tests", "failures", "errors", "skipped")
    )
    seconds = sum(float(suite.get("time", 0)) for suite in suites)
    return {
        "passed": total - failed - errors - skipped,
        "skipped": skipped,
        "failed": failed + errors,
        "seconds": round(seconds, 1),
    }


def merged(path: Path | None, name: str, entry: Json) -> Json:
    """The record with this entry, beside those of other adapters."""
    known = json.loads(path.read_bytes()) if path is not None and path.is_file() else {}
    entries = {**known.get("integrations", {}), name: entry}
    return {
        "command": "make record-integrations",
        "commit": entry["commit"],
        "integrations": dict(sorted(entries.items())),
    }


if __name__ == "__main__":
    sys.exit(main())
