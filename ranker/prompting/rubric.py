"""What to prefer, as text or from a file."""

from __future__ import annotations

from pathlib import Path

from ranker.errors import ConfigurationError


def read_rubric(given: str | Path | None) -> str | None:
    """The rubric's text; a Path is read.

    Raises:
        ConfigurationError: the file cannot be read, or the rubric is empty.
    """
    text = given
    if isinstance(given, Path):
        try:
            text = given.read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"The rubric {given} cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise ConfigurationError(f"The rubric {given} is not UTF-8 text.") from None
    if text is None:
        return None
    if not isinstance(text, str) or not text.strip():
        raise ConfigurationError("The rubric is empty; say what to prefer, or leave it out.")
    return text
