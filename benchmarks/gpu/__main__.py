"""`python -m benchmarks.gpu`."""

import sys

from benchmarks.gpu.carried import add_carried

add_carried()

from benchmarks.gpu.command import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
