"""The embedded default judge: SmolLM2-135M-Instruct with an adapter of ours. CARD.md says what it can do."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError
from ranker.judges.base import Judge
from ranker.judges.local import open_logprob_judge
from ranker.judges.local.judge_file import read_judge, setup_from

log = logging.getLogger("ranker")
FOLDER = Path(__file__).parent


def embedded_judge(**options: Any) -> Judge:
    """The judge that ``local`` names.

    Raises:
        ConfigurationError: torch or transformers is missing, or an option it does not take.
    """
    setup = setup_from(*read_judge(FOLDER))
    judge = open_logprob_judge(setup, name="local", **options)
    warn_once(summary(setup.measured))
    return judge


@cache
def warn_once(text: str) -> None:
    """Say at the first use what the judge is known to be good for, and for what not."""
    log.warning("%s", text)


def known_for() -> str:
    """What the judge was measured to be good at: the suites, with the share of pairs that it orders as the truth does."""
    return _good(_families(read_judge(FOLDER)[0]["measured"])) or "none shown"


def summary(measured: Mapping[str, Any]) -> str:
    """One sentence from what was measured."""
    families = _families(measured)
    bad = [name for name, f in families.items() if f["low"] <= 0.5]
    text = f"The local judge is small. Pairs it orders as the truth does: {_good(families) or 'none shown'}."
    if bad:
        text += f" Not shown to beat a coin on {', '.join(bad)}."
    return text + " Measure it on groups of yours: ranker calibrate."


def _families(measured: Mapping[str, Any]) -> Mapping[str, Any]:
    families: Mapping[str, Any] = measured.get("families") or {}
    if not families:
        raise ConfigurationError("The embedded judge has no figures with it.")
    return families


def _good(families: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {f['value']:.2f}" for name, f in families.items() if f["low"] > 0.5)
