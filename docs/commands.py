"""Writes docs/commands/: a page for each command of `ranker`, from its help.

python -m docs.commands
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import typer
from typer.core import TyperCommand, TyperGroup

from ranker.cli import app

FOLDER = Path(__file__).with_name("commands")
OVERVIEW = "ranker"
_NOTE = "This page is generated from the command's help by `python -m docs.commands`, so do not edit it."
_NAMED = re.compile(r"\[bold\](.*?)\[/bold\]")
_EXTRA = re.compile(r" \[([^\[\]]+)\]$")  # what Typer adds: the default, the range, whether it is required

# Typer's own generator (`typer utils docs`) makes one page, without the panels, and leaves rich's markup in.


def pages() -> dict[str, str]:
    """Every page as Markdown, by the name of its file."""
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    context = typer.Context(root, info_name="ranker")
    found = {OVERVIEW: overview(root, context)}
    for name, command, inner in commands(root, context):
        found[name] = f"{page(command, inner)}\n{_NOTE}\n"
    return {f"{name}.md": text for name, text in found.items()}


def overview(root: TyperGroup, context: typer.Context) -> str:
    """The page that lists the commands."""
    listed = [
        f"* [{name}]({name}.md): {plain(command.get_short_help_str(limit=200))}"
        for name, command, _ in commands(root, context)
    ]
    lines = [
        section(root, context, "#"),
        "## Commands\n",
        *listed,
        "",
        plain(root.epilog or ""),
        "",
        _NOTE,
        "",
    ]
    return "\n".join(lines)


def page(command: TyperCommand | TyperGroup, context: typer.Context) -> str:
    """A command, and those below it."""
    parts = [section(command, context, "#")]
    if isinstance(command, TyperGroup):
        parts += [section(below, inner, "##") for _, below, inner in commands(command, context)]
    return "\n".join(parts)


def commands(
    group: TyperGroup, context: typer.Context
) -> Iterator[tuple[str, TyperCommand | TyperGroup, typer.Context]]:
    """Those of a group, in the order of its help, each with a context of its own."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert isinstance(command, TyperCommand | TyperGroup)
        if not command.hidden:
            yield name, command, typer.Context(command, info_name=name, parent=context)


def section(command: TyperCommand | TyperGroup, context: typer.Context, level: str) -> str:
    """Heading, description, usage, and a list for each panel of its options."""
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [f"{level} {context.command_path}\n", described(command.help or ""), f"```text\n{usage}\n```\n"]
    for panel, entries in groupby(sorted(entries_of(command, context)), key=lambda entry: entry[:2]):
        parts += [f"{level}# {panel[1]}\n", *(entry[-1] for entry in entries), ""]
    return "\n".join(parts)


def entries_of(
    command: TyperCommand | TyperGroup, context: typer.Context
) -> Iterator[tuple[int, str, int, str]]:
    """Number and name of the panel, the place in it, and the line of each argument and option."""
    panels: dict[str, int] = {}
    for place, parameter in enumerate(command.get_params(context)):
        record = parameter.get_help_record(context)
        if record is None or "--help" in parameter.opts:
            continue
        kind = "Arguments" if parameter.param_type_name == "argument" else "Options"
        panel = getattr(parameter, "rich_help_panel", None) or kind
        number = -2 if kind == "Arguments" else -1 if panel == kind else panels.setdefault(panel, len(panels))
        yield number, panel, place, f"* `{record[0]}`: {meaning(record[1])}"


def meaning(text: str) -> str:
    """The help of a parameter, what Typer adds to it in parentheses."""
    return plain(_EXTRA.sub(r" (\1)", " ".join(text.split())))


def described(text: str) -> str:
    """A docstring; a paragraph that is a command becomes a block that can be copied."""
    paragraphs = text.strip().split("\n\n")
    made = [_NAMED.sub(r"```console\n\1\n```", p) if _NAMED.fullmatch(p) else plain(p) for p in paragraphs]
    return "\n\n".join(made).replace("```\n\n```console\n", "") + "\n"


def plain(text: str) -> str:
    """Rich's markup as Markdown."""
    return _NAMED.sub(r"`\1`", text)


def main() -> None:
    """Write every page, and remove those of commands that are gone."""
    FOLDER.mkdir(exist_ok=True)
    made = pages()
    for path in FOLDER.glob("*.md"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
