"""A judge behind an API."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from ranker.errors import ConfigurationError, ContextLengthError, JudgeCallError, RankerError
from ranker.judges.completion import Completion, check_finished, check_whole
from ranker.judges.first_call import FirstCall
from ranker.judges.headers import identity_of, read_headers
from ranker.judges.options import check_extra, check_numbers
from ranker.judges.overflow import LEAST
from ranker.judges.pricing import cost_of, most_it_costs, usage_of_failed
from ranker.judges.prompted import PromptedJudge, Reply
from ranker.judges.provider_keys import check_key
from ranker.judges.rate_limit import RateLimit
from ranker.judges.reask import is_reask
from ranker.judges.reply_limit import Limited, ReplyLimit
from ranker.judges.retries import retried
from ranker.judges.servers import server_of
from ranker.judges.transport import LiteLLMTransport, ServerTransport, Transport
from ranker.judges.verdict import schema
from ranker.prompting.images import IMAGE_TOKENS, count_images, words_of
from ranker.prompting.prompt import Message, folded
from ranker.prompting.truncation import estimate_tokens
from ranker.runtime.budget import Budget
from ranker.secrets import bare_url, hide_fields, hide_url
from ranker.usage import Usage

log = logging.getLogger("ranker")

Structured = Literal["auto", "json_schema", "json_object", "text"]
MODES: tuple[str, ...] = ("json_schema", "json_object", "text")
DEFAULT_WINDOW = 131_072  # tokens, where neither server nor table says; a server that has less says so
_REFUSES_FORMAT = {400, 404, 415, 422, 500, 501}
_CHECK_SECONDS = 10.0  # for the request that only tries the key and the name


class LLMJudge(PromptedJudge):
    """A language model behind an API, asked to rank a whole group in one call.

    Args:
        model: a LiteLLM model name (``openai/gpt-5-mini``), or with `base_url` the name the server
            knows it by (a prefix ``openai/`` is dropped).
        base_url: an OpenAI-compatible server: vLLM, SGLang, Ollama, llama.cpp, a gateway.
        api_key: the key; without it LiteLLM reads the provider's environment variable, and a
            `base_url` server is given ``$RANKER_API_KEY`` or none. No other key is ever sent there.
        temperature: sent only where given.
        max_tokens: tokens of a reply; None leaves it to the provider, and to a server (`base_url`) with room for more 16,000.
        extra: more request fields, as the server takes them.
        headers: sent with every request, e.g. a gateway's key; a value that is ``$NAME`` is that environment
            variable's. Such values, and those of headers named like keys, are kept out of messages, logs and files.
        timeout: seconds for one request.
        max_retries: how often a failed request is sent again (429, 5xx, timeouts, lost connections).
        rpm, tpm: requests and tokens a minute.
        context_window: tokens; None to ask the server or LiteLLM's table.
        price: dollars for a million tokens (read, written); None for LiteLLM's table.
        vision: whether the model can see, so that images of trajectories are sent along; None for what LiteLLM's
            table says of a provider's model, and no for a model behind a `base_url`.
        structured: how to ask for JSON; "auto" tries json_schema, json_object, text in turn and
            remembers what the server takes.
        ids_in_schema: have the JSON schema name the ids of each call and bound its lists and reasons, so that no id can be
            made up. For servers of your own: a provider compiles each new schema, which takes long.

    The other arguments are PromptedJudge's.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        extra: dict[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 180.0,
        max_retries: int = 5,
        rpm: float | None = None,
        tpm: float | None = None,
        context_window: int | None = None,
        price: tuple[float, float] | None = None,
        structured: Structured = "auto",
        vision: bool | None = None,
        ids_in_schema: bool = False,
        **prompting: Any,
    ):
        check_numbers(
            **prompting, temperature=temperature, max_tokens=max_tokens, timeout=timeout, max_retries=max_retries, rpm=rpm,
            tpm=tpm, context_window=context_window, price=price,
        )  # fmt: skip
        super().__init__(**prompting)
        if not model or not isinstance(model, str):
            raise ConfigurationError("The judge needs a model name, e.g. openai/gpt-5-mini.")
        if structured != "auto" and structured not in MODES:
            raise ConfigurationError(f"structured={structured!r}; choose auto, {', '.join(MODES)}.")
        self._headers = read_headers(headers)
        hide_fields(extra)
        self._transport: Transport
        check_key(api_key, "api_key")
        if base_url is None:
            self._model = model
            self._transport = LiteLLMTransport(model, api_key, timeout, self._headers)
        else:
            hide_url(base_url)
            if re.search("[^/]@", base_url.partition("?")[0]):
                raise ConfigurationError(
                    "Leave user and password out of base_url: a server's key goes into $RANKER_API_KEY or api_key=."
                )
            if not re.match(r"https?://[^/\s]", base_url):
                raise ConfigurationError(
                    f"base_url={bare_url(base_url)!r} is no address; give http://HOST:PORT/v1."
                )
            self._model = model.removeprefix("openai/")
            check_key(os.environ.get("RANKER_API_KEY"), "$RANKER_API_KEY")
            key = api_key or os.environ.get("RANKER_API_KEY")
            self._transport = ServerTransport(self._model, base_url, key, timeout, self._headers)
        self._address = base_url
        self._longest_reply = 0  # tokens, of all replies so far
        self._options = {
            **({} if temperature is None else {"temperature": temperature}),
            **({} if max_tokens is None else {"max_tokens": max_tokens}),
            **check_extra(extra),
        }
        self._max_tokens = max_tokens
        self._reply_limit = ReplyLimit(self._options, bounded=base_url is not None)
        self._max_retries = max_retries
        self._limit = RateLimit(rpm, tpm)
        self._window = context_window
        self._asked_window = context_window is not None
        self._price = price
        self._vision = vision
        self._structured: Structured = structured
        self._mode = MODES[0] if structured == "auto" else structured
        self._settled = structured != "auto"
        self._folds = False  # where the server takes no system role
        self._ids_in_schema = ids_in_schema
        self._first = FirstCall()

    @property
    def name(self) -> str:
        return self._model

    @property
    def mode(self) -> str:
        """The way JSON is asked for: the first that the server has not refused."""
        return self._mode

    @property
    def price(self) -> tuple[float, float] | None:
        """Dollars for a million tokens read and written, where known."""
        return self._transport.price() if self._price is None else self._price

    def identity(self) -> dict[str, Any]:
        return {
            "model": self._model,
            **server_of(self._model, self._address),
            "options": self._options,
            "structured": self._structured,
            **({"ids_in_schema": True} if self._ids_in_schema else {}),
            **identity_of(self._headers),
        }

    async def window(self) -> int:
        if not self._asked_window:
            self._window = await self._transport.window() or self._window
            self._asked_window = True
        return self._window or DEFAULT_WINDOW

    def sees(self) -> bool:
        return self._transport.vision() if self._vision is None else self._vision

    def count(self, text: str) -> int:
        return estimate_tokens(text)

    async def complete(self, messages: Sequence[Message], ids: Sequence[str], budget: Budget) -> Reply:
        tokens = sum(estimate_tokens(words_of(m["content"])) for m in messages) + len(messages) * 8
        tokens += count_images(messages) * IMAGE_TOKENS
        lost: list[Usage] = []  # of requests that failed
        ask = partial(self._negotiate, messages, tokens, ids, budget, lost)
        try:
            try:
                reply = await (ask() if self._first.answered else self._first.of(ask, self._transport.check))
            except JudgeCallError as error:
                if not error.retryable or self._max_retries < 1:
                    raise
                reply = await retried(ask, error, self._max_retries)
        except ContextLengthError as error:
            error.window = None if is_reask(messages) else self._learn(error)
            raise error.spent(sum(lost, Usage())) from error.__cause__
        except RankerError as error:
            if not self._settled:  # nothing worked, so nothing was learned about formats
                self._mode = MODES[0]
            raise error.spent(sum(lost, Usage())) from error.__cause__
        return replace(reply, usage=sum(lost, reply.usage))

    async def check(self) -> None:
        """Send a request of one token, to see that the server takes the key and knows the name. It counts in no budget.

        Raises:
            RankerError: one that is fatal; any other failure may pass.
        """
        try:
            self._transport.check()
            async with asyncio.timeout(_CHECK_SECONDS):
                if not await self._transport.open_to_all():
                    await self._transport.send([{"role": "user", "content": "Hi"}], {"max_tokens": 1})
            self._first.answered = True
        except (RankerError, TimeoutError) as error:
            if isinstance(error, RankerError) and error.fatal:
                raise

    async def _negotiate(
        self,
        messages: Sequence[Message],
        tokens: int,
        ids: Sequence[str],
        budget: Budget,
        lost: list[Usage],
    ) -> Reply:
        """One request, and another where the server refuses the response format, a role, or the limit of a reply."""
        while True:
            mode, folds = self._mode, self._folds
            asked = folded(messages) if folds else messages
            left = 0 if self._reply_limit.own is None else await self.window() - tokens
            shape = response_format(
                mode, schema(self.form, ids if self._ids_in_schema else None, self.credit)
            )
            request = self._reply_limit.limited(left, shape)
            try:
                completion, cost = await self._send(asked, request, tokens, len(ids), budget)
            except RankerError as error:
                if (
                    self._refused(error, mode)
                    or self._folded(error, folds, messages)
                    or self._reply_limit.adapted(error, request)
                ):
                    lost.append(error.usage)
                    continue
                if isinstance(error, JudgeCallError) and error.reason == "unfit":
                    # The format is taken, and what the model wrote is no JSON: a reply like any other that is no verdict.
                    return Reply(error.raw_text, replace(error.usage, failed_calls=0), mode)
                lost.append(error.usage)
                raise
            self._settled = self._settled or mode == self._mode
            return Reply(completion.reply, completion.usage(cost), mode)

    async def _send(
        self, messages: Sequence[Message], request: Limited, tokens: int, n: int, budget: Budget
    ) -> tuple[Completion, float | None]:
        """One request. What it cost counts in the budget whatever became of it: at its price where the reply tells
        it, at the estimate where a provider may have charged and the reply was lost."""
        price = self.price
        wanted = self._max_tokens or self.reply_room(n)
        await self._limit.wait(tokens + wanted)
        estimate = None
        if price is not None:
            longest = max(wanted, self._longest_reply)
            estimate = most_it_costs(messages, request.chosen, self._max_tokens, longest, price)
        async with budget.reserve(estimate) as reservation:
            try:
                completion = await self._transport.send(messages, request.options)
            except RankerError as error:
                usage = usage_of_failed(error, price, estimate)
                reservation.cost_usd = (usage.cost_usd or 0.0) + usage.unconfirmed_usd
                raise error.spent(usage)
            cost = completion.cost_usd
            if self._price is not None or (cost is None and price is not None):
                assert price is not None
                cost = cost_of(completion.prompt_tokens, completion.completion_tokens, price)
            reservation.cost_usd = cost or 0.0
        self._longest_reply = max(self._longest_reply, completion.completion_tokens)
        try:
            check_finished(completion, self.name, own_limit=request.own, window=self._window)
            check_whole(messages, completion)
        except RankerError as error:
            raise error.spent(completion.usage(cost, failed=True)) from None
        return completion, cost

    def _refused(self, error: RankerError, mode: str) -> bool:
        """Whether the server turned the response format down, and there is another way to ask."""
        if not isinstance(error, JudgeCallError) or error.reason not in ("format", "unfit"):
            return False
        if error.status_code not in _REFUSES_FORMAT:
            return False
        if mode == self._mode:  # else another call in flight has moved on, and may have been answered
            if self._settled or mode == "text":
                return False
            self._mode = MODES[MODES.index(mode) + 1]
            log.info("%s refused %s; asking for %s from now on.", self.name, mode, self._mode)
        return True

    def _folded(self, error: RankerError, folds: bool, messages: Sequence[Message]) -> bool:
        """Whether the server turned the system role down, which from now on it is spared."""
        if not isinstance(error, JudgeCallError) or error.reason != "system_role":
            return False
        if folds or len(messages) < 2:
            return False
        self._folds = True
        return True

    def _learn(self, error: ContextLengthError) -> int | None:
        """The window that a server states where it is smaller than believed, else None. It is remembered, unless the server
        names the one that is believed too: the smaller number is then what it left for this prompt."""
        stated = error.window
        if stated is None or not LEAST <= stated < (self._window or DEFAULT_WINDOW):
            return None
        if self._window is None or not re.search(rf"\b{self._window}\b", str(error)):
            self._window, self._asked_window = stated, True
        return stated


def response_format(mode: str, of_reply: Mapping[str, Any]) -> dict[str, Any]:
    """The request's field that asks for JSON of a schema, in one of MODES."""
    if mode == "text":
        return {}
    if mode == "json_object":
        return {"response_format": {"type": "json_object"}}
    shape = {"name": "verdict", "strict": True, "schema": of_reply}
    return {"response_format": {"type": "json_schema", "json_schema": shape}}
