"""Judges that run in this process."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError
from ranker.judges.base import Judge
from ranker.judges.local.judge import LocalJudge
from ranker.judges.local.setup import FILE, Setup, check, read_judge, setup_from
from ranker.judges.local.ways import WAYS

__all__ = ["LocalJudge", "open_local"]


def open_local(name: str | None, **options: Any) -> Judge:
    """The judge that stands after ``local:``.

    `name` is None for the embedded default, a model (``NAME``, ``PATH``), either with the way to ask it
    (``NAME@alone``), or a judge file or its folder (``judge.json``). A model without a way writes its verdict.

    Raises:
        ConfigurationError: no such way, model or file.
    """
    if name is None or name == "embedded":
        from ranker.judges.embedded import embedded_judge

        return embedded_judge(**options)
    base, at, way = name.rpartition("@")
    if at and way in WAYS:
        return made(Setup(base or None, way), f"local:{name}", **options)
    if at and "/" not in way and not Path(name).expanduser().exists():
        raise ConfigurationError(f"There is no way to ask called {way!r}; there are {', '.join(WAYS)}.")
    path = Path(name).expanduser()
    if path.suffix == ".json" or (path / FILE).is_file():
        return from_file(path, f"local:{name}", **options)
    return LocalJudge(name, **options)


def from_file(path: Path, name: str, **options: Any) -> Judge:
    """The judge that a judge file describes."""
    told, home = read_judge(path)
    if told["judge"] == "cascade":
        from ranker.judges.cascade import cascade_from

        return cascade_from(told, name, home=home, **options)
    return made(setup_from(told, home), name, **options)


def made(setup: Setup, name: str, **options: Any) -> Judge:
    """The judge of a setup, whether it writes its verdict or is asked for probabilities."""
    if setup.way != "generated":
        return probing(setup, name=name, **options)
    check(setup)
    return LocalJudge(setup.base, **{"template": setup.template, **options})


def probing(setup: Setup, *, name: str, **options: Any) -> Judge:
    """A judge that is asked for probabilities.

    Raises:
        ConfigurationError: options it does not take, or settings that cannot be.
    """
    from ranker.judges.local.probe import ProbeJudge

    takes = [*inspect.signature(ProbeJudge).parameters][2:]
    wrong = [option for option in options if option not in takes]
    if wrong:
        raise ConfigurationError(
            f"The judge {name} is asked for probabilities and does not take {', '.join(wrong)}; it takes "
            f"{', '.join(takes)}."
        )
    return ProbeJudge(setup, name=name, **options)
