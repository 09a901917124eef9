"""The embedded judge, which says of the groups it is shown what is known of it on such."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any

from ranker.judges.base import Lineup
from ranker.judges.embedded.likeness import KINDS, kind_of
from ranker.judges.local.logprob_judge import LogprobJudge
from ranker.judges.verdict import Verdict
from ranker.runtime.budget import Budget

log = logging.getLogger("ranker")


class EmbeddedJudge(LogprobJudge):
    """Warns once for each kind of group."""

    async def verdict(self, lineup: Lineup, budget: Budget) -> Verdict:
        warn_once(advice(self.setup.measured, kind_of(lineup.trajectories)))
        return await super().verdict(lineup, budget)


@cache
def warn_once(text: str) -> None:
    """Say it if it has not been said in this process."""
    log.warning("%s", text)


def advice(measured: Mapping[str, Any], kind: str | None) -> str:
    """What was measured on real attempts of a kind; where nothing was, that, and the figures on generated ones."""
    real = measured.get("real") or {}
    near = {suite: real[suite] for suite in KINDS.get(kind or "", ()) if suite in real}
    if near:
        shown = ", ".join(
            f"{f['value']:.2f} ({f['low']:.2f} to {f['high']:.2f}) on {suite}" for suite, f in near.items()
        )
        doubt = "" if any(f["low"] > 0.5 for f in near.values()) else " It is not shown to beat a coin."
        text = (
            f"The local judge is small. These attempts look like {kind}; of real ones it orders this share of the pairs as the "
            f"truth does (95 % intervals; 0.5 is a coin): {shown}.{doubt}"
        )
    else:
        families = measured.get("families") or {}
        shown = ", ".join(f"{name} {f['value']:.2f}" for name, f in families.items())
        text = (
            "The local judge is small, and it was measured on no real attempts that look like these. Pairs of generated ones "
            f"that it orders as the truth does, which may say nothing of yours (0.5 is a coin): {shown}."
        )
    return text + " Measure it on groups of yours: ranker calibrate."
