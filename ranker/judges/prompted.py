"""Base class of LLM judges: render the prompt, call the model, parse and re-ask, cache the reply."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

from ranker.errors import ConfigurationError, ContextLengthError, RankerError, VerdictError
from ranker.judges.base import Lineup
from ranker.judges.credit import Credit, check_credit
from ranker.judges.json_reply import MOST_TEXT
from ranker.judges.reask import reask
from ranker.judges.verdict import Form, Verdict, parse_verdict
from ranker.prompting import prompt as prompts
from ranker.prompting.images import IMAGE_TOKENS, images_of, most_images, show, tokens_of
from ranker.prompting.prompt import Message, Prompt
from ranker.prompting.sharing import Sharing
from ranker.prompting.template import RANK, load_template
from ranker.prompting.transcript import transcript_of
from ranker.runtime.budget import Budget
from ranker.runtime.cache import Cache, cache_key, open_cache
from ranker.runtime.call_log import CallLog
from ranker.runtime.telemetry import span
from ranker.usage import Usage

SMALL = 8_000  # characters; shorter lineups fit every window, so it is not queried
# What is left of a prompt that was too long for a window of unknown size, at each further attempt.
_SHRINK = (0.7, 0.5, 0.5, 0.5)
_NO_ROOM = "Its context window has no room to ask again with the fault named. "


@dataclass(frozen=True, slots=True)
class Reply:
    """The raw reply of a judge.

    Attributes:
        text: what the model wrote.
        usage: its cost, including failed attempts.
        mode: how the format was requested: json_schema, json_object, text or constrained.
    """

    text: str
    usage: Usage = field(default_factory=Usage)
    mode: str = "text"


class PromptedJudge(ABC):
    """Base class of judges that are language models.

    Args:
        template: name of the prompt template; None for the packaged template of the form.
        prompt_folder: a folder of your own templates, searched first.
        form: form of the reply: a ranking or scores.
        credit: "turns" to have the judge also say which turns helped and which hurt, with a ranking.
        sharing: which text that recurs in a group is shown once: "fine" for messages, lines and sentences, "messages" for
            whole messages only, "off" for none.
        max_reasks: how often to ask again after an unusable reply, naming its fault.
        max_group: maximum number of trajectories per call; larger groups are ranked in windows.
        cache: a path, a Cache, "off", or None for the default.
        record: a file to which every call is appended as a line of JSON.
    """

    def __init__(
        self,
        *,
        template: str | None = None,
        prompt_folder: str | Path | None = None,
        form: Form = "ranking",
        credit: Credit | None = None,
        sharing: Sharing = "fine",
        max_reasks: int = 4,
        max_group: int = 32,
        cache: str | Path | Cache | bool | None = None,
        record: str | Path | None = None,
    ):
        from ranker.prompting.template import BLOCKS, SCORE, TURN_BLOCKS, TURNS

        check_credit(credit)
        if credit is not None and form != "ranking":
            raise ConfigurationError(
                'credit="turns" goes with a ranking; leave form="scores" and reward="score" out.'
            )
        folder = None if prompt_folder is None else str(prompt_folder)
        self.form: Form = form
        self.credit: Credit | None = credit
        if sharing not in get_args(Sharing):
            raise ConfigurationError(f"sharing={sharing!r}; choose {', '.join(get_args(Sharing))}.")
        self.sharing: Sharing = sharing
        ours = TURNS if credit else RANK if form == "ranking" else SCORE
        self.template = load_template(template or ours, folder, TURN_BLOCKS if credit else BLOCKS)
        self.max_reasks = max_reasks
        self.max_group = max(2, max_group)
        self.cache = open_cache(cache)
        self.call_log = None if record is None else CallLog(record)

    @property
    @abstractmethod
    def name(self) -> str: ...

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Everything except the messages that influences a reply, for the cache key; no secrets."""

    @abstractmethod
    async def window(self) -> int:
        """The context window in tokens, for prompt and reply together."""

    @abstractmethod
    def count(self, text: str) -> int:
        """Tokens of a text, or a conservative estimate."""

    def sees(self) -> bool:
        """Whether images can be sent to the model."""
        return False

    @abstractmethod
    async def complete(self, messages: Sequence[Message], ids: Sequence[str], budget: Budget) -> Reply:
        """Ask the model once, retrying failed calls; errors carry their usage."""

    async def capacity(self, lineup: Lineup) -> int:
        room = await self.window() - self.reply_room(min(len(lineup.trajectories), self.max_group))
        return prompts.capacity(
            lineup,
            self.template,
            room=room,
            count=self.count,
            most=self.max_group,
            sharing=self.sharing,
            credit=self.credit,
        )

    def reply_room(self, n: int) -> int:
        """Tokens reserved for a reply on n trajectories."""
        return prompts.reply_room(n, self.credit)

    async def verdict(self, lineup: Lineup, budget: Budget) -> Verdict:
        prompt = await self._prompt(lineup)
        usage = Usage()
        shrink = list(_SHRINK)
        while True:
            try:
                verdict = await self._ask(prompt, lineup, budget)
                return replace(verdict, usage=usage + verdict.usage)
            except ContextLengthError as error:
                # The server's window is smaller than assumed. Where it says its size, `window` now returns that; else
                # this group alone is cut: a guess must not cut others.
                usage += error.usage
                if not shrink:
                    raise error.spent(usage) from None
                left = shrink.pop(0)
                shown = tokens_of(prompt.messages, self.count)
                # A number that is no window (what the server leaves for a prompt, say) holds for this group too.
                own = self.reply_room(len(prompt.ids))
                room = int(left * shown) if error.window is None else error.window - own
                try:
                    prompt = await self._prompt(lineup, room, check_size=True)
                except ContextLengthError as final:
                    raise final.spent(usage) from None
            except RankerError as error:
                raise error.spent(usage + error.usage) from error.__cause__

    async def _prompt(self, lineup: Lineup, limit: int | None = None, check_size: bool = False) -> Prompt:
        """The prompt that shows a lineup, in at most `limit` tokens where that is less than the window leaves."""
        transcripts = [transcript_of(t) for t in lineup.trajectories]
        size = sum(len(p) for t in transcripts for p in t.pieces)
        size += len(lineup.task or "") + len(lineup.rubric or "")
        seen = any("image" in t.media for t in transcripts) and self.sees()
        images = images_of(lineup.trajectories) if seen else {}
        room = None
        if size > SMALL or check_size or images:
            room = await self.window() - self.reply_room(len(lineup.trajectories))
            room = room if limit is None else min(room, limit)
        most = min(most_images(room), sum(image is not None for image in images.values()))
        build = partial(
            prompts.build_prompt,
            lineup,
            self.template,
            count=self.count,
            sharing=self.sharing,
            credit=self.credit,
        )
        try:
            prompt = build(room=None if room is None else room - most * IMAGE_TOKENS)
        except ContextLengthError:
            if not most:
                raise
            most, prompt = 0, build(room=room)  # words before images
        return show(prompt, images, most) if images else prompt

    async def _ask(self, prompt: Prompt, lineup: Lineup, budget: Budget) -> Verdict:
        key = ""
        if self.cache is not None:
            turns = {} if self.credit is None else {"credit": self.credit}
            key = cache_key(**self.identity(), form=self.form, messages=prompt.messages, **turns)
        first = self._cached_reply(key)
        if first is None:
            first, verdict = await self._call(prompt.messages, prompt, budget, Usage())
        else:
            verdict = self._read(first, prompt)
        reply, usage = first, first.usage
        for asked in range(1, self.max_reasks + 2):
            if isinstance(verdict, Verdict):
                if self.cache is not None and not reply.usage.cached_calls:
                    # Stored under the key of the first prompt even after re-asking, so that no verdict is paid for twice.
                    self.cache.put(key, self.name, {"text": reply.text, "mode": reply.mode})
                return replace(
                    verdict, usage=usage, prompt_id=prompt.prompt_id, cut=prompt.cut, warnings=prompt.warnings
                )
            fault = verdict
            usage += Usage(failed_calls=1)
            if asked > self.max_reasks:
                raise self._unusable(fault, asked).spent(usage) from None
            room = None
            if first.usage.prompt_tokens:  # what the server counted
                room = await self.window() - first.usage.prompt_tokens - self.reply_room(len(prompt.ids))
            try:
                reply, verdict = await self._call_again(prompt, reply, fault, room, budget)
            except ContextLengthError as error:
                raise self._unusable(fault, asked, _NO_ROOM).spent(usage + error.usage) from None
            except RankerError as error:
                raise error.spent(usage + error.usage) from error.__cause__
            usage += reply.usage
        raise AssertionError("unreachable")

    async def _call_again(
        self, prompt: Prompt, reply: Reply, fault: VerdictError, room: int | None, budget: Budget
    ) -> tuple[Reply, Verdict | VerdictError]:
        """Ask again after an unusable reply, of which as much is sent back as `room` takes, in tokens, or nothing where the
        server has less than that. The prompt stays as it is, and what the server says of its window holds for this request.

        Raises:
            ContextLengthError: there is no room to ask again.
        """
        refused = Usage()
        for left in (room, 0):
            messages = reask(prompt, self.template, reply.text, fault, room=left, count=self.count)
            try:
                again, verdict = await self._call(messages, prompt, budget, Usage())
                return replace(again, usage=refused + again.usage), verdict
            except ContextLengthError as error:
                refused += error.usage
                last = error
            except RankerError as error:
                raise error.spent(refused + error.usage) from error.__cause__
        raise last.spent(refused) from None

    def _cached_reply(self, key: str) -> Reply | None:
        entry = self.cache.get(key) if self.cache is not None else None
        if entry is None or not isinstance(entry.get("text"), str):
            return None
        return Reply(entry["text"], Usage(cached_calls=1), str(entry.get("mode")))

    async def _call(
        self, messages: tuple[Message, ...], prompt: Prompt, budget: Budget, before: Usage
    ) -> tuple[Reply, Verdict | VerdictError]:
        """A reply, and what it says: read once, since that takes long where the reply is."""
        started = time.perf_counter()
        attributes = {"gen_ai.request.model": self.name, "ranker.prompt_id": prompt.prompt_id}
        with span("ranker.judge", **attributes) as results:
            try:
                reply = await self.complete(messages, prompt.ids, budget)
            except RankerError as error:
                self._log_call(prompt, started, error=f"{type(error).__name__}: {error}", usage=error.usage)
                raise error.spent(before + error.usage) from error.__cause__
            results["gen_ai.usage.input_tokens"] = reply.usage.prompt_tokens
            results["gen_ai.usage.output_tokens"] = reply.usage.completion_tokens
        verdict = self._read(reply, prompt)
        self._log_call(prompt, started, reply=reply, verdict=verdict)
        return reply, verdict

    def _read(self, reply: Reply, prompt: Prompt) -> Verdict | VerdictError:
        try:
            return parse_verdict(reply.text, prompt.ids, self.form, prompt.turns)
        except VerdictError as fault:
            return fault

    def _unusable(self, fault: VerdictError, times: int, why: str = "") -> VerdictError:
        count = "once" if times == 1 else f"{times} times"
        return VerdictError(
            f"The judge {self.name} was asked {count} and gave no usable ranking. Last fault: {fault} {why}"
            "Try a stronger judge, fewer trajectories in a group, or passes over smaller groups.",
            raw_text=fault.raw_text,
        )

    def _log_call(
        self,
        prompt: Prompt,
        started: float,
        *,
        reply: Reply | None = None,
        verdict: Verdict | VerdictError | None = None,
        error: str | None = None,
        usage: Usage | None = None,
    ) -> None:
        if self.call_log is None:
            return
        usage = reply.usage if reply is not None else usage
        ranking = None
        if isinstance(verdict, Verdict):
            ranking = [[prompt.ids[i] for i in tier] for tier in verdict.tiers]
        self.call_log.write(
            {
                "time": time.time(),
                "judge": self.name,
                "prompt_id": prompt.prompt_id,
                "seed": prompt.seed,
                "ids": prompt.ids,
                "structured": reply.mode if reply else None,
                "raw": reply.text[:MOST_TEXT] if reply else None,
                "ranking": ranking,
                "fault": str(verdict) if isinstance(verdict, VerdictError) else None,
                "error": error,
                "usage": (usage or Usage()).to_dict(),
                "seconds": round(time.perf_counter() - started, 4),
            }
        )
