"""What a provider says where it gives no completion, by kind: what it refuses, and whether a retry or another group helps."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ranker.errors import ContextLengthError, JudgeCallError, RankerError, Reason, scrub
from ranker.judges.overflow import is_overflow, window_in
from ranker.runtime.http_client import retry_after

SHOWN = 2**15  # characters of a reply that are looked at for an error
RETRYABLE = {408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529}
_MESSAGES = ("message", "error", "msg", "detail", "details", "title", "errors", "raw")
_CODES = ("code", "type", "status", "error_type", "error_code", "__type")

_RATE = re.compile(
    r"retry (?:in|after)|retrydelay|per ?(?:minute|day|hour|second)|rate.?limit|\b[rt]p[md]\b", re.I
)
_FLAGS = re.IGNORECASE | re.DOTALL
_CREDIT = re.compile(
    r"insufficient[_ ](?:\w+[_ ])?(?:quota|balance|credits?|funds?)|credit balance|(?:no|out of|not enough|enough|more|without) "
    r"(?:\w+ )?(?:credits?|funds|balance|quota)\b|(?:exceeded|exhausted|reached|used up) your (?:\w+ )?(?:quota|credits?|budget)|"
    r"(?:credits?|balance|quota|funds)\b.{0,30}(?:exhaust|deplet|used up|run out|ran out|too low|expired|required|insufficient|"
    r"is (?:0|zero|negative))|billing[_ ](?:\w+[_ ])?(?:limit|not[_ ]active|details|disabled|inactive)|payment required|arrear|overdue|"
    r"(?:spend(?:ing)?|usage|budget|credit)[_ ](?:hard[_ ])?(?:limit|cap|has been exceeded)|\btop[ -]?up\b|recharge|"
    r"budget has been exceeded|余额|欠费",
    _FLAGS,
)
_KEY = re.compile(
    r"(?:api|access|secret|auth)[_ -]?(?:key|token)s?\b.{0,60}(?:not valid|invalid|missing|incorrect|required|expired|revoked|"
    r"disabled|not (?:set|found|provided)|denied|unauthori)|(?:invalid|missing|incorrect|wrong|expired|bad|provide (?:an?|your|a valid)|"
    r"no|unknown) .{0,30}?(?:api|access|auth|x-api)[_ -]?(?:key|token)|missing credentials|(?:invalid|no|locate|find) "
    r"(?:\w+ )?credentials|authenticat\w+ (?:fail|error|required)|unauthori[sz]ed|unauthenticated|invalid_api_key|"
    r"account\b.{0,30}(?:suspended|deactivated|disabled|not active|banned)|permission[_ ]denied|access denied",
    _FLAGS,
)
_UNFIT = re.compile(
    r"json_validate_failed|failed_generation|(?:generat|produc|output)\w*.{0,40}(?:not |in)valid json|invalid json.{0,40}(?:generat|produc|by the model)",
    _FLAGS,
)
_CONTENT = re.compile(
    r"content[_ -]?(?:filter|management|policy|moderation)|moderation|flagged|safety (?:system|filter|setting)|responsible ?ai|"
    r"guardrail|prohibited|data_inspection|inappropriate content|usage policies|sensitive|blocked",
    _FLAGS,
)
_SYSTEM_ROLE = re.compile(
    r"(?:system|developer)\W{0,2}(?:\w+ )?(?:role|message|prompt|instruction)s?\b.{0,60}(?:not (?:\w+ )?(?:support|allow|enabled|accept|permit)|"
    r"unsupport|disallow)|(?:not support|unsupported|does not (?:\w+ )?support|not allow|doesn't support|invalid role).{0,40}"
    r"\b(?:system|developer)\b|only (?:supports? )?(?:\W*\b(?:user|assistant|model|and|or|tool|roles?)\b\W*){2,}|"
    r"roles must alternate",
    _FLAGS,
)
_MAX_TOKENS = re.compile(
    r"(?:unsupported|unrecognized|unknown|unexpected|invalid|extra|not (?:\w+ )?(?:support|permit|allow|recogni)).{0,80}"
    r"\bmax_(?:completion_)?tokens|\bmax_(?:completion_)?tokens\b.{0,40}(?:not (?:\w+ )?(?:support|permit|allow|recogni)|unsupported|"
    r"deprecated|unknown|unexpected|extra)|use \W?max_(?:completion_)?tokens\W{0,2} instead",
    _FLAGS,
)
_PATTERNS: dict[Reason, re.Pattern[str]] = {
    "credit": _CREDIT,
    "key": _KEY,
    "unfit": _UNFIT,
    "content": _CONTENT,
    "system_role": _SYSTEM_ROLE,
    "max_tokens": _MAX_TOKENS,
}
_NO_KEY = re.compile(r"api[_ -]?key|credentials|environment variable", re.IGNORECASE)
_FORMAT = re.compile(
    r"response[_ ]?format|json|schema|structured|grammar|guided|handle the requested parameters",
    re.IGNORECASE,
)
_MODEL = re.compile(
    r"\bmodel\b[^.]{0,100}?(?:(?:does )?not exist|doesn't exist|not (?:be )?found|is not (?:\w+ )?(?:available|valid|supported|exist|a (?:valid|known))|"
    r"unknown|decommissioned|retired|discontinued|no longer|not a valid)|(?:unknown|invalid|no such|unsupported|unrecognized|nonexistent|"
    r"not a valid) model\b|model_not_found|model_not_exist|invalid_model|unknown_model|is not a valid model",
    re.IGNORECASE | re.DOTALL,
)
_OPTION = re.compile(
    r"temperature|top_[pk]|logprob|\bseed\b|\bstop\b|penalty|\btools?\b|max_\w*tokens|\broles?\b|\bimages?\b|\bmessages?\b",
    re.IGNORECASE,
)
_VAGUE = re.compile(
    r"unsupported|un(?:known|expected|recognized)|not supported|extra|not permitted|param|argument|field",
    re.I,
)
_REMEDIES: dict[Reason, str] = {
    "key": "The API key is missing or wrong, or may not use that model: set {variable} or api_key=.",
    "credit": "The account is out of credit.",
    "model": "Check the model's name and the base URL.",
    "address": "Check the base URL.",
    "content": "The provider objects to these trajectories: look at them, use another judge, or skip the group.",
    "unfit": "Raise max_tokens, or ask with structured=\"text\".",
    "system_role": "Use a template without a system message.",
}  # fmt: skip


def status_error(
    status: int,
    said: str,
    where: str,
    headers: Mapping[str, str],
    *,
    key_variable: str = "$RANKER_API_KEY",
    kind: str = "",
) -> RankerError:
    """The error for a reply that is no completion.

    Args:
        status: its HTTP status.
        said: its body, without credentials.
        where: the judge, for messages.
        key_variable: where the key of this judge is looked for.
        kind: the class of the client's exception, where that says more than the status.
    """
    message, codes, generation = _read(said)
    text = f"{message} {codes}"
    if kind == "ContextWindowExceededError" or (status >= 400 and _overflows(status, message, codes)):
        return ContextLengthError(
            f"The prompt is too long for {where}: {short(said)}", window=window_in(said)
        )
    reason = _reason(status, text)
    if not reason and status in (400, 422) and not _OPTION.search(message):
        # One that does not say what it is about may be about the response format.
        reason = "format" if len(message.split()) <= 4 or _VAGUE.search(message) else ""
    remedy = _REMEDIES.get(reason, "").replace("{variable}", key_variable)
    if not remedy:
        remedy = "Check the request's options."
        if status == 429:
            remedy = "The rate limit is reached: lower the concurrency, or set rpm= and tpm=."
        elif status >= 500:
            remedy = "The server failed; try again later."
    if status < 400:
        remedy = "The server redirects; give the address it redirects to as the base URL."
    return JudgeCallError(
        f"{where} answered with HTTP {status}: {short(said)} {remedy}",
        status_code=status,
        retryable=status in RETRYABLE and reason in ("", "format"),
        may_be_billed=may_bill(status),
        retry_after=retry_after(headers),
        reason=reason,
        raw_text=generation,
    )


def error_in_body(fault: Any, where: str, key: str | None = None) -> RankerError:
    """The error that a reply with HTTP status 200 tells of."""
    code = fault.get("code") if isinstance(fault, dict) else None
    status = int(code) if isinstance(code, (int, str)) and str(code).isdigit() and int(code) < 1000 else None
    said = scrub(json.dumps(fault)[:SHOWN], key)
    message, codes, _ = _read(said)
    if (
        (status or 0) >= 400
        or is_overflow(200, message, codes)
        or _early(400, f"{message} {codes}") in ("credit", "key")
    ):
        error = status_error(status or 400, said, where, {})
        if isinstance(error, ContextLengthError) or (isinstance(error, JudgeCallError) and error.reason):
            return error
    return JudgeCallError(
        f"{where} answered with an error: {short(said)}",
        status_code=status,
        retryable=status is None or status in RETRYABLE,
        may_be_billed=status is None or may_bill(status),
    )


def may_bill(status: int) -> bool:
    """Whether a provider may charge for a request that it answered with this HTTP status: not for what it refused,
    but for what was lost between its model and us."""
    return status < 300 or status in {408, 499, 500, 502, 504, 520, 524}


def short(text: str, most: int = 300) -> str:
    """A text on one line, cut after `most` characters."""
    flat = " ".join(text[:SHOWN].split())
    return flat if len(flat) <= most else flat[:most] + "…"


def _overflows(status: int, message: str, codes: str) -> bool:
    early = _early(status, f"{message} {codes}")
    return early in (None, "max_tokens") and is_overflow(status, message, codes)


def _early(status: int, text: str) -> Reason | None:
    """What the words name beyond doubt."""
    for reason, pattern in _PATTERNS.items():
        if pattern.search(text) and not (
            reason == "credit" and status == 429 and _RATE.search(text) and "insufficient_quota" not in text
        ):
            return reason
    return None


def _reason(status: int, text: str) -> Reason:
    if status < 400 or status == 405:
        return "address"
    if status == 402:
        return "credit"
    early = _early(status, text)
    if early == "credit" and status != 404:
        return early
    if status == 401:
        return "key"
    if status == 403:
        return "content" if early == "content" else "key"
    if status not in (400, 404, 409, 415, 422, 500, 501):
        return ""
    if early == "key" and (status != 500 or _NO_KEY.search(text)):
        return early
    if early in ("unfit", "system_role", "max_tokens") or (early == "content" and status != 500):
        return early
    if _FORMAT.search(text):
        return "format"
    if status == 404 or (status in (400, 422) and _MODEL.search(text)):
        return "model"
    return ""


def _read(said: str) -> tuple[str, str, str]:
    """The message of an error, the values of its fields for codes, and what the model wrote where it holds that."""
    try:
        body = json.loads(said)
    except (ValueError, RecursionError):
        return said, "", ""
    levels = list(_levels(body))
    texts = [str(value) for level in levels for k in _MESSAGES if isinstance(value := level.get(k), str)]
    codes = [str(level[k]) for level in levels for k in _CODES if isinstance(level.get(k), (str, int))]
    generation = next((v for level in levels if isinstance(v := level.get("failed_generation"), str)), "")
    return " ".join(texts) or said, " ".join(codes), generation


def _levels(body: Any, depth: int = 4) -> Iterator[dict[str, Any]]:
    if isinstance(body, dict):
        yield body
    if depth and isinstance(body, (dict, list)):
        for value in body.values() if isinstance(body, dict) else body:
            yield from _levels(value, depth - 1)
