"""The tests on real engines, and a record of what was run: `make test-engines`."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.harness import ROOT, Json, add_record, parser, source, write_record
from benchmarks.integrations import run

MODULE = "benchmarks.engines"
PACKAGES = {"vllm": ("vllm", "torch", "transformers"), "llamacpp": ("xllamacpp",)}


def main() -> int:
    options = parser(MODULE, __doc__)
    options.add_argument(
        "--engines", type=Path, required=True, help="the folder of the engines' environments"
    )
    add_record(options)
    chosen = options.parse_args()
    code, counts = run(ROOT / "tests" / "engines", "--durations=10")
    record = {
        **source(MODULE, torch=True),
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {
            name: installed(chosen.engines / name / "bin" / "python", *names)
            for name, names in PACKAGES.items()
        },
        **counts,
    }
    write_record(chosen.json, record)
    return code


def installed(python: Path, *names: str) -> Json:
    """Versions in another environment."""
    program = "import sys, importlib.metadata as m; print(*[f'{n} {m.version(n)}' for n in sys.argv[1:]], sep='\\n')"
    text = subprocess.run([python, "-c", program, *names], capture_output=True, text=True, check=True).stdout
    return dict(line.split(" ", 1) for line in text.splitlines())


if __name__ == "__main__":
    sys.exit(main())
