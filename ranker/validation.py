"""Settings checked by pydantic; what it refuses, in our words: the setting, what it takes, the nearest name."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from ranker.errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

_MOST_LISTED = 20  # settings that a message lists where none is near
_TAKES = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "path_type": "a path",
    "is_instance_of": "a path",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a table",
    "mapping_type": "a table",
    "model_type": "a table",
    "literal_error": "{expected}",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
    "string_too_short": "text that is not empty",
    "too_short": "one that is not empty",
}


def check_number(
    name: str, value: Any, least: float, *, whole: bool = False, above: bool = False, infinite: bool = False
) -> None:
    """See that a setting is a number in range. NaN is in none, although no comparison refuses it.

    Args:
        whole: without a fraction.
        above: more than `least`, not `least` itself.
        infinite: infinity is one, too.

    Raises:
        ConfigurationError: it is not.
    """
    try:
        within = value > least if above else value >= least
        fits = bool(within) and (math.isfinite(value) or infinite) and (not whole or value == int(value))
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        kind, bound = "whole number" if whole else "number", "more than" if above else "at least"
        raise ConfigurationError(f"{name}={value!r}; give a {kind} that is {bound} {least:g}.")


def check(
    shape: type[Any], values: Mapping[str, Any], where: str = "", also: Iterable[str] = ()
) -> dict[str, Any]:
    """The values, checked strictly against the annotations of `shape`: whole numbers become floats where those are
    asked for, and nothing else is converted.

    Args:
        shape: a dataclass whose annotations may carry pydantic's constraints, or a pydantic model.
        where: what is checked, e.g. the name of a file; stands in front of the message.
        also: names that are near enough to be meant, beside those of `shape`.

    Raises:
        ConfigurationError: every unknown setting (the nearest known one is named), missing one, and value that a
            setting does not take.
    """
    from pydantic import ValidationError

    model = _model(shape)
    try:
        checked = model.model_validate(dict(values))
    except ValidationError as error:
        raise refusal(error, model, where, also) from None
    return {name: getattr(checked, name) for name in model.model_fields if name in values}


def refusal(
    error: ValidationError, model: type[BaseModel], where: str = "", also: Iterable[str] = ()
) -> ConfigurationError:
    """One error that names all faults, without the contents of tables, which may hold secrets."""
    faults: list[str] = []
    takes: dict[tuple[str, str], list[str]] = {}  # by setting and value: a union has a fault for each branch
    for fault in error.errors(include_url=False):
        kind, loc, context = fault["type"], fault["loc"], fault.get("ctx", {})
        if kind == "extra_forbidden":
            path, known = _locate(model, loc[:-1])
            faults.append(_unknown(path, str(loc[-1]), [*known, *(() if path else also)]))
            continue
        path, _ = _locate(model, loc)
        if kind == "missing":
            faults.append(f"{path} is missing.")
        elif kind == "value_error":
            faults.append(f"{path} {context['error']}".strip())
        else:
            value = "a table" if isinstance(fault["input"], Mapping) else repr(fault["input"])[:200]
            takes.setdefault((path, value), []).append(_TAKES.get(kind, fault["msg"]).format(**context))
    for (path, value), options in takes.items():
        if "a number" in options:
            options = [option for option in options if option != "a whole number"]
        faults.append(f"{path} is {value}; it takes {' or '.join(dict.fromkeys(options))}.")
    return ConfigurationError((f"{where}: " if where else "") + " ".join(faults))


def _unknown(path: str, name: str, known: Sequence[str]) -> str:
    place = f"{path}: " if path else ""
    if name == "api_key":
        return f"{place}keys do not belong in files; put it into $RANKER_API_KEY."
    options = f" There are {', '.join(sorted(known))}." if len(known) <= _MOST_LISTED else ""
    return f"{place}there is no setting {name!r}." + (did_you_mean(name, known) or options)


def _locate(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[str, list[str]]:
    """Where a fault lies, as a user writes it, and the settings that there are at that place."""
    path, place = "", [model]
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif place and part in place[0].model_fields:  # else it names a branch of a union
            path += f".{part}" if path else part
            place = _models_in(place[0].model_fields[part].annotation)
    return path, list(place[0].model_fields) if place else []


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if hasattr(annotation, "model_fields"):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _model(shape: type[Any]) -> type[BaseModel]:
    """The pydantic model of a dataclass; a pydantic model is its own."""
    from pydantic import BaseModel, ConfigDict, create_model
    from pydantic.fields import FieldInfo

    if issubclass(shape, BaseModel):
        return shape
    hints = get_type_hints(shape, include_extras=True)
    settings: dict[str, Any] = {}
    for field in fields(shape):
        default: Any = ... if field.default is MISSING else field.default
        if field.default_factory is not MISSING:
            default = FieldInfo(default_factory=field.default_factory)
        settings[field.name] = (hints[field.name], default)
    config = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True)
    return create_model(shape.__name__, __config__=config, **settings)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest of the known names, with a space before it; empty if none is near."""
    near = nearest(name, known)
    return f" Did you mean {near!r}?" if near else ""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`; None if none is near."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)), None)
