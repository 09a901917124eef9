"""The OpenAPI document as a page for people: one file, no script, nothing fetched."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader


def page(document: dict[str, Any]) -> str:
    """The document as HTML."""
    environment = Environment(
        loader=PackageLoader("ranker", "serving"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    return environment.get_template("docs.html.j2").render(document=document)
