"""The OpenAPI document as a page for people: one file, no script, nothing fetched."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from jinja2 import Environment

_TEMPLATE = "docs.html.j2"


def page(document: dict[str, Any]) -> str:
    """The document as HTML."""
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        files("ranker.serving").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    )
    return template.render(document=document, name=_name, kind=_kind, example=_example)


def _name(schema: dict[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _kind(schema: dict[str, Any]) -> str:
    """A schema in words, e.g. ``array of string or null``."""
    if "$ref" in schema:
        return _name(schema)
    if "anyOf" in schema:
        return " or ".join(_kind(option) for option in schema["anyOf"])
    kind = str(schema.get("type", "any"))
    inner = schema.get("items") or schema.get("additionalProperties")
    return f"{kind} of {_kind(inner)}" if isinstance(inner, dict) and inner else kind


def _example(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False)
