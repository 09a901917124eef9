"""`ranker show`: groups in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ranker.errors import ConfigurationError


def show(
    path: Annotated[
        Path,
        typer.Argument(
            help="A group file, ranked or not; or what `ranker bench`, `ranker train` or `ranker audit` wrote into --out."
        ),
    ],
    group: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="Of the group to show. Default: a list of the first groups."),
    ] = None,
) -> None:
    """Look at a group in the terminal: its attempts in the judge's order, with reasons, rewards and truth. Without ID: the
    groups there are.

    [bold]ranker show ranked.jsonl service-0[/bold]
    """
    from ranker.viewing.shown import Shown
    from ranker.viewing.source import source_of
    from ranker.viewing.terminal import Terminal

    shown = Shown(source_of(path))
    try:
        terminal = Terminal()
        if group is None:
            terminal.list(shown)
            return
        line = shown.line_of(group)
        if line is None:
            raise ConfigurationError(
                f"{path} holds no group {group!r}; `ranker show {path}` lists the first ones."
            )
        terminal.group(shown.card_of(line))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    finally:
        shown.close()
