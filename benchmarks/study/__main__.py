"""`python -m benchmarks.study`, which `make study` runs."""

import sys

from benchmarks.study.command import main

if __name__ == "__main__":
    sys.exit(main())
