"""Judges that run in this process."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranker.errors import ConfigurationError
from ranker.judges.base import Judge
from ranker.judges.local.judge import LocalJudge
from ranker.judges.local.judge_file import Setup, is_judge_file
from ranker.judges.local.ways import is_way, way_named

if TYPE_CHECKING:
    from ranker.judges.local.logprob_judge import LogprobJudge

__all__ = ["LocalJudge", "is_judge_file", "judge_from", "open_local", "open_logprob_judge"]


def open_local(name: str, **options: Any) -> Judge:
    """A model in this process as a judge.

    `name` is a model (``NAME``, ``PATH``), or one with the way to ask it (``NAME@pointwise``). A model without a way
    writes its verdict.

    Raises:
        ConfigurationError: no such way or model.
    """
    base, at, way = name.rpartition("@")
    if at and (is_way(way) or ("/" not in way and not Path(os.path.expanduser(name)).exists())):
        return judge_from(Setup(base or None, way_named(way)), f"local:{name}", **options)
    return LocalJudge(name, **options)


def judge_from(setup: Setup, name: str, **options: Any) -> Judge:
    """The judge of a setup, whether it writes its verdict or is asked for probabilities."""
    if setup.way != "generated":
        return open_logprob_judge(setup, name=name, **options)
    return LocalJudge(setup.base, **{"template": setup.template, **options})


def open_logprob_judge(
    setup: Setup, *, name: str, kind: type[LogprobJudge] | None = None, **options: Any
) -> Judge:
    """A judge that is asked for probabilities.

    Args:
        kind: a class of such judges; `LogprobJudge` without one.

    Raises:
        ConfigurationError: options it does not take, or settings that cannot be.
    """
    from ranker.judges.local.logprob_judge import LogprobJudge

    takes = [*inspect.signature(LogprobJudge).parameters][2:]
    wrong = [option for option in options if option not in takes]
    if wrong:
        raise ConfigurationError(
            f"The judge {name} is asked for probabilities and does not take {', '.join(wrong)}; it takes "
            f"{', '.join(takes)}."
        )
    return (kind or LogprobJudge)(setup, name=name, **options)
