"""A judge under test: a model behind an API, a local one, or a simulated one."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from ranker.bench.simulated_judges import SIMULATED, SimulatedJudge, simulated_judge
from ranker.errors import ConfigurationError
from ranker.judges.base import Judge
from ranker.judges.headers import identity_of, read_headers
from ranker.judges.names import mistyped, unknown_judge
from ranker.judges.sources import contents_of
from ranker.secrets import bare_url, hide_fields
from ranker.suites import Suite
from ranker.testing import JudgeServer


@dataclass(frozen=True, slots=True)
class JudgeSpec:
    """Attributes:
    name: as the user gave it, without credentials; shown in every table.
    simulated: a simulated judge.
    model: name for LLMJudge, or the part after ``local:`` for LocalJudge.
    base_url: of an OpenAI-compatible server.
    local: runs in this process.
    options: of the judge's class.
    contents: digest of the judge file, the model and the templates that they point to, as they were when the judge was
        named; None where they point to none.
    """

    name: str
    simulated: SimulatedJudge | None = None
    model: str | None = None
    base_url: str | None = field(default=None, repr=False)
    local: bool = False
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    contents: str | None = None

    @property
    def paid(self) -> bool:
        """Whether a call may cost money."""
        return self.simulated is None and not self.local

    def shape(self) -> dict[str, Any]:
        """Everything except its name that affects its verdicts, without secrets."""
        names = ("template", "prompt_folder", "temperature", "max_tokens", "extra", "structured", "vision")
        options = {key: self.options[key] for key in names if self.options.get(key) is not None}
        if "extra" in options:
            options["extra"] = hide_fields(options["extra"])
        return {
            **identity_of(read_headers(self.options.get("headers"))),
            **options,
            **({} if self.base_url is None else {"base_url": bare_address(self.base_url)}),
            **({} if self.contents is None else {"contents": self.contents}),
        }

    def price(self) -> tuple[float, float] | None:
        """Dollars per million tokens read and written, if known."""
        from ranker.judges.llm import LLMJudge

        judge = self._real()
        return judge.price if isinstance(judge, LLMJudge) else (0.0, 0.0)

    @asynccontextmanager
    async def judge(self, suite: Suite, seed: int, attacks: bool = True) -> AsyncIterator[Judge]:
        """The judge; a simulated one knows the suite's truths while the context is open, with `attacks` those of the
        attacked groups too."""
        from ranker.judges.llm import LLMJudge

        if self.simulated is not None:
            groups = self.simulated.known(suite.groups, attacks)
            with JudgeServer(groups, self.simulated.behaviour(suite.groups, seed)) as server:
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
        remote = ("price", "timeout", "temperature", "max_tokens", "extra", "headers", "structured", "vision")
        options = {k: v for k, v in self.options.items() if k not in remote}
        return resolve(f"local:{self.model}" if self.model else "local", **options)


def judge_spec(spec: str, base_url: str | None, options: Mapping[str, Any]) -> JudgeSpec:
    """The judge that `spec` names: ``oracle``, ``random``, ``length``, ``adversarial``, ``noisy:0.75``,
    ``biased:position=0.5``, ``local``, ``local:NAME``, a LiteLLM model name, or a server's model as ``NAME@URL``
    (or with `base_url` the name alone).

    Raises:
        ConfigurationError: it names no judge.
    """
    named = _named(spec, base_url, options)
    return replace(
        named,
        contents=contents_of(f"local:{named.model or ''}" if named.local else named.model or "", options),
    )


def _named(spec: str, base_url: str | None, options: Mapping[str, Any]) -> JudgeSpec:
    simulated = simulated_judge(spec)
    if simulated is not None:
        return JudgeSpec(spec, simulated, options=options)
    if spec.partition(":")[0] in SIMULATED:
        raise ConfigurationError(f"{spec!r} is not a simulated judge; choose from oracle, random, length, adversarial, "
                                 "noisy:0.75 and biased:position=0.5.")  # fmt: skip
    if spec == "local" or spec.startswith("local:"):
        return JudgeSpec(spec, model=spec.partition(":")[2] or None, local=True, options=options)
    name, at, url = spec.partition("@")
    if at and re.match(r"https?://", url):
        return JudgeSpec(f"{name}@{bare_address(url)}", model=name, base_url=url, options=options)
    if not spec.strip():
        raise ConfigurationError("A judge needs a name, e.g. openai/gpt-5-mini, local or noisy:0.75.")
    meant = (
        mistyped(spec.partition(":")[0], (*SIMULATED, "local"))
        if base_url is None and "/" not in spec
        else None
    )
    if meant is not None:
        raise unknown_judge(spec, (), [meant + spec[len(spec.partition(":")[0]) :]])
    return JudgeSpec(spec, model=spec, base_url=base_url, options=options)


def bare_address(url: str) -> str:
    """A URL without user, password, query and keys in its path. Any other stays as it is: observations on record are known
    by it."""
    return bare_url(re.sub(r"//.*@", "//", url.split("?", maxsplit=1)[0])).rstrip("/")
