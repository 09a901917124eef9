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
        self._all = CollectorRegistry()
        registry = self._all
        self.requests = Counter(
            "ranker_requests", "Requests answered.", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "ranker_request_seconds",
            "From request to reply.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.ranked = Counter("ranker_groups_ranked", "Groups ranked.", registry=registry)
        self.failed = Counter(
            "ranker_groups_failed", "Groups that got no rewards.", ["error"], registry=registry
        )
        self._queue = Gauge("ranker_queue_depth", "Groups that wait for their turn.", registry=registry)
        self._flight = Gauge("ranker_in_flight", "Groups before the judge.", registry=registry)
        self._seats = Gauge(
            "ranker_attempts_waiting", "OpenRLHF attempts whose group is not complete.", registry=registry
        )
        self._calls = Counter(
            "ranker_judge_calls", "Judge calls, the failed ones included.", registry=registry
        )
        self._failed_calls = Counter(
            "ranker_judge_failed_calls", "Judge calls without a usable verdict.", registry=registry
        )
        self._cached = Counter(
            "ranker_judge_cached_calls", "Verdicts taken from the cache.", registry=registry
        )
        self._tokens = Counter("ranker_judge_tokens", "Tokens of judge calls.", ["kind"], registry=registry)
        self._cost = Counter("ranker_judge_cost_usd", "Dollars, where prices are known.", registry=registry)
        self._unpriced = Counter(
            "ranker_judge_unpriced_groups", "Groups whose cost is unknown.", registry=registry
        )

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

    def answered(self, route: str, status: int | str, seconds: float) -> None:
        self.requests.labels(route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        made: bytes = generate_latest(self._all)
        return made
