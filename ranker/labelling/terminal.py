"""Labelling in the terminal: a group is printed, a line is read."""

from __future__ import annotations

import os
import re
import select
import sys
from collections.abc import Sequence

from rich.console import Console

from ranker.errors import ConfigurationError
from ranker.labelling.order import OrderError, parse_order, render_order
from ranker.labelling.session import Session, Task
from ranker.labelling.view import Attempt, Block
from ranker.printing import Printer

_POLL = 1.0  # seconds between looks at a file that grows
_LINES, _CHARACTERS = 3, 240  # of a step that stay in sight
_STEPS = 4  # steps at the beginning and at the end of an attempt that stay in sight
_OPENING = 2_000  # characters of a message that all attempts begin with
_VIEW = re.compile(
    r"v(?:\s+([^\s>=,]{1,20}))?"
)  # V and more letters, or signs, are an order of 22 attempts or more
_INDENT = re.compile(r"\n *")
HELP = """\
B > A = D > C   the order, best first; = between attempts that are equally good. BADC is B > A > D > C.
v A             show attempt A in full; v alone: the whole group, all in full
s               skip this group for good
u               take back the last answer
q               stop; the same command goes on later
?               this help"""


class Lines:
    """Lines of standard input, which can be waited for. What is left without a newline at its end is a line."""

    def __init__(self, file: int):
        self._file, self._left, self._ended = file, b"", False

    def read(self, seconds: float | None = None) -> str | None:
        """The next line; None if none has come in time.

        Raises:
            EOFError: there are no more.
        """
        while b"\n" not in self._left and not self._ended:
            if not select.select([self._file], [], [], seconds)[0]:
                return None
            more = os.read(self._file, 65_536)
            self._left += more
            self._ended = not more
        line, _, self._left = self._left.partition(b"\n")
        if self._ended and not line:
            raise EOFError
        return line.decode("utf-8", "replace")


class Terminal:
    """Asks a person for the order of one group after the other.

    Raises:
        ConfigurationError: standard input is closed.
    """

    def __init__(self, session: Session, lines: Lines | None = None, console: Console | None = None):
        if lines is None and sys.stdin is None:
            raise ConfigurationError(
                "Standard input is closed, so no order can be typed: start it in a terminal, or rank in a page with --browser."
            )
        self._session = session
        self._lines = lines or Lines(sys.stdin.fileno())
        self._out = Printer(console)
        self._console = self._out.console

    def run(self) -> None:
        """Until everything is labelled, the person stops, or standard input ends."""
        session = self._session
        self._out.say("Which attempt is best? Write the order, e.g. B > A = C; ? shows what else.")
        shown: Task | None = None
        while not session.ended:
            task = session.refresh()
            if task is not None and task is not shown:
                self._show(task)
            elif task is None and shown is not None:
                self._out.say(f"\nWaiting for further groups in {session.groups}; u takes back, q stops.")
            if shown is None and task is None:
                self._out.say(f"Waiting for groups in {session.groups}; q stops.")
            shown = task
            try:
                if not self._take(task):
                    return
            except EOFError:
                return

    def _take(self, task: Task | None) -> bool:
        """Read a line and do what it says; False to stop."""
        if task is not None:
            self._console.print(f"[{self._session.progress}] order: ", end="")
        line = self._lines.read() if task is not None else self._wait()
        if line is None:
            return True
        word = line.strip()
        command = word.lower()
        if command in ("q", "quit"):
            return False
        if command in ("?", "h", "help"):
            self._out.say(HELP)
        elif command in ("u", "undo"):
            undone = self._session.undo()
            self._out.say("Taken back." if undone else "Nothing was answered in this session yet.")
        elif task is None or not command:
            return True
        elif command in ("s", "skip"):
            self._session.skip()
            self._out.say("Skipped.")
        elif (view := _VIEW.fullmatch(command)) is not None:
            self._view(task, (view[1] or "").upper())
        else:
            self._order(task, word)
        return True

    def _wait(self) -> str | None:
        """A line, or None as soon as a group has come."""
        while True:
            line = self._lines.read(_POLL)
            if line is not None or self._session.refresh() is not None:
                return line

    def _order(self, task: Task, text: str) -> None:
        try:
            tiers = parse_order(text, task.names)
        except OrderError as error:
            self._out.say(str(error))
            return
        self._session.label(tiers)
        self._out.say(f"Saved {render_order(tiers, task.names)}.")

    def _view(self, task: Task, name: str) -> None:
        if name and name not in task.names:
            self._out.say(f"There is no attempt {name!r}; there are {', '.join(task.names)}.")
            return
        if not name:
            self._opening(task, full=True)
        for i, other in enumerate(task.names):
            if name in ("", other):
                self._attempt(other, task.view.attempts[i], full=True)

    def _show(self, task: Task) -> None:
        progress = self._session.progress
        number = f"Group {progress.done + 1} of {progress.total}"
        self._console.rule("A group shown a second time" if task.again else number)
        self._opening(task, full=False)
        for name, attempt in zip(task.names, task.view.attempts, strict=True):
            self._attempt(name, attempt, full=False)

    def _opening(self, task: Task, *, full: bool) -> None:
        view = task.view
        for what, text in (("Task", view.task), ("What to prefer", view.rubric)):
            if text:
                self._out.heading(what)
                self._out.text(text)
        if view.shared:
            self._out.heading("All attempts begin with")
            for block in view.shared:
                short = not full and (block.kind == "tools" or len(block.text) > _OPENING)
                self._block(block, short=short, most=0 if block.kind == "tools" else _OPENING)

    def _attempt(self, name: str, attempt: Attempt, *, full: bool) -> None:
        self._out.heading(f"Attempt {name}")
        hidden = self._steps(attempt.steps, full=full)
        for block in attempt.last:
            self._block(block, short=False)
        if hidden:
            self._out.note(f"Shortened: v {name} shows all of it.", 4)

    def _steps(self, steps: Sequence[Block], *, full: bool) -> bool:
        """Print what comes before the last message; whether anything was left out."""
        gap = len(steps) - 2 * _STEPS
        hidden = False
        for i, block in enumerate(steps):
            if not full and gap > 1 and _STEPS <= i < len(steps) - _STEPS:
                if i == _STEPS:
                    self._out.note(f"… {gap} more steps …", 4)
                hidden = True
                continue
            hidden |= self._block(block, short=not full)
        return hidden

    def _block(self, block: Block, *, short: bool, most: int = _CHARACTERS) -> bool:
        """Print a block; whether it was shortened."""
        self._out.who(block.who)
        whole = block.text
        if short and whole[:1] in ("{", "["):  # JSON that was laid out
            whole = _INDENT.sub(" ", whole)
        text = whole
        if short:
            lines = _LINES if most == _CHARACTERS else most
            text = "\n".join(whole[:most].split("\n")[:lines])
        self._out.text(text)
        rest = len(whole) - len(text)
        if rest:
            self._out.note(f"… {rest:,} more characters", 4)
        return rest > 0
