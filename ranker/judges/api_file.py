"""A judge file for a model behind an API: its name, its server and how it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from pydantic import Field

from ranker.judges.base import Judge
from ranker.judges.headers import check_written
from ranker.prompting.sharing import Sharing
from ranker.validation import check


@dataclass(frozen=True, slots=True)
class ApiFile:
    """What the file says: options of `LLMJudge` by their names. Values of headers are ``$NAME``, see
    `ranker.judges.headers`."""

    model: Annotated[str, Field(min_length=1)]
    schema_version: int = 1
    judge: str = "api"
    base_url: str | None = None
    template: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    context_window: int | None = None
    timeout: float | None = None
    extra: dict[str, Any] | None = None
    headers: dict[str, str] | None = None
    structured: Literal["auto", "json_schema", "json_object", "text"] | None = None
    ids_in_schema: bool | None = None
    sharing: Sharing | None = None
    vision: bool | None = None


def api_judge_from(content: Mapping[str, Any], **options: Any) -> Judge:
    """The judge that the file describes; `options` go before what it says.

    Raises:
        ConfigurationError: a setting that cannot be.
    """
    from ranker.judges.llm import LLMJudge

    said = ApiFile(**check(ApiFile, content, "The judge file"))
    check_written(said.headers or {}, "The judge file")
    names = [
        field.name for field in fields(ApiFile) if field.name not in ("model", "schema_version", "judge")
    ]
    written = {name: getattr(said, name) for name in names if getattr(said, name) is not None}
    return LLMJudge(said.model, **{**written, **options})
