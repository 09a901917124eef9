"""What a Prometheus server reads from /metrics."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ranker.usage import Usage

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


class Metrics:
    """Counts of one server, in a registry of their own."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"ranker_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"ranker_{name}", text, registry=registry)

        self.requests = counter("requests", "Requests answered.", "route", "status")
        self.seconds = Histogram(
            "ranker_request_seconds", "From request to reply.", ["route"], buckets=_SECONDS, registry=registry
        )
        self.ranked = counter("groups_ranked", "Groups ranked.")
        self.failed = counter("groups_failed", "Groups that got no rewards.", "error")
        self._queue = gauge("queue_depth", "Groups that wait for their turn.")
        self._flight = gauge("in_flight", "Groups before the judge.")
        self._seats = gauge("attempts_waiting", "OpenRLHF attempts whose group is not complete.")
        self._calls = counter("judge_calls", "Judge calls, the failed ones included.")
        self._failed_calls = counter("judge_failed_calls", "Judge calls without a usable verdict.")
        self._cached = counter("judge_cached_calls", "Verdicts taken from the cache.")
        self._tokens = counter("judge_tokens", "Tokens of judge calls.", "kind")
        self._cost = counter("judge_cost_usd", "Dollars, where prices are known.")
        self._unpriced = counter("judge_unpriced_groups", "Groups whose cost is unknown.")

    def watch(
        self, queue: Callable[[], float], flight: Callable[[], float], seats: Callable[[], float]
    ) -> None:
        """Where the gauges are read from."""
        self._queue.set_function(queue)
        self._flight.set_function(flight)
        self._seats.set_function(seats)

    def spent(self, usage: Usage) -> None:
        self._calls.inc(usage.calls)
        self._failed_calls.inc(usage.failed_calls)
        self._cached.inc(usage.cached_calls)
        self._tokens.labels("read").inc(usage.prompt_tokens)
        self._tokens.labels("written").inc(usage.completion_tokens)
        if usage.cost_usd is None:
            self._unpriced.inc()
        else:
            self._cost.inc(usage.cost_usd)

    def answered(self, route: str, status: str, seconds: float) -> None:
        self.requests.labels(route, status).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        exposition: bytes = generate_latest(self._registry)
        return exposition
