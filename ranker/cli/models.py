"""`ranker models`: small models that judge locally."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.table import Table

from ranker.errors import ConfigurationError
from ranker.judges.local.models import DEFAULT, KNOWN, KnownModel, fetch, installed, models_folder, remove

app = typer.Typer(
    invoke_without_command=True,
    help="Small local judge models: list, download and remove them.",
)


@app.callback()
def show(context: typer.Context) -> None:
    """List the models that local:NAME knows, and where they are stored."""
    if context.invoked_subcommand is not None:
        return
    table = Table("judge", "size", "on disk", "what to expect", box=None, padding=(0, 2, 0, 0))
    for model in KNOWN.values():
        name = f"local:{model.name}" + (" (default)" if model.name == DEFAULT else "")
        table.add_row(name, f"{model.megabytes} MB", "yes" if installed(model) else "no", model.note)
    console = Console()
    console.print(table)
    console.print(f"Stored in {models_folder()} ($RANKER_MODELS names another folder; a NAME.gguf in it is used for local:NAME). "
                  "Any folder, GGUF file or hub name works too: local:PATH.",
                  soft_wrap=True, highlight=False)  # fmt: skip


def _known(name: str) -> KnownModel:
    bare = name.removeprefix("local:")
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
