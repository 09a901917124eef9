"""From what a user names as judge to a Judge."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError
from ranker.judges.base import FunctionJudge, Judge
from ranker.judges.credit import cannot_name_turns
from ranker.judges.names import mistyped, unknown_judge
from ranker.judges.servers import server_of
from ranker.judges.sources import sources_of

_resolved: dict[Any, tuple[list[Any], Judge]] = {}  # with the sources that each was made from


def resolve(
    judge: Any = None, *, base_url: str | None = None, api_key: str | None = None, **options: Any
) -> Judge:
    """Make the judge that `judge` names.

    `judge` is a LiteLLM model name, ``local``, ``local:NAME``, ``local:NAME@WAY``, ``local:PATH``, a judge file
    (``FILE.json``), a Judge, or a function; None is ``$RANKER_JUDGE`` or ``local``. The same name and options give the same object, so that
    connections, models and what was learned about a server are kept, unless a file or a variable that they name has changed.

    Raises:
        ConfigurationError: options that the judge does not take.
    """
    options = {k: v for k, v in options.items() if v is not None}
    if judge is None:
        judge = os.environ.get("RANKER_JUDGE") or "local"
    if not isinstance(judge, str):
        if base_url is not None or api_key is not None or options:
            misplaced = [k for k, v in (("base_url", base_url), ("api_key", api_key)) if v is not None]
            raise ConfigurationError(
                f"{', '.join([*misplaced, *options])} cannot be applied to a judge that is an object; give them "
                "to the judge when you make it."
            )
        if isinstance(judge, Judge):
            return judge
        if callable(judge):
            return FunctionJudge(judge)
        raise ConfigurationError(f"{judge!r} is no judge: give a model name, a Judge or a function.")
    key = (judge, base_url, api_key, os.environ.get("RANKER_CACHE"), os.environ.get("RANKER_API_KEY"),
           tuple(server_of(judge, base_url).items()),
           tuple(sorted((k, repr(v)) for k, v in options.items())))  # fmt: skip
    sources = sources_of(judge, options)
    made = _resolved.get(key)
    if made is None or made[0] != sources:
        made = _resolved[key] = sources, _make(judge, base_url, api_key, options)
    return made[1]


def forget(judge: str) -> None:
    """Let go of the judges of this name, and with them of what they hold in memory; named again, the judge is made anew."""
    for key in list(_resolved):
        if key[0] == judge:
            _resolved.pop(key, None)


def _make(judge: str, base_url: str | None, api_key: str | None, options: dict[str, Any]) -> Judge:
    local = judge == "local" or judge.startswith("local:")
    try:
        if local:
            if base_url is not None or api_key is not None:
                raise ConfigurationError(f"{judge} runs in this process; leave base_url and api_key out.")
            return _local(judge.partition(":")[2], judge, options)
        if judge.endswith(".json"):
            reached = {"base_url": base_url, "api_key": api_key}
            options.update({k: v for k, v in reached.items() if v is not None})
            return _from_file(Path(os.path.expanduser(judge)), judge, options)
        from ranker.judges.llm import LLMJudge

        meant = (
            mistyped(judge.partition(":")[0], ["local"]) if base_url is None and "/" not in judge else None
        )
        if meant is not None:
            raise unknown_judge(judge, (), [meant + judge[len(judge.partition(":")[0]) :]])
        return LLMJudge(judge, base_url=base_url, api_key=api_key, **options)
    except TypeError as error:
        kind = "local" if local else "API"
        raise ConfigurationError(f"The {kind} judge {judge!r} does not take that option: {error}") from None


def _local(name: str, judge: str, options: dict[str, Any]) -> Judge:
    """The judge whose name after ``local:`` is `name`."""
    if name in ("", "embedded"):
        from ranker.judges.embedded import embedded_judge

        return embedded_judge(**options)
    from ranker.judges.local import is_judge_file, open_local

    path = Path(os.path.expanduser(name))
    return _from_file(path, judge, options) if is_judge_file(path) else open_local(name, **options)


def _from_file(path: Path, name: str, options: dict[str, Any]) -> Judge:
    """The judge that a judge file describes: a local model, a model behind an API, or a cascade."""
    from ranker.judges.local import judge_from
    from ranker.judges.local.judge_file import read_judge, setup_from

    content, home = read_judge(path)
    if content["judge"] == "api":
        from ranker.judges.api_file import api_judge_from

        return api_judge_from(content, **options)
    if content["judge"] != "cascade":
        return judge_from(setup_from(content, home), name, **options)
    if "credit" in options:
        raise cannot_name_turns(name)
    from ranker.judges.cascade import cascade_from

    return cascade_from(content, name, resolve, home, **options)
