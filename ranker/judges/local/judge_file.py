"""How a local model is asked, kept in a small file that `--judge` takes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ranker.errors import ConfigurationError
from ranker.judges.local.ways import Way, is_way, way_named
from ranker.runtime.outputs import replace_file
from ranker.validation import check

FILE = "judge.json"
SCHEMA = 1
KINDS = ("local", "cascade", "api")
_REMOVED = {
    "orders": 1,
    "content_free": False,
}  # settings of earlier versions, at the values that did nothing


@dataclass(frozen=True, slots=True)
class Setup:
    """A local model and how it is asked.

    Raises:
        ConfigurationError: an adapter on a judge that writes its verdict.

    Attributes:
        base: what `local:` takes; None for the default model.
        way: see `ranker.judges.local.ways`.
        tolerance: scores at most this far apart tie, at least those within `ways.NOISE`; in the unit of the way: log-odds
            of Yes, log-probability of the letter, a digit over 9, or log-probability of a reference's token.
        adapter: folder of a LoRA in PEFT's format.
        template: name of the prompt template.
        measured: measurements on groups with a known truth, as `calibrate` and `tune-judge` write it.
    """

    base: str | None
    way: Way = "pointwise"
    tolerance: Annotated[float, Field(ge=0, lt=1e6)] = 0.0
    adapter: Path | None = None
    template: str | None = None
    measured: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.way == "generated" and self.adapter is not None:
            raise ConfigurationError(
                "A judge with an adapter is not asked to write its verdict; choose another way."
            )

    @property
    def adapter_digest(self) -> str | None:
        """Tells one adapter from another; None where there is none."""
        if self.adapter is None:
            return None
        digest = hashlib.sha256()
        for file in sorted(self.adapter.glob("adapter*")):
            digest.update(file.read_bytes())
        return digest.hexdigest()[:16]

    def to_dict(self, beside: Path) -> dict[str, Any]:
        """As JSON for a file in the folder `beside`; the adapter's folder is relative to it, where it lies in it."""
        settings: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.adapter is not None:
            folder, home = self.adapter.resolve(), beside.resolve()
            settings["adapter"] = str(folder.relative_to(home) if folder.is_relative_to(home) else folder)
        settings["measured"] = dict(self.measured)
        first = {"schema_version": SCHEMA, "judge": "local", "base": None, "adapter": None}
        return first | settings


def setup_from(content: Mapping[str, Any], beside: Path) -> Setup:
    """The setup that a judge file in the folder `beside` describes.

    Raises:
        ConfigurationError: a setting that does not exist, a value that it does not take, or no adapter where one is named.
    """
    for name, plain in _REMOVED.items():
        if content.get(name, plain) != plain:
            raise ConfigurationError(
                f"The judge file sets {name}, which was removed: no measurement showed it to order attempts better. Leave it "
                "out; --passes 2 reads two orders of the attempts."
            )
    beyond = {"schema_version", "judge", *_REMOVED}
    settings = {"base": None} | {k: v for k, v in content.items() if k not in beyond}
    if isinstance(settings.get("way"), str) and is_way(settings["way"]):
        settings["way"] = way_named(settings["way"])
    if isinstance(settings.get("adapter"), str):
        settings["adapter"] = beside / settings["adapter"]
    if settings.get("measured") is None:
        settings.pop("measured", None)
    setup = Setup(**check(Setup, settings, "The judge file"))
    if setup.adapter is not None and not (setup.adapter / "adapter_config.json").is_file():
        raise ConfigurationError(f"The judge file names an adapter, and there is none in {setup.adapter}.")
    return setup


def write_judge(path: Path, content: Mapping[str, Any]) -> None:
    """Write a judge file, whole or not at all.

    Raises:
        ConfigurationError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}.") from None


def is_judge_file(path: Path) -> bool:
    """Whether a path names a judge file, there or not, or a folder that holds one."""
    return path.suffix == ".json" or (path / FILE).is_file()


def read_judge(path: Path) -> tuple[dict[str, Any], Path]:
    """What a judge file says, and the folder it lies in. `path` is the file, or a folder with a judge.json.

    Raises:
        ConfigurationError: no such file, no JSON, or one of a later version.
    """
    file = path / FILE if path.is_dir() else path
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"The judge file {file} cannot be read: {error.strerror or error}."
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"The judge file {file} is no JSON: {error}") from None
    if not isinstance(content, dict):
        fault = "it holds no JSON object"
    elif content.get("schema_version") != SCHEMA:
        fault = f"its schema_version is {content.get('schema_version')!r}, expected {SCHEMA}"
    elif content.get("judge") not in KINDS:
        fault = f"its judge is {content.get('judge')!r}, expected one of {', '.join(KINDS)}"
    else:
        return content, file.parent
    raise ConfigurationError(
        f"{file} is no judge file of ours: {fault}. `ranker calibrate` and `ranker tune-judge` write them."
    )
