"""`python -m benchmarks.watch`, which `make watch-study` runs."""

import sys

from benchmarks.watch.command import main

if __name__ == "__main__":
    sys.exit(main())
