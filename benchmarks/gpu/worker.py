"""The process of a part: writes each result as a line of JSON as soon as it is there."""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from contextlib import redirect_stdout

from benchmarks.gpu.measure import machine
from benchmarks.gpu.parts import Skipped


def main(module: str, settings: str) -> int:
    """Do the work; 1 where it failed."""
    answers = sys.stdout

    def answer(**message: object) -> None:
        print(json.dumps(message), file=answers, flush=True)

    with redirect_stdout(sys.stderr):  # remarks of libraries
        try:
            answer(machine=machine())
            for row in importlib.import_module(module).rows(**json.loads(settings)):
                answer(row=row)
        except Skipped as reason:
            answer(skipped=str(reason))
        except Exception:
            answer(failed=traceback.format_exc())
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
