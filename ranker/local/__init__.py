"""Judges that run in this process."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError
from ranker.judge import Judge
from ranker.local.judge import LocalJudge
from ranker.local.judge_file import FILE, Setup, check, read_judge, setup_from
from ranker.local.ways import is_way, way_named

__all__ = ["LocalJudge", "open_local"]


def open_local(name: str | None, **options: Any) -> Judge:
    """The judge that stands after ``local:``.

    `name` is None for the embedded default, a model (``NAME``, ``PATH``), either with the way to ask it
    (``NAME@pointwise``), or a judge file or its folder (``judge.json``). A model without a way writes its verdict.

    Raises:
        ConfigurationError: no such way, model or file.
    """
    if name is None or name == "embedded":
        from ranker.embedded import embedded_judge

        return embedded_judge(**options)
    base, at, way = name.rpartition("@")
    if at and (is_way(way) or ("/" not in way and not Path(name).expanduser().exists())):
        return judge_from(Setup(base or None, way_named(way)), f"local:{name}", **options)
    path = Path(name).expanduser()
    if path.suffix == ".json" or (path / FILE).is_file():
        return from_file(path, f"local:{name}", **options)
    return LocalJudge(name, **options)


def from_file(path: Path, name: str, **options: Any) -> Judge:
    """The judge that a judge file describes."""
    content, home = read_judge(path)
    if content["judge"] == "cascade":
        from ranker.cascade import cascade_from

        return cascade_from(content, name, home=home, **options)
    return judge_from(setup_from(content, home), name, **options)


def judge_from(setup: Setup, name: str, **options: Any) -> Judge:
    """The judge of a setup, whether it writes its verdict or is asked for probabilities."""
    if setup.way != "generated":
        return open_logprob_judge(setup, name=name, **options)
    check(setup)
    return LocalJudge(setup.base, **{"template": setup.template, **options})


def open_logprob_judge(setup: Setup, *, name: str, **options: Any) -> Judge:
    """A judge that is asked for probabilities.

    Raises:
        ConfigurationError: options it does not take, or settings that cannot be.
    """
    from ranker.local.logprob_judge import LogprobJudge

    takes = [*inspect.signature(LogprobJudge).parameters][2:]
    wrong = [option for option in options if option not in takes]
    if wrong:
        raise ConfigurationError(
            f"The judge {name} is asked for probabilities and does not take {', '.join(wrong)}; it takes "
            f"{', '.join(takes)}."
        )
    return LogprobJudge(setup, name=name, **options)
