"""Which server a judge's name leads to: the same name is another judge behind another server."""

from __future__ import annotations

import hashlib
import os
import sys

# What LiteLLM reads besides variables that begin with the provider's own name.
_ALIASES = {
    "bedrock": ("AWS",),
    "sagemaker": ("AWS",),
    "vertex_ai": ("VERTEX", "VERTEXAI", "GOOGLE"),
    "gemini": ("GEMINI", "GOOGLE", "VERTEXAI"),
    "huggingface": ("HF", "HUGGINGFACE"),
    "azure_ai": ("AZURE",),
    "azure_text": ("AZURE",),
    "ollama_chat": ("OLLAMA",),
    "text-completion-openai": ("OPENAI",),
    "watsonx": ("WATSONX", "WX"),
    "together_ai": ("TOGETHER",),
    "litellm_proxy": ("LITELLM",),
}
# Providers that LiteLLM finds by the model's name alone.
_WITHOUT_PREFIX = (
    "OPENAI",
    "ANTHROPIC",
    "VERTEX",
    "VERTEXAI",
    "GOOGLE",
    "GEMINI",
    "COHERE",
    "MISTRAL",
    "AWS",
)
ENDINGS = (
    "BASE",
    "URL",
    "ENDPOINT",
    "HOST",
    "VERSION",
    "REGION",
    "REGION_NAME",
    "LOCATION",
    "PROJECT",
    "PROJECT_ID",
)


def server_of(model: str, base_url: str | None) -> dict[str, str | None]:
    """What tells a judge's server from others of the same model name, for the cache's key.

    Args:
        model: as LiteLLM or the server knows it.
        base_url: the server's address where it was given with the judge. Without it the address is LiteLLM's own
            for the provider, unless an environment variable such as ``OPENAI_BASE_URL`` names another.
    """
    if base_url is not None:
        address, _, query = base_url.partition("?")
        server: dict[str, str | None] = {"base_url": address.rstrip("/")}
        if query:  # it may hold a key
            server["query"] = hashlib.sha256(query.encode()).hexdigest()
        return server
    redirects = _redirects(model)
    return {"base_url": None, **({"server": redirects} if redirects else {})}


def _redirects(model: str) -> str:
    """The settings of LiteLLM that lead requests for `model` to another server, as text."""
    provider = model.partition("/")[0].lower() if "/" in model else ""
    names = (*_ALIASES.get(provider, ()), provider.upper()) if provider else _WITHOUT_PREFIX
    plain = tuple(name.replace("_", "").replace("-", "") for name in names)
    settings = [
        f"{name}={value}"
        for name, value in sorted(os.environ.items())
        if value and name.endswith(ENDINGS) and name.replace("_", "").startswith((*plain, "LITELLMAPI"))
    ]
    litellm = sys.modules.get("litellm")  # not imported for this: without it nobody can have set it
    if litellm is not None:
        settings += [
            f"{key}={value}" for key in ("api_base", "api_version") if (value := getattr(litellm, key, None))
        ]
    return "\n".join(settings)
