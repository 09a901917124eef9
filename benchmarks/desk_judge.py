"""The simulated judge of the returns desk: a real server on this machine that reads each transcript, sees what
it is worth through stated noise, and answers over HTTP as any judge would."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from ranker import RankedGroup, rank_group
from ranker.benchmarks.desk import worth
from ranker.testing import Behaviour, JudgeServer

RUBRIC = "Prefer the clerk who looked the right order up, did what the rules say, and told the customer so."


@dataclass
class DeskJudge:
    """A reward function for the trainer; its server starts at the first call and ends with the process.

    Attributes:
        behaviour: noise and biases of the judge, see `ranker.testing.Behaviour`.
        options: of `rank_group`, e.g. passes.
    """

    behaviour: Behaviour = field(default_factory=Behaviour)
    options: dict[str, Any] = field(default_factory=dict)
    _server: JudgeServer | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __call__(self, group: Any) -> RankedGroup:
        with self._lock:
            if self._server is None:
                self._server = JudgeServer(worth, self.behaviour).__enter__()
        return rank_group(
            group, "openai/simulated", RUBRIC, base_url=self._server.base_url, cache="off", **self.options
        )


noisy = DeskJudge(Behaviour(noise=0.25))
