"""`ranker view`: groups, judges and runs in a page of this machine, or as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ranker.cli.judge_options import option
from ranker.errors import ConfigurationError
from ranker.extras import needing

if TYPE_CHECKING:
    from ranker.viewing.shown import Shown


def view(
    path: Annotated[
        Path,
        typer.Argument(
            help="A group file, ranked or not; or what `ranker bench`, `ranker train` or `ranker audit` wrote into --out."
        ),
    ],
    port: Annotated[int, option("0 picks a free one.", min=0, max=65535)] = 0,
    no_open: Annotated[bool, option("Only print the page's address.", None, "--no-open")] = False,
    export: Annotated[
        Path | None,
        option(
            "Write one page that holds the groups and needs no server, instead of serving.",
            metavar="FILE.html",
        ),
    ] = None,
    ids: Annotated[
        list[str] | None,
        option(
            "With --export, the id of a group; repeatable. Default: the first 50 of the file.", None, "--id"
        ),
    ] = None,
) -> None:
    """Look at groups in the browser: attempts side by side in the judge's order, with reasons, rewards and truth; of a run
    also its curves, live.

    A server on this machine that only reads; its address is the first line printed. Millions of groups are no more than ten:
    the file is indexed while you look, not loaded. Ctrl-C ends it.

    [bold]ranker view ranked.jsonl[/bold]
    """
    from ranker.viewing.shown import Shown
    from ranker.viewing.source import source_of

    if ids and export is None:
        raise ConfigurationError(
            "--id chooses the groups of --export FILE.html; in the page, search for an id."
        )
    shown = Shown(source_of(path))
    try:
        if export is not None:
            write(shown, export, path, ids or [])
        else:
            serve(shown, port, opened=not no_open)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    finally:
        shown.close()


def serve(shown: Shown, port: int, *, opened: bool) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        ConfigurationError: a package is missing, or the port is taken.
    """
    with needing("`ranker view`", "serve", " `ranker show` and `ranker view --export` do without it."):
        from ranker.viewing.server import run
    run(shown, port, opened=opened)


def write(shown: Shown, out: Path, path: Path, ids: list[str]) -> None:
    """Write the page, and say where it is.

    Raises:
        ConfigurationError: there is no such group, or the file cannot be written.
    """
    from ranker.pages import write as write_page
    from ranker.runtime.outputs import check_outputs
    from ranker.viewing.export import document
    from ranker.viewing.find import Filter

    check_outputs({"--export": out}, [path if path.is_file() else None])
    lines = []
    for name in ids:
        line = shown.line_of(name)
        if line is None:
            raise ConfigurationError(f"{path} holds no group {name!r}; `ranker show {path}` lists them.")
        lines.append(line)
    write_page(out, document(shown, Filter(), lines))
    print(out)
