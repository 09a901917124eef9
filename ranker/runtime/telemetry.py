"""OpenTelemetry spans, where the extra `otel` is installed; nothing otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@cache
def _tracer() -> Any:
    try:
        from opentelemetry import trace
    except ImportError:
        return None
    return trace.get_tracer("ranker")


@contextmanager
def span(name: str, **attributes: Any) -> Iterator[dict[str, Any]]:
    """A span around the block; what the block puts in the yielded dict becomes attributes too."""
    tracer = _tracer()
    late: dict[str, Any] = {}
    if tracer is None:
        yield late
        return
    with tracer.start_as_current_span(name) as current:
        try:
            yield late
        finally:
            for key, value in {**attributes, **late}.items():
                if value is not None:
                    current.set_attribute(key, value)
