"""What judging cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Usage:
    """Counts over one or more judge calls; add two with ``+``.

    Attributes:
        calls: requests sent to the judge, the failed ones included.
        cached_calls: verdicts taken from the cache instead of a request.
        failed_calls: requests that brought no usable verdict (errors and malformed verdicts).
        prompt_tokens: tokens read by the judge, as it reported them.
        completion_tokens: tokens written by the judge, as it reported them.
        cost_usd: US dollars; None where any call's price is unknown.
        unconfirmed_usd: US dollars beyond these that failed calls may have cost at the most: the provider may
            have done the work, but no reply told its price. Limits count them.
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
