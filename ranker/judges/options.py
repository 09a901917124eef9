"""The options that judges take by name, in one place for editors, type checkers and messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from ranker.errors import ConfigurationError
from ranker.validation import check_number, nearest

if TYPE_CHECKING:
    from ranker.prompting.sharing import Sharing
    from ranker.runtime.cache import Cache


class JudgeOptions(TypedDict, total=False):
    """Options of `LLMJudge`, `LocalJudge` and judges of log-probabilities; each judge says which of them it takes.

    Attributes:
        template, prompt_folder: a prompt template by name, and a folder of your own templates.
        form: ``"ranking"`` or ``"scores"``.
        sharing: what recurs in a group and is shown once: "fine", "messages" or "off".
        max_reasks: how often an unusable reply is sent back with its fault named.
        max_group: the most trajectories in one call; larger groups are ranked in windows.
        cache: a path, a Cache, ``"off"``, or None for the default.
        record: a path; every call is appended to it as a line of JSON.
        context_window: tokens of prompt and reply together.
        temperature, max_tokens, extra: request fields of an API.
        headers: of every request to an API; ``$NAME`` is an environment variable's value.
        timeout, max_retries, rpm, tpm: seconds, retries, requests and tokens a minute of an API.
        price: dollars for a million tokens (read, written).
        structured: how an API is asked for JSON.
        ids_in_schema: whether the JSON schema that an API is sent names the ids of each call.
        vision: whether images are sent to an API's model.
        reason_tokens, device, dtype: of a model in this process.
        store: the file in which a batch judge notes what it sent.
    """

    template: str | None
    prompt_folder: str | Path | None
    form: Literal["ranking", "scores"]
    sharing: Sharing
    max_reasks: int
    max_group: int | None
    cache: str | Path | Cache | bool | None
    record: str | Path | None
    context_window: int | None
    temperature: float | None
    max_tokens: int | None
    extra: dict[str, Any] | None
    headers: Mapping[str, str] | None
    timeout: float
    max_retries: int
    rpm: float | None
    tpm: float | None
    price: tuple[float, float] | None
    structured: Literal["auto", "json_schema", "json_object", "text"]
    ids_in_schema: bool
    vision: bool | None
    reason_tokens: int
    device: str | None
    dtype: Literal["auto", "float32", "bfloat16", "float16"]
    store: str | Path


_OF_RANKING = (
    "task", "reward", "credit", "seed", "base_url", "api_key", "max_calls", "max_cost_usd", "budget", "progress", "passes",
    "rubric", "concurrency", "on_error", "ordered", "covariates", "debiaser",
)  # fmt: skip


def check_numbers(**options: Any) -> None:
    """See that the numbers among a judge's options, those that are given, can be what they are for.

    Raises:
        ConfigurationError: one cannot.
    """
    for name, least in (("max_reasks", 0), ("max_retries", 0), ("max_group", 2), ("context_window", 1), ("max_tokens", 1),
                        ("reason_tokens", 1)):  # fmt: skip
        if options.get(name) is not None:
            check_number(name, options[name], least, whole=True)
    for name, least in (("rpm", 1), ("tpm", 1), ("temperature", 0)):
        if options.get(name) is not None:
            check_number(name, options[name], least)
    if options.get("timeout") is not None:
        check_number("timeout", options["timeout"], 0, above=True, infinite=True)
    price = options.get("price")
    if price is not None:
        if not isinstance(price, (tuple, list)) or len(price) != 2:
            raise ConfigurationError(
                f"price={price!r}; give two numbers, dollars for a million tokens (read, written)."
            )
        for dollars in price:
            check_number("price", dollars, 0)


def check_extra(extra: Mapping[str, Any] | None) -> dict[str, Any]:
    """More request fields of an API, seen to be what a request can hold before anything is sent.

    Raises:
        ConfigurationError: they are not, or would replace the prompt.
    """
    if extra is None:
        return {}
    if not isinstance(extra, Mapping) or not all(isinstance(name, str) for name in extra):
        raise ConfigurationError('extra takes names and values, e.g. {"top_p": 0.9}.')
    if "messages" in extra:
        raise ConfigurationError("extra cannot hold messages, which are the judge's prompt; see template.")
    try:
        json.dumps(dict(extra), allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"extra is sent as JSON, which cannot hold it: {error}.") from None
    return dict(extra)


def check_options(options: Mapping[str, Any]) -> None:
    """Raise for an option that no judge has, naming what it belongs to, or the nearest one that some has.

    Raises:
        ConfigurationError: such an option.
    """
    for name in options:
        if name in _OF_RANKING:
            function = "rank_group" if name == "task" else "rank_groups"
            raise ConfigurationError(
                f"{name} is no option of a judge and belongs to {function}; leave it out here."
            )
        if name not in JudgeOptions.__annotations__:
            near = nearest(name, (*JudgeOptions.__annotations__, *_OF_RANKING))
            hint = f"; did you mean {near!r}?" if near else "."
            raise ConfigurationError(f"There is no option {name!r}{hint}")
