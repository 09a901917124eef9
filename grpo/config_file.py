"""A training run as a file says it: which model, rows and judge, and every setting of GRPOConfig."""

from __future__ import annotations

import difflib
import importlib
import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

from grpo.config import GRPOConfig
from grpo.rewards import Reward
from ranker import Budget, ConfigurationError, rank_group

# What a file may say beside the fields of GRPOConfig.
_PLACES = ("model", "dataset", "eval_dataset", "rollout", "checker", "judge", "rewards")
_REWARD = ("name", "weight", "function", "judge")
_JUDGE = (
    "model", "name", "weight", "base_url", "rubric", "passes", "reward", "seed", "max_calls", "max_cost_usd",
    "temperature", "timeout", "cache", "max_tokens", "template", "concurrency",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Settings:
    """A config file, checked.

    Attributes:
        said: what the file and `--set` said beside GRPOConfig's fields; part of the run's config.json.
        folder: where relative paths and modules are looked for; None for packaged configs.
    """

    said: Mapping[str, Any]
    config: GRPOConfig
    folder: Path | None

    def model(self) -> tuple[Any, Any]:
        """The model (or its name) and its tokenizer (or None)."""
        named = self.said["model"]
        if ":" in named and not _is_path(named, self.folder):
            made = self._load("model")
            model, tokenizer = made() if callable(made) else made
            return model, tokenizer
        return _path(named, self.folder), None

    def rows(self, key: str = "dataset") -> Sequence[Mapping[str, Any]] | None:
        """The dataset: a JSONL file, or what "module:name" is or returns."""
        named = self.said.get(key)
        if named is None:
            return None
        if not _is_path(named, self.folder) and ":" in named:
            made = self._load(key)
            rows: Sequence[Mapping[str, Any]] = made() if callable(made) else made
            return rows
        return read_rows(_path(named, self.folder))

    def function(self, key: str) -> Any:
        """The rollout function or checker, or None."""
        return None if self.said.get(key) is None else self._load(key)

    def rewards(self) -> list[Reward]:
        """The judge and the reward functions, with names and weights."""
        made = []
        if "judge" in self.said or not self.said.get("rewards"):
            made.append(_judge(self.said.get("judge", {})))
        for table in self.said.get("rewards", ()):
            if "function" in table:
                function = load_reference(table["function"], self.folder, "rewards.function")
                made.append(Reward(function, table["name"], table.get("weight", 1.0)))
            else:
                made.append(
                    _judge({**table["judge"], "name": table["name"], "weight": table.get("weight", 1.0)})
                )
        return made

    def _load(self, key: str) -> Any:
        return load_reference(self.said[key], self.folder, key)


def packaged() -> list[str]:
    """Names of the configs that come with the package."""
    return sorted(p.name[:-5] for p in resources.files("grpo.configs").iterdir() if p.name.endswith(".toml"))


def read_settings(named: str, changes: Sequence[str] = ()) -> Settings:
    """Read a config file or a packaged config, and apply `key=value` changes (values in TOML).

    Raises:
        ConfigurationError: no such file, not TOML, an unknown key (the nearest known one is named), a
            value of the wrong kind, or settings that contradict each other.
    """
    path = Path(named)
    if path.suffix == ".toml" or path.exists():
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"The config {named} cannot be read: {error}.") from None
        folder: Path | None = path.resolve().parent
    elif named in packaged():
        text = (resources.files("grpo.configs") / f"{named}.toml").read_text(encoding="utf-8")
        folder = None
    else:
        raise ConfigurationError(
            f"There is no config {named!r}: give a TOML file, or one of {', '.join(packaged())}."
            + _near(named, packaged())
        )
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{named} is not TOML: {error}.") from None
    for change in changes:
        _change(said, change)
    return make_settings(said, folder, named)


def make_settings(said: dict[str, Any], folder: Path | None, named: str = "config") -> Settings:
    """Check what a file said."""
    known = [f.name for f in fields(GRPOConfig)]
    for key in said:
        if key not in known and key not in _PLACES:
            raise ConfigurationError(
                f"{named}: there is no setting {key!r}." + _near(key, [*known, *_PLACES])
            )
    for key in ("model", "dataset"):
        if not isinstance(said.get(key), str):
            raise ConfigurationError(f'{named}: say which {key}: {key} = "…".')
    for key in ("eval_dataset", "rollout", "checker"):
        if key in said and not isinstance(said[key], str):
            raise ConfigurationError(f"{named}: {key} must be text, not {said[key]!r}.")
    _check_table(said.get("judge", {}), _JUDGE, f"{named}: judge")
    rewards = said.get("rewards", [])
    if not isinstance(rewards, list):
        raise ConfigurationError(f"{named}: rewards is a list of tables: [[rewards]].")
    for i, table in enumerate(rewards):
        _check_table(table, _REWARD, f"{named}: rewards[{i}]")
        if not isinstance(table.get("name"), str) or ("function" in table) == ("judge" in table):
            raise ConfigurationError(
                f'{named}: rewards[{i}] needs a name, and either function = "module:name" or a judge table.'
            )
        if "judge" in table:
            _check_table(table["judge"], _JUDGE, f"{named}: rewards[{i}].judge")
    config = GRPOConfig(**{k: v for k, v in said.items() if k in known})
    return Settings({k: said[k] for k in _PLACES if k in said}, config, folder)


def read_rows(path: str | Path) -> list[dict[str, Any]]:
    """Rows of a JSONL file.

    Raises:
        ConfigurationError: it cannot be read, or a line is no JSON object; the line is named.
    """
    rows = []
    try:
        with open(path, "rb") as file:
            for number, raw in enumerate(file, start=1):
                if not raw.strip():
                    continue
                try:
                    row = json.loads(raw)
                except ValueError as error:
                    raise ConfigurationError(f"{path}, line {number}: not JSON ({error}).") from None
                if not isinstance(row, dict):
                    raise ConfigurationError(
                        f"{path}, line {number}: a row is an object, not {type(row).__name__}."
                    )
                rows.append(row)
    except OSError as error:
        raise ConfigurationError(f"The dataset {path} cannot be read: {error.strerror}.") from None
    return rows


def load_reference(named: str, folder: Path | None, key: str) -> Any:
    """What "module:name" names; modules beside the config file are found too.

    Raises:
        ConfigurationError: not of that form, no such module, or no such name in it.
    """
    module, colon, name = named.partition(":")
    if not colon or not module or not name:
        raise ConfigurationError(f'{key} = {named!r}: write "module:name", e.g. "my_rewards:short_answers".')
    if folder is not None and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"{key} = {named!r}: {error}. Put the module beside the config, or install it."
        ) from error
    if not hasattr(found, name):
        raise ConfigurationError(f"{key} = {named!r}: {module} has no {name}." + _near(name, dir(found)))
    return getattr(found, name)


def _judge(table: Mapping[str, Any]) -> Reward:
    options = {
        k: v for k, v in table.items() if k not in ("model", "name", "weight", "max_calls", "max_cost_usd")
    }
    budget = Budget(table.get("max_calls"), table.get("max_cost_usd"))  # of the whole run
    function = partial(rank_group, judge=table.get("model"), budget=budget, **options)
    return Reward(function, table.get("name", "judge"), table.get("weight", 1.0))


def _check_table(table: Any, known: Sequence[str], where: str) -> None:
    if not isinstance(table, Mapping):
        raise ConfigurationError(f"{where} is a table, not {table!r}.")
    for key in table:
        if key == "api_key":
            raise ConfigurationError(f"{where}: keys do not belong in files; put it into $RANKER_API_KEY.")
        if key not in known:
            raise ConfigurationError(f"{where}: there is no setting {key!r}." + _near(key, known))


def _change(said: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    key, value = key.strip(), value.strip()
    if not equals or not key:
        raise ConfigurationError(f"--set {change}: write key=value, e.g. --set learning_rate=1e-5.")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value  # text without its quotes
    *tables, last = key.split(".")
    place = said
    for table in tables:
        place = place.setdefault(table, {})
        if not isinstance(place, dict):
            raise ConfigurationError(f"--set {change}: {table} is no table.")
    place[last] = parsed


def _near(name: str, known: Sequence[str]) -> str:
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" Did you mean {found[0]!r}?" if found else ""


def _path(named: str, folder: Path | None) -> str:
    """A path beside the config file where there is one of that name, else the name."""
    if folder is not None and not Path(named).is_absolute() and (folder / named).exists():
        return str(folder / named)
    return named


def _is_path(named: str, folder: Path | None) -> bool:
    return Path(_path(named, folder)).exists() or named.endswith((".jsonl", ".json"))
