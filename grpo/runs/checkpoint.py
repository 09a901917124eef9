"""Checkpoints: whole or not there at all, and enough to go on as if nothing had happened."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.distributed.tensor import DTensor

from grpo.errors import RunFolderError
from grpo.model.sharding import held, part_of
from ranker.judges.local.models import file_digest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger("ranker")


@dataclass(frozen=True, slots=True)
class Saved:
    """A complete checkpoint.

    Attributes:
        path: its folder; a model can be loaded from it by name.
        state: what the trainer stored beside weights and optimizer.
    """

    path: Path
    state: Mapping[str, Any]


def save(
    folder: Path,
    model: Any,
    tokenizer: PreTrainedTokenizerBase | None,
    learned: Mapping[str, Any],
    state: Mapping[str, Any],
) -> None:
    """Write a checkpoint: weights (safetensors), optimizer, schedule and state, with a manifest of hashes.

    It is written beside and renamed when it is complete, so a kill or a full disk leaves none or a whole
    one.

    Args:
        learned: the states of "optimizer" and "scheduler", whole: a run can go on with another number of processes.

    Raises:
        RunFolderError: the disk is full, or the folder cannot be written.
    """
    remedy = "Earlier checkpoints are untouched: make room, then go on with --resume."
    with _replacing(folder, f"The checkpoint {folder}", remedy) as scratch:
        save_model(scratch, model, tokenizer)
        torch.save({**learned, "random": torch.get_rng_state()}, scratch / "optimizer.pt")
        (scratch / "state.json").write_text(json.dumps(state, default=str), encoding="utf-8")
        files = sorted(p for p in scratch.rglob("*") if p.is_file())
        manifest = {str(p.relative_to(scratch)): _sync(p) for p in files}
        (scratch / "manifest.json").write_text(json.dumps(manifest, indent=2), encoding="utf-8")
        _sync(scratch / "manifest.json")


@contextlib.contextmanager
def _replacing(folder: Path, what: str, remedy: str) -> Iterator[Path]:
    """A folder to write into, which takes the place of `folder` once it is complete."""
    scratch = folder.with_name(f".{folder.name}.new")
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        yield scratch
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(scratch, folder)
    except Exception as error:  # model, optimizer and tokenizer each report a full disk in a way of their own
        shutil.rmtree(scratch, ignore_errors=True)
        raise RunFolderError(f"{what} cannot be written: {error}. {remedy}") from None


def save_model(folder: Path, model: Any, tokenizer: PreTrainedTokenizerBase | None) -> None:
    """Weights or adapter, config and tokenizer, as `from_pretrained` reads them."""
    from transformers.utils import logging as hf_logging

    extra: dict[str, Any] = {"save_embedding_layers": False} if hasattr(model, "peft_config") else {}
    state = held(model)
    if state is not None:
        extra["state_dict"] = state
    shown = hf_logging.is_progress_bar_enabled()
    hf_logging.disable_progress_bar()
    try:
        model.save_pretrained(folder, **extra)
    finally:
        if shown:
            hf_logging.enable_progress_bar()
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)


def save_whole(folder: Path, model: Any, tokenizer: PreTrainedTokenizerBase | None) -> None:
    """Write model and tokenizer to a folder, whole or not at all."""
    with _replacing(folder, str(folder), "Make room, then go on with --resume.") as scratch:
        save_model(scratch, model, tokenizer)


def newest(folder: Path, before: int | None = None) -> Saved | None:
    """The newest checkpoint that is whole, of those from before a step; damaged ones are passed over with a warning."""
    for path in reversed(_checkpoints(folder)):
        if before is not None and _step(path) >= before:
            continue
        fault = _fault(path)
        if fault is None:
            return Saved(path, json.loads((path / "state.json").read_text(encoding="utf-8")))
        log.warning("The checkpoint %s is damaged (%s); going on from an earlier one.", path, fault)
        aside = path.with_name(f"damaged-{path.name}")  # it must not count as the newest
        shutil.rmtree(aside, ignore_errors=True)
        with contextlib.suppress(OSError):  # another process of the run was first
            os.replace(path, aside)
    return None


def restore(saved: Saved, model: Any, optimizer: Any, scheduler: Any) -> None:
    """Bring weights, optimizer, schedule and random state back, to the bit; each process its part of them."""
    from safetensors.torch import load_file

    weights: dict[str, Any] = {}
    for file in sorted(saved.path.glob("*.safetensors")):
        weights |= load_file(file)
    here = _named(model)
    weights = {name: part_of(value, here[name]) if name in here else value for name, value in weights.items()}
    if hasattr(model, "peft_config"):
        from peft import set_peft_model_state_dict

        faults: Any = set_peft_model_state_dict(model, weights)
        unknown, missing = faults.unexpected_keys, [k for k in faults.missing_keys if "lora_" in k]
    else:
        try:
            faults = model.load_state_dict(weights, strict=False)
        except RuntimeError as error:
            raise RunFolderError(f"{saved.path} holds another model: {error}") from None
        tied = {name for name in faults.missing_keys if name in _tied(model)}
        unknown, missing = faults.unexpected_keys, [k for k in faults.missing_keys if k not in tied]
    if unknown or missing:
        raise RunFolderError(
            f"{saved.path} holds another model: {len(missing)} weights missing, {len(unknown)} unknown, for example "
            f"{[*missing, *unknown][0]}."
        )
    state = torch.load(saved.path / "optimizer.pt", weights_only=True, map_location="cpu")
    learned = [p for group in optimizer.param_groups for p in group["params"]]
    for index, fields in state["optimizer"]["state"].items():
        for name, value in fields.items():
            fields[name] = part_of(value, learned[index])
    optimizer.load_state_dict(state["optimizer"])
    scheduler.load_state_dict(state["scheduler"])
    torch.set_rng_state(state["random"])


def prune(folder: Path, keep: int | None, every: int = 0) -> None:
    """Delete all but the newest `keep` checkpoints.

    Args:
        every: the steps between two checkpoints, to keep some of the older ones too: twice as far back, half as many, the
            first among them. With 0 none is kept.
    """
    if keep is None:
        return
    found = _checkpoints(folder)
    for path in found[:-keep]:
        number, newest = (_step(p) // every if every else 0 for p in (path, found[-1]))
        if not every or number % 2 ** max(0, int(math.log2(max(1, newest - number) / keep))):
            shutil.rmtree(path, ignore_errors=True)


def any_at(folder: Path) -> bool:
    """Whether there is a checkpoint, whole or damaged."""
    return bool(_checkpoints(folder)) or any(folder.glob("damaged-step-*"))


def _checkpoints(folder: Path) -> list[Path]:
    """Oldest first."""
    folders = [p for p in folder.glob("step-*") if p.name[5:].isdigit()]
    return sorted(folders, key=_step)


def _step(path: Path) -> int:
    return int(path.name[5:])


def _named(model: Any) -> dict[str, Any]:
    """Weights by their names in a checkpoint."""
    state: dict[str, Any] = model.state_dict()
    if not hasattr(model, "peft_config"):
        return state
    from peft import get_peft_model_state_dict

    named: dict[str, Any] = get_peft_model_state_dict(model, state, save_embedding_layers=False)
    return named


def _tied(model: Any) -> set[str]:
    """Names of weights that are another's under a second name; they are saved once."""
    by_storage: dict[int, list[str]] = {}
    for name, weight in model.state_dict(keep_vars=True).items():
        same = id(weight) if isinstance(weight, DTensor) else weight.data_ptr()
        by_storage.setdefault(same, []).append(name)
    return {name for names in by_storage.values() if len(names) > 1 for name in names}


def _fault(path: Path) -> str | None:
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        for name, digest in manifest.items():
            if file_digest(path / name) != digest:
                return f"{name} is not as it was written"
    except (OSError, ValueError, AttributeError) as error:
        return str(error)
    return None


def _sync(path: Path) -> str:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    return file_digest(path)
