"""The embedded default judge: SmolLM2-135M-Instruct with an adapter of ours. CARD.md says what it can do."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError
from ranker.judges.base import Judge

log = logging.getLogger("ranker")
FOLDER = Path(__file__).parent


def embedded_judge(**options: Any) -> Judge:
    """The judge that ``local`` names.

    Raises:
        ConfigurationError: torch or transformers is missing, or an option it does not take.
    """
    from ranker.judges.local import probing
    from ranker.judges.local.setup import read_judge, setup_from

    setup = setup_from(*read_judge(FOLDER))
    judge = probing(setup, name="local", **options)
    warn_once(told(setup.measured))
    return judge


@cache
def warn_once(text: str) -> None:
    """Say at the first use what the judge is known to be good for, and for what not."""
    log.warning("%s", text)


def told(measured: Mapping[str, Any]) -> str:
    """One sentence from what was measured."""
    families = measured.get("families") or {}
    if not families:
        raise ConfigurationError("The embedded judge has no figures with it.")
    good = [name for name, f in families.items() if f["low"] > 0.5]
    bad = [name for name, f in families.items() if f["low"] <= 0.5]
    shown = ", ".join(f"{name} {families[name]['value']:.2f}" for name in good)
    text = f"The local judge is small. Pairs it orders as the truth does: {shown or 'none shown'}."
    if bad:
        text += f" Not shown to beat a coin on {', '.join(bad)}."
    return text + " Measure it on groups of yours: ranker calibrate."
