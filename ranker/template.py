"""Prompt templates: which one, its hash, and its blocks rendered.

A template is a jinja2 file `NAME.vN.j2` with the blocks `system`, `user`, `retry` (names the fault of
a reply) and `rubric` (what counts when the user says nothing).
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranker.errors import ConfigurationError

if TYPE_CHECKING:
    import jinja2

BLOCKS = ("system", "user", "retry", "rubric")
RANK = "rank.v1"
SCORE = "score.v1"


class Template:
    """A loaded prompt template.

    Attributes:
        prompt_id: name, version and content hash, e.g. ``rank.v1:0f3a…``. The hash covers the file
            and every template it extends or includes.
    """

    def __init__(self, name: str, template: jinja2.Template, digest: str):
        self.prompt_id = f"{name}:{digest}"
        self._template = template

    def block(self, name: str, **values: Any) -> str:
        context = self._template.new_context(values)
        return "".join(self._template.blocks[name](context))


@lru_cache(maxsize=32)
def load_template(name: str = RANK, folder: str | None = None) -> Template:
    """Load `name` from the user's `folder` if it is there, else from the installed `ranker.prompts`.

    Raises:
        ConfigurationError: no such folder or template, or one that jinja2 cannot read.
    """
    import jinja2
    from jinja2 import meta

    packaged = Path(__file__).parent / "prompts"
    if not packaged.is_dir():  # an editable install maps ranker.prompts to another folder
        import ranker.prompts

        packaged = Path(next(iter(ranker.prompts.__path__)))
    if folder is not None and not Path(folder).is_dir():
        raise ConfigurationError(
            f"The prompt folder {folder} does not exist; make it or leave the option out."
        )
    folders = [Path(folder), packaged] if folder else [packaged]
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - plain text for a model; foreign text is neutralised before
        keep_trailing_newline=True,
    )
    digest = hashlib.sha256()
    try:
        waiting = [f"{name}.j2"]
        while waiting:
            source, _, _ = env.loader.get_source(env, waiting.pop())  # type: ignore[union-attr]
            digest.update(source.encode())
            waiting += [t for t in meta.find_referenced_templates(env.parse(source)) if t]
        template = env.get_template(f"{name}.j2")
        parent_blocks = _inherited(env, name)
    except jinja2.TemplateNotFound as error:
        known = ", ".join(sorted(t.removesuffix(".j2") for t in env.list_templates(["j2"])))
        raise ConfigurationError(f"There is no prompt template {error.name!r}; there are {known}.") from None
    except jinja2.TemplateError as error:
        raise ConfigurationError(f"The prompt template {name} cannot be read: {error}") from None
    template.blocks = {**parent_blocks, **template.blocks}
    missing = [b for b in BLOCKS if b not in template.blocks]
    if missing:
        raise ConfigurationError(
            f"The prompt template {name} has no block {', '.join(missing)}; "
            f'start it with {{% extends "{RANK}.j2" %}} and override what you change.'
        )
    return Template(name, template, digest.hexdigest()[:12])


def _inherited(env: jinja2.Environment, name: str) -> dict[str, Any]:
    from jinja2 import meta, nodes

    source, _, _ = env.loader.get_source(env, f"{name}.j2")  # type: ignore[union-attr]
    parsed = env.parse(source)
    blocks: dict[str, Any] = {}
    if parsed.find(nodes.Extends):
        for parent in meta.find_referenced_templates(parsed):
            if parent:
                blocks |= _inherited(env, parent.removesuffix(".j2"))
                blocks |= env.get_template(parent).blocks
    return blocks
