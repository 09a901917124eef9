"""The rubric, as text or from a file."""

from __future__ import annotations

from pathlib import Path

from ranker.errors import ConfigurationError


def read_rubric(rubric: str | Path | None) -> str | None:
    """The text of the rubric; a Path is read from disk.

    Raises:
        ConfigurationError: the file cannot be read, or the rubric is empty.
    """
    text = rubric
    if isinstance(rubric, Path):
        try:
            text = rubric.read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"The rubric {rubric} cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise ConfigurationError(f"The rubric {rubric} is not UTF-8 text.") from None
    if text is None:
        return None
    if not isinstance(text, str) or not text.strip():
        raise ConfigurationError("The rubric is empty; state what to prefer, or omit it.")
    return text
