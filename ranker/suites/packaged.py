"""Packaged suites: real attempts with a truth that a program or people measured, in the package itself.

| suite | groups | source | truth |
| --- | --- | --- | --- |
| `humaneval-samples` | 66 of 8 completions of one policy | microsoft/CodeT: CodeGen-16B at temperature 0.8 on HumanEval, even tasks | share of the task's asserts that the completion passes |
| `game24` | 24 of 8 worked answers | princeton-nlp/tree-of-thought-llm: GPT-4, chain of thought, even puzzles | the expression is right, 0 or 1 |
| `topical-chat` | 30 of 6 replies in a conversation | maszhongming/UniEval: models and people, every other context | mean human score "overall", scaled to 0..1 |

All are MIT; `data/LICENSES.md` carries the notices. The truth of the code can be measured again only by running it and the
replies by asking people, so the groups stand here as they are. Of the pairs with different truths, the longer attempt
wins 0.44, 0.33 and 0.68.
"""

from __future__ import annotations

import os
from pathlib import Path

from ranker import TrajectoryGroup
from ranker.errors import ConfigurationError
from ranker.jsonl.group_file import read_groups

FILES = {
    "humaneval-samples": "humaneval_samples.jsonl.gz",
    "game24": "game24.jsonl.gz",
    "topical-chat": "topical_chat.jsonl.gz",
}
_HERE = Path(__file__).with_name("data")


def load(name: str, path: Path | None = None) -> list[TrajectoryGroup]:
    """The groups of a packaged suite, or of the group file `path` instead of its own.

    Raises:
        ConfigurationError: no such file.
        GroupError: a bad line in it.
    """
    if path is not None and not Path(os.path.expanduser(path)).is_file():
        raise ConfigurationError(f"{path} cannot be read: there is no such file; {name} alone needs none.")
    return read_groups(_HERE / FILES[name] if path is None else Path(os.path.expanduser(path)))
