"""What the server speaks, as an OpenAPI document and as a page for people that needs nothing from elsewhere."""

from __future__ import annotations

import json
from typing import Any

from jinja2 import Environment

from ranker import __version__
from ranker.serving.protocol import MAX_PASSES

_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}
_COUNT = {"type": "integer", "minimum": 0}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties}


def _list(of: Any) -> dict[str, Any]:
    return {"type": "array", "items": of}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _told(schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {**schema, "description": description}


_SCHEMAS: dict[str, Any] = {
    "Trajectory": _object(
        ["messages"],
        messages={
            "type": "array",
            "minItems": 1,
            "items": {"type": "object"},
            "description": "Chat messages in OpenAI format, tool calls included.",
        },
        id=_told(_TEXT, "A name of yours; rewards come under it. Default: the position, from 0."),
        tools=_told(_list({"type": "object"}), "The tool definitions this attempt had."),
        histories=_told(
            _list(_list({"type": "object"})), "Further message lists of the same attempt (sub-agents)."
        ),
        ground_truth=_told({"type": ["number", "null"]}, "Never shown to a judge."),
        metadata=_told({"type": ["object", "null"]}, "Never shown to a judge."),
    ),
    "Group": _object(
        ["trajectories"],
        trajectories={"type": "array", "minItems": 1, "items": _ref("Trajectory")},
        id=_told({"type": ["string", "null"]}, "Comes back with the reply."),
        task=_told({"type": ["string", "null"]}, "What was asked, where the messages do not say it."),
        rubric=_told({"type": ["string", "null"]}, "What to prefer; default: the server's --rubric."),
        reference=_told(
            {"type": ["string", "null"]}, "A right answer, for judges that weigh attempts by it."
        ),
        metadata=_told({"type": ["object", "null"]}, "Never shown to a judge."),
        passes={
            "type": ["integer", "null"],
            "minimum": 1,
            "maximum": MAX_PASSES,
            "description": "How often to ask the judge, in balanced orders.",
        },
        seed=_told(
            {"type": ["integer", "null"]}, "Same seed and group: same prompts, and the cache's verdicts."
        ),
    ),
    "Ranked": _object(
        ["ranking", "rewards", "reasons", "judge", "prompt_id", "usage"],
        id=_told(_TEXT, "The group's id, if it has one."),
        ranking=_told(_list(_list(_TEXT)), "Tiers of trajectory ids, best first."),
        rewards={
            "type": "object",
            "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1},
            "description": "By trajectory id.",
        },
        reasons={"type": "object", "additionalProperties": _TEXT, "description": "By trajectory id."},
        judge=_TEXT,
        prompt_id=_told({"type": ["string", "null"]}, "Template name, version and hash."),
        usage=_ref("Usage"),
        consistency=_told(_NUMBER, "Agreement between passes (Kendall's W)."),
        cut={
            "type": "object",
            "additionalProperties": _COUNT,
            "description": "Characters that the judge did not see, by trajectory id.",
        },
        warnings=_list(_TEXT),
    ),
    "Usage": _object(
        ["calls", "cached_calls", "failed_calls", "prompt_tokens", "completion_tokens", "cost_usd"],
        calls=_COUNT,
        cached_calls=_COUNT,
        failed_calls=_COUNT,
        prompt_tokens=_COUNT,
        completion_tokens=_COUNT,
        cost_usd=_told({"type": ["number", "null"]}, "null: unknown."),
    ),
    "Attempts": _object(
        ["query", "prompts"],
        query=_told(_list(_TEXT), "Prompt and response as one text."),
        prompts=_told(_list(_TEXT), "Attempts with equal prompts form a group."),
        labels=_told({"type": ["array", "null"]}, "Not used; no judge sees them."),
    ),
    "Rewards": _object(
        ["rewards", "scores", "extra_logs"],
        rewards=_list({"type": "number", "minimum": 0, "maximum": 1}),
        scores=_told(_list(_NUMBER), "The rewards again."),
        extra_logs={"type": "object", "additionalProperties": _list(_NUMBER)},
    ),
    "Health": _object(["live"], live={"type": "boolean"}, ready={"type": "boolean"}),
    "Error": _object(
        ["error"],
        error=_object(
            ["type", "message", "retryable"],
            type=_TEXT,
            message=_TEXT,
            retryable=_told({"type": "boolean"}, "Whether the same request may work later."),
        ),
    ),
}

_FAULTS = {
    "400": "The body is malformed, or no group can be made of it.",
    "401": "The token is missing or wrong.",
    "402": "--max-cost or --max-calls is reached.",
    "408": "The body came too slowly.",
    "413": "The body is larger than --max-body.",
    "415": "The body is not declared as JSON.",
    "422": "The group does not fit the judge's context window.",
    "429": "The queue is full; Retry-After says when to ask again.",
    "500": "The server failed.",
    "502": "The judge failed. If retryable, Retry-After says when to ask again.",
    "503": "The server is stopping.",
    "504": "No verdict in time. Ask again: one under way is joined, a finished one comes from the cache.",
}


def _content(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": _ref(schema)}}


def _reply(description: str, schema: str) -> dict[str, Any]:
    return {"description": description, "content": _content(schema)}


def _post(summary: str, takes: str, gives: str, example: Any, **more: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": _ref(takes), "example": example}}
    return {
        "post": {
            "summary": summary,
            "requestBody": {"required": True, "content": content},
            "responses": {
                "200": _reply("Ranked.", gives),
                **{status: _reply(text, "Error") for status, text in _FAULTS.items()},
            },
            "security": [{"bearer": []}, {"basic": []}, {}],
            **more,
        }
    }


def _get(summary: str, replies: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"get": {"summary": summary, "responses": replies, **more}}


_EXAMPLE = {
    "task": "What is 6 × 7?",
    "trajectories": [
        {"id": "a", "messages": [{"role": "assistant", "content": "42"}]},
        {"id": "b", "messages": [{"role": "assistant", "content": "I do not know."}]},
    ],
}
_ROLLOUT = {
    "query": ["What is 6 × 7? 42", "What is 6 × 7? No idea."],
    "prompts": ["What is 6 × 7?", "What is 6 × 7?"],
    "labels": ["42", "42"],
}
_GROUP_PARAMETER = {
    "name": "group",
    "in": "query",
    "required": False,
    "schema": {"type": "integer", "minimum": 2, "maximum": 256},
    "description": "OpenRLHF 0.9 and later send attempts one by one: how many form a group (n_samples_per_prompt). "
    "Each waits for its like.",
}


def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ranker",
            "version": __version__,
            "description": "A judge ranks a group of attempts at one task; ranks become rewards.",
        },
        "paths": {
            "/rank": _post("Rank one group.", "Group", "Ranked", _EXAMPLE),
            "/openrlhf": _post(
                "OpenRLHF's remote reward protocol.",
                "Attempts",
                "Rewards",
                _ROLLOUT,
                parameters=[_GROUP_PARAMETER],
            ),
            "/health": _get(
                "Whether the server lives and takes requests.",
                {"200": _reply("Ready.", "Health"), "503": _reply("Live, and stopping.", "Health")},
            ),
            "/health/live": _get("Whether the server lives.", {"200": _reply("Live.", "Health")}),
            "/metrics": _get(
                "Counts for Prometheus.",
                {
                    "200": {"description": "Metrics.", "content": {"text/plain": {"schema": _TEXT}}},
                    "401": _reply(_FAULTS["401"], "Error"),
                },
                security=[{"bearer": []}, {"basic": []}, {}],
            ),
        },
        "components": {
            "schemas": _SCHEMAS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "Any user, the token as password, for clients that can only be given an address.",
                },
            },
        },
    }


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ d.info.title }}</title><style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 54rem; margin: 2rem auto; padding: 0 1rem }
pre { overflow-x: auto; padding: .8rem; background: color-mix(in srgb, currentColor 8%, transparent) }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem } td, th { text-align: left; vertical-align: top;
padding: .25rem .8rem .25rem 0; border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent) }
h2 code { font-weight: 600 }
</style></head><body>
<h1>{{ d.info.title }} {{ d.info.version }}</h1>
<p>{{ d.info.description }} For programs: <a href="openapi.json">openapi.json</a>.</p>
{% for path, methods in d.paths.items() %}{% for method, told in methods.items() %}
<h2><code>{{ method|upper }} {{ path }}</code></h2>
<p>{{ told.summary }}</p>
{% for p in told.parameters or [] %}<p><code>?{{ p.name }}=</code> {{ p.description }}</p>{% endfor %}
{% if told.requestBody %}{% set content = told.requestBody.content["application/json"] %}
<p>Takes <a href="#{{ name(content.schema) }}">{{ name(content.schema) }}</a>:</p>
<pre>curl -H 'Authorization: Bearer TOKEN' -H 'Content-Type: application/json' ADDRESS{{ path }} -d \\
'{{ json(content.example) }}'</pre>{% endif %}
<table><tr><th>status</th><th>body</th><th>meaning</th></tr>
{% for status, reply in told.responses.items() %}<tr><td>{{ status }}</td>
<td>{% set schema = (reply.content["application/json"] or {}).schema %}{% if schema %}<a href="#{{ name(schema) }}">
{{ name(schema) }}</a>{% else %}text{% endif %}</td><td>{{ reply.description }}</td></tr>{% endfor %}</table>
{% endfor %}{% endfor %}
{% for title, schema in d.components.schemas.items() %}<h2 id="{{ title }}">{{ title }}</h2>
<table><tr><th>field</th><th>type</th><th></th></tr>
{% for field, told in schema.properties.items() %}<tr><td><code>{{ field }}</code>{{ "" if field in schema.required
else " (optional)" }}</td><td>{{ kind(told) }}</td><td>{{ told.description or "" }}</td></tr>{% endfor %}</table>
{% endfor %}</body></html>
"""


def page(told: dict[str, Any]) -> str:
    """The document as HTML: one file, no script, nothing fetched."""
    template = Environment(autoescape=True, trim_blocks=True).from_string(_PAGE)
    return template.render(
        d=told, name=_name, kind=_kind, json=lambda value: json.dumps(value, ensure_ascii=False)
    )


def _name(schema: dict[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return _name(schema)
    given = schema.get("type", "")
    kind = " or ".join(given) if isinstance(given, list) else str(given)
    if "items" in schema:
        return f"{kind} of {_kind(schema['items'])}"
    return kind
