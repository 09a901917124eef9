"""What the training configs `quick` and `demo` name: the returns desk's rows, its policy, its judges.

The judge of `quick` is a real server on this machine, but a simulated judge: it reads each transcript, sees what it is
worth through stated noise, and answers over HTTP as any judge would. That of `demo` is a language model in this
process, the embedded default.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import partial
from importlib import resources
from typing import Any

from grpo.demo import desk_blocks
from ranker import RankedGroup, rank_group
from ranker.suites import desk_world as desk
from ranker.suites.desk import RUBRIC as DESK
from ranker.testing import Behaviour, JudgeServer

RUBRIC = "Prefer the clerk who looked the right order up, did what the rules say, and told the customer so."


rows = partial(desk.rows, 2000)  # customers' letters to train on
held_out = partial(desk.rows, 128, held_out=True)  # letters in wordings that `rows` does not have
rollout, checker = desk.rollout, desk.checker


def policy() -> tuple[Any, Any]:
    """The warm-started clerk that comes with the package (`make desk-policy` makes it again).

    Torch is set to one thread: the clerk's matrices are so small that two would only wait for each other.
    """
    import torch
    from safetensors.torch import load_model

    from grpo.demo import desk_policy

    torch.set_num_threads(1)
    model, tokenizer = desk_policy.policy()
    with resources.as_file(resources.files(__package__) / "desk_policy.safetensors") as path:
        load_model(model, path)
    return model.eval(), tokenizer


@dataclass
class DeskJudge:
    """A reward function; its server starts at the first call and ends with the process.

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
                self._server = JudgeServer(desk_blocks.worth, self.behaviour).__enter__()
        return rank_group(
            group, "openai/simulated", RUBRIC, base_url=self._server.base_url, cache="off", **self.options
        )


NOISE = 0.25  # deviation of what the judge sees around what a transcript is worth, 0 to 1
judge = DeskJudge(Behaviour(noise=NOISE))


def embedded(group: Any) -> RankedGroup:
    """The embedded default judge, a small language model in this process."""
    return rank_group(group, "local", DESK, cache="off")
