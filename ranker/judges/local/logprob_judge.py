"""A judge that reads the probabilities of a few tokens instead of writing a verdict."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError, ContextLengthError, JudgeError, RankerError
from ranker.judges.base import Lineup
from ranker.judges.credit import Credit, cannot_name_turns, check_credit
from ranker.judges.local.judge_file import Setup
from ranker.judges.local.model import Dtype, Loaded, LocalModel
from ranker.judges.local.turn_gains import beginnings, marks_of
from ranker.judges.local.ways import (
    JOINT,
    KEYS,
    LETTERS,
    LOGPROB_WAYS,
    NOISE,
    Shown,
    fit,
    framing,
    question,
    texts_of,
)
from ranker.judges.options import check_numbers
from ranker.judges.turn_marks import Marks
from ranker.judges.verdict import Verdict
from ranker.prompting.template import ASK, ASK_BLOCKS, load_template
from ranker.prompting.transcript import transcript_of
from ranker.prompting.truncation import FLOOR
from ranker.runtime.budget import Budget
from ranker.runtime.cache import Cache, cache_key, open_cache
from ranker.runtime.event_loop import PerLoop
from ranker.usage import Usage

SCORING = 1  # of scores kept in the cache: raised when the same tokens come to be scored otherwise


@dataclass(frozen=True, slots=True)
class Reading:
    """Attributes:
    scores: one per attempt, in the unit of the way.
    seconds, tokens: cost of the reading; None if no longer known.
    cached: whether it came from the cache.
    """

    scores: list[float]
    seconds: float | None = None
    tokens: int | None = None
    cached: bool = False


class LogprobJudge:
    """A transformers model in this process, asked in one of the ways of `ranker.judges.local.ways.LOGPROB_WAYS`.

    Args:
        setup: model, adapter, way, tolerance; see `Setup`.
        name: stands in results; None for one made of the setup.
        context_window: tokens; None for what the model's config says.
        device, dtype: see `LocalModel`.
        template, prompt_folder: another template than `ask.v1`.
        cache: a path, a Cache, "off", or None for the default.

        max_group: the most attempts of one verdict; larger groups are ranked in windows.
        credit: "turns" to have its verdicts also name the turns that moved an attempt's score (`turn_gains`), at a reading
            more for each turn; only in ways that read each attempt by itself.

    Its verdicts carry `scores` in [0, 1]: the probability of Yes, of being named the best, of a token of the
    reference, or the expected digit over 9; they carry no reasons. Attempts that read alike are read once and tie,
    and so do those whose scores are no further apart than the tolerance or the noise of the way (`NOISE`).

    Raises:
        ConfigurationError: a setting that cannot be, no such model, adapter or template, or a way that cannot name turns.
    """

    def __init__(
        self,
        setup: Setup,
        *,
        name: str | None = None,
        context_window: int | None = None,
        device: str | None = None,
        dtype: Dtype = "auto",
        template: str | None = None,
        prompt_folder: str | Path | None = None,
        max_group: int | None = None,
        cache: str | Path | Cache | bool | None = None,
        form: str | None = None,  # taken for the sake of reward="score": scores always come
        credit: Credit | None = None,
    ):
        if setup.way not in LOGPROB_WAYS:
            raise ConfigurationError(
                f"{setup.way!r} is no way to ask for probabilities; there are {', '.join(LOGPROB_WAYS)}."
            )
        check_numbers(context_window=context_window, max_group=max_group)
        folder = None if prompt_folder is None else str(prompt_folder)
        self.setup = setup
        self.name = name or f"local:{setup.base}@{setup.way}"
        check_credit(credit)
        if credit is not None and setup.way in JOINT:
            raise cannot_name_turns(self.name)
        self.credit = credit
        self.template = load_template(template or setup.template or ASK, folder, ASK_BLOCKS)
        self.local = LocalModel(setup.base, adapter=setup.adapter, device=device, dtype=dtype)
        most = len(LETTERS) if setup.way in JOINT else 64
        self.max_group = max(2, max_group or most)
        if setup.way in JOINT:
            self.max_group = min(self.max_group, most)
        self.cache = open_cache(cache)
        self._window = context_window
        self._adapter = setup.adapter_digest
        self._turn = PerLoop(asyncio.Lock)  # of passes that ask the same, the second finds the first's scores

    def identity(self) -> dict[str, Any]:
        """Everything but the text that shapes a score: the cache's key."""
        return {
            "local": self.local.label,
            "adapter": self._adapter,
            "way": KEYS[self.setup.way],
            "orders": 1,  # this and the next were settings of earlier versions; replies in users' caches have them
            "content_free": False,
            "dtype": self.local.dtype,
            "scoring": SCORING,
            "template": self.template.prompt_id,
        }

    async def capacity(self, lineup: Lineup) -> int:
        """How many of these attempts one verdict can weigh. Attempts that are read alone are cut each by
        itself, so their number does not count.

        Raises:
            ContextLengthError: not even two fit in one list.
        """
        most = max(2, min(len(lineup.trajectories), self.max_group))
        return min(most, await self.local.run(self._listed, lineup)) if self.setup.way in JOINT else most

    def _listed(self, lineup: Lineup) -> int:
        """How many of these attempts, any of them, fit one list, cut where they must be."""
        loaded = self.local.load()
        some = texts_of(replace(lineup, trajectories=lineup.trajectories[: self.max_group]))
        room = self._room(loaded) - self._framing(loaded, some)
        whole = len(some.attempts) == len(lineup.trajectories)
        if whole and sum(map(loaded.count, (some.opening, *some.attempts))) <= room:
            return len(some.attempts)
        sizes = sorted((loaded.count(transcript_of(t).text) for t in lineup.trajectories), reverse=True)
        used, fitting = min(FLOOR, sizes[0]), 0  # fewer attempts may share a longer opening
        for size in sizes:
            used += min(FLOOR, size)
            if used > room:
                break
            fitting += 1
        if fitting < 2:
            raise ContextLengthError(
                f"Not even two of these attempts fit the model's window of {self._room(loaded)} tokens, cut to {FLOOR} "
                "tokens each. Use a model with a longer window, or a way that reads each attempt alone.",
                window=self._room(loaded),
            )
        return fitting

    def _room(self, loaded: Loaded) -> int:
        return min(loaded.window, self._window or loaded.window)

    def _framing(self, loaded: Loaded, texts: Shown) -> int:
        return framing(texts, self.setup.way, self.template, loaded.frame, loaded.encode)

    async def verdict(self, lineup: Lineup, budget: Budget) -> Verdict:
        if self.setup.way == "reference_likelihood" and not (lineup.reference or "").strip():
            raise ConfigurationError(
                f"The judge {self.name} weighs attempts by the likelihood of a right answer: give the group a "
                "`reference`, or ask in another way."
            )
        scores, usage, cut = await self._scores(lineup, budget)
        turns = None
        if self.credit is not None:
            try:
                turns, more = await self._turns(lineup, budget)
            except RankerError as error:
                raise error.spent(usage + error.usage) from error.__cause__
            usage += more
        from ranker.judges.local.scores import probabilities, tiers_within

        chances = probabilities(self.setup.way, scores)
        media = sorted({kind for t in lineup.trajectories for kind in transcript_of(t).media})
        return Verdict(
            tiers_within(scores, max(self.setup.tolerance, self._noise)),
            ("",) * len(chances),  # it gives none: a number in words would say no more than `scores`
            scores=chances,
            usage=usage,
            prompt_id=self.template.prompt_id,
            cut=cut if any(cut) else (),
            warnings=tuple(f"The judge cannot see {kind} content." for kind in media),
            turns=turns,
        )

    @property
    def _noise(self) -> float:
        return NOISE.get(self.setup.way, 0.0)

    async def _turns(self, lineup: Lineup, budget: Budget) -> tuple[tuple[Marks | None, ...], Usage]:
        """What each turn did to its attempt's score; None for attempts that had to be cut, whose turns were not all seen."""
        parts = [beginnings(t) for t in lineup.trajectories]
        whole = [part for own in parts for part in own]
        if not whole:
            return (None,) * len(parts), Usage()
        scores, usage, cut = await self._scores(replace(lineup, trajectories=tuple(whole)), budget)
        ends = list(accumulate(map(len, parts)))
        own = [slice(end - len(part), end) for end, part in zip(ends, parts, strict=True)]
        marks = marks_of([scores[s] for s in own], self._noise)
        return tuple(None if any(cut[s]) else m for s, m in zip(own, marks, strict=True)), usage

    async def _scores(self, lineup: Lineup, budget: Budget) -> tuple[list[float], Usage, tuple[int, ...]]:
        """One score an attempt, what they cost, and the characters of each attempt that were cut. Scores that the cache holds
        are no call."""
        async with await self._turn.get():
            loaded, texts, place, reading = await self.local.run(self._prepared, lineup)
            if reading is None:
                async with budget.reserve(0.0):
                    reading = await self.local.run(self.reading, loaded, texts)
        usage = Usage(cached_calls=1) if reading.cached else Usage(1, 0, 0, reading.tokens or 0, 0)
        return [reading.scores[i] for i in place], usage, tuple(texts.cut[i] for i in place)

    def _prepared(self, lineup: Lineup) -> tuple[Loaded, Shown, list[int], Reading | None]:
        """The model, what it is to read, the place of each attempt in that, and its scores where the cache holds them."""
        loaded = self.local.load()
        whole = texts_of(lineup)
        # Attempts that read alike are read once. Where no order counts, all orders ask the same question, so that
        # they get the same answer to the last bit, from the cache if there is one.
        distinct = list(dict.fromkeys(whole.attempts))
        if self.setup.way not in JOINT:
            distinct.sort()
        texts = self.fitted(loaded, replace(whole, attempts=tuple(distinct), cut=(0,) * len(distinct)))
        return loaded, texts, [distinct.index(text) for text in whole.attempts], self._known(texts)

    def fitted(self, loaded: Loaded, texts: Shown) -> Shown:
        """The texts, cut so that every sequence fits the window.

        Raises:
            ContextLengthError: they would have to be cut too short.
        """
        return fit(texts, self.setup.way, self._room(loaded), loaded.count, self._framing(loaded, texts))

    def _key(self, texts: Shown) -> str:
        return cache_key(**self.identity(), seed=0, shown=repr(texts)) if self.cache else ""

    def _known(self, texts: Shown) -> Reading | None:
        cached = self.cache.get(self._key(texts)) if self.cache else None
        if cached is None or len(cached.get("scores", ())) != len(texts.attempts):
            return None
        scores = list(map(float, cached["scores"]))
        return Reading(scores, cached.get("seconds"), cached.get("tokens"), cached=True)

    def reading(self, loaded: Loaded, texts: Shown) -> Reading:
        """Scores of texts that fit, from the cache where it holds them.

        Raises:
            JudgeError: the model failed, or its scores are no numbers.
        """
        known = self._known(texts)
        if known is not None:
            return known
        failed = Usage(calls=1, failed_calls=1)
        started = time.perf_counter()
        try:
            scores, tokens = self.read(loaded, texts)
        except (RuntimeError, MemoryError) as error:  # out of memory, mostly
            raise JudgeError(
                f"{self.name} failed on {len(texts.attempts)} attempts: {error}. Use smaller groups or a smaller context_window."
            ).spent(failed) from error
        seconds = time.perf_counter() - started
        if not all(map(math.isfinite, scores)):
            raise JudgeError(
                f"{self.name} gave scores that are no numbers: {scores}. Its weights may not bear bfloat16: give "
                'dtype="float32".'
            ).spent(failed)
        if self.cache is not None:
            self.cache.put(
                self._key(texts), self.name, {"scores": scores, "seconds": seconds, "tokens": tokens}
            )
        return Reading(scores, seconds, tokens)

    def read(self, loaded: Loaded, texts: Shown) -> tuple[list[float], int]:
        """One score an attempt, in the order of `texts` and in the unit of the way, and the tokens read for them."""
        from ranker.judges.local.forward import read_scores

        segments = question(texts, self.setup.way, self.template, loaded.frame, loaded.encode)
        scores = read_scores(loaded, segments, self.setup.way, len(texts.attempts))
        return scores, sum(map(len, segments))
