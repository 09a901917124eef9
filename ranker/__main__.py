"""`python -m ranker` is the command `ranker`."""

from ranker.cli import main

main()
