"""The documentation as a site: Sphinx, MyST and Furo make it of the Markdown that a code host shows. `make docs` builds it."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path
from textwrap import indent
from typing import Any

from docs import api
from ranker import __version__

project, author, release = "Ranker", "the Ranker authors", __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
html_theme = "furo"
html_title = f"Ranker {release}"
html_show_copyright = html_show_sphinx = html_copy_source = False
myst_heading_anchors = 3
copybutton_prompt_text = "$ "
smartquotes = False  # it makes dashes of the options of commands
default_role = "code"  # docstrings have their names in single backticks
autodoc_typehints = "signature"
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
python_maximum_signature_line_length = 100

HERE = Path(__file__).parent
ROOT = HERE.parent
# Pages of the site that are files elsewhere in the repository. Links to these files lead to the pages.
ELSEWHERE = {
    "site/examples": "examples/README.md",
    "site/changes": "CHANGELOG.md",
    "site/contributing": "CONTRIBUTING.md",
    "site/card": "ranker/judges/embedded/CARD.md",
}
CONTENTS = ("index", "commands/ranker")  # their lists of links are the navigation
_LINK = re.compile(
    r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?!\w+:|#)(?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)"
)
_SECTION = re.compile(r"^## (.+?)$\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
_ENTRY = re.compile(r"^\* \[([^\]]+)\]\(([^):#]+)\.md\)", re.MULTILINE)


def setup(app: Any) -> None:
    app.connect("source-read", read)
    app.connect("autodoc-process-docstring", docstring, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", signature)


def read(app: Any, name: str, source: list[str]) -> None:
    """The Markdown of a page as the site has it."""
    page, text = HERE / f"{name}.md", source[0]
    original = page
    if name in ELSEWHERE:
        original = ROOT / ELSEWHERE[name]
        text = original.read_text(encoding="utf-8")
    elif name == "api":
        text = reference()
    text = _LINK.sub(lambda link: moved(link, original.parent, page.parent), text)
    source[0] = text + (contents(text) if name in CONTENTS else "")


def moved(link: re.Match[str], folder: Path, home: Path) -> str:
    """A link as it must be in `home`: to a page of the site, or to a file that the site hands out.

    Args:
        folder: where the link was written.
        home: where the page is for Sphinx.
    """
    target = (folder / link["target"]).resolve()
    target = {ROOT / file: HERE / f"{name}.md" for name, file in ELSEWHERE.items()}.get(target, target)
    path = Path(os.path.relpath(target, home)).as_posix() + (link["anchor"] or "")
    if target.is_dir():
        return link["text"]  # a site has no page for it
    if link["image"] or (target.suffix == ".md" and target.is_relative_to(HERE)):
        return f"{link['image']}[{link['text']}]({path})"
    return f"[{link['text']}](<path:{path}>)"


def contents(text: str) -> str:
    """Tables of contents, one for each section that lists pages."""
    tables = []
    for title, body in _SECTION.findall(text):
        entries = [f"{name} <{page}>" for name, page in _ENTRY.findall(body)]
        if entries:
            tables.append("\n".join(["```{toctree}", ":hidden:", f":caption: {title}", "", *entries, "```"]))
    return "\n\n" + "\n\n".join(tables) + "\n"


def reference() -> str:
    """The page on the API with whole docstrings; docs/api.md has their first sentences."""
    parts = [api.HEAD.partition("\n\n")[0]]
    for module in api.MODULES:
        parts += [f"## {module}", f"```{{eval-rst}}\n.. automodule:: {module}\n```"]
    return "\n\n".join(parts) + "\n"


def docstring(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """A docstring as Sphinx reads it: examples in fences, and bare ones in a module's, are code."""
    text = re.sub(
        r"^Args beyond those of (.*):$", r"Beside the arguments of \1:\n\nArgs:", "\n".join(lines), flags=re.M
    )
    text = re.sub(r"^```python\n(.*?)^```$", lambda fenced: code(fenced[1]), text, flags=re.DOTALL | re.M)
    if what == "module":
        text = "\n\n".join(code(part) if is_code(part) else part for part in text.split("\n\n"))
    lines[:] = text.split("\n")


def signature(
    app: Any, what: str, name: str, value: Any, options: Any, arguments: str | None, returns: str | None
) -> tuple[str, str | None] | None:
    """A signature as its author wrote it, as in docs/api.md; bounds are in the descriptions."""
    if arguments is None or what not in ("function", "class", "method", "exception"):
        return None
    text = re.sub(r"Annotated\[(.+?), Field\(.*?\)\]", r"\1", api.signature("f", value))
    inside, arrow, returned = text.partition("(")[2].rpartition(") -> ")
    inside = inside if arrow else returned.rpartition(")")[0]
    return f"({' '.join(inside.split()).rstrip(',').replace('…', '...')})", returned if arrow else None


def is_code(paragraph: str) -> bool:
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        return bool(compile(paragraph, "", "exec", flags).body)
    except SyntaxError:
        return False


def code(text: str) -> str:
    return ".. code-block:: python\n\n" + indent(text.rstrip(), "   ")
