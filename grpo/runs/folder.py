"""The folder of a run: its config, a line of metrics a step, samples, and rewards already earned."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from grpo.errors import RunFolderError
from grpo.group_reward import GroupReward
from grpo.types import RolloutGroup
from ranker import __version__
from ranker.errors import ConfigurationError
from ranker.jsonl.group_file import dump_line
from ranker.runtime.file_lock import lock
from ranker.runtime.outputs import check_absent, replace_file
from ranker.usage import Usage

WRITTEN = (
    "config.json", "metrics.jsonl", "samples.jsonl", "rewards*.jsonl", "anchors.jsonl", "audits.jsonl", "alarms.jsonl",
    "warnings.jsonl", "queue.jsonl", "retunes.jsonl", "judge_groups.jsonl", "judges", "evaluation.json", "curves.png",
    "checkpoints", "final",
)  # fmt: skip
STEPWISE = (  # each line of them says of which step it is
    "metrics.jsonl", "samples.jsonl", "audits.jsonl", "alarms.jsonl", "warnings.jsonl", "retunes.jsonl", "judge_groups.jsonl",
)  # fmt: skip
FORMAT = 1  # of everything in the folder; another number is not read


class RunFolder:
    """Files that only ever grow by whole lines, so that a kill at any moment leaves them readable.

    Raises:
        RunFolderError: the folder holds a run already and `resume` is false; it was made with other settings or by another version; it cannot be written; another
            process is using it.
    """

    def __init__(self, path: str | Path, config: Mapping[str, Any], resume: bool = False):
        self.path = Path(path)
        self._guard = -1
        held = self.path / "config.json"
        self.hold()
        try:
            resolved = {"format": FORMAT, "ranker_version": __version__, **config}
            if resume and held.exists():
                _compare(held, resolved)
            elif held.exists() and any(
                (self.path / n).exists() for n in ("metrics.jsonl", "samples.jsonl", "checkpoints", "final")
            ):
                raise RunFolderError(
                    f"{path} holds a run already: go on with --resume, or name another folder."
                )
            else:
                _check_ours(self.path)
                # Of a start that ended before its first step.
                named = (self.path / name for name in ("anchors.jsonl", *STEPWISE))
                for earned in (*self.path.glob("rewards*.jsonl"), *named):
                    if earned.is_file():
                        earned.unlink()
                write_json(held, resolved)
        except BaseException:
            self.close()
            raise

    def hold(self) -> None:
        """Keep other processes out of the folder.

        Raises:
            RunFolderError: another one is in it, or it cannot be made.
        """
        if self._guard >= 0:
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            guard = os.open(self.path / "run.lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RunFolderError(f"{self.path} cannot be used as a run folder: {error.strerror}.") from None
        try:
            if not lock(guard, self.path):
                raise RunFolderError(
                    f"Another process is training in {self.path}; wait for it, or name another folder."
                )
        except BaseException:
            os.close(guard)
            raise
        self._guard = guard

    def close(self) -> None:
        """Let go of the folder."""
        if self._guard >= 0:
            os.close(self._guard)
            self._guard = -1

    def rewind(self, step: int) -> None:
        """Take away what was written after `step`, and any line cut off by a kill."""
        for name in STEPWISE:
            file = self.path / name
            if not file.is_file():
                continue
            good = 0
            for raw, record in whole_lines(file):
                if record.get("step", 0) > step:
                    break
                good += len(raw)
            os.truncate(file, good)

    def metrics(self) -> list[dict[str, Any]]:
        """Every line of metrics so far."""
        return [record for _, record in whole_lines(self.path / "metrics.jsonl")]

    def add(self, name: str, *records: Mapping[str, Any]) -> None:
        """Append lines to a file of the folder, all or none.

        Raises:
            RunFolderError: the disk is full or the file cannot be written; it is left as it was.
        """
        append(self.path / name, b"".join(dump_line(record) for record in records))


class RewardCache:
    """Rewards as they are earned, one file for each process: a resumed run asks for none of them again.

    Of failures only the record is kept, with what they cost: a judge that is mended gets another chance.
    """

    def __init__(self, folder: Path, rank: int, resume: bool):
        self._file = folder / ("rewards.jsonl" if rank == 0 else f"rewards-{rank}.jsonl")
        self._lock = threading.Lock()
        self._rewards: dict[str, GroupReward] = {}
        if not resume:
            return
        for file in sorted(folder.glob("rewards*.jsonl")):
            good = 0
            for raw, record in whole_lines(file):
                good += len(raw)
                usage = Usage(**record.pop("usage"))
                key, _ = record.pop("key"), record.pop("group")
                if record["error"] is None:
                    self._rewards[key] = GroupReward(**record, usage=usage)
            if file == self._file:
                os.truncate(file, good)

    def get(self, group: RolloutGroup) -> GroupReward | None:
        """The rewards this very group was given before a kill."""
        return self._rewards.get(_digest(group))

    def add(self, group: RolloutGroup, reward: GroupReward) -> None:
        """Keep a group's rewards."""
        record = {
            "group": group.index,
            "key": _digest(group),
            **asdict(reward),
            "usage": reward.usage.to_dict(),
        }
        with self._lock:
            append(self._file, dump_line(record))


def spent(folder: Path) -> tuple[Usage, Usage]:
    """What the judges of a run and its auditor have cost, in all its processes, up to its last kill."""
    judges, auditor = Usage(), Usage()
    for file in sorted(folder.glob("rewards*.jsonl")):
        for _, record in whole_lines(file):
            judges += Usage(**record.get("usage") or {})
            auditor += Usage(**(record.get("audit") or {}).get("usage", {}))
    return judges, auditor


def whole_lines(file: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The lines of a file with what they hold, up to one cut off by a kill."""
    if not file.is_file():
        return
    with open(file, "rb") as lines:
        for raw in lines:
            try:
                record = json.loads(raw)
            except ValueError:
                return
            if not raw.endswith(b"\n") or not isinstance(record, dict):
                return
            yield raw, record


def append(file: Path, data: bytes) -> None:
    """Append bytes to a file, all or none."""
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            before = os.fstat(handle).st_size
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(handle, rest) :]
            except OSError:
                with contextlib.suppress(OSError):  # a device cannot be cut back
                    os.ftruncate(handle, before)
                raise
        finally:
            os.close(handle)
    except OSError as error:
        raise RunFolderError(
            f"{file} cannot be written: {error.strerror}. Nothing of the run is lost: make room, then go on "
            "with --resume."
        ) from None


def write_json(file: Path, fields: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    text = json.dumps(fields, indent=2, ensure_ascii=False, default=str) + "\n"
    try:
        replace_file(file, text.encode())
    except OSError as error:
        raise RunFolderError(f"{file} cannot be written: {error.strerror}.") from None


def _digest(group: RolloutGroup) -> str:
    """What identifies a group: which it is, every token of it, and its anchor."""
    hashed = hashlib.sha256(str(group.index).encode())
    for rollout in group.rollouts:
        hashed.update(b"\0rollout")
        for sequence in rollout.sequences:
            hashed.update(b"\0" + sequence.tokens_T.tobytes())
    if group.anchor is not None:
        hashed.update(
            b"\0anchor" + dump_line({"messages": group.anchor.messages, "more": group.anchor.histories})
        )
    return hashed.hexdigest()


def _check_ours(path: Path) -> None:
    """Refuse a folder that no run was begun in, and that holds files of the names that a run replaces.

    Raises:
        RunFolderError: there are such files.
    """
    try:
        before = json.loads((path / "config.json").read_bytes())
        if isinstance(before, dict) and {"format", "ranker_version"} <= before.keys():
            return
    except (OSError, ValueError):
        pass
    try:
        check_absent(path, WRITTEN, "a run folder")
    except ConfigurationError as error:
        raise RunFolderError(str(error)) from None


# What may differ when a run goes on: how often it is saved, where it is shown, which servers it samples
# from, how it is divided over processes; and, in tables of judges, what may be spent on it.
_FREE = (
    "save_steps", "save_total_limit", "report_to", "vllm_server_base_url", "vllm_server_timeout",
    "vllm_adapter_folder", "fsdp", "on_alarm",
)  # fmt: skip
_LIMITS = ("max_calls", "max_cost_usd")


def _compare(held: Path, resolved: Mapping[str, Any]) -> None:
    try:
        before = json.loads(held.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunFolderError(
            f"{held} cannot be read ({error}); the run cannot go on: begin anew in another folder."
        ) from None
    if not isinstance(before, dict) or before.get("format") != FORMAT:
        version = before.get("format") if isinstance(before, dict) else None
        raise RunFolderError(
            f"{held} is of format {version}, this version ({__version__}) reads {FORMAT}: go on with the version that "
            f"began the run ({before.get('ranker_version') if isinstance(before, dict) else 'unknown'}), or begin anew."
        )
    before, plain = _without_limits(before), _without_limits(json.loads(json.dumps(resolved, default=str)))
    differ = [
        f"{key} was {before.get(key)!r} and is {plain.get(key)!r}"
        for key in sorted({*before, *plain} - {"ranker_version", *_FREE})
        if before.get(key) != plain.get(key)
    ]
    if differ:
        raise RunFolderError(
            f"{held.parent} was begun with other settings: {'; '.join(differ)}. Resume with the same ones, or name "
            "another folder."
        )


def _without_limits(said: Any) -> Any:
    if isinstance(said, dict):
        return {key: _without_limits(value) for key, value in said.items() if key not in _LIMITS}
    return [_without_limits(value) for value in said] if isinstance(said, list) else said
