"""Text for a terminal or a pipe: messages, and groups as headings, indented text, notes. Nothing in it is taken for markup."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.padding import Padding
from rich.text import Text


def tell(text: str) -> None:
    """A line on standard error, in which nothing that a file or a server said moves the cursor or hides."""
    from ranker.pages import visible

    print(f"ranker: {visible(text)}", file=sys.stderr, flush=True)  # noqa: T201 - messages of commands


class Printer:
    """Prints to a console, which is `console` for everything else."""

    def __init__(self, console: Console | None = None):
        self.console = console or Console(highlight=False, markup=False, emoji=False)

    def heading(self, text: str) -> None:
        self.console.print()
        self.console.print(Text(text, style="bold"))

    def who(self, name: str) -> None:
        """Whose text comes next."""
        self.console.print(Padding(Text(name, style="bold cyan"), (0, 0, 0, 2), expand=False))

    def text(self, text: str) -> None:
        if text:
            self.console.print(Padding(Text(text, overflow="fold"), (0, 0, 0, 4), expand=False))

    def note(self, text: str, indent: int = 2) -> None:
        self.console.print(Padding(Text(text, style="dim"), (0, 0, 0, indent), expand=False))

    def say(self, text: str) -> None:
        """A line to the user, which breaks where the terminal does."""
        self.console.print(Text(text), soft_wrap=True)
