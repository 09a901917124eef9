"""The pages, what their programs and commands are, and how tests run them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
QUICK_START = "README.md-0"  # the commands that a new user types first
# Not -m, which would take a folder `ranker` here for the package.
COMMAND = Path(sys.executable).parent / "ranker"


def blocks(language: str) -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for i, code in enumerate(
            re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
        ):
            found.append((f"{page.name}-{i}", code))
    return found


def run(words: Sequence[object], shown: str = "", **more: Any) -> str:
    """Run a command that must succeed; what it wrote to standard output."""
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, f"{shown or words}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


def small(text: str) -> str:
    """The same with a model of some thousand weights and a step or two."""
    from tests.grpo_models import llama, tokenizer

    llama().save_pretrained("tiny")
    tokenizer().save_pretrained("tiny")
    text = re.sub(r'"smollm2"|"Qwen/[^"]*"', '"tiny"', text)
    return re.sub(r"max_steps\s*=\s*\d+", "max_steps = 2", text)
