"""A judge that reads the probabilities of a few tokens instead of writing a verdict."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError, ContextLengthError, JudgeError
from ranker.judges.base import Lineup
from ranker.judges.local.model import Dtype, Loaded, LocalModel
from ranker.judges.local.setup import Setup, check
from ranker.judges.local.ways import JOINT, LETTERS, PROBED, Shown, fit, framing, question, shown
from ranker.judges.verdict import Verdict
from ranker.prompting.orders import balanced_orders
from ranker.prompting.template import ASK, ASK_BLOCKS, load_template
from ranker.prompting.transcript import transcript_of
from ranker.prompting.truncation import FLOOR
from ranker.runtime.budget import Budget
from ranker.runtime.cache import Cache, cache_key, open_cache
from ranker.usage import Usage

SCORING = 1  # of scores kept in the cache: raised when the same tokens come to be scored otherwise
EMPTY = "N/A"  # what stands for every attempt where a model's leanings are measured (arXiv 2102.09690)


class ProbeJudge:
    """A transformers model in this process, asked in one of the ways of `ranker.judges.local.ways.PROBED`.

    Args:
        setup: model, adapter, way, tolerance; see `Setup`.
        name: stands in results; None for one made of the setup.
        context_window: tokens; None for what the model's config says.
        device, dtype: see `LocalModel`.
        template, prompt_folder: another template than `ask.v1`.
        cache: a path, a Cache, "off", or None for the default.

        max_group: the most attempts of one verdict; larger groups are ranked in windows.

    Its verdicts carry `scores` in [0, 1]: the probability of Yes, of being named the best, of a token of the
    reference, or the expected digit over 9. Attempts that read alike are read once and tie.

    Raises:
        ConfigurationError: a setting that cannot be, no such model, adapter or template.
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
    ):
        if setup.way not in PROBED:
            raise ConfigurationError(
                f"{setup.way!r} is no way to ask for probabilities; there are {', '.join(PROBED)}."
            )
        check(setup)
        folder = None if prompt_folder is None else str(prompt_folder)
        self.setup = setup
        self.name = name or f"local:{setup.base}@{setup.way}"
        self.template = load_template(template or setup.template or ASK, folder, ASK_BLOCKS)
        self.local = LocalModel(setup.base, adapter=setup.adapter, device=device, dtype=dtype)
        most = len(LETTERS) if setup.way in JOINT else 64
        self.max_group = max(2, max_group or most)
        if setup.way in JOINT:
            self.max_group = min(self.max_group, most)
        self.cache = open_cache(cache)
        self._window = context_window
        self._adapter = setup.adapter_digest
        self._leanings: dict[Any, list[float]] = {}

    def identity(self) -> dict[str, Any]:
        """Everything but the text that shapes a score: the cache's key."""
        return {
            "local": self.local.label,
            "adapter": self._adapter,
            "way": self.setup.way,
            "orders": self.setup.orders,
            "content_free": self.setup.content_free,
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
        some = shown(replace(lineup, trajectories=lineup.trajectories[: self.max_group]))
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

    def _framing(self, loaded: Loaded, given: Shown) -> int:
        return framing(given, self.setup.way, self.template, loaded.frame, loaded.encode)

    async def verdict(self, lineup: Lineup, budget: Budget) -> Verdict:
        if self.setup.way == "reference" and not (lineup.reference or "").strip():
            raise ConfigurationError(
                f"The judge {self.name} weighs attempts by the likelihood of a right answer: give the group a "
                "`reference`, or ask in another way."
            )
        async with budget.reserve(0.0):
            scores, usage, cut = await self.local.run(self._scores, lineup)
        from ranker.judges.local.scores import probabilities, tiers_within

        chances = probabilities(self.setup.way, scores)
        media = sorted({kind for t in lineup.trajectories for kind in transcript_of(t).media})
        return Verdict(
            tiers_within(scores, self.setup.tolerance),
            tuple(_told(self.setup.way, p) for p in chances),
            scores=chances,
            usage=usage,
            prompt_id=self.template.prompt_id,
            cut=cut if any(cut) else (),
            warnings=tuple(f"The judge cannot see {kind} content." for kind in media),
        )

    def _scores(self, lineup: Lineup) -> tuple[list[float], Usage, tuple[int, ...]]:
        loaded = self.local.load()
        whole = shown(lineup)
        # Attempts that read alike are read once. Where no order counts, all orders ask the same question, so that
        # they get the same answer to the last bit, from the cache if there is one.
        texts = list(dict.fromkeys(whole.attempts))
        if self.setup.way not in JOINT:
            texts.sort()
        asked = replace(whole, attempts=tuple(texts), cut=(0,) * len(texts))
        given = fit(asked, self.setup.way, self._room(loaded), loaded.count, self._framing(loaded, asked))
        scores, usage = self._kept_or_read(loaded, given, lineup.seed if self.setup.orders > 1 else 0)
        place = [texts.index(text) for text in whole.attempts]
        return [scores[i] for i in place], usage, tuple(given.cut[i] for i in place)

    def _kept_or_read(self, loaded: Loaded, given: Shown, seed: int) -> tuple[list[float], Usage]:
        key = cache_key(**self.identity(), seed=seed, shown=repr(given)) if self.cache else ""
        kept = self.cache.get(key) if self.cache else None
        n = len(given.attempts)
        if kept is not None and len(kept.get("scores", ())) == n:
            return list(map(float, kept["scores"])), Usage(cached_calls=1)
        failed = Usage(calls=1, failed_calls=1)
        try:
            scores, tokens = self.read(loaded, given, seed)
        except (RuntimeError, MemoryError) as error:  # out of memory, mostly
            raise JudgeError(
                f"{self.name} failed on {n} attempts: {error}. Use smaller groups or a smaller context_window."
            ).spent(failed) from error
        if not all(map(math.isfinite, scores)):
            raise JudgeError(
                f"{self.name} gave scores that are no numbers: {scores}. Its weights may not bear bfloat16: give "
                'dtype="float32".'
            ).spent(failed)
        if self.cache is not None:
            self.cache.put(key, self.name, {"scores": scores})
        return scores, Usage(1, 0, 0, tokens, 0)

    def read(self, loaded: Loaded, given: Shown, seed: int = 0) -> tuple[list[float], int]:
        """One score an attempt, in the order given and in the unit of the way, and the tokens read for them."""
        n = len(given.attempts)
        orders: Sequence[tuple[int, ...]] = [tuple(range(n))]
        if self.setup.way in JOINT and self.setup.orders > 1:
            rng = random.Random(f"{seed}:{n}")  # noqa: S311 - an order, not a secret
            orders = balanced_orders(n, self.setup.orders, rng)
        total, tokens = [0.0] * n, 0
        for order in orders:
            scores, read = self._ask(loaded, given, order)
            tokens += read
            if self.setup.content_free:
                leaning, read = self._leaning(loaded, given)
                tokens += read
                scores = [score - leaning[order.index(i)] for i, score in enumerate(scores)]
            total = [a + b / len(orders) for a, b in zip(total, scores, strict=True)]
        return total, tokens

    def _leaning(self, loaded: Loaded, given: Shown) -> tuple[list[float], int]:
        """What each place scores where no attempt says anything, measured once for each opening; and the tokens
        read now."""
        n = len(given.attempts)
        key = (given.opening, given.task, given.rubric, n)
        if key in self._leanings:
            return self._leanings[key], 0
        if len(self._leanings) > 256:
            self._leanings.clear()
        empty = replace(given, attempts=(EMPTY,) * n)
        self._leanings[key], tokens = self._ask(loaded, empty, tuple(range(n)))
        return self._leanings[key], tokens

    def _ask(self, loaded: Loaded, given: Shown, order: tuple[int, ...]) -> tuple[list[float], int]:
        from ranker.judges.local.reading import read_scores

        segments = question(given, self.setup.way, self.template, loaded.frame, loaded.encode, order)
        scores = read_scores(loaded, segments, self.setup.way, len(given.attempts))
        if self.setup.way == "letter":
            scores = [scores[order.index(i)] for i in range(len(order))]
        return scores, sum(map(len, segments))


def _told(way: str, score: float) -> str:
    what = {
        "letter": "named the best with probability",
        "digits": "expected grade, of 1:",
        "reference": "mean probability of the right answer's tokens",
        "numbers": "mean probability of its numbers",
        "blend": "good, its numbers weighed in, of 1:",
    }
    return f"{what.get(way, 'good with probability')} {score:.3f}"
