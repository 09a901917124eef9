"""Names of judges that no judge has, and the one that was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from ranker.errors import ConfigurationError
from ranker.validation import did_you_mean

_LIKE = 0.75  # how alike a name of ours must be before a name that another program may know is refused


def mistyped(name: str, known: Iterable[str]) -> str | None:
    """The known name of which `name` is a slip; None where it is one of them, or like none."""
    known = tuple(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=_LIKE)
    return None if name in known or not near else near[0]


def unknown_judge(name: str, providers: Iterable[str], models: Iterable[str]) -> ConfigurationError:
    """The error for a name that LiteLLM cannot place, which the nearest of what there is may mend.

    Args:
        providers: what may stand before the slash.
        models: names without one.
    """
    _, slash, model = name.partition("/")
    known = [f"{p.rpartition('.')[2].lower()}/{model}" for p in providers] if slash else ["local", *models]
    return ConfigurationError(
        f"There is no judge called {name!r}.{did_you_mean(name, known)} Give local, local:NAME, a provider and its model "
        "(openai/gpt-5-mini), or base_url and the name that the server knows."
    )
