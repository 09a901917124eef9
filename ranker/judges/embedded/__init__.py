"""The embedded default judge: SmolLM2-135M-Instruct with an adapter of ours. CARD.md says what it can do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ranker.judges.base import Judge
from ranker.judges.local import open_logprob_judge
from ranker.judges.local.judge_file import read_judge, setup_from

FOLDER = Path(__file__).parent


def embedded_judge(**options: Any) -> Judge:
    """The judge that ``local`` names.

    Raises:
        ConfigurationError: torch or transformers is missing, or an option it does not take.
    """
    from ranker.judges.embedded.judge import EmbeddedJudge

    return open_logprob_judge(setup_from(*read_judge(FOLDER)), name="local", kind=EmbeddedJudge, **options)


def known_for() -> str:
    """The share of pairs that it orders as the truth does, on each suite where it was measured; real attempts first."""
    measured = read_judge(FOLDER)[0]["measured"]
    suites = {**measured["real"], **measured["families"]}
    return ", ".join(f"{name} {found['value']:.2f}" for name, found in suites.items())
