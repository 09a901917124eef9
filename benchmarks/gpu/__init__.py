"""What the trainer does on a GPU: whether it is right, how fast it is, and TRL beside it.

A machine that can fetch nothing brings packages along in a folder that `make gpu-wheels` and `make gpu` fill; they come
after what is installed, so that a package which the machine has is taken from there.
"""

import sys

from benchmarks.harness import ROOT

CARRIED = ROOT / "build" / "gpu" / "site"

if CARRIED.is_dir() and str(CARRIED) not in sys.path:
    sys.path.append(str(CARRIED))
