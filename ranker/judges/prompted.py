"""The part every LLM judge shares: render, ask, parse, name the fault and ask again, remember."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ranker.errors import ContextLengthError, RankerError, VerdictError
from ranker.judges.base import Lineup
from ranker.judges.verdict import Form, Verdict, parse_verdict
from ranker.prompting import prompt as prompts
from ranker.prompting.prompt import Message, Prompt
from ranker.prompting.template import RANK, load_template
from ranker.prompting.transcript import transcript_of
from ranker.runtime.budget import Budget
from ranker.runtime.cache import Cache, cache_key, open_cache
from ranker.runtime.call_log import Recorder
from ranker.runtime.telemetry import span
from ranker.usage import Usage

SMALL = 8_000  # characters; what is shorter fits any window and needs no look at it


@dataclass(frozen=True, slots=True)
class Reply:
    """A judge's reply as it came.

    Attributes:
        text: what the model wrote.
        usage: what it cost, failed attempts included.
        mode: how the format was asked for: json_schema, json_object, text or constrained.
    """

    text: str
    usage: Usage = field(default_factory=Usage)
    mode: str = "text"


class PromptedJudge(ABC):
    """Base of the judges that are language models.

    Args:
        template: name of the prompt template, or None for the packaged one of the form.
        prompt_folder: a folder of your own templates, looked in first.
        form: what the reply holds: a ranking, or scores.
        max_reasks: how often an unusable reply is sent back with its fault named.
        max_group: the most trajectories in one call; larger groups are ranked in windows.
        cache: a path, a Cache, "off", or None for the default.
        record: a path; every call is appended to it as a line of JSON.
    """

    def __init__(
        self,
        *,
        template: str | None = None,
        prompt_folder: str | Path | None = None,
        form: Form = "ranking",
        max_reasks: int = 4,
        max_group: int = 32,
        cache: str | Path | Cache | bool | None = None,
        record: str | Path | None = None,
    ):
        from ranker.prompting.template import SCORE

        folder = None if prompt_folder is None else str(prompt_folder)
        self.form: Form = form
        self.template = load_template(template or (RANK if form == "ranking" else SCORE), folder)
        self.max_reasks = max_reasks
        self.max_group = max(2, max_group)
        self.cache = open_cache(cache)
        self.record = None if record is None else Recorder(record)

    @property
    @abstractmethod
    def name(self) -> str: ...

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Everything but the messages that shapes a reply, without secrets: the cache's key."""

    @abstractmethod
    async def window(self) -> int:
        """Tokens of prompt and reply together."""

    @abstractmethod
    def count(self, text: str) -> int:
        """Tokens of a text, or an estimate on the safe side."""

    @abstractmethod
    async def complete(self, messages: Sequence[Message], ids: Sequence[str], budget: Budget) -> Reply:
        """Ask the model once (retrying a failed call); errors carry their usage."""

    async def capacity(self, lineup: Lineup) -> int:
        room = await self.window() - prompts.reply_room(min(len(lineup.trajectories), self.max_group))
        return prompts.capacity(lineup, self.template, room=room, count=self.count, most=self.max_group)

    async def verdict(self, lineup: Lineup, budget: Budget) -> Verdict:
        prompt = await self._prompt(lineup)
        usage = Usage()
        refits = 2
        while True:
            try:
                verdict = await self._ask(prompt, lineup, budget)
                return replace(verdict, usage=usage + verdict.usage)
            except ContextLengthError as error:
                # The server's window is smaller than believed. `window` knows better now.
                usage += error.usage
                refits -= 1
                if refits < 0:
                    raise error.spent(usage) from None
                try:
                    prompt = await self._prompt(lineup, known=False)
                except ContextLengthError as final:
                    raise final.spent(usage) from None
            except RankerError as error:
                raise error.spent(usage + error.usage) from error.__cause__

    async def _prompt(self, lineup: Lineup, known: bool = True) -> Prompt:
        size = sum(len(p) for t in lineup.trajectories for p in transcript_of(t).pieces)
        size += len(lineup.task or "") + len(lineup.rubric or "")
        room = None
        if size > SMALL or not known:
            room = await self.window() - prompts.reply_room(len(lineup.trajectories))
        return prompts.build_prompt(lineup, self.template, room=room, count=self.count)

    async def _ask(self, prompt: Prompt, lineup: Lineup, budget: Budget) -> Verdict:
        key = "" if self.cache is None else self._key(prompt)
        messages: tuple[Message, ...] = prompt.messages
        usage = Usage()
        for asked in range(self.max_reasks + 1):
            reply = self._kept(key) if asked == 0 else None
            if reply is None:
                reply = await self._called(messages, prompt, budget, usage)
            usage += reply.usage
            try:
                verdict = parse_verdict(reply.text, prompt.ids, self.form)
            except VerdictError as fault:
                usage += Usage(failed_calls=1)
                if asked == self.max_reasks:
                    raise self._final(fault, asked + 1).spent(usage) from None
                retry = self.template.block("retry", fault=str(fault), ids=prompt.ids).strip()
                said = reply.text.strip()[:4_000] or "(nothing)"
                messages = (
                    *prompt.messages,
                    {"role": "assistant", "content": said},
                    {"role": "user", "content": retry},
                )
                continue
            if self.cache is not None and not reply.usage.cached_calls:
                # Kept under the first question, also where it took several: nothing is paid twice.
                self.cache.put(key, self.name, {"text": reply.text, "mode": reply.mode})
            return replace(
                verdict, usage=usage, prompt_id=prompt.prompt_id, cut=prompt.cut, warnings=prompt.warnings
            )
        raise AssertionError("unreachable")

    def _key(self, prompt: Prompt) -> str:
        return cache_key(**self.identity(), form=self.form, messages=prompt.messages)

    def _kept(self, key: str) -> Reply | None:
        kept = self.cache.get(key) if self.cache is not None else None
        if kept is None or not isinstance(kept.get("text"), str):
            return None
        return Reply(kept["text"], Usage(cached_calls=1), str(kept.get("mode")))

    async def _called(
        self, messages: tuple[Message, ...], prompt: Prompt, budget: Budget, before: Usage
    ) -> Reply:
        started = time.perf_counter()
        known = {"gen_ai.request.model": self.name, "ranker.prompt_id": prompt.prompt_id}
        with span("ranker.judge", **known) as late:
            try:
                reply = await self.complete(messages, prompt.ids, budget)
            except RankerError as error:
                self._note(prompt, started, error=f"{type(error).__name__}: {error}", usage=error.usage)
                raise error.spent(before + error.usage) from error.__cause__
            late["gen_ai.usage.input_tokens"] = reply.usage.prompt_tokens
            late["gen_ai.usage.output_tokens"] = reply.usage.completion_tokens
        self._note(prompt, started, reply=reply)
        return reply

    def _final(self, fault: VerdictError, asked: int) -> VerdictError:
        times = "once" if asked == 1 else f"{asked} times"
        return VerdictError(
            f"The judge {self.name} was asked {times} and gave no usable ranking. Last fault: {fault} "
            "Try a stronger judge, fewer trajectories in a group, or passes over smaller groups.",
            raw_text=fault.raw_text,
        )

    def _note(
        self,
        prompt: Prompt,
        started: float,
        *,
        reply: Reply | None = None,
        error: str | None = None,
        usage: Usage | None = None,
    ) -> None:
        if self.record is None:
            return
        ranking = fault = None
        if reply is not None:
            usage = reply.usage
            try:
                verdict = parse_verdict(reply.text, prompt.ids, self.form)
                ranking = [[prompt.ids[i] for i in tier] for tier in verdict.tiers]
            except VerdictError as unusable:
                fault = str(unusable)
        self.record.write(
            {
                "time": time.time(),
                "judge": self.name,
                "prompt_id": prompt.prompt_id,
                "seed": prompt.seed,
                "ids": prompt.ids,
                "structured": reply.mode if reply else None,
                "raw": reply.text if reply else None,
                "ranking": ranking,
                "fault": fault,
                "error": error,
                "usage": (usage or Usage()).to_dict(),
                "seconds": round(time.perf_counter() - started, 4),
            }
        )
