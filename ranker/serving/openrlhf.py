"""OpenRLHF's remote reward protocol.

Read from OpenRLHF 0.8.11, 0.9.10, 0.10.4 and 0.11.2 (`--remote_rm_url`, later `--reward.remote_url`). All of them POST
``{"query": [...], "prompts": [...], "labels": [...]}``, a query being the whole text (prompt and response), and read
``rewards``, ``scores`` and ``extra_logs`` from the reply. They send a failed request again, 5 times, a second apart,
each with 180 seconds, and look at nothing but the status: after that 0.8 stops the run, and later ones go on to a
sample without reward, which stops it too.

Up to 0.8 one request holds the whole rollout, so groups are found in it by equal prompts. From 0.9 on every request
holds one attempt. An attempt alone cannot be ranked: the address then says how many form a group
(``/openrlhf?group=8``), and each waits for the others (`gathering`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ranker.ranked import RankedGroup
from ranker.serving import schemas
from ranker.serving.failure import Failure
from ranker.serving.job import Job, key_of
from ranker.trajectory import Trajectory, TrajectoryGroup

CLIENT_SECONDS = 170.0  # the client gives up after 180
_LEAD = 64  # characters a tokenizer may put before the prompt (a start token)


@dataclass(frozen=True, slots=True)
class Attempt:
    prompt: str
    query: str


def attempts_of(request: schemas.Attempts) -> list[Attempt]:
    """The attempts of a request; labels are ground truth or metadata, and no judge sees them."""
    return [Attempt(p, q) for p, q in zip(request.prompts, request.query, strict=True)]


def groups_in(attempts: Sequence[Attempt]) -> list[list[int]]:
    """The indices of attempts with equal prompts.

    Raises:
        Failure: 400; a prompt has one attempt only, so there is nothing to rank it against.
    """
    members: dict[str, list[int]] = {}
    for i, attempt in enumerate(attempts):
        members.setdefault(attempt.prompt, []).append(i)
    alone = sum(len(indices) == 1 for indices in members.values())
    if alone:
        raise Failure(
            400,
            "AttemptAlone",
            f"{alone} of {len(members)} prompts have one attempt only, and a reward comes of comparing attempts. "
            "OpenRLHF 0.9 and later sends them one by one: add ?group=N to the address, N being its "
            "n_samples_per_prompt.",
        )
    return list(members.values())


def job_of(prompt: str, queries: Sequence[str]) -> Job:
    """The group of one prompt, in the order of `queries`.

    Raises:
        GroupError: no group can be made of it.
    """
    members = [
        Trajectory([{"role": "assistant", "content": response_of(prompt, query)}]) for query in queries
    ]
    key = key_of("openrlhf", json.dumps([prompt, *queries]).encode())
    return Job(key, TrajectoryGroup(members, task=prompt))


def response_of(prompt: str, query: str) -> str:
    """The query without its prompt; the whole query where the prompt is not how it starts (it was cut)."""
    at = query.find(prompt, 0, len(prompt) + _LEAD)
    return query if at < 0 or not prompt else query[at + len(prompt) :]


def reply_of(rewards: Sequence[float], tied: Sequence[bool] | None) -> dict[str, Any]:
    """The reply (`schemas.Rewards`): `scores` are the rewards. Up to 0.8 the client takes no logs over HTTP (it
    concatenates what it gets as tensors), so there are none for a whole rollout."""
    logs = {} if tied is None else {"ranker_tied": [float(t) for t in tied]}
    return {"rewards": list(rewards), "scores": list(rewards), "extra_logs": logs}


def reward_at(ranked: RankedGroup, i: int) -> float:
    reward = ranked.rewards[i]
    assert reward is not None  # a group that failed has raised
    return reward
