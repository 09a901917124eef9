"""The audit of a judge in the adapters, called as their trainers call them; in one process and in two that share a watch.

Run as a script, this file is one of the two processes: its argument says what to do, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import pickle
import random
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ranker import Audit, Budget, ConfigurationError, JudgeAlarm, JudgeError, rank_group
from ranker.integrations import tinker, verifiers
from ranker.integrations.group_rewarder import GroupRewarder
from ranker.integrations.trl import rank_reward
from ranker.integrations.verl import GroupCollector, _Settings
from ranker.testing import Behaviour
from ranker.trajectory import Trajectory, TrajectoryGroup

GROUP = 4


def worth(text: str) -> float:
    """The number that an attempt says, after its prompt."""
    return float(text.rstrip().rsplit("=", 1)[1].split("<")[0].split()[0])


def wrong(text: str) -> float:
    return -worth(text)


def batch_of(step: int, groups: int = 2) -> tuple[list[str], list[str]]:
    """Prompts and completions of a batch; the worth of an attempt is the number that it says."""
    rng = random.Random(step)
    prompts = [f"step {step}, task {g}" for g in range(groups) for _ in range(GROUP)]
    completions = [f"= {w}" for _ in range(groups) for w in rng.sample(range(10), GROUP)]
    return prompts, completions


def fair(completions: list[str], sign: int = 1) -> list[float]:
    rewards: list[float] = []
    for start in range(0, len(completions), GROUP):
        worths = [sign * worth(c) for c in completions[start : start + GROUP]]
        rewards += [sorted(worths).index(w) / (GROUP - 1) for w in worths]
    return rewards


class Trainer:
    """What a reward function sees of TRL's trainer."""

    num_generations = GROUP

    def __init__(self) -> None:
        self.logged: dict[str, list[float]] = {}

    def log_metric(self, name: str, value: float) -> None:
        self.logged.setdefault(name, []).append(value)


def batch(reward: Any, step: int, trainer: Trainer | None = None) -> list[float | None]:
    prompts, completions = batch_of(step)
    trainer = trainer or Trainer()
    state = SimpleNamespace(global_step=step)
    rewards = reward(
        prompts=prompts, completions=completions, log_metric=trainer.log_metric, trainer_state=state
    )
    return asyncio.run(rewards)


def auditor_at(server: Any, **more: Any) -> Any:
    return partial(rank_group, judge="sim", base_url=server.base_url, progress=False, **more)


def test_trl_gets_the_metrics_and_the_rewards_of_a_right_judge(serve):
    judge, auditor = serve(worth), serve(worth)
    reward = rank_reward(
        "sim", base_url=judge.base_url, audit=Audit(auditor=auditor_at(auditor), share=1.0), name="judged"
    )
    trainer = Trainer()
    for step in range(6):
        assert batch(reward, step, trainer) == pytest.approx(fair(batch_of(step)[1]))
    assert trainer.logged["judged/judge_agreement"] == [1.0] * 6
    assert trainer.logged["judged/audited_groups"] == [2, 4, 6, 8, 10, 12]
    assert trainer.logged["judged/judge_alarm"] == [0.0] * 6
    assert "judged/audit_cost_usd" not in trainer.logged  # nobody knows the price of `sim`
    assert judge.requests == auditor.requests == 12
    assert [a.step for a in reward.audited.watch.audited] == [s for s in range(6) for _ in range(2)]


@pytest.mark.parametrize("action", ["warn", "stop", "escalate"])
def test_what_follows_an_alarm_in_trl(serve, action, caplog):
    judge, auditor = serve(wrong), serve(worth)
    audit = Audit(auditor=auditor_at(auditor), share=1.0, on_alarm=action)
    reward = rank_reward("sim", base_url=judge.base_url, audit=audit, concurrency=1)
    trainer = Trainer()
    alarmed, told = None, ""
    for step in range(8):
        completions = batch_of(step)[1]
        try:
            rewards = batch(reward, step, trainer)
        except JudgeAlarm as error:
            told = str(error)
            break
        escalated = action == "escalate" and alarmed is not None
        assert rewards == pytest.approx(fair(completions, 1 if escalated else -1))
        if alarmed is None and reward.audited.alarms:
            alarmed = step
    if action == "stop":
        assert "since step 0 (20" in told
        assert trainer.logged["rank_reward/judge_alarm"][-1] == 1.0
        with pytest.raises(JudgeAlarm):
            batch(reward, 9)
    else:
        assert alarmed is not None
        assert alarmed < 7
    assert len(reward.audited.alarms) == 1
    assert caplog.text.count("Judge alarm") == 1


def test_a_failing_auditor_costs_no_rewards_in_trl_until_the_rewards_are_its_own(serve):
    judge, auditor = serve(wrong), serve(worth)
    budget = Budget(max_calls=6)
    audit = Audit(auditor=auditor_at(auditor, budget=budget), share=1.0, on_alarm="escalate")
    reward = rank_reward("sim", base_url=judge.base_url, audit=audit)
    trainer = Trainer()
    rewards = [batch(reward, step, trainer) for step in range(6)]
    assert all(r is not None for group in rewards[:3] for r in group)
    assert reward.audited.watch.alarm is not None
    assert (
        rewards[3:] == [[None] * 2 * GROUP] * 3
    )  # the judge is known to be wrong, and the auditor has no budget left
    assert trainer.logged["rank_reward/failed_groups"][-6:] == [1.0] * 6
    assert trainer.logged["rank_reward/audits_failed"] == [0, 0, 0, 2, 4, 6]


def test_the_agreement_is_that_of_debiased_rewards(serve, tmp_path):
    judge, auditor = serve(worth, Behaviour(length_bias=3.0)), serve(worth)
    out = tmp_path / "audits.jsonl"
    audit = Audit(auditor=auditor_at(auditor), share=1.0)
    reward = rank_reward(
        "sim", base_url=judge.base_url, reward="debiased", covariates=("length",), audit=audit, audit_out=out
    )
    returned = [batch(reward, step) for step in range(3)]
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert [r for record in records for r in record["judge"]] == [r for batch in returned for r in batch]
    assert all(len(record["auditor"]) == GROUP for record in records)


def test_a_run_started_again_goes_on_from_its_file(serve, tmp_path):
    judge, auditor = serve(worth), serve(worth)
    out = tmp_path / "audits.jsonl"

    def reward() -> Any:
        audit = Audit(auditor=auditor_at(auditor), share=1.0)
        return rank_reward("sim", base_url=judge.base_url, audit=audit, audit_out=out)

    first = reward()
    for step in range(3):
        batch(first, step)
    again = pickle.loads(pickle.dumps(reward()))
    del first
    trainer = Trainer()
    batch(again, 2, trainer)  # from the checkpoint before
    assert trainer.logged["rank_reward/audited_groups"] == [6]
    batch(again, 3, trainer)
    assert trainer.logged["rank_reward/audited_groups"] == [6, 8]
    assert auditor.requests == 8
    assert len(out.read_text().splitlines()) == 8


def test_settings_that_cannot_work_are_told_when_the_reward_is_made(serve):
    server = serve(worth)
    for wrong_settings, told in (
        ({"audit": Audit()}, "trainers do not hand over"),
        ({"audit": Audit(auditor="people")}, "ranker train"),
        ({"audit": {"share": 0.1}}, "audit is a dict"),
        ({"audit_out": "audits.jsonl"}, "there is none"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            rank_reward("sim", base_url=server.base_url, **wrong_settings)


def attempts(step: int) -> tuple[list[Any], list[Any]]:
    prompts, completions = batch_of(step, groups=1)
    return (
        [[{"role": "user", "content": p}] for p in prompts],
        [[{"role": "assistant", "content": c}] for c in completions],
    )


def test_verl_rollouts_carry_the_metrics_and_fail_after_a_stop(serve, tmp_path):
    judge, auditor = serve(wrong), serve(worth)
    audit = Audit(auditor=auditor_at(auditor), share=1.0, on_alarm="stop")
    options = {"base_url": judge.base_url, "audit": audit, "audit_out": tmp_path / "audits.jsonl"}
    collector = GroupCollector(pickle.loads(pickle.dumps(_Settings("sim", None, 1, 60.0, options))))

    async def group(step: int) -> list[Any]:
        prompts, completions = attempts(step)
        members = [Trajectory([*p, *c]) for p, c in zip(prompts, completions, strict=True)]
        return await asyncio.gather(
            *(collector.reward(str(step), GROUP, m) for m in members), return_exceptions=True
        )

    async def work() -> list[Any]:
        return [await group(step) for step in range(12)]

    results = asyncio.run(work())
    rewards = [r for r in results if not isinstance(r[0], JudgeAlarm)]
    assert 0 < len(rewards) < 12
    assert all(isinstance(one, JudgeAlarm) for r in results[len(rewards) :] for one in r)
    names = {"judge_agreement", "judge_alarm", "audited_groups", "audits_failed"}
    assert all(names < set(metrics) for r in rewards for _, metrics in r)
    assert rewards[-1][0][1]["judge_agreement"] == 0.0
    assert judge.requests == len(rewards) + 1
    none = GroupCollector(_Settings("sim", None, 1, 60.0, {**options, "audit": audit, "audit_out": None}))
    assert math.isnan(none._audit_metrics()["judge_agreement"])


def test_tinker_attempts_carry_the_metrics_and_the_auditors_rewards_after_an_alarm(serve):
    judge, auditor = serve(wrong), serve(worth)
    audit = Audit(auditor=auditor_at(auditor), share=1.0, on_alarm="escalate")
    rewards = tinker.group_rewards(
        "sim", base_url=judge.base_url, audit=audit, messages=lambda trajectory, env: trajectory
    )

    async def group(step: int) -> list[Any]:
        prompts, completions = attempts(step)
        return await rewards(
            None, [[*p, *c] for p, c in zip(prompts, completions, strict=True)], [None] * GROUP
        )

    async def work() -> list[Any]:
        return [await group(step) for step in range(10)]

    results = asyncio.run(work())
    assert [m["ranker/audited_groups"] for r in results for _, m in r[:1]] == list(range(1, 11))
    assert [r for r, _ in results[0]] == pytest.approx(fair(batch_of(0, 1)[1], -1))
    assert [r for r, _ in results[-1]] == pytest.approx(fair(batch_of(9, 1)[1]))
    assert results[-1][0][1]["ranker/judge_alarm"] == 1.0


def test_a_rubric_of_verifiers_marks_its_groups_after_a_stop(serve):
    judge, auditor = serve(wrong), serve(worth)
    audit = Audit(auditor=auditor_at(auditor), share=1.0, on_alarm="stop")
    reward = verifiers.rank_reward("sim", base_url=judge.base_url, audit=audit)

    async def group(step: int) -> Any:
        prompts, completions = attempts(step)
        return await reward(prompts, completions, [{} for _ in prompts])

    async def work() -> int:
        for step in range(12):
            try:
                await group(step)
            except JudgeAlarm:
                return step
        return 12

    assert 0 < asyncio.run(work()) < 12
    with pytest.raises(JudgeAlarm):
        asyncio.run(group(20))


def test_a_group_that_has_no_rewards_of_its_own_is_an_error_of_one_group(serve):
    judge = serve(wrong)

    def auditor(group: TrajectoryGroup) -> list[float | None]:
        found: list[float | None] = [worth(t.messages[-1]["content"]) for t in group.trajectories]
        return [None, *found[1:]]

    audit = Audit(auditor=auditor, share=1.0, on_alarm="escalate")
    rewarder = GroupRewarder("sim", None, 1, {"base_url": judge.base_url, "audit": audit})

    def group(step: int) -> TrajectoryGroup:
        prompts, completions = attempts(step)
        return TrajectoryGroup([[*p, *c] for p, c in zip(prompts, completions, strict=True)])

    async def work() -> None:
        step = 0
        while not rewarder.audited.alarms:
            await rewarder.rank(group(step))
            step += 1
        with pytest.raises(JudgeError, match="no value for some of the attempts") as caught:
            await rewarder.rank(group(step))
        assert not caught.value.fatal
        assert caught.value.usage.calls == 1

    asyncio.run(work())


@pytest.mark.timeout(300)
def test_two_processes_share_one_watch_and_one_file(serve, tmp_path):
    judge, auditor = serve(wrong), serve(worth)
    for start in (0, 3):  # and again, from the file of the first
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        spec = {"judge": judge.base_url, "auditor": auditor.base_url, "folder": str(tmp_path), "start": start}
        processes = [
            subprocess.Popen(
                [sys.executable, __file__, json.dumps(spec)],
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": "1",
                    "GLOO_SOCKET_IFNAME": "lo",
                    "PYTHONPATH": str(Path(__file__).parents[2]),
                    "RANK": str(rank),
                    "WORLD_SIZE": "2",
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(port),
                },
                text=True,
                stderr=subprocess.PIPE,
            )
            for rank in range(2)
        ]
        for process in processes:
            _, told = process.communicate(timeout=200)
            assert process.returncode == 0, told[-4000:]
        first, second = (json.loads((tmp_path / f"rank{r}.json").read_text()) for r in range(2))
        assert first == second
        assert first["audited"] == (6 if start == 0 else 12)
        assert first["alarms"] == 1
    lines = [json.loads(line) for line in (tmp_path / "audits.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [s for s in range(6) for _ in range(2)]


def run_rank(spec: dict[str, Any]) -> None:
    """What one process does: its half of three batches."""
    from datetime import timedelta

    from torch import distributed

    distributed.init_process_group("gloo", timeout=timedelta(seconds=60))
    rank = distributed.get_rank()
    auditor = partial(rank_group, judge="sim", base_url=spec["auditor"], progress=False)
    reward = rank_reward(
        "sim",
        base_url=spec["judge"],
        audit=Audit(auditor=auditor, share=1.0, on_alarm="escalate"),
        audit_out=Path(spec["folder"]) / "audits.jsonl",
    )
    for step in range(spec["start"], spec["start"] + 3):
        prompts, completions = batch_of(step)
        half = slice(rank * GROUP, (rank + 1) * GROUP)
        # The first file ends under an alarm: where it is gone on from, the first batch has the auditor's rewards.
        escalated = step >= 3 if step == spec["start"] else bool(reward.audited.watch.alarm)
        rewards = asyncio.run(
            reward(
                prompts=prompts[half],
                completions=completions[half],
                log_metric=Trainer().log_metric,
                trainer_state=SimpleNamespace(global_step=step),
            )
        )
        assert rewards == pytest.approx(fair(completions[half], 1 if escalated else -1)), (step, escalated)
    found = {"audited": len(reward.audited.watch.audited), "alarms": len(reward.audited.alarms)}
    (Path(spec["folder"]) / f"rank{rank}.json").write_text(
        json.dumps({**found, **reward.audited.metrics(), "audit_calls": 0})
    )
    distributed.destroy_process_group()


if __name__ == "__main__":
    run_rank(json.loads(sys.argv[1]))
