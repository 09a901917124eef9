"""What the training configs `quick` and `demo` name: the returns desk's rows, its policy, its judges.

The judge of `quick` is a real server on this machine, but a simulated judge: it reads each transcript, sees what it is
worth through stated noise, and answers over HTTP as any judge would. That of `demo` is a language model in this
process, the embedded default.
"""

from __future__ import annotations

import threading
from functools import cache, partial
from importlib import resources
from typing import Any

from grpo.demo import desk_blocks
from ranker import RankedGroup, rank_group
from ranker.aggregate.rewards import rank_rewards
from ranker.judges.verdict import tiers_of
from ranker.suites import desk_world as desk
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


NOISE = 0.25  # deviation of what the judge sees around what a transcript is worth, 0 to 1
_lock = threading.Lock()


@cache
def _server(behaviour: Behaviour) -> JudgeServer:
    """It ends with the process."""
    return JudgeServer(desk_blocks.worth, behaviour, turns=desk_blocks.turn_worth).__enter__()


def judge(group: Any, behaviour: Behaviour = Behaviour(noise=NOISE), **options: Any) -> RankedGroup:  # noqa: B008 - frozen
    """The simulated judge; its server starts at the first call. Options are `rank_group`'s."""
    with _lock:
        base_url = _server(behaviour).base_url
    return rank_group(group, "openai/simulated", RUBRIC, base_url=base_url, cache="off", **options)


def auditor(group: Any) -> list[float]:
    """Stands in for a strong judge: ranks by what the checker says, which is all that it tells."""
    truths = [checker(t, group.metadata) for t in group.trajectories]
    return rank_rewards(tiers_of(truths), len(truths))
