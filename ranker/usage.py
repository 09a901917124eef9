"""Usage and cost of judge calls."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Usage:
    """Totals over one or more judge calls; add two with ``+``.

    Attributes:
        calls: requests sent to the judge, including failed ones.
        cached_calls: verdicts taken from the cache instead of a request.
        failed_calls: requests without a usable verdict (errors and malformed verdicts).
        prompt_tokens: input tokens as reported by the judge.
        completion_tokens: output tokens as reported by the judge.
        cost_usd: US dollars; None if the price of any call is unknown.
        unconfirmed_usd: upper bound, in US dollars, on the additional cost of failed calls that the provider
            may have billed without a reply. Counts towards cost limits.
    """

    calls: int = 0
    cached_calls: int = 0
    failed_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = 0.0
    unconfirmed_usd: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        unknown = self.cost_usd is None or other.cost_usd is None
        return Usage(
            self.calls + other.calls,
            self.cached_calls + other.cached_calls,
            self.failed_calls + other.failed_calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            None if unknown else self.cost_usd + other.cost_usd,  # type: ignore[operator]
            self.unconfirmed_usd + other.unconfirmed_usd,
        )

    def to_dict(self) -> dict[str, Any]:
        fields = asdict(self)
        if not self.unconfirmed_usd:
            del fields["unconfirmed_usd"]
        return fields
