"""`ranker models`: small models that judge locally."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.table import Table

from ranker.errors import ConfigurationError
from ranker.judges.local.models import (
    ALIAS,
    DEFAULT,
    KNOWN,
    KnownModel,
    fetch,
    installed,
    models_folder,
    remove,
)

app = typer.Typer(
    invoke_without_command=True,
)


@app.callback()
def show(context: typer.Context) -> None:
    """Small local judge models: list, download and remove them. Without a command, the list."""
    if context.invoked_subcommand is None:
        list_models()


@app.command("list")
def list_models() -> None:
    """List the judges that need no key: the built-in one, and the models that local:NAME knows."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("judge", no_wrap=True)
    for head in ("size", "on disk", "what to expect"):
        table.add_column(head)
    here = "yes" if installed(KNOWN[DEFAULT]) else "no"
    table.add_row("local (default)", f"{KNOWN[DEFAULT].megabytes} MB", here, _embedded())
    for model in KNOWN.values():
        short = f"in short local:{ALIAS}; " if model.name == DEFAULT else ""
        on_disk = "yes" if installed(model) else "no"
        table.add_row(f"local:{model.name}", f"{model.megabytes} MB", on_disk, short + model.note)
    console = Console(markup=False, emoji=False)
    console.print(table)
    console.print(f"Stored in {models_folder()} ($RANKER_MODELS names another folder; a NAME.gguf in it is used for local:NAME). "
                  "Any folder, GGUF file or hub name works too: local:PATH.",
                  soft_wrap=True, highlight=False)  # fmt: skip


def _embedded() -> str:
    from ranker.judges.embedded import known_for

    return f"local:{ALIAS} with an adapter that comes with Ranker; pairs in the right order: {known_for()}"


def _known(name: str) -> KnownModel:
    bare = name.removeprefix("local:")
    bare = DEFAULT if bare in ("local", ALIAS) else bare
    if bare not in KNOWN:
        raise ConfigurationError(f"{name!r} is not a known model; available: {', '.join(KNOWN)}.")
    return KNOWN[bare]


@app.command("fetch")
def fetch_model(name: str = typer.Argument(DEFAULT, help="A name from the list.")) -> None:
    """Download a model now instead of on first use."""
    print(fetch(_known(name), report=print))


@app.command("remove")
def remove_model(name: str = typer.Argument(help="A name from the list.")) -> None:
    """Delete a model from the disk."""
    print("removed" if remove(_known(name)) else "not installed")
