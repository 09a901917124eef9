"""A reward function with an auditor beside it: what is found, what follows an alarm, what failures cost."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import random
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ranker import (
    Audit,
    AuditedReward,
    Budget,
    ConfigurationError,
    JudgeAlarm,
    JudgeError,
    RankedGroup,
    Trajectory,
    TrajectoryGroup,
    rank_group,
    rank_group_async,
)
from ranker.testing import Behaviour
from ranker.watch.records import lot
from ranker.watch.trail import Trail
from ranker.watch.watch import Watch


def group_of(number: int, size: int = 4, truths: bool = False) -> TrajectoryGroup:
    """Attempts whose worth is the number that they say, and the longer the less it is."""
    rng = random.Random(number)
    worths = rng.sample(range(10), size)
    task = {"role": "user", "content": f"Task {'abcdefghij'[number % 10]} {'x' * (number // 10)}"}
    return TrajectoryGroup(
        [
            Trajectory(
                [task, {"role": "assistant", "content": f"{w} " + "more " * (9 - w)}],
                ground_truth=w / 10 if truths else None,
            )
            for w in worths
        ]
    )


def number_of(group: TrajectoryGroup) -> int:
    letter, crosses = group.trajectories[0].messages[0]["content"].split(" ")[1:]
    return "abcdefghij".index(letter) + 10 * len(crosses)


def worth(text: str) -> float:
    return float(next(c for c in text if c.isdigit()))


def values(group: TrajectoryGroup) -> list[float]:
    """What attempts are worth, as a function may return it."""
    return [worth(t.messages[-1]["content"]) / 10 for t in group.trajectories]


def reversed_values(group: TrajectoryGroup) -> list[float]:
    return [1 - v for v in values(group)]


def judge_at(server: Any, **more: Any) -> Any:
    return partial(rank_group_async, judge="sim", base_url=server.base_url, **more)


def order(rewards: Sequence[Any]) -> list[int]:
    return sorted(range(len(rewards)), key=lambda i: rewards[i])


def run(reward: AuditedReward, numbers: Sequence[int]) -> list[Any]:
    """One group after the other."""

    async def each() -> list[Any]:
        return [await reward(group_of(n)) for n in numbers]

    return asyncio.run(each())


def test_a_right_judge_is_found_right_and_its_rewards_pass_through(serve):
    judge, auditor = serve(worth), serve(worth)
    reward = AuditedReward(judge_at(judge), Audit(auditor=judge_at(auditor), share=1.0))
    results = run(reward, range(24))
    assert all(isinstance(r, RankedGroup) and r.judge.startswith("sim") for r in results)
    assert all(
        order(r.rewards) == order(values(group_of(n))) for n, r in zip(range(24), results, strict=True)
    )
    metrics = reward.metrics()
    assert metrics["judge_agreement"] == metrics["judge_agreement_since_start"] == 1.0
    assert 0.7 < metrics["judge_agreement_since_start_low"] < 1.0
    assert metrics["audited_groups"] == metrics["audit_calls"] == auditor.requests == 24
    assert metrics["audits_failed"] == metrics["judge_alarm"] == 0
    assert metrics["audit_cost_usd"] is None  # nobody knows the price of `sim`
    assert reward.alarms == []


def test_a_vice_of_the_judge_raises_an_alarm_that_is_logged_once(serve, caplog):
    judge, auditor = serve(worth, Behaviour(length_bias=30.0)), serve(worth)
    reward = AuditedReward(judge_at(judge), Audit(auditor=judge_at(auditor), share=1.0))
    results = run(reward, range(20))
    assert order(results[-1].rewards) == order(values(group_of(19)))[::-1]
    (alarm,) = reward.alarms
    assert reward.watch.alarm == alarm
    assert alarm.agreement.value == 0.0
    assert alarm.bound == 0.6
    assert (alarm.began, alarm.step) == (1, reward.watch.alarms[0].step)
    assert reward.metrics()["judge_alarm"] == 1.0
    told = [r.getMessage() for r in caplog.records if "Judge alarm" in r.getMessage()]
    assert len(told) == 1
    assert "0.00 of what the auditor tells apart (95 % interval 0.00 to" in told[0]
    assert "since step 1 (20" in told[0]
    assert "the bound is 0.60" in told[0]


def test_stop_raises_from_then_on_and_nobody_is_asked_any_more(serve):
    judge, auditor = serve(lambda text: -worth(text)), serve(worth)
    reward = AuditedReward(judge_at(judge), Audit(auditor=judge_at(auditor), share=1.0, on_alarm="stop"))
    reward.step = 30
    with pytest.raises(JudgeAlarm) as caught:
        run(reward, range(20))
    assert caught.value.fatal
    for words in (
        "0.00 of what the auditor",
        "95 % interval",
        "since step 30 (20",
        "checkpoint",
        "stronger judge",
    ):
        assert words in str(caught.value)
    asked = judge.requests, auditor.requests
    assert asked[0] == asked[1] == len(reward.watch.audited) < 20
    with pytest.raises(JudgeAlarm):
        run(reward, [99])
    assert (judge.requests, auditor.requests) == asked
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, JudgeAlarm)
    assert str(again) == str(caught.value)


def test_escalate_takes_the_auditors_rewards_until_the_judge_is_right_again(serve, caplog):
    caplog.set_level(logging.WARNING, "ranker")
    honest = threading.Event()
    judge = serve(lambda text: worth(text) if honest.is_set() else -worth(text))
    auditor = serve(worth)
    reward = AuditedReward(judge_at(judge), Audit(auditor=judge_at(auditor), share=0.5, on_alarm="escalate"))
    results = run(reward, range(40))
    begun = reward.alarms[0].step
    for number, ranked in zip(range(40), results, strict=True):
        right = order(values(group_of(number)))
        assert order(ranked.rewards) == (right if number >= begun else right[::-1])
    assert results[-1].ranking == [[i] for i in order(values(group_of(39)))[::-1]]
    assert all(reason.startswith("quality") for reason in results[-1].reasons)
    audited_before = sum(a.step <= begun for a in reward.watch.audited)
    assert audited_before < begun
    assert len(reward.watch.audited) - audited_before == 40 - begun  # all of them
    honest.set()
    asked = auditor.requests
    run(reward, range(100, 180))
    assert reward.watch.alarm is None
    assert auditor.requests - asked < 70  # half of them again
    assert "agrees with its auditor again" in caplog.text


def test_audited_groups_get_the_auditors_rewards_where_one_trains_on_audits():
    def auditor(group: TrajectoryGroup) -> list[float | None]:
        found: list[float | None] = list(values(group))
        asked.append(found)
        if len(asked) == 3:
            raise RuntimeError("gone")
        return [None, *found[1:]] if len(asked) == 5 else found

    asked: list[Any] = []
    reward = AuditedReward(reversed_values, Audit(auditor=auditor, share=0.5, train_on_audits=True))
    trained = [run(reward, [number])[0] for number in range(30)]
    right = [t == pytest.approx(values(group_of(n))) for n, t in enumerate(trained)]
    kept = [t == reversed_values(group_of(n)) for n, t in enumerate(trained)]
    assert sum(right) == len(asked) - 2
    assert sum(kept) == 30 - sum(right)
    assert reward.metrics()["judge_agreement_since_start"] == 0.0


@pytest.mark.parametrize(
    ("shaped", "kind"),
    [(list, list), (tuple, tuple), (np.asarray, np.ndarray)],
    ids=["list", "tuple", "array"],
)
def test_the_form_of_the_rewards_stays_under_an_alarm(shaped, kind):
    reward = AuditedReward(
        lambda group: shaped(reversed_values(group)),
        Audit(auditor=values, share=1.0, on_alarm="escalate"),
    )
    results = run(reward, range(30))
    assert all(type(r) is kind for r in results)
    assert list(results[0]) == reversed_values(group_of(0))
    assert list(results[-1]) == pytest.approx(values(group_of(29)))


def test_a_group_that_the_auditor_fails_on_has_no_rewards_under_an_alarm():
    dead = threading.Event()

    def auditor(group: TrajectoryGroup) -> list[float]:
        if dead.is_set():
            raise RuntimeError("gone")
        return values(group)

    reward = AuditedReward(reversed_values, Audit(auditor=auditor, share=1.0, on_alarm="escalate"))
    run(reward, range(20))
    assert reward.watch.alarm is not None
    dead.set()
    with pytest.raises(JudgeError, match="the auditor failed: RuntimeError: gone"):
        run(reward, [50])
    assert reward.metrics()["audits_failed"] == 1
    dead.clear()
    assert run(reward, [51]) == [values(group_of(51))]


def test_a_share_of_the_groups_is_audited_the_same_ones_everywhere():
    def audited(share: float, seed: int = 0) -> set[int]:
        seen: set[int] = set()

        def auditor(group: TrajectoryGroup) -> list[float]:
            seen.add(number_of(group))
            return values(group)

        run(AuditedReward(values, Audit(auditor=auditor, share=share), seed=seed), range(400))
        return seen

    quarter, half = audited(0.25), audited(0.5)
    assert 75 <= len(quarter) <= 125
    assert 165 <= len(half) <= 235
    assert quarter < half
    assert audited(0.25) == quarter
    assert audited(0.25, seed=1) != quarter
    elsewhere = subprocess.run(
        [sys.executable, "-c", textwrap.dedent("""
            from ranker.watch.records import digest_of, lot
            from tests.watch.test_audited_reward import group_of
            print([n for n in range(400) if lot(0, digest_of(group_of(n))) < 0.25])
        """)],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert elsewhere.stdout.strip() == str(sorted(quarter))


def test_lots_are_even():
    lots = np.sort([lot(3, str(n)) for n in range(4000)])
    assert np.abs(lots - (np.arange(4000) + 0.5) / 4000).max() < 1.36 / 4000**0.5


def closed_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"


async def exits(group: TrajectoryGroup) -> list[float]:
    sys.exit(3)


async def waits_for_what_was_cancelled(group: TrajectoryGroup) -> list[float]:
    inner = asyncio.ensure_future(asyncio.sleep(60))
    inner.cancel()
    await inner
    return values(group)


@pytest.mark.parametrize(
    "fault", ["dead", "slow", "poor", "refused", "raises", "ends", "exits", "stops", "wrong"]
)
def test_an_auditor_that_fails_is_counted_and_the_rewards_are_none_the_worse(serve, caplog, fault):
    judge = serve(worth)
    behind = serve(worth, latency=2.0 if fault == "slow" else 0.0, api_key="sk-right-000000")
    ask = partial(
        rank_group_async, judge="sim", base_url=behind.base_url, api_key="sk-right-000000", max_retries=0
    )
    auditors: dict[str, Any] = {
        "dead": partial(ask, base_url=closed_port()),
        "slow": ask,
        "poor": partial(ask, passes=2, budget=Budget(max_calls=4)),
        "refused": partial(ask, api_key="sk-wrong-111111"),
        "raises": lambda group: 1 / 0,
        "ends": lambda group: sys.exit(3),
        "exits": exits,
        "stops": waits_for_what_was_cancelled,
        "wrong": lambda group: [1.0],
    }
    audit = Audit(
        auditor=auditors[fault], share=1.0, on_alarm="stop", timeout=0.3 if fault == "slow" else 60.0
    )
    reward = AuditedReward(judge_at(judge), audit)
    results = run(reward, range(6))
    assert [order(r.rewards) for r in results] == [order(values(group_of(n))) for n in range(6)]
    metrics = reward.metrics()
    found = 2 if fault == "poor" else 0
    assert metrics["audits_failed"] == 6 - found
    assert metrics["audited_groups"] == found
    assert metrics["judge_alarm"] == 0
    if fault == "poor":
        assert metrics["audit_calls"] == behind.requests == 4
    assert caplog.text.count("An audit failed") == 1
    assert "sk-wrong" not in caplog.text


def test_auditor_and_judge_are_asked_at_the_same_time():
    asked = {"judge": asyncio.Event(), "auditor": asyncio.Event()}

    def waits(own: str, other: str) -> Any:
        async def answer(group: TrajectoryGroup) -> list[float]:
            asked[own].set()
            await asyncio.wait_for(asked[other].wait(), 30)
            return values(group)

        return answer

    reward = AuditedReward(waits("judge", "auditor"), Audit(auditor=waits("auditor", "judge"), share=1.0))
    assert run(reward, [1]) == [values(group_of(1))]
    assert reward.metrics()["audited_groups"] == 1


def test_the_watch_does_not_depend_on_who_answers_first():
    def reward(delays: random.Random | None) -> AuditedReward:
        async def judge(group: TrajectoryGroup) -> list[float]:
            if delays is not None:
                await asyncio.sleep(delays.random() / 50)
            return values(group) if lot(9, str(values(group))) < 0.35 else reversed_values(group)

        async def auditor(group: TrajectoryGroup) -> list[float]:
            if delays is not None:
                await asyncio.sleep(delays.random() / 50)
            return values(group)

        return AuditedReward(judge, Audit(auditor=auditor, share=0.6, min_agreement=0.7))

    async def at_once(audited: AuditedReward) -> None:
        await asyncio.gather(*(audited(group_of(n)) for n in range(80)))

    one_by_one = reward(None)
    run(one_by_one, range(80))
    for seed in range(3):
        mixed = reward(random.Random(seed))
        asyncio.run(at_once(mixed))
        assert mixed.watch.audited == one_by_one.watch.audited
        assert mixed.alarms == one_by_one.alarms
    assert one_by_one.alarms


def test_threads_may_share_it():
    reward = AuditedReward(values, Audit(auditor=values, share=0.5))
    threads = [
        threading.Thread(target=lambda k=k: [reward.run(group_of(n)) for n in range(k, 200, 8)])
        for k in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    alone = AuditedReward(values, Audit(auditor=values, share=0.5))
    run(alone, range(200))
    assert reward.metrics() == alone.metrics()
    assert sorted(a.group for a in reward.watch.audited) == list(range(len(alone.watch.audited)))


def test_a_checker_is_the_ground_truth_of_the_attempts(serve):
    judge = serve(worth)
    reward = AuditedReward(judge_at(judge), Audit(auditor="checker", share=1.0))
    for n in range(5):
        reward.run(group_of(n, truths=True))
    reward.run(group_of(9))
    metrics = reward.metrics()
    assert (metrics["audited_groups"], metrics["audits_failed"], metrics["judge_agreement"]) == (5, 1, 1.0)


def test_a_judge_that_fails_fails_as_before_and_the_next_group_goes_on(serve):
    judge, auditor = serve(worth, faults={"prose": 0.4}, seed=3), serve(worth)
    reward = AuditedReward(judge_at(judge, max_reasks=0), Audit(auditor=judge_at(auditor), share=1.0))
    failed = 0
    for n in range(20):
        try:
            reward.run(group_of(n))
        except JudgeError:
            failed += 1
    assert 0 < failed == judge.counts["prose"] < 20
    metrics = reward.metrics()
    assert metrics["audited_groups"] == 20 - failed
    assert metrics["audits_failed"] == 0
    assert metrics["audit_calls"] == 20


def test_a_call_that_is_cancelled_holds_nothing_up():
    stuck = asyncio.Event()

    async def judge(group: TrajectoryGroup) -> list[float]:
        if group == group_of(0):
            await stuck.wait()
        return values(group)

    reward = AuditedReward(judge, Audit(auditor=values, share=1.0))

    async def work() -> None:
        first = asyncio.create_task(reward(group_of(0)))
        await asyncio.sleep(0.01)
        await reward(group_of(1))
        assert reward.metrics()["audited_groups"] == 0  # the first comes first
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await reward(group_of(2))

    asyncio.run(work())
    assert reward.metrics()["audited_groups"] == 2


def test_settings_that_cannot_work_are_told_at_once(tmp_path):
    with pytest.raises(ConfigurationError, match="stronger judge"):
        AuditedReward(values, Audit(auditor="people"))
    with pytest.raises(ConfigurationError, match='take "warn"'):
        AuditedReward(values, Audit(auditor=values, on_alarm="retune"))
    for lifts in (Audit(auditor=None, lift_share=0.3), Audit(auditor=values, lift_share=0.3)):
        with pytest.raises(ConfigurationError, match=r"GRPOTrainer\(audit=.*name an auditor"):
            AuditedReward(values, lifts)
    foreign = tmp_path / "mine.jsonl"
    foreign.write_text('{"id": "a", "note": 1}\n')
    with pytest.raises(ConfigurationError, match="is no audit of a judge"):
        AuditedReward(values, Audit(auditor=values), out=foreign).metrics()
    foreign.write_text('{"id": "a", "agreement": 1, "weight": "much"}\n')
    with pytest.raises(ConfigurationError, match="line 1, is no audit"):
        AuditedReward(values, Audit(auditor=values), out=foreign).metrics()
    assert "much" in foreign.read_text()


def test_a_run_that_is_killed_in_the_middle_of_a_write_goes_on(tmp_path):
    out = tmp_path / "audits.jsonl"
    whole = AuditedReward(reversed_values, Audit(auditor=values, share=0.5), out=tmp_path / "whole.jsonl")
    run(whole, range(30))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent("""
            import os, signal, sys
            from ranker import Audit, AuditedReward
            from tests.watch.test_audited_reward import group_of, reversed_values, run, values

            lines = 0
            write = os.write
            def cut_off(file, data):
                global lines
                lines += b'"agreement"' in data
                if lines == 5:
                    write(file, data[:70])
                    os.kill(os.getpid(), signal.SIGKILL)
                return write(file, data)
            os.write = cut_off
            run(AuditedReward(reversed_values, Audit(auditor=values, share=0.5), out=sys.argv[1]), range(30))
        """), str(out)],
        check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    assert not out.read_bytes().endswith(b"\n")
    asked: list[TrajectoryGroup] = []

    def auditor(group: TrajectoryGroup) -> list[float]:
        asked.append(group)
        return values(group)

    auditor.__name__ = "values"
    resumed = AuditedReward(reversed_values, Audit(auditor=auditor, share=0.5), out=out)
    assert len(resumed.watch.audited) == 4
    assert resumed.watch.audited == whole.watch.audited[:4]
    run(
        resumed, range(30)
    )  # from a checkpoint before the first: what the file holds is not asked again, nor counted twice
    assert [(a.agreement, a.weight) for a in resumed.watch.audited] == [
        (a.agreement, a.weight) for a in whole.watch.audited
    ]
    assert len(asked) == len(whole.watch.audited) - 4
    assert len(resumed.alarms) == len(whole.alarms) == 1
    lines = [line for line in out.read_text().splitlines() if line]
    assert len(lines) == len(whole.watch.audited)


def test_an_alarm_outlives_a_restart(tmp_path, caplog):
    out = tmp_path / "audits.jsonl"
    with pytest.raises(JudgeAlarm) as first:
        run(
            AuditedReward(reversed_values, Audit(auditor=values, share=1.0, on_alarm="stop"), out=out),
            range(20),
        )
    with pytest.raises(JudgeAlarm) as again:
        run(
            AuditedReward(reversed_values, Audit(auditor=values, share=1.0, on_alarm="stop"), out=out),
            [99],
        )
    assert str(first.value) == str(again.value)
    escalated = AuditedReward(
        reversed_values, Audit(auditor=values, share=0.01, on_alarm="escalate"), out=out
    )
    assert run(escalated, [99]) == [values(group_of(99))]


def test_a_file_is_of_one_auditor_and_of_one_process(tmp_path):
    out = tmp_path / "audits.jsonl"
    first = AuditedReward(values, Audit(auditor=values, share=1.0), out=out)
    run(first, range(3))
    with pytest.raises(ConfigurationError, match="Another process"):
        run(AuditedReward(values, Audit(auditor=values, share=1.0), out=out), [5])
    first.close()
    with pytest.raises(ConfigurationError, match="audits by values, and the auditor is reversed_values"):
        run(AuditedReward(values, Audit(auditor=reversed_values, share=1.0), out=out), [5])


def test_a_copy_goes_on_from_the_file(tmp_path):
    reward = AuditedReward(values, Audit(auditor=values, share=1.0), out=tmp_path / "audits.jsonl")
    run(reward, range(3))
    reward.close()
    copy = pickle.loads(pickle.dumps(reward))
    run(copy, range(3, 6))
    assert [a.step for a in copy.watch.audited] == [1, 2, 3, 4, 5, 6]


def test_a_good_judge_raises_no_alarm_in_300_runs():
    """Agreement above the bound, noisy; the bound allows an alarm in 5 % of the runs of a judge that stands at it."""
    rng = np.random.default_rng(4)
    alarms = 0
    for _ in range(300):
        trail = Trail(Audit(auditor=values, max_drop=1.0))
        for step in range(40):
            trail.take(
                [
                    {
                        "step": step,
                        "agreement": float(rng.beta(6, 1.5)),  # 0.8 on average
                        "weight": 1.0,
                        "spread": 1.0,
                        "time": "",
                        "usage": {},
                    }
                ]
            )
        alarms += len(trail.watch.alarms)
    assert alarms == 0


def test_the_watch_is_that_of_its_audits():
    reward = AuditedReward(reversed_values, Audit(auditor=values, share=1.0))
    run(reward, range(12))
    watch = Watch(0.6, 0.25)
    for audited in reward.watch.audited:
        watch.add(audited.step, [audited])
    assert watch == reward.watch


def test_an_asynchronous_auditor_and_a_plain_rank_group_both_work(serve, tmp_path: Path):
    judge, auditor = serve(worth), serve(worth)
    plain = partial(rank_group, judge="sim", base_url=auditor.base_url, progress=False)
    reward = AuditedReward(
        partial(rank_group, judge="sim", base_url=judge.base_url), Audit(auditor=plain, share=1.0)
    )
    assert order(reward.run(group_of(3)).rewards) == order(values(group_of(3)))
    assert run(reward, [4])[0].usage.calls == 1
    assert reward.metrics()["audit_calls"] == 2
