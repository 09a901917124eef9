"""One limit over many processes: never overrun, and never stuck on one that was killed."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from ranker import BudgetExceeded, ConfigurationError
from ranker.runtime import shared_budget as module
from ranker.runtime.shared_budget import SharedBudget
from ranker.runtime.transaction import transaction
from tests.cli.test_cli import records, write
from tests.conftest import make_groups, ranking

WORKER = """
import asyncio, random, sys
from ranker.errors import BudgetExceeded
from ranker.runtime.shared_budget import SharedBudget

async def main():
    budget = SharedBudget(sys.argv[1], **eval(sys.argv[2]))
    sent = 0
    async def call():
        nonlocal sent
        while True:
            async with budget.reserve(0.02) as held:
                sent += 1
                await asyncio.sleep(random.random() * 0.01)
                held.cost_usd = 0.005
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(8): group.create_task(call())
    except* BudgetExceeded:
        print(sent, budget.calls, budget.cost_usd)
asyncio.run(main())
"""

HOLDER = """
import asyncio, sys
from ranker.runtime.shared_budget import SharedBudget
async def main():
    async with SharedBudget(sys.argv[1], max_cost_usd=1.0).reserve(0.7):
        print("held", flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.mark.parametrize("limit", [{"max_calls": 150}, {"max_cost_usd": 0.5}])
def test_four_processes_never_overrun_it_and_come_close(tmp_path, limit):
    path = tmp_path / "budget"
    command = [sys.executable, "-c", WORKER, str(path), repr(limit)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    reports = [p.communicate(timeout=120)[0].split() for p in running]
    assert all(p.returncode == 0 for p in running)
    assert all(sent == calls for sent, calls, _ in reports)
    calls = sum(int(sent) for sent, _, _ in reports)
    now = SharedBudget(path, **limit).spending()
    assert now.calls == calls
    if "max_calls" in limit:
        assert calls == 150
    else:
        assert 0.5 - 0.02 < now.cost_usd + now.lost_usd + now.held_usd <= 0.5 + 1e-9
        assert calls >= (0.5 - 0.02) / 0.02


async def test_what_a_killed_process_held_counts_as_spent_and_nobody_waits_for_it(tmp_path, monkeypatch):
    path = tmp_path / "budget"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    budget = SharedBudget(path, max_cost_usd=1.0)
    async with budget.reserve(0.2):  # there is room beside it
        pass
    waiting = asyncio.create_task(_one(budget, 0.4))
    await asyncio.sleep(0.5)
    assert not waiting.done()  # it may still settle
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    monkeypatch.setattr(module, "GONE", 0.2)
    with pytest.raises(BudgetExceeded, match=r"\$0.7000 of it held by processes that are gone"):
        await waiting
    now = budget.spending()
    assert (now.held_usd, now.waiting, now.calls) == (0.0, False, 2)
    assert now.lost_usd == pytest.approx(0.7)
    async with SharedBudget(path, max_cost_usd=2.0).reserve(0.4):  # a higher limit goes on
        pass


async def test_a_dead_holder_whose_clock_is_ahead_is_not_waited_for_without_end(tmp_path, monkeypatch):
    """A live one, whose heartbeat moves, is."""
    path = tmp_path / "budget"
    budget = SharedBudget(path, max_cost_usd=1.0)
    budget._db.execute("INSERT INTO held (holder, cost) VALUES ('dead:1:1', 0.9)")
    beat = time.time() + 86_400
    budget._db.execute("INSERT INTO holders VALUES ('dead:1:1', ?)", (beat,))
    monkeypatch.setattr(module, "GONE", 2.0)
    waiting = asyncio.create_task(_one(budget, 0.4))
    for step in range(8):
        await asyncio.sleep(0.3)
        assert not waiting.done()
        budget._db.execute("UPDATE holders SET beat = ? WHERE holder = 'dead:1:1'", (beat + step,))
    started = time.monotonic()
    with pytest.raises(BudgetExceeded, match=r"\$0.9000 of it held by processes that are gone"):
        await waiting
    assert time.monotonic() - started < 20


async def test_a_locked_file_holds_up_the_call_and_not_the_event_loop(tmp_path):
    path = tmp_path / "budget"
    budget = SharedBudget(path, max_cost_usd=1.0)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    calls = [asyncio.create_task(_one(budget, 0.1)) for _ in range(3)]
    longest, at = 0.0, time.monotonic()
    for _ in range(40):
        await asyncio.sleep(0.02)
        longest, at = max(longest, time.monotonic() - at), time.monotonic()
    assert not any(call.done() for call in calls)
    other.execute("COMMIT")
    other.close()
    await asyncio.gather(*calls)
    assert longest < 1.0  # 0.05, and what a machine at work adds
    assert budget.spending().calls == 3


async def test_a_reply_that_is_paid_for_is_kept_where_its_cost_cannot_be_written(tmp_path):
    path = tmp_path / "budget"
    budget = SharedBudget(path, max_cost_usd=1.0)

    async def call() -> str:
        async with budget.reserve(0.1) as held:
            path.rename(tmp_path / "elsewhere")
            held.cost_usd = 0.05
            return "a reply"

    assert await call() == "a reply"
    with pytest.raises(BudgetExceeded, match="Nothing more is sent"):
        await _one(budget, 0.1)
    (tmp_path / "elsewhere").rename(path)
    assert SharedBudget(path, max_cost_usd=1.0).spending().held_usd == 0.1  # what is not known counts in full


def test_a_transaction_that_cannot_be_committed_keeps_nobody_out(tmp_path):
    first, second = (
        sqlite3.connect(tmp_path / "f", timeout=0.1, isolation_level=None, check_same_thread=False)
        for _ in range(2)
    )
    first.execute("CREATE TABLE t (x)")
    first.executemany("INSERT INTO t VALUES (?)", [(i,) for i in range(3)])
    reading = second.execute("SELECT x FROM t")
    reading.fetchone()  # a reader in the middle keeps a writer from committing
    with pytest.raises(sqlite3.OperationalError, match="locked"), transaction(first):
        first.execute("INSERT INTO t VALUES (9)")
    reading.close()
    with transaction(second):
        second.execute("INSERT INTO t VALUES (3)")
    assert [x for (x,) in first.execute("SELECT x FROM t ORDER BY x")] == [0, 1, 2, 3]


async def _one(budget: SharedBudget, estimate: float) -> None:
    async with budget.reserve(estimate):
        pass


async def test_a_long_call_gives_signs_of_life_and_its_end_frees_the_rest(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BEAT", 0.05)
    path = tmp_path / "budget"
    first, second = SharedBudget(path, max_cost_usd=1.0), SharedBudget(path, max_cost_usd=1.0)

    def beat() -> float:
        return second._db.execute("SELECT max(beat) FROM holders").fetchone()[0]

    async with first.reserve(0.9) as held:
        waiting = asyncio.create_task(_one(second, 0.9))
        for _ in range(3):
            before = beat()
            while beat() == before:
                await asyncio.sleep(0.02)
        assert not waiting.done()
        held.cost_usd = 0.1
    await waiting
    assert second.spending().held_usd == 0.0


async def test_limits_and_files_that_cannot_work(tmp_path):
    with pytest.raises(ConfigurationError, match="needs a limit"):
        SharedBudget(tmp_path / "b")
    (tmp_path / "garbage").write_bytes(b"no database" * 1000)
    for path in (tmp_path / "garbage", tmp_path, tmp_path / "no" / "b"):
        with pytest.raises(ConfigurationError, match="cannot be used"):
            SharedBudget(path, max_calls=1)
    with pytest.raises(ConfigurationError, match="price"):
        await _one(SharedBudget(tmp_path / "b", max_cost_usd=1.0), None)


def test_two_runs_of_the_command_stop_together(serve, tmp_path):
    groups = make_groups(60)
    server = serve(groups, latency=0.05)
    (tmp_path / "in").mkdir()
    for s in range(6):
        write(tmp_path / "in" / f"{s}.jsonl", groups[10 * s : 10 * s + 10])
    out = tmp_path / "out"
    limited = ["--concurrency", 2, "-q", "--on-error", "skip", "--budget", tmp_path / "budget", "--max-calls"]
    command = [sys.executable, "-m", "ranker", *ranking(tmp_path / "in", server, out, *limited)]
    running = [subprocess.Popen([*command, "33"], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [p.communicate(timeout=120)[1] for p in running]
    assert [p.returncode for p in running] == [1, 1]
    assert all("max_calls=33" in text for text in errors)
    assert server.requests == 33
    assert sum(len(records(p)) for p in out.glob("*.jsonl")) == 33
    done = subprocess.run([*command, "60"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sum(len(records(p)) for p in out.glob("*.jsonl")) == server.requests == 60
