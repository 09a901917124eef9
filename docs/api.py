"""Writes docs/api.md: every public name with its signature and the first sentence of its docstring.

python -m docs.api
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

PAGE = Path(__file__).with_name("api.md")
MODULES = (
    "ranker",
    "ranker.files",
    "ranker.testing",
    "ranker.calibration",
    "ranker.integrations.trl",
    "ranker.integrations.verl",
    "ranker.integrations.verifiers",
    "ranker.integrations.art",
    "ranker.integrations.tinker",
    "grpo",
)
HEAD = """\
# API

Every public name, its signature and what it means. The page is generated from the code by `python -m docs.api`, so
do not edit it. Details (shapes, units, errors) are in the docstrings: `help(ranker.rank_group)`.
"""
_WIDTH = 100  # of a signature on one line


def page() -> str:
    """The whole page as Markdown."""
    return "\n".join((HEAD, *(section(importlib.import_module(name)) for name in MODULES)))


def section(module: ModuleType) -> str:
    """One module: a heading, its summary, and an entry for each name in its ``__all__``."""
    entries = (entry(name, getattr(module, name), module) for name in module.__all__)
    return "\n".join((f"## {module.__name__}\n", f"{sentence(module)}\n", *entries))


def entry(name: str, value: Any, module: ModuleType) -> str:
    """One name; for a class its public methods too."""
    if not callable(value):
        return block(name, [f"{name}: {type(value).__name__}"], data_sentence(name, module))
    if inspect.isclass(value) and (issubclass(value, Exception) or getattr(value, "_is_protocol", False)):
        bases = ", ".join(base.__name__ for base in value.__bases__)
        inherited = "__init__" not in vars(value) or not issubclass(value, Exception)
        lines = [f"class {name}({bases})", *([] if inherited else [signature(name, value.__init__)])]
    else:
        lines = [signature(name, value)]
    lines += [signature(f"{name}.{n}", member) for n, member in methods(value)]
    return block(name, lines, sentence(value))


def block(name: str, lines: list[str], meaning: str) -> str:
    return f"### {name}\n\n```py\n" + "\n".join(lines) + f"\n```\n\n{meaning}\n"


def methods(value: Any) -> Iterator[tuple[str, Any]]:
    """Public methods that a class defines itself, in the order of its source."""
    if inspect.isclass(value):
        for name, member in vars(value).items():
            if not name.startswith("_") and inspect.isfunction(member):
                yield name, member


def signature(name: str, value: Any) -> str:
    """``name(parameter: type = default, …) -> type``, over several lines where it is long."""
    sig = inspect.signature(value)
    parameters = [p for p in sig.parameters.values() if p.name != "self" and p.name[0] != "_"]
    returns = "" if inspect.isclass(value) or name.endswith("__init__") else str(sig).rpartition(" -> ")[2]
    prefix = "async " if inspect.iscoroutinefunction(value) else "class " if inspect.isclass(value) else ""
    ending = f") -> {clean(returns)}" if returns and sig.return_annotation is not sig.empty else ")"
    rows = list(parameter_rows(parameters))
    line = f"{prefix}{name}({', '.join(rows)}{ending}"
    if len(line) <= _WIDTH:
        return line
    return f"{prefix}{name}(\n" + "".join(f"    {row},\n" for row in rows) + ending


def parameter_rows(parameters: list[inspect.Parameter]) -> Iterator[str]:
    """Each parameter as it stands in a signature, with the bare ``*`` before the first keyword-only one."""
    starred = False
    for p in parameters:
        starred |= p.kind is p.VAR_POSITIONAL
        if p.kind is p.KEYWORD_ONLY and not starred:
            starred = True
            yield "*"
        yield clean(str(p))


def clean(text: str) -> str:
    """A parameter as its author wrote it: annotations without quotes, strings in double ones, factories as ``…``."""
    return (
        re.sub(r"(: |^)['\"]+(.*?)['\"]+(?= =|$)", r"\1\2", text).replace("<factory>", "…").replace("'", '"')
    )


def sentence(value: Any) -> str:
    """The first sentence of a docstring, as one line."""
    text = (inspect.getdoc(value) or "").partition("\n\n")[0]
    first = re.split(r"(?<=\.)\s", " ".join(text.split()), maxsplit=1)[0]
    return first.replace("``", "`").rstrip(".:") + "."


def data_sentence(name: str, module: ModuleType) -> str:
    """The string that follows an assignment to `name`, in `module` or in the one it was imported from."""
    body = ast.parse(inspect.getsource(module)).body
    for node, following in pairwise(body):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(t, ast.Name) and t.id == name for t in targets) and isinstance(following, ast.Expr):
            return " ".join(str(ast.literal_eval(following.value)).split())
        if isinstance(node, ast.ImportFrom) and node.module and any(a.name == name for a in node.names):
            return data_sentence(name, importlib.import_module(node.module))
    return ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
