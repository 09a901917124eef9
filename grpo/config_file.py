"""A training run as a file says it: which model, dataset and judge, and every setting of GRPOConfig."""

from __future__ import annotations

import sys
import tomllib
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from importlib import import_module, resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from grpo.config import GRPOConfig
from grpo.rewards import Reward
from ranker import Budget, ConfigurationError, rank_group
from ranker.jsonl.objects import read_objects
from ranker.judges.headers import check_written
from ranker.testing import Behaviour
from ranker.validation import check, did_you_mean
from ranker.watch.audit import CHECKER, Audit


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _Judge(_Table):
    model: str | None = None
    name: str = "judge"
    weight: float = 1.0
    base_url: str | None = None
    rubric: str | None = None
    passes: int = 1
    reward: str | None = None
    covariates: list[str] | None = None
    credit: str | None = None
    seed: int = 0
    max_calls: int | None = None
    max_cost_usd: float | None = None
    temperature: float | None = None
    timeout: float | None = None
    cache: str | None = None
    max_tokens: int | None = None
    template: str | None = None
    extra: dict[str, Any] | None = None
    headers: dict[str, str] | None = None
    structured: str | None = None
    ids_in_schema: bool | None = None
    vision: bool | None = None
    form: str | None = None
    sharing: str | None = None
    context_window: int | None = None
    max_group: int | None = None
    max_reasks: int | None = None
    max_retries: int | None = None
    rpm: float | None = None
    tpm: float | None = None
    price: list[float] | None = None  # dollars for a million tokens (read, written)


def _of_a_reward(judge: _Judge | None) -> str:
    """What a judge's table says that has a meaning in the table [judge] alone."""
    return " and ".join(sorted({"name", "weight"} & judge.model_fields_set)) if judge is not None else ""


class _Reward(_Table):
    name: str
    weight: float = 1.0
    function: str | None = None
    judge: _Judge | None = None

    @model_validator(mode="after")
    def _has_one_source(self) -> _Reward:
        if (self.function is None) == (self.judge is None):
            raise ValueError('needs either function = "module:name" or a judge table.')
        if misplaced := _of_a_reward(self.judge):
            raise ValueError(f"has {misplaced} in its judge table: write weight beside name in [[rewards]].")
        return self


class _Audit(_Table):
    """Beside `Audit`'s fields: the judge that is the auditor, as a table of its own."""

    auditor: str | None = None
    judge: _Judge | None = None
    share: float = 0.1
    min_agreement: float = 0.6
    max_drop: float = 0.25
    on_alarm: str = "warn"
    train_on_audits: bool = False
    retune_every: int = 0
    timeout: float = 600.0
    lift_share: float = 0.0
    lift_edits: list[str] | None = None

    @model_validator(mode="after")
    def _has_one_auditor(self) -> _Audit:
        if self.auditor is not None and self.judge is not None:
            raise ValueError("needs either auditor = … or a judge table.")
        if misplaced := _of_a_reward(self.judge):
            raise ValueError(f"has {misplaced} in its judge table, which an auditor has not; leave it out.")
        return self


class _Simulated(_Table):
    """The judge of the config quick, see `ranker.testing.Behaviour`."""

    noise: float = 0.0
    position_bias: float = 0.0
    length_bias: float = 0.0
    turn_accuracy: float = 1.0
    seed: int = 0


class _Run(_Table):
    """What a file may say beside the fields of GRPOConfig. `reward` and `covariates` are for every judge whose table
    does not name its own."""

    model: str
    dataset: str
    eval_dataset: str | None = None
    rollout: str | None = None
    checker: str | None = None
    judge: _Judge = _Judge()
    rewards: list[_Reward] = []
    simulated: _Simulated | None = None
    reward: str | None = None
    covariates: list[str] | None = None
    audit: _Audit | None = None


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
        path, value = self._path_or_value("model")
        return (path, None) if path is not None else value

    def examples(self, key: str = "dataset") -> Sequence[Mapping[str, Any]] | None:
        """The dataset: a JSONL file, or what "module:name" is or returns."""
        if self.said.get(key) is None:
            return None
        path, value = self._path_or_value(key)
        return value if path is None else read_examples(path)

    def function(self, key: str) -> Any:
        """The rollout function or checker, or None."""
        named = self.said.get(key)
        return None if named is None else load_reference(named, self.folder, key)

    def rewards(self) -> list[Reward]:
        """The judge and the reward functions, with names and weights."""
        rewards = []
        rule = {key: self.said[key] for key in ("reward", "covariates") if key in self.said}
        if self.config.credit == "process":  # every judge is asked for turns
            rule["credit"] = "turns"
        if "simulated" in self.said:
            from grpo.demo import quick

            behaviour = Behaviour(**self.said["simulated"])
            rewards.append(Reward(partial(quick.judge, behaviour=behaviour, **rule), "judge"))
        if "judge" in self.said or not ("simulated" in self.said or self.said.get("rewards")):
            rewards.append(_judge({**rule, **self.said.get("judge", {})}))
        for table in self.said.get("rewards", ()):
            name, weight = table["name"], table.get("weight", 1.0)
            if table.get("function") is not None:
                function = load_reference(table["function"], self.folder, "rewards.function")
                rewards.append(Reward(function, name, weight))
            else:
                rewards.append(_judge({**rule, **table["judge"], "name": name, "weight": weight}))
        return rewards

    def audit(self) -> Audit | None:
        """The audit, or None: its auditor is the checker unless the table names a judge, people, a function or none."""
        if "audit" not in self.said:
            return None
        table = dict(self.said["audit"])
        named, judge = table.pop("auditor", CHECKER), table.pop("judge", None)
        auditor: Any = None if named == "none" else named
        if judge is not None:
            auditor = _judge(judge).function
        elif ":" in named:
            auditor = load_reference(named, self.folder, "audit.auditor")
        try:
            return Audit(auditor=auditor, **table)
        except ConfigurationError as error:
            raise ConfigurationError(f"[audit]: {error}") from None

    def _path_or_value(self, key: str) -> tuple[str | None, Any]:
        """A path (beside the config file where there is one of that name), or what "module:name" is or returns."""
        named = path = self.said[key]
        if self.folder is not None and not Path(named).is_absolute() and (self.folder / named).exists():
            path = str(self.folder / named)
        if ":" not in named or Path(path).exists() or named.endswith((".jsonl", ".json", ".gz")):
            return path, None
        value = load_reference(named, self.folder, key)
        return None, value() if callable(value) else value


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
            + did_you_mean(named, packaged())
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
    trainer = {f.name for f in fields(GRPOConfig)}
    beside = {key: value for key, value in said.items() if key not in trainer}
    check(_Run, beside, named, trainer)
    settings = {key: value for key, value in said.items() if key in trainer}
    if _is_debiased(beside):
        # A ranking that bias explains says nearly nothing; divided by its own group's deviation it would count in full.
        settings.setdefault("scale_rewards", "batch")
    try:
        config = GRPOConfig(**settings)
    except ConfigurationError as error:
        raise ConfigurationError(f"{named}: {error}") from None
    return Settings({key: said[key] for key in _Run.model_fields if key in said}, config, folder)


def read_examples(path: str | Path) -> list[dict[str, Any]]:
    """Examples of a JSON file, in the forms that `ranker.jsonl.objects` reads.

    Raises:
        ConfigurationError: it cannot be read, or a line is no JSON object; the line is named.
    """
    examples = []
    for record in read_objects(path):
        if record.fault is not None:
            raise ConfigurationError(f"{path}: {record.place} {record.fault}")
        examples.append(dict(record.fields))
    return examples


def load_reference(named: str, folder: Path | None, key: str) -> Any:
    """What "module:name" names; modules beside the config file are found too.

    Raises:
        ConfigurationError: not of that form, no such module, one that fails when imported, or no such name in it.
    """
    module, _, name = named.partition(":")
    if not module or not name:
        raise ConfigurationError(f'{key} = {named!r}: write "module:name", e.g. "my_rewards:short_answers".')
    if folder is not None and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        target: Any = import_module(module)
    except Exception as error:
        said = f"{key} = {named!r}"
        if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
            raise ConfigurationError(
                f"{said}: {error}. Put the module beside the config, or install it."
            ) from error
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = "" if isinstance(error, SyntaxError) else f" ({last.filename}, line {last.lineno})"
        raise ConfigurationError(
            f"{said}: {module} cannot be imported: {type(error).__name__}: {error}{place}."
        ) from error
    for part in name.split("."):
        if not hasattr(target, part):
            near = did_you_mean(part, dir(target))
            raise ConfigurationError(f"{key} = {named!r}: {module} has no {name}.{near}")
        target = getattr(target, part)
    return target


def _is_debiased(said: Mapping[str, Any]) -> bool:
    tables = [said, said.get("judge", {}), *(table.get("judge", {}) for table in said.get("rewards", ()))]
    return any(table.get("reward") == "debiased" for table in tables)


def _judge(table: Mapping[str, Any]) -> Reward:
    options = {
        k: v for k, v in table.items() if k not in ("model", "name", "weight", "max_calls", "max_cost_usd")
    }
    check_written(table.get("headers") or {}, "The judge's table")
    budget = Budget(table.get("max_calls"), table.get("max_cost_usd"))  # of the whole run
    function = partial(rank_group, judge=table.get("model"), budget=budget, **options)
    return Reward(function, table.get("name", "judge"), table.get("weight", 1.0))


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
