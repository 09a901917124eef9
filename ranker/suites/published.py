"""Published suites: real attempts, with the truth that the source's own checker measured.

| suite | groups | source | licence | truth |
| --- | --- | --- | --- | --- |
| `tau-airline` | 25 of 4 agent runs | sierra-research/tau-bench, tasks 0 to 24 of GPT-4o on airline | MIT, © 2024 Sierra | final database state and outputs, 0 or 1 |
| `gsm8k-solutions` | 400 of 4 solutions | openai/grade-school-math, example solutions 0 to 399 | MIT, © 2021 OpenAI | final answer equals the reference, 0 or 1 |

What is pinned is not the hash of the downloaded file but of the groups made from it: the sha256 of their
canonical dump (`digest`). It therefore also proves that the conversion is right. Addresses name a commit, so
what lies there does not change.

Both suites are small and their truth is 0 or 1, so many groups are tied throughout and say nothing of a judge.
Some tau labels are known to be wrong. The longer attempt wins 0.60 of tau's 35 pairs of different truth, and
0.55 of GSM8K's 691. No two attempts of a group read the same and have different truths.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ranker import Trajectory, TrajectoryGroup
from ranker.errors import ConfigurationError
from ranker.jsonl.group_file import dump_line, read_groups
from ranker.runtime.outputs import replace_file

_TIMEOUT = 60.0  # seconds without an answer
_SOLVERS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a published suite comes from.

    Attributes:
        file: its name in the group format, as looked for in `$RANKER_DATA`.
        url: the source's own file, at a fixed commit.
        sha256: of the canonical dump of the groups made from that file.
        convert: makes the groups of the file's text.
    """

    file: str
    url: str
    sha256: str
    convert: Callable[[str], list[TrajectoryGroup]]

    @property
    def original(self) -> str:
        """The name of the source's own file."""
        return self.url.rsplit("/", 1)[1]


def tau_airline(text: str) -> list[TrajectoryGroup]:
    """Groups of tau-bench's record of runs: one a task, its trials in order, the messages as they are."""
    trials: dict[int, dict[int, Trajectory]] = {}
    for run in json.loads(text):
        if run["task_id"] < 25:
            trials.setdefault(run["task_id"], {})[run["trial"]] = Trajectory(
                run["traj"], id=f"trial-{run['trial']}", ground_truth=run["reward"]
            )
    return [
        TrajectoryGroup([by_trial[k] for k in sorted(by_trial)], id=f"tau-airline-{task}")
        for task, by_trial in sorted(trials.items())
    ]


def gsm8k_solutions(text: str) -> list[TrajectoryGroup]:
    """Groups of GSM8K's example solutions: one a question, a solution of each of four models."""
    rows = [json.loads(line) for line in text.split("\n")[:400] if line.strip()]
    return [
        TrajectoryGroup([_solution(row, solver) for solver in _SOLVERS], id=f"gsm8k-{i}")
        for i, row in enumerate(rows)
    ]


def _solution(row: dict[str, Any], solver: str) -> Trajectory:
    messages = [
        {"role": "user", "content": row["question"]},
        {"role": "assistant", "content": row[solver]["solution"]},
    ]
    return Trajectory(messages, id=solver, ground_truth=float(row[solver]["is_correct"]))


SOURCES = {
    "tau-airline": Source(
        "tau_airline.jsonl",
        "https://raw.githubusercontent.com/sierra-research/tau-bench/"
        "7362a1708d720a4d697d042f21fd8637ea144c3b/historical_trajectories/gpt-4o-airline.json",
        "486c4bd2d6dc2ce73154c5ca616756e487949e3869eb38d2af0c5105e4e61edd",
        tau_airline,
    ),
    "gsm8k-solutions": Source(
        "gsm8k_solutions.jsonl",
        "https://raw.githubusercontent.com/openai/grade-school-math/"
        "3ab487330c1f3c28650d4bcd30bb51d33a14d404/grade_school_math/data/example_model_solutions.jsonl",
        "46470306d235fab543a1949cb8fc06262082f2b2f9690e5d94dd56e6d1ed18e7",
        gsm8k_solutions,
    ),
}


def load(name: str, path: str | Path | None = None, *, url: str | None = None) -> list[TrajectoryGroup]:
    """The groups of a published suite.

    They are read from `path` if given: a group file, taken as it is, or the source's own file, converted and
    checked. Otherwise from the suite's file in the folder `$RANKER_DATA`, from the user's cache folder, or,
    once, from the source at `url` (by default its public address).

    Raises:
        ConfigurationError: no such suite or file, a source that cannot be reached, or one that is not what
            the checksum says.
        GroupError: a bad line in a group file.
    """
    if name not in SOURCES:
        raise ConfigurationError(f"There is no published suite {name!r}; there are {', '.join(SOURCES)}.")
    source = SOURCES[name]
    if path is not None:
        return _read(name, source, Path(os.path.expanduser(path)))
    data = os.environ.get("RANKER_DATA")
    if data:
        for file in (source.file, source.original):
            if (Path(os.path.expanduser(data)) / file).is_file():
                return _read(name, source, Path(os.path.expanduser(data)) / file)
    cached = _cache_folder() / source.file
    if cached.is_file():
        groups = read_groups(cached)
        if digest(groups) == source.sha256:
            return groups  # otherwise it was damaged, and is fetched again
    groups = _converted(name, source, _download(name, source, url or source.url), url or source.url)
    _keep(cached, groups)
    return groups


def digest(groups: Sequence[TrajectoryGroup]) -> str:
    """The sha256 of the canonical dump: a line of JSON a group, keys sorted, ASCII, without white space."""
    lines = (json.dumps(_record(g), sort_keys=True, separators=(",", ":")) + "\n" for g in groups)
    return hashlib.sha256("".join(lines).encode("ascii")).hexdigest()


def _record(group: TrajectoryGroup) -> dict[str, Any]:
    members = [
        {"id": t.id, "messages": list(t.messages), "ground_truth": t.ground_truth} for t in group.trajectories
    ]
    return {"id": group.id, "trajectories": members}


def _cache_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("ranker")) / "suites"


def _read(name: str, source: Source, path: Path) -> list[TrajectoryGroup]:
    try:
        with open(path, "rb") as file:
            start = file.read(4096).lstrip()
        if not start.startswith((b"[", b'{"question"')):
            return read_groups(path)
        return _converted(name, source, path.read_bytes(), str(path))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None


def _converted(name: str, source: Source, raw: bytes, where: str) -> list[TrajectoryGroup]:
    """The groups of the source's own file, if they are those that are pinned."""
    try:
        groups = source.convert(raw.decode("utf-8"))
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"What {where} holds is not {source.original} ({type(error).__name__}). {_remedy(name, source)}"
        ) from None
    actual = digest(groups)
    if actual != source.sha256:
        raise ConfigurationError(
            f"The groups made from {where} are not those of {name}: their sha256 is {actual}, expected "
            f"{source.sha256}. Nothing of it was kept. {_remedy(name, source)}"
        )
    return groups


def _download(name: str, source: Source, url: str) -> bytes:
    if not url.startswith(("http://", "https://")):
        raise ConfigurationError(f"{url!r} is no address of a file; it must start with https:// or http://.")
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as reply:
            body: bytes = reply.read()
            return body
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ConfigurationError(
            f"{name} could not be fetched from {url}: {error or type(error).__name__}. {_remedy(name, source)}"
        ) from None


def _remedy(name: str, source: Source) -> str:
    return (
        f"Download {source.url} yourself and name it as {name}:FILE, or put it, or "
        f"{source.file} in the group format, into a folder and set RANKER_DATA to that folder."
    )


def _keep(path: Path, groups: Sequence[TrajectoryGroup]) -> None:
    """Write the groups as a group file, whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, b"".join(dump_line(_record(group)) for group in groups))
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}. Free some disk, or set RANKER_DATA to a folder with "
            "the file."
        ) from None
