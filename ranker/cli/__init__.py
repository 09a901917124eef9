"""The command `ranker`."""

from __future__ import annotations

import io
import logging
import sys

import typer

from ranker import __version__
from ranker.cli import (
    audit,
    bench,
    cache,
    calibrate,
    compare,
    demo,
    init,
    judges,
    label,
    models,
    rank,
    recommend,
    report,
    serve,
    show,
    train,
    tune,
    view,
)
from ranker.errors import RankerError
from ranker.printing import tell
from ranker.runtime.outputs import drop_stdout

app = typer.Typer(
    name="ranker",
    help="Rewards for training LLM agents: show one judge a whole group of attempts, let it rank them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with [bold]ranker demo[/bold]. Exit codes: 0 done, 1 some groups failed, "
    "2 usage or configuration error, 130 interrupted (what was finished is saved).",
)
app.command("init")(init.init)
app.command("rank")(rank.rank)
app.command("bench")(bench.bench)
app.command("audit")(audit.audit)
app.command("compare")(compare.compare)
app.command("judges")(judges.judges)
app.command("recommend")(recommend.recommend)
app.command("calibrate")(calibrate.calibrate)
app.command("view")(view.view)
app.command("show")(show.show)
app.command("label")(label.label)
app.command("train")(train.train)
app.command("tune-judge")(tune.tune_judge)
app.command("serve")(serve.serve)
app.command("report")(report.report)
app.command("demo")(demo.demo)
app.add_typer(models.app, name="models")
app.add_typer(cache.app, name="cache")


class _Visible(logging.Formatter):
    """Of what servers and files said, as `tell` shows it."""

    def format(self, record: logging.LogRecord) -> str:
        from ranker.pages import visible

        return str(visible(super().format(record)))


def _version(wanted: bool) -> None:
    if wanted:
        print(f"ranker {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """Rewards for training LLM agents: show one judge a whole group of attempts, let it rank them."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Visible("ranker: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def main() -> None:
    """Run the command; expected errors become one message and an exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # letters that the terminal lacks are spelled out
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            app()
        except RankerError as error:
            tell(str(error))
            sys.exit(2 if error.fatal else 1)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        drop_stdout()  # its reader has gone
        sys.exit(1)
    except OSError as error:
        if _stdout_takes_more():
            raise
        drop_stdout()
        tell(f"Standard output cannot be written: {error.strerror}.")
        sys.exit(2)


def _stdout_takes_more() -> bool:
    try:
        print(flush=True)  # what failed before may not be there any more to fail again
    except OSError:
        return False
    return True
