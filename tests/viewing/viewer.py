"""Files to look at, and `ranker view` as a process."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from typer.testing import CliRunner

from ranker.cli import app
from ranker.errors import RankerError
from ranker.serving.run import Listening, SilentServer, bind
from ranker.viewing.server import application
from ranker.viewing.shown import Shown
from ranker.viewing.source import source_of
from tests.local_page import served

Json = dict[str, Any]


def ranked(i: int, size: int = 4, judge: str = "judge-a", **more: Any) -> Json:
    """A ranked group: attempt k of n has reward 1 - k/(n - 1), and the truth says the same."""
    names = [f"t{k}" for k in range(size)]
    rewards = {name: 1 - k / (size - 1) for k, name in enumerate(names)}
    members = [
        {
            "id": name,
            "messages": [
                {"role": "user", "content": f"Question {i}: which number is meant?"},
                {"role": "assistant", "content": f"It is {k} for group {i}."},
            ],
            "ground_truth": rewards[name],
        }
        for k, name in enumerate(names)
    ]
    return {
        "id": f"g{i}",
        "rewards": rewards,
        "ranking": [[name] for name in names],
        "reasons": {name: f"Reason {k}." for k, name in enumerate(names)},
        "judge": judge,
        "trajectories": members,
        **more,
    }


def tied(i: int, **more: Any) -> Json:
    group = ranked(i, **more)
    names = list(group["rewards"])
    return {**group, "rewards": dict.fromkeys(names, 0.5), "ranking": [names]}


def failed(i: int, **more: Any) -> Json:
    group = {k: v for k, v in ranked(i, **more).items() if k not in ("rewards", "ranking", "reasons")}
    return {**group, "error": {"type": "JudgeCallError", "message": "the server did not answer"}}


def write(path: Path, records: list[Any], end: str = "\n") -> Path:
    lines = [r if isinstance(r, str) else json.dumps(r) for r in records]
    path.write_text("\n".join(lines) + (end if lines else ""))
    return path


def write_many(path: Path, count: int) -> Path:
    """Ranked groups g0, g1 and so on, made of one text: quicker than `write`."""
    text = json.dumps(ranked(0)).replace('"g0"', '"g@"').replace("group 0", "group @")
    path.write_text("".join(text.replace("@", str(i)) + "\n" for i in range(count)))
    return path


def sample(step: int, group: int, **more: Any) -> Json:
    """A line of a run's samples."""
    rollouts = [
        {
            "messages": [{"role": "assistant", "content": f"Attempt {k} of step {step}."}],
            "reward": k / 2,
            "advantage": k - 1.0,
            "ground_truth": 1 - k / 2,
            "tokens": 7 + k,
            "truncated": k == 2,
            "reason": f"Reason {k}.",
        }
        for k in range(3)
    ]
    prompt = [{"role": "user", "content": f"Task {group}."}]
    judges = {"judge": "small"}
    return {
        "step": step,
        "group": group,
        "version": step - 1,
        "prompt": prompt,
        "rollouts": rollouts,
        "judges": judges,
        **more,
    }


def metrics(step: int, **more: Any) -> Json:
    return {
        "step": step,
        "reward_mean": 0.5,
        "ground_truth_mean": step / 10,
        "kl": None,
        "words_mean": 20.0 + step,
        "judge_agreement": 0.9 - step / 20,
        "judge_agreement_low": 0.8 - step / 20,
        "judge_agreement_high": 1 - step / 20,
        "judge_alarm": float(step >= 4),
        **more,
    }


def make_run(folder: Path, steps: int = 5) -> Path:
    """A run folder with an audit and an alarm."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"format": 1, "ranker_version": "0"}))
    write(folder / "metrics.jsonl", [metrics(s) for s in range(1, steps + 1)])
    write(folder / "samples.jsonl", [sample(s, 2 * s + k) for s in range(1, steps + 1) for k in range(2)])
    audit = {
        "step": 2,
        "group": 4,
        "agreement": 0.0,
        "weight": 1.0,
        "judge": [0.0, 0.5, 1.0],
        "auditor": [1.0, 0.5, 0.0],
    }
    write(folder / "audits.jsonl", [{**audit, "error": None, "usage": {}}])
    write(folder / "alarms.jsonl", [{"step": 4, "began": 3, "reason": "agreement fell to 0.70"}])
    return folder


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def ranker(*args: object, **environment: str) -> Done:
    """The command in this process: a process of its own takes a second to start."""
    result = CliRunner().invoke(app, [str(a) for a in args], env=environment)
    if isinstance(result.exception, RankerError):
        return Done(2, result.stdout, str(result.exception))
    return Done(result.exit_code, result.stdout, result.stderr)


@dataclass
class Viewer:
    address: str
    process: subprocess.Popen[str] | None = None

    @property
    def base(self) -> str:
        return self.address.partition("?")[0]

    @property
    def token(self) -> str:
        return self.address.partition("token=")[2]

    def ask(self, path: str, headers: dict[str, str] | None = None, **query: Any) -> tuple[int, Any, bytes]:
        """Status, headers and body."""
        sent = {"Authorization": f"Bearer {self.token}"} if headers is None else headers
        address = self.base + path + (f"?{urlencode(query)}" if query else "")
        try:
            with urllib.request.urlopen(urllib.request.Request(address, headers=sent), timeout=60) as reply:
                return reply.status, reply.headers, reply.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def json(self, path: str, **query: Any) -> Any:
        status, _, body = self.ask(path, **query)
        assert status == 200, body
        return json.loads(body)


@contextmanager
def viewer(path: Path) -> Iterator[Viewer]:
    """The server of `ranker view` in a thread of this process."""
    token = "token-of-the-tests-0123456789"
    shown = Shown(source_of(path))
    assert shown.groups is None or shown.groups.fault is None
    server = SilentServer(application(shown, token))
    listener = bind(Listening(port=0))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    if shown.groups is not None:
        shown.groups.follow()
    thread.start()
    try:
        yield Viewer(f"http://127.0.0.1:{listener.getsockname()[1]}/?token={token}")
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
        shown.close()


@contextmanager
def process(path: Path, *args: object, **environment: str) -> Iterator[Viewer]:
    """`ranker view` as a process."""
    with served("view", path, "--no-open", *args, **environment) as (process, address):
        yield Viewer(address, process)


ESTIMATE = {"value": 0.6, "low": 0.2, "high": 1.0}


def write_audit(folder: Path, edit: str) -> None:
    """What `ranker audit` leaves in its folder, about one edit."""
    known = {"places": ESTIMATE, "effect": ESTIMATE, "wins": ESTIMATE, "flagged": True}
    lift = {"edit": edit, "worth": "same", "trials": 9, **known}
    (folder / "audit.json").write_text(
        json.dumps({"judge": "j", "groups": 9, "lifts": [lift], "accuracy": ESTIMATE})
    )
