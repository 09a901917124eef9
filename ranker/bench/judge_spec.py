"""A judge under test: a model behind an API, one in this process, or a simulated one."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from ranker.bench.simulated_judges import SIMULATED, Mind, mind
from ranker.errors import ConfigurationError
from ranker.judges.base import Judge
from ranker.suites import Suite
from ranker.testing import JudgeServer


@dataclass(frozen=True, slots=True)
class Contestant:
    """Attributes:
    name: as the user gave it, without credentials; stands in every table.
    mind: of a simulated judge.
    model: name for LLMJudge, or for LocalJudge what follows ``local:``.
    base_url: of an OpenAI-compatible server.
    local: runs in this process.
    options: of the judge's class.
    """

    name: str
    mind: Mind | None = None
    model: str | None = None
    base_url: str | None = field(default=None, repr=False)
    local: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def paid(self) -> bool:
        """Whether a call may cost money."""
        return self.mind is None and not self.local

    def shape(self) -> dict[str, Any]:
        """What shapes its verdicts beside its name, without secrets."""
        kept = ("template", "prompt_folder", "temperature", "max_tokens")
        return {
            **{key: self.options[key] for key in kept if self.options.get(key) is not None},
            **({} if self.base_url is None else {"base_url": _bare(self.base_url)}),
        }

    def price(self) -> tuple[float, float] | None:
        """Dollars for a million tokens read and written, where known."""
        from ranker.judges.llm import LLMJudge

        judge = self._real()
        return judge.price if isinstance(judge, LLMJudge) else (0.0, 0.0)

    @asynccontextmanager
    async def judge(self, suite: Suite, seed: int, attacks: bool = True) -> AsyncIterator[Judge]:
        """The judge, ready to be asked; a simulated one knows the suite's truths while this is open, and with
        `attacks` those of the groups with an attack planted."""
        from ranker.judges.llm import LLMJudge

        if self.mind is not None:
            thought = self.mind.known(suite.groups, attacks)
            with JudgeServer(thought, self.mind.behaviour(suite.groups, seed)) as server:
                options = {k: v for k, v in self.options.items() if k in ("template", "prompt_folder")}
                yield LLMJudge(
                    "simulated", base_url=server.base_url, cache="off", price=(0.0, 0.0), **options
                )
        else:
            yield self._real()

    def _real(self) -> Judge:
        from ranker.judges.registry import resolve

        if not self.local:
            return resolve(self.model, base_url=self.base_url, **self.options)
        taken = {
            k: v
            for k, v in self.options.items()
            if k not in ("price", "timeout", "temperature", "max_tokens")
        }
        return resolve(f"local:{self.model}" if self.model else "local", **taken)


def contestant(spec: str, base_url: str | None, options: Mapping[str, Any]) -> Contestant:
    """The judge that `spec` names: ``oracle``, ``random``, ``length``, ``adversarial``, ``noisy:0.75``,
    ``biased:position=0.5``, ``local``, ``local:NAME``, a LiteLLM model name, or a server's model as ``NAME@URL``
    (or with `base_url` the name alone).

    Raises:
        ConfigurationError: no judge can be meant.
    """
    simulated = mind(spec)
    if simulated is not None:
        return Contestant(spec, simulated, options=options)
    if spec.partition(":")[0] in SIMULATED:
        raise ConfigurationError(f"{spec!r} is no simulated judge; there are oracle, random, length, adversarial, "
                                 "noisy:0.75 and biased:position=0.5.")  # fmt: skip
    if spec == "local" or spec.startswith("local:"):
        return Contestant(spec, model=spec.partition(":")[2] or None, local=True, options=options)
    name, at, url = spec.partition("@")
    if at and re.match(r"https?://", url):
        return Contestant(f"{name}@{_bare(url)}", model=name, base_url=url, options=options)
    if not spec.strip():
        raise ConfigurationError("A judge needs a name, e.g. openai/gpt-5-mini, local or noisy:0.75.")
    return Contestant(spec, model=spec, base_url=base_url, options=options)


def _bare(url: str) -> str:
    """A URL without user, password and query."""
    return re.sub(r"//[^/]*@", "//", url).split("?")[0].rstrip("/")
