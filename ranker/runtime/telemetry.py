"""OpenTelemetry spans if the extra `otel` is installed, else no-ops."""

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
    """A span around the block; entries of the yielded dict become attributes at its end."""
    tracer = _tracer()
    results: dict[str, Any] = {}
    if tracer is None:
        yield results
        return
    with tracer.start_as_current_span(name) as current:
        try:
            yield results
        finally:
            for key, value in {**attributes, **results}.items():
                if value is not None:
                    current.set_attribute(key, value)
