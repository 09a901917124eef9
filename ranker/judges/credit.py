"""Which judges can say which turns of an attempt helped and which hurt, besides ranking whole attempts."""

from __future__ import annotations

from typing import Any, Literal

from ranker.errors import ConfigurationError

Credit = Literal["turns"]


def check_credit(credit: Any) -> None:
    """Raise for a value that there is not.

    Raises:
        ConfigurationError: neither None nor "turns".
    """
    if credit not in (None, "turns"):
        raise ConfigurationError(f"credit={credit!r}; give 'turns', or leave it out.")


def require_credit(judge: Any, credit: Credit | None) -> None:
    """See that a judge names turns where they are asked for. Those that do say so in an attribute `credit`.

    Raises:
        ConfigurationError: it does not.
    """
    if credit is not None and getattr(judge, "credit", None) != credit:
        raise cannot_name_turns(judge.name)


def cannot_name_turns(name: str) -> ConfigurationError:
    """The error for a judge that ranks whole attempts alone."""
    return ConfigurationError(
        f'The judge {name} cannot say which turns helped and which hurt. For credit="turns" name a model behind an API '
        'or a server of your own (base_url), or one in this process that reads each attempt by itself ("local", '
        '"local:NAME@pointwise"); make the judge with LLMJudge(…, credit="turns"), or give a function that returns '
        "(ranking, turns)."
    )
