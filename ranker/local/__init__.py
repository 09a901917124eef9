"""Judges that run in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError
from ranker.judge import Judge
from ranker.local.judge import LocalJudge
from ranker.local.setup import FILE, Setup, read_judge, setup_from
from ranker.local.ways import WAYS

__all__ = ["LocalJudge", "open_local"]


def open_local(name: str | None, **options: Any) -> Judge:
    """The judge that stands after ``local:``.

    `name` is None for the embedded default, a model (``NAME``, ``PATH``), either with the way to ask it
    (``NAME@alone``), or a judge file or its folder (``judge.json``). A model without a way writes its verdict.

    Raises:
        ConfigurationError: no such way, model or file.
    """
    if name is None or name == "embedded":
        from ranker.embedded import embedded_judge

        return embedded_judge(**options)
    base, at, way = name.rpartition("@")
    if at and way in WAYS:
        if way == "generated":
            return LocalJudge(base, **options)
        return probing(Setup(base, way), name=f"local:{name}", **options)  # type: ignore[arg-type]
    if at and base and "/" not in way and not Path(name).exists():
        raise ConfigurationError(f"There is no way to ask called {way!r}; there are {', '.join(WAYS)}.")
    path = Path(name).expanduser()
    if path.suffix == ".json" or (path / FILE).is_file():
        return from_file(path, f"local:{name}", **options)
    return LocalJudge(name, **options)


def from_file(path: Path, name: str, **options: Any) -> Judge:
    """The judge that a judge file describes."""
    told, home = read_judge(path)
    if told["judge"] == "cascade":
        from ranker.cascade import cascade_from

        return cascade_from(told, name, **options)
    setup = setup_from(told, home)
    if setup.way == "generated":
        return LocalJudge(setup.base, **options)
    return probing(setup, name=name, **options)


def probing(setup: Setup, *, name: str, **options: Any) -> Judge:
    from ranker.local.probe import ProbeJudge

    return ProbeJudge(setup, name=name, **options)
