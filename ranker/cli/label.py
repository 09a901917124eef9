"""`ranker label`: a person ranks groups."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ranker.cli.judge_options import interruptible, option
from ranker.errors import ConfigurationError
from ranker.extras import needing
from ranker.printing import tell

if TYPE_CHECKING:
    from ranker.labelling.session import Session

PAGE = "The page"


def label(
    groups: Annotated[Path, typer.Argument(help="JSONL file of the groups to rank.")],
    out: Annotated[
        Path, option("Where labelled groups are appended; groups that it already holds are not asked again.")
    ],
    name: Annotated[str, option("Who ranks: written as the judge of each group.")] = "person",
    again: Annotated[
        float,
        option(
            "Share of the groups shown a second time, in another order, to measure agreement.", min=0, max=1
        ),
    ] = 0.0,
    follow: Annotated[
        bool,
        option("Wait for further lines of the input, such as the queue of a training.", None, "--follow"),
    ] = False,
    seed: Annotated[int, option("For the orders in which attempts are shown.")] = 0,
    browser: Annotated[
        bool, option("Rank in a page of a server on this machine instead of the terminal.", PAGE, "--browser")
    ] = False,
    port: Annotated[int, option("0 picks a free one.", PAGE, min=0, max=65535)] = 0,
    no_open: Annotated[bool, option("Only print the page's address.", PAGE, "--no-open")] = False,
) -> None:
    """Rank groups yourself, one after the other: ground truth for `bench`, `calibrate`, `audit` and `tune-judge`.

    Attempts are shown in random order under letters, without ids, truths or any judge's opinion. Every answer is saved
    at once: stop it or kill it at any moment and run the same command again.

    [bold]ranker label groups.jsonl --out labels.jsonl[/bold]
    """
    from ranker.labelling.session import Session

    if not name.strip() or not name.isprintable():
        raise ConfigurationError("--name must be printable text.")
    with interruptible():
        session = Session(groups, out, name=name, seed=seed, again=again, follow=follow, say=tell)
        try:
            if session.left_out:
                tell(f"{session.left_out} groups are left out: there is nothing to rank in one attempt.")
            if browser:
                in_browser(session, port, shown=not no_open)
            else:
                from ranker.labelling.terminal import Terminal

                Terminal(session).run()
        finally:
            session.close()
            summarize(session)


def in_browser(session: Session, port: int, *, shown: bool) -> None:
    """Serve the page until everything is labelled or the person stops.

    Raises:
        ConfigurationError: a package is missing, or the port is taken.
    """
    with needing("--browser", "serve"):
        from ranker.labelling.server import run
    run(session, port, shown=shown)


def summarize(session: Session) -> None:
    """Say what was done, and how well the second orders agree with the first."""
    from ranker.labelling.records import agreement
    from ranker.labelling.session import again_path

    progress = session.progress
    skipped = f", {session.skipped} skipped" if session.skipped else ""
    tell(
        f"{session.labelled} groups labelled{skipped}; {progress.total - progress.done} left. Labels: {session.out}"
    )
    if session.again:
        share, pairs, count = agreement(again_path(session.out))
        if count:
            tell(
                f"agreement of the two orders: {share:.0%} of {pairs} pairs in {count} groups (95 % interval)"
            )
