"""Prompt templates: which one, its hash, and its blocks rendered.

A template is a jinja2 file `NAME.vN.j2` with the blocks `system`, `user`, `retry` (names the fault of
a reply) and `rubric` (what counts when the user says nothing). That of the ways to ask a local model for a
probability has blocks of its own, `ASK_BLOCKS`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranker.errors import ConfigurationError

if TYPE_CHECKING:
    import jinja2

BLOCKS = ("system", "user", "retry", "rubric")
RANK = "rank.v1"
SCORE = "score.v1"
ASK = "ask.v1"
ASK_BLOCKS = ("rubric", "head", "label", "alone", "compared", "together", "digits", "letter", "reference")


class Template:
    """A loaded prompt template.

    Attributes:
        prompt_id: name, version and content hash, e.g. ``rank.v1:0f3a…``. The hash covers the file
            and every template it extends or includes.
    """

    def __init__(self, name: str, template: jinja2.Template, blocks: dict[str, list[Any]], digest: str):
        self.prompt_id = f"{name}:{digest}"
        self._template = template
        self._blocks = blocks

    def block(self, name: str, **values: Any) -> str:
        """One block rendered.

        Raises:
            ConfigurationError: the template fails on these values.
        """
        context = self._template.new_context(values)
        context.blocks = {block: list(chain) for block, chain in self._blocks.items()}
        try:
            return "".join(self._blocks[name][0](context))
        except Exception as error:  # whatever a template's author made it do
            raise ConfigurationError(
                f"The prompt template {self.prompt_id} fails in its block {name}: {error}"
            ) from error


@lru_cache(maxsize=32)
def load_template(name: str = RANK, folder: str | None = None, needs: tuple[str, ...] = BLOCKS) -> Template:
    """Load `name` from the user's `folder` if it is there, else from the installed `ranker.prompts`.

    Raises:
        ConfigurationError: no such folder or template, or one that jinja2 cannot read.
    """
    import jinja2

    if folder is not None and not Path(folder).is_dir():
        raise ConfigurationError(
            f"The prompt folder {folder} does not exist; make it or leave the option out."
        )
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*([Path(folder)] if folder else []), _packaged()]),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - plain text for a model; foreign text is neutralised before
        keep_trailing_newline=True,
    )
    digest = hashlib.sha256()
    try:
        blocks = _blocks(env, f"{name}.j2", (), digest.update)
        template = env.get_template(f"{name}.j2")
    except jinja2.TemplateNotFound as error:
        known = ", ".join(sorted(t.removesuffix(".j2") for t in env.list_templates(["j2"])))
        raise ConfigurationError(f"There is no prompt template {error.name!r}; there are {known}.") from None
    except (jinja2.TemplateError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The prompt template {name} cannot be read: {error}") from None
    missing = [b for b in needs if b not in blocks]
    if missing:
        raise ConfigurationError(
            f"The prompt template {name} has no block {', '.join(missing)}; "
            f'start it with {{% extends "{RANK if needs is BLOCKS else ASK}.j2" %}} and override what you change.'
        )
    return Template(name, template, blocks, digest.hexdigest()[:12])


def _packaged() -> Path:
    beside = Path(__file__).parent / "prompts"
    if beside.is_dir():
        return beside
    import ranker.prompts  # an editable install maps it to another folder

    return Path(next(iter(ranker.prompts.__path__)))


def _blocks(
    env: jinja2.Environment, file: str, below: tuple[str, ...], digest: Callable[[bytes], object]
) -> dict[str, list[Any]]:
    """The functions of a template's blocks, its own first and then those of what it extends."""
    from jinja2 import meta

    if file in below:
        name = file.removesuffix(".j2")
        raise ConfigurationError(f"The prompt template {name} extends itself; give yours a name of its own.")
    assert env.loader is not None
    source, _, _ = env.loader.get_source(env, file)
    digest(source.encode())
    found = {name: [block] for name, block in env.get_template(file).blocks.items()}
    for parent in meta.find_referenced_templates(env.parse(source)):
        if parent:
            for name, chain in _blocks(env, parent, (*below, file), digest).items():
                found[name] = found.get(name, []) + chain
    return found
