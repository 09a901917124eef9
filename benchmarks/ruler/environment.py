"""An environment of its own for RULER, since its dependencies must not mix with ours."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import platformdirs

VERSION = "0.5.18"
# What `art.rewards.ruler` imports, within the limits openpipe-art names; its trainer needs far more.
# LiteLLM 1.82.7 and 1.82.8, malicious releases, lie above those limits.
_NEEDS = (
    "litellm>=1.71.1,<=1.82.0", "openai>=2.14", "polars>=1.26", "python-dotenv", "httpx", "pydantic", "rich",
    "tqdm", "typer>=0.15.2", "weave>=0.52.24", "tblib>=3", "nest-asyncio>=1.6", "setproctitle>=1.3.6",
)  # fmt: skip


def ruler_python(folder: Path | None = None) -> Path:
    """The Python that has RULER; its environment is made on first use, in the user's cache folder."""
    folder = folder or Path(platformdirs.user_cache_dir("ranker")) / f"ruler-{VERSION}"
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    done = folder / "complete"
    if done.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    install = [str(python), "-m", "pip", "install", "--quiet"]
    subprocess.run([*install, *_NEEDS], check=True)
    subprocess.run([*install, "--no-deps", f"openpipe-art=={VERSION}"], check=True)
    done.touch()
    return python
