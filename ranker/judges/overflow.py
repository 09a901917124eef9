"""Whether a provider refused a prompt for its length, and the context window that its words tell of."""

from __future__ import annotations

import re

LEAST = 512  # tokens; a smaller number is no window
_CODE = re.compile(
    r"context_?(?:length|size|window|limit)|(?:prompt|input|request|payload|string)_(?:is_)?(?:too_)?(?:long|large|above_max)|"
    r"above_max_length|(?:token|length|size)s?_(?:limit_)?exceed|exceed\w*_(?:tokens|length|size)|entity_too_large",
    re.IGNORECASE,
)
_NOUN = re.compile(
    r"tokens?\b|length|context|prompts?\b|\binputs?\b|sequence|上下文|长度|输入", re.IGNORECASE
)
_OVER = re.compile(
    r"exceed|maxim|\bmax\b|limit|too (?:long|large|big|many|much)|(?:long|larg|bigg|great)er than|overflow|surpass|"
    r"超长|超过|超出|最大",
    re.IGNORECASE,
)
# Weaker words for the same, which need a noun that is about length.
_LENGTH = re.compile(
    r"tokens\b|token (?:count|limit)|context|length of (?:the|your) |(?:prompt|input|sequence|message)s?.{0,20}length",
    re.IGNORECASE,
)
_BEYOND = re.compile(
    r"\bmost\b|[<>≤≥]|\babove\b|\bbeyond\b|\bover\b|more than|less than|fewer|shorte|range|in [\[(]\d|between|\bfit\b|"
    r"reduce|truncat|room|capacity|out of",
    re.IGNORECASE,
)
_STRONG = re.compile(
    r"context|prompt|(?:input|request|sequence|messages?)s?\b.{0,40}(?:long|large|exceed|length|tokens)|"
    r"(?:length|tokens?) (?:of|in|from) (?:the|your) (?:input|request|message)",
    re.IGNORECASE,
)
_OTHER = re.compile(  # settings that have limits of their own
    r"max_\w*tokens|(?:output|completion) tokens|temperature|top_[pk]|logprobs|response_format|schema|grammar|"
    r"\bstop\b|\btools?\b|\bimages?\b|\bmetadata\b",
    re.IGNORECASE,
)
_RATE = re.compile(
    r"per (?:minute|hour|day|second|month)|\b[tr]p[md]\b|rate.?limit|throttl|too many requests|concurren",
    re.I,
)
# Of a validator's own words for a setting, and of programs' "contexts" of other kinds.
_NO_NOUN = re.compile(r"input should be|\"input\" ?:|context (?:deadline|cancell?ed)|length_type", re.I)

_FIELD = re.compile(
    r"[\"']?(?:n_ctx|max_model_len|max_context_len\w*|context_(?:length|window|size)|max_(?:input|prompt)_tokens|max_seq_len)"
    r"[\"']?\s*[:=]\s*(\d+)"
)
_RANGE = re.compile(r"(?:[\[(]|between |from )\s*\d+\s*(?:,|and|to|-)\s*([\d,_]+)\s*[\])]?")
_SUM = re.compile(r"(\d+) ?\+ ?(\d+)")
_NUMBER = re.compile(
    r"(?<![\w.,/-])(\d{1,3}(?:[,_\u202f]\d{3})+|\d+)(?:\.0+)?(?: ?([kKmM])(?![\w]))?(?![\w/]|[.,]\d)"
)
_ENDS = re.compile(r"[.;!?\n](?:\s|$)")
_LIMIT_BEFORE = re.compile(
    r"(?:maxim\w*|\bmax\b)(?:\W+(?:input|prompt|request|number|sequence|model|context|tokens?|length|size|allowed|is|of)\b)*|limit\w*|up to|\bmost\b|window|ctx\b|max_\w*len\b|context|capacity|support\w*|allow\w*|accept\w*|handle\w*|takes?\b|"
    r"[<>]=?|[≤≥]|not be|must be|should be|has to be|have to be|(?:less|fewer|more|greater|longer|larger|bigger) than|below|under|"
    r"above|beyond|\bover\b|exceed(?:s|ing)?\b|\bonly\b|configured|trained|最大|超过|超出",
    re.IGNORECASE,
)
_SIZE_BEFORE = re.compile(
    r"request\w*|\bgot\b|\bha[sd]\b|\bhave\b|given|receiv\w*|contain\w*|\byou(?:r|rs)?\b|result\w*|consist\w*|provid\w*|sent|pass\w*|"
    r"found|estimated|actual|total\w*|[+]|used|needs?|requires?|too (?:long|large|big|many)|count|prompt|inputs?\b|messages?|"
    r"exceeded[^a-z]*$|\bby\b|was\b|output|completion|generat\w*|string|max_(?:new_|completion_|output_)?tokens\W*$",
    re.IGNORECASE,
)
_LIMIT_AFTER = re.compile(
    r"[\s)`'\"-]*(?:tokens?\W*)?(?:at (?:the )?most|max(?!_)|limit|is the |context|allowed|permitted|window|supported|or (?:less|fewer)|<|"
    r"available|token[ -](?:limit|context|window|max))",
    re.IGNORECASE,
)
_SIZE_AFTER = re.compile(
    r"[\s)`'\"]*(?:(?:input|prompt|output|completion) )?(?:tokens?[\s)`'\"]*)?(?:[+]|in (?:the|your)|from|for |were|was|given|requested|provided|sent|too |over|above|more|beyond|past|>|"
    r"exceed(?!ed)|is (?:too|more|larger|longer|greater|above|over)|characters|chars|bytes|[kmg]i?b\b|images|messages|seconds|"
    r"completion|output|input|new)",
    re.IGNORECASE,
)


def is_overflow(status: int, said: str, codes: str = "") -> bool:
    """Whether an error says that the prompt is too long.

    Args:
        said: the reply.
        codes: the values of its fields for codes and types.
    """
    if _CODE.search(codes):
        return True
    text = _NO_NOUN.sub("", said)
    if status == 413 or (status == 429 and "too large" in text.lower()):
        return True
    if status not in (400, 422, 500) or _RATE.search(text):
        return False
    strong = _STRONG.search(text)
    if (_OTHER.search(text) or status == 500) and not strong:
        return False
    if _NOUN.search(text) and _OVER.search(text):
        return True
    sizes = [n for n in map(_value, _NUMBER.finditer(text)) if n >= LEAST]
    return bool(_LENGTH.search(text)) and (bool(_BEYOND.search(text)) or len(sizes) > 1)


def window_in(said: str) -> int | None:
    """The window in tokens that the words of such an error name; None where they name none for certain.

    A number counts where the words next to it speak of a limit. What the prompt took, by how much it was too long, and
    limits on the reply are none; nor is anything below `LEAST`, or as large as a size that the words name.
    """
    field = _FIELD.search(said)
    if field and int(field[1]) >= LEAST:
        return int(field[1])
    text = _SUM.sub(lambda sum_: str(int(sum_[1]) + int(sum_[2])), _RANGE.sub(r" at most \1 ", said))
    numbers = list(_NUMBER.finditer(text))
    limits: list[int] = []
    sizes: list[int] = []
    for i, number in enumerate(numbers):
        start = numbers[i - 1].end() if i else 0
        end = numbers[i + 1].start() if i + 1 < len(numbers) else len(text)
        before = _ENDS.split(text[start : number.start()])[-1][-70:]
        after = _ENDS.split(text[number.end() : end])[0][:50]
        value = _value(number)
        (limits if _is_limit(before, after) else sizes).append(value)
    largest = max(sizes, default=0)
    fit = [n for n in limits if n >= LEAST and (largest < LEAST or n < largest)]
    return min(fit, default=None)


def _is_limit(before: str, after: str) -> bool:
    """Whether the words around a number make it a limit: those after it where they say so, else the nearest before."""
    if re.search(
        r"\bstring\b|character", before
    ):  # as many tokens as that are too many, but how many are not?
        return False
    if _LIMIT_AFTER.match(after) and not re.search(r"\bby\b[^a-z]*$", before):
        return True
    if _SIZE_AFTER.match(after):
        return False
    limit = max((m.end() for m in _LIMIT_BEFORE.finditer(before)), default=-1)
    size = max((m.end() for m in _SIZE_BEFORE.finditer(before)), default=-1)
    return limit > size


def _value(number: re.Match[str]) -> int:
    scale = {"k": 1_000, "m": 1_000_000}.get((number[2] or "").lower(), 1)
    return int(re.sub(r"\D", "", number[1])) * scale
