"""Prompt templates: loading, hashing and rendering of blocks.

A template is a jinja2 file `NAME.vN.j2` with the blocks `system`, `user`, `retry` (names the fault of
a reply) and `rubric` (the default rubric); one that asks for turns has the block `turns` too. The template for local judges that read probabilities has the
blocks `ASK_BLOCKS` instead.
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
TURNS = "turns.v1"
ASK = "ask.v1"
TURN_BLOCKS = (*BLOCKS, "turns")
ASK_BLOCKS = ("rubric", "head", "label", "alone", "together", "digits", "letter", "reference")


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
        except Exception as error:  # user templates may raise anything
            raise ConfigurationError(
                f"The prompt template {self.prompt_id} fails in block {name}: {error}"
            ) from error


def load_template(name: str = RANK, folder: str | None = None, needs: tuple[str, ...] = BLOCKS) -> Template:
    """Load `name` from the user's `folder` if present, else from the installed `ranker.prompts`.

    Raises:
        ConfigurationError: the folder or template does not exist, or jinja2 cannot parse it.
    """
    return _load_packaged(name, needs) if folder is None else _load(name, folder, needs)


@lru_cache(maxsize=32)
def _load_packaged(name: str, needs: tuple[str, ...]) -> Template:
    return _load(name, None, needs)


def _load(name: str, folder: str | None, needs: tuple[str, ...]) -> Template:
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    if folder is not None and not Path(folder).is_dir():
        raise ConfigurationError(f"The prompt folder {folder} does not exist; create it or omit the option.")
    env = ImmutableSandboxedEnvironment(  # a folder of templates may come from someone else
        loader=jinja2.FileSystemLoader([*([Path(folder)] if folder else []), _packaged()]),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
    )
    digest = hashlib.sha256()
    try:
        blocks = _blocks(env, f"{name}.j2", (), digest.update)
        template = env.get_template(f"{name}.j2")
    except jinja2.TemplateNotFound as error:
        known = ", ".join(sorted(t.removesuffix(".j2") for t in env.list_templates(["j2"])))
        raise ConfigurationError(f"There is no prompt template {error.name!r}; available: {known}.") from None
    except (jinja2.TemplateError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The prompt template {name} cannot be read: {error}") from None
    missing = [b for b in needs if b not in blocks]
    if missing:
        parent = {BLOCKS: RANK, TURN_BLOCKS: TURNS}.get(needs, ASK)
        raise ConfigurationError(
            f"The prompt template {name} has no block {', '.join(missing)}; "
            f'start it with {{% extends "{parent}.j2" %}} and override what you change.'
        )
    return Template(name, template, blocks, digest.hexdigest()[:12])


def _packaged() -> Path:
    installed = Path(__file__).parents[1] / "prompts"
    if installed.is_dir():
        return installed
    import ranker.prompts  # an editable install maps it to another folder

    return Path(next(iter(ranker.prompts.__path__)))


def _blocks(
    env: jinja2.Environment, file: str, below: tuple[str, ...], digest: Callable[[bytes], object]
) -> dict[str, list[Any]]:
    """The functions of each block, those of the template itself first, then those of its parents."""
    from jinja2 import meta

    if file in below:
        name = file.removesuffix(".j2")
        raise ConfigurationError(f"The prompt template {name} extends itself; choose another name for it.")
    assert env.loader is not None
    source, _, _ = env.loader.get_source(env, file)
    digest(source.encode())
    functions = {name: [block] for name, block in env.get_template(file).blocks.items()}
    for parent in meta.find_referenced_templates(env.parse(source)):
        if parent:
            for name, chain in _blocks(env, parent, (*below, file), digest).items():
                functions[name] = functions.get(name, []) + chain
    return functions
