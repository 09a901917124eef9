"""How a local model is asked, kept in a small file that `--judge` takes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError
from ranker.judges.local.ways import JOINT, WAYS, Way

FILE = "judge.json"
SCHEMA = 1
KINDS = ("local", "cascade")


@dataclass(frozen=True, slots=True)
class Setup:
    """A local model and how it is asked.

    Attributes:
        base: what `local:` takes; None for the default model.
        way: see `ranker.judges.local.ways`.
        tolerance: scores at most this far apart tie; in the unit of the way: log-odds of Yes, log-probability of
            the letter, a digit over 9, or log-probability of a reference's token.
        orders: for `letter` and `together`, how many orders of the attempts are read and averaged.
        content_free: for these two, subtract what each place scores where no attempt says anything.
        adapter: folder of a LoRA in PEFT's format.
        template: name of the prompt template.
        measured: what was found on groups with a known truth, as `calibrate` and `tune-judge` write it.
    """

    base: str | None
    way: Way = "alone"
    tolerance: float = 0.0
    orders: int = 1
    content_free: bool = False
    adapter: Path | None = None
    template: str | None = None
    measured: Mapping[str, Any] = field(default_factory=dict)

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
        """As JSON for a file in the folder `beside`; the adapter's folder is told relative to it."""
        adapter = None
        if self.adapter is not None:
            folder, home = self.adapter.resolve(), beside.resolve()
            adapter = str(folder.relative_to(home)) if folder.is_relative_to(home) else str(folder)
        return {
            "schema_version": SCHEMA,
            "judge": "local",
            "base": self.base,
            "adapter": adapter,
            "way": self.way,
            "tolerance": self.tolerance,
            "orders": self.orders,
            "content_free": self.content_free,
            "template": self.template,
            "measured": dict(self.measured),
        }


def setup_from(told: Mapping[str, Any], beside: Path) -> Setup:
    """The setup that a judge file tells, found in the folder `beside`.

    Raises:
        ConfigurationError: a setting that cannot be.
    """
    known = {"base", "adapter", "way", "tolerance", "orders", "content_free", "template", "measured"}
    wrong = [k for k in told if k not in known | {"schema_version", "judge"}]
    if wrong:
        raise ConfigurationError(
            f"A judge file has no {', '.join(wrong)}; there are {', '.join(sorted(known))}."
        )
    base, adapter = told.get("base"), told.get("adapter")
    way, tolerance, orders = told.get("way", "alone"), told.get("tolerance", 0.0), told.get("orders", 1)
    free, template, measured = told.get("content_free", False), told.get("template"), told.get("measured")
    faults = [
        (way not in WAYS, f"way is {way!r}, not one of {', '.join(WAYS)}"),
        (not (base is None or isinstance(base, str)), f"base is {base!r}, not a name"),
        (not (adapter is None or isinstance(adapter, str)), f"adapter is {adapter!r}, not a folder"),
        (
            type(tolerance) not in (int, float) or not 0 <= tolerance < 1e6,
            f"tolerance is {tolerance!r}, not a number from 0",
        ),
        (
            type(orders) is not int or not 1 <= orders <= 64,
            f"orders is {orders!r}, not a number from 1 to 64",
        ),
        (type(free) is not bool, f"content_free is {free!r}, not true or false"),
        (not (template is None or isinstance(template, str)), f"template is {template!r}, not a name"),
        (not (measured is None or isinstance(measured, dict)), f"measured is {measured!r}, not an object"),
    ]
    for bad, what in faults:
        if bad:
            raise ConfigurationError(f"The judge file is wrong: {what}.")
    folder = None if adapter is None else beside / adapter
    if folder is not None and not (folder / "adapter_config.json").is_file():
        raise ConfigurationError(f"The judge file names an adapter, and there is none in {folder}.")
    setup = Setup(base, way, float(tolerance), orders, free, folder, template, measured or {})
    check(setup)
    return setup


def check(setup: Setup) -> None:
    """Refuse settings that do not go together.

    Raises:
        ConfigurationError: they would not do anything.
    """
    if setup.way not in JOINT and (setup.orders != 1 or setup.content_free):
        what = "content_free" if setup.content_free else "orders"
        raise ConfigurationError(
            f"{what} is for the ways {' and '.join(sorted(JOINT))}, which show all attempts at once; leave it out for "
            f"{setup.way}."
        )
    if setup.way == "generated" and setup.adapter is not None:
        raise ConfigurationError(
            "A judge with an adapter is not asked to write its verdict; choose another way."
        )


def write_judge(path: Path, told: Mapping[str, Any]) -> None:
    """Write a judge file.

    Raises:
        ConfigurationError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}.") from None


def read_judge(path: Path) -> tuple[dict[str, Any], Path]:
    """What a judge file says, and the folder it lies in. `path` is the file, or a folder with a judge.json.

    Raises:
        ConfigurationError: no such file, no JSON, or one of a later version.
    """
    file = path / FILE if path.is_dir() else path
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"The judge file {file} cannot be read: {error.strerror or error}."
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"The judge file {file} is no JSON: {error}") from None
    if not isinstance(told, dict):
        fault = "it holds no JSON object"
    elif told.get("schema_version") != SCHEMA:
        fault = f"its schema_version is {told.get('schema_version')!r}, expected {SCHEMA}"
    elif told.get("judge") not in KINDS:
        fault = f"its judge is {told.get('judge')!r}, expected {' or '.join(KINDS)}"
    else:
        return told, file.parent
    raise ConfigurationError(
        f"{file} is no judge file of ours: {fault}. `ranker calibrate` and `ranker tune-judge` write them."
    )
