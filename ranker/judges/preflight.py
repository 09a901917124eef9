"""A first look at a judge: whether its server takes the key and knows the name."""

from __future__ import annotations

from ranker.judges.base import Judge


async def preflight(judge: Judge) -> None:
    """Send each server that a judge asks a request of one token, which no limit counts; nothing to one without a key that
    lists the model, and nothing where the judge runs here.

    Raises:
        RankerError: fatal: a wrong key or name, or no credit. Other failures may pass, and raise nothing.
    """
    from ranker.judges.cascade import CascadeJudge
    from ranker.judges.llm import LLMJudge

    if isinstance(judge, CascadeJudge):
        await preflight(judge.small)
        await preflight(judge.strong)
    elif isinstance(judge, LLMJudge):
        await judge.check()
