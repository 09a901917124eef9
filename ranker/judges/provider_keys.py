"""Where the API keys of providers are looked for, and what is wrong with one before it is sent."""

from __future__ import annotations

import os
import sys

from ranker.errors import ConfigurationError
from ranker.judges.names import mistyped, unknown_judge
from ranker.judges.servers import server_of

# The variables that LiteLLM reads, the usual one first. Not listed: providers that also take keys from elsewhere (AWS,
# Google Cloud, Azure's directory).
_VARIABLES = {
    "openai": ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY"),
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "mistral": ("MISTRAL_API_KEY",),
    "groq": ("GROQ_API_KEY",),
    "deepseek": ("DEEPSEEK_API_KEY",),
    "xai": ("XAI_API_KEY",),
    "openrouter": ("OPENROUTER_API_KEY", "OR_API_KEY"),
    "together_ai": ("TOGETHERAI_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHER_API_KEY", "TOGETHER_AI_TOKEN"),
    "fireworks_ai": (
        "FIREWORKS_API_KEY",
        "FIREWORKS_AI_API_KEY",
        "FIREWORKSAI_API_KEY",
        "FIREWORKS_AI_TOKEN",
    ),
    "cohere": ("COHERE_API_KEY", "CO_API_KEY"),
    "perplexity": ("PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"),
    "cerebras": ("CEREBRAS_API_KEY",),
}
_BARE = {
    "gpt-": "openai",
    "o1": "openai",
    "o3": "openai",
    "o4": "openai",
    "chatgpt-": "openai",
    "claude-": "anthropic",
}


def variables_of(model: str) -> tuple[str, ...]:
    """The environment variables in which LiteLLM looks for the key of a model's provider, the usual one first."""
    provider, slash, _ = model.partition("/")
    if not slash:
        provider = next((p for start, p in _BARE.items() if model.startswith(start)), "")
    usual = (f"{provider.upper()}_API_KEY",) if provider.isidentifier() else ()
    return _VARIABLES.get(provider, usual)


def check_provider(model: str) -> None:
    """See that the provider before the slash is no slip of one of those that need a key.

    Raises:
        ConfigurationError: it is.
    """
    provider, slash, _ = model.partition("/")
    meant = mistyped(provider, _VARIABLES) if slash else None
    if meant is not None and not provider.startswith(meant):  # as LiteLLM's openai_like and anthropic_text do
        raise unknown_judge(model, [meant], ())


def check_provider_key(model: str) -> None:
    """See that there is a key for a model that LiteLLM reaches, where that can be known.

    Raises:
        ConfigurationError: none of the provider's variables is set, or one holds what cannot be sent.
    """
    names = variables_of(model)
    for name in names:
        check_key(os.environ.get(name), f"${name}")
    elsewhere = sys.modules.get(
        "litellm"
    )  # not imported for this: without it nobody can have set a key in it
    keys = (
        "api_key",
        "openai_key",
        "anthropic_key",
        "groq_key",
        "cohere_key",
        "together_ai_api_key",
        "openrouter_key",
    )
    if (
        names in _VARIABLES.values()
        and not any(map(os.environ.get, names))
        and not any(getattr(elsewhere, key, None) for key in keys)
        and server_of(model, None) == {"base_url": None}  # a server of one's own may want none
    ):
        raise ConfigurationError(f"{model} needs an API key, and there is none: set ${names[0]} or api_key=.")


def check_key(key: str | None, where: str) -> None:
    """See that a key can stand in a header of HTTP.

    Args:
        where: it comes from.

    Raises:
        ConfigurationError: it holds a line break or another character that a header cannot; the key is not shown.
    """
    if key and not (key.isascii() and key.isprintable()):
        what = "a line break" if "\n" in key or "\r" in key else "a character that no key has"
        raise ConfigurationError(f"The API key in {where} holds {what}; give the key alone.")
