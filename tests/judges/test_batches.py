"""Judging through a batch API, over real HTTP: right verdicts, nothing paid twice, whatever is killed or fails."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from ranker import (
    ConfigurationError,
    JudgeCallError,
    LLMJudge,
    VerdictError,
    rank_group,
    rank_group_async,
    rank_groups,
)
from ranker.cli.rank import batch_judge, store_of
from ranker.jsonl.shards import plan_of
from ranker.judges import batch as batches
from ranker.judges import batch_run
from ranker.judges.batch import BatchJudge
from ranker.judges.batch_store import BatchStore
from tests.batch_server import BatchJudgeServer
from tests.cli.test_cli import ranker, records, write
from tests.conftest import make_groups, ranking, truthful


@pytest.fixture
def serve_batches() -> Iterator:
    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(BatchJudgeServer(*args, **kwargs))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(batch_run, "_POLL", (0.05, 0.2))
    monkeypatch.setattr(batches, "QUIET", 0.3)


def ranked(groups, judge, **options):
    return list(rank_groups(groups, judge, progress=False, concurrency=100, **options))


def judge_of(server, tmp_path, **options) -> BatchJudge:
    return BatchJudge("sim", base_url=server.base_url, store=tmp_path / "store", **options)


def test_groups_are_ranked_in_one_batch(serve_batches, tmp_path):
    groups = make_groups(12)
    server = serve_batches(groups)
    results = ranked(groups, judge_of(server, tmp_path))
    assert all(truthful(g, r.rewards) for g, r in zip(groups, results, strict=True))
    assert len(server.batches) == 1
    assert server.answered == 12
    assert server.requests == 0
    assert all(r.usage.calls == 1 and r.usage.prompt_tokens > 0 for r in results)


def test_full_batches_are_sent_at_once(serve_batches, tmp_path, monkeypatch):
    groups = make_groups(10)
    server = serve_batches(groups)
    monkeypatch.setattr(batches, "MAX_REQUESTS", 4)
    ranked(groups, judge_of(server, tmp_path))
    sizes = [len(server.files[b["input_file_id"]].splitlines()) for b in server.batches.values()]
    assert sorted(sizes) == [2, 4, 4]
    monkeypatch.setattr(batches, "MAX_BYTES", 9_000)
    ranked(groups, judge_of(server, tmp_path), seed=1)
    sent = [server.files[b["input_file_id"]] for b in list(server.batches.values())[3:]]
    assert sum(len(lines.splitlines()) for lines in sent) == 10
    assert all(len(lines) <= 9_000 for lines in sent)


def test_unusable_verdicts_and_failed_requests_go_into_the_next_batch(serve_batches, tmp_path):
    groups = make_groups(12)
    server = serve_batches(
        groups, faults={"bad_json": 0.2, "missing_id": 0.1, "500": 0.05, "429": 0.05}, seed=3
    )
    results = ranked(groups, judge_of(server, tmp_path, max_reasks=20, max_retries=20))
    assert all(truthful(g, r.rewards) for g, r in zip(groups, results, strict=True))
    assert len(server.batches) > 1
    assert sum(server.counts.values()) == sum(r.usage.calls for r in results)


def test_the_same_question_after_the_same_bad_reply_is_asked_anew(serve_batches, tmp_path):
    """The judge's every reply is the same prose, so from the third on the messages are the same to the letter."""
    (group,) = make_groups(1)
    server = serve_batches([group], faults={"prose": 1.0})
    with pytest.raises(VerdictError, match="asked 5 times"):
        rank_group(group, judge_of(server, tmp_path))
    assert server.answered == 5


def test_a_refused_format_is_asked_for_otherwise(serve_batches, tmp_path):
    (group,) = make_groups(1)
    server = serve_batches([group], formats=("text",))
    assert truthful(group, rank_group(group, judge_of(server, tmp_path)).rewards)
    assert len(server.batches) == 3


def test_an_answer_that_was_lost_does_not_send_the_batch_twice(serve_batches, tmp_path):
    groups = make_groups(5)
    server = serve_batches(groups, refuses_batches=1)
    results = ranked(groups, judge_of(server, tmp_path))
    assert all(truthful(g, r.rewards) for g, r in zip(groups, results, strict=True))
    assert len(server.batches) == 1
    assert server.answered == 5


def test_what_expired_is_sent_again_and_the_rest_is_kept(serve_batches, tmp_path):
    groups = make_groups(8)
    server = serve_batches(groups, expires=1)
    results = ranked(groups, judge_of(server, tmp_path))
    assert all(truthful(g, r.rewards) for g, r in zip(groups, results, strict=True))
    assert len(server.batches) == 2
    assert server.answered == 8


def test_a_refused_batch_and_a_wrong_key_say_so(serve_batches, tmp_path):
    (group,) = make_groups(1)
    server = serve_batches([group], invalid=True)
    with pytest.raises(JudgeCallError, match=r"failed and has no reply.*line 1 is not valid"):
        rank_group(group, judge_of(server, tmp_path))
    server = serve_batches([group], api_key="right-key-0123456789")
    with pytest.raises(JudgeCallError, match="API key") as caught:
        rank_group(group, judge_of(server, tmp_path, api_key="sk-wrong-0123456789"))
    assert caught.value.status_code == 401
    assert "wrong-0123456789" not in str(caught.value)
    assert b"wrong-0123456789" not in (tmp_path / "store").read_bytes()


def test_a_group_whose_every_verdict_was_unusable_can_be_asked_anew(serve_batches, tmp_path):
    (group,) = make_groups(1)
    server = serve_batches([group], faults={"prose": 1.0})
    judge = judge_of(server, tmp_path, max_reasks=1)
    with pytest.raises(VerdictError):
        rank_group(group, judge)
    assert server.answered == 2
    server.faults = {}
    assert truthful(group, rank_group(group, judge).rewards)
    assert server.answered == 3


def test_replies_that_came_are_not_paid_for_again(serve_batches, tmp_path):
    groups = make_groups(4)
    server = serve_batches(groups)
    for _ in range(2):
        results = ranked(groups, judge_of(server, tmp_path))
        assert all(truthful(g, r.rewards) for g, r in zip(groups, results, strict=True))
    assert server.answered == 4


def test_a_batch_whose_making_was_cut_short_is_looked_for(serve_batches, tmp_path):
    """Killed between asking for the batch and noting its id: found by its mark; or never made, and made then."""
    groups = make_groups(6)
    server = serve_batches(groups)
    ranked(groups[:3], judge_of(server, tmp_path))
    store = BatchStore(tmp_path / "store")
    store._db.execute("UPDATE batches SET batch = NULL, ended = 0, owner = 'elsewhere:1', made = 0")
    store._db.execute("UPDATE requests SET reply = NULL")
    assert all(
        truthful(g, r.rewards)
        for g, r in zip(groups, ranked(groups[:3], judge_of(server, tmp_path)), strict=False)
    )
    assert server.answered == 3
    store._db.execute("UPDATE batches SET mark = 'lost', batch = NULL, ended = 0")
    store._db.execute("UPDATE requests SET mark = 'lost', reply = NULL")
    assert len(ranked(groups[:3], judge_of(server, tmp_path))) == 3
    assert server.answered == 6


def test_what_a_cancelled_event_loop_waited_for_is_waited_for_in_the_next(serve_batches, tmp_path):
    """A batch that was sent, and then a request of which none was made yet."""
    sent, queued = make_groups(2)
    server = serve_batches([sent, queued], latency=1.0)
    judge = judge_of(server, tmp_path)

    async def ranks(group, seconds):
        return await asyncio.wait_for(rank_group_async(group, judge), seconds)

    for group, seconds in ((sent, 0.8), (queued, 0.1)):
        with pytest.raises(TimeoutError):
            asyncio.run(ranks(group, seconds))
    assert len(server.batches) == 1
    for group in (sent, queued):
        assert truthful(group, asyncio.run(ranks(group, 10)).rewards)
    assert server.answered == 2


def test_callers_of_a_batch_whose_task_is_cancelled_find_it_again(serve_batches, tmp_path):
    (group,) = make_groups(1)
    server = serve_batches([group], latency=1.0)
    judge = judge_of(server, tmp_path)

    async def ranks():
        caller = asyncio.create_task(rank_group_async(group, judge))
        await asyncio.sleep(0.8)
        others = [t for t in asyncio.all_tasks() if "BatchRun.run" in repr(t)]
        assert [t.cancel() for t in others] == [True]
        return await asyncio.wait_for(caller, 10)

    assert truthful(group, asyncio.run(ranks()).rewards)
    assert server.answered == 1


def test_a_request_that_cannot_be_queued_keeps_no_later_one_waiting(serve_batches, tmp_path):
    (group,) = make_groups(1)
    judge = judge_of(serve_batches([group]), tmp_path)
    judge._batches._store._db.execute("ALTER TABLE requests RENAME COLUMN mark TO other")

    async def ranks():
        return await asyncio.wait_for(judge._batches._await_reply("key", {}), 5)

    for _ in range(2):
        with pytest.raises(ConfigurationError, match="cannot be used"):
            asyncio.run(ranks())


def test_half_of_the_price(monkeypatch, tmp_path):
    whole = LLMJudge("openai/gpt-4o-mini").price
    half = BatchJudge("openai/gpt-4o-mini", store=tmp_path / "s").price
    assert half == (whole[0] / 2, whole[1] / 2)


def test_models_without_a_batch_api(tmp_path):
    for model in ("local", "local:smollm2", "judge.json"):
        with pytest.raises(ConfigurationError, match="behind an API"):
            batch_judge(model, "rank", None, tmp_path / "s", {})
    with pytest.raises(ConfigurationError, match="no batch API"):
        BatchJudge("ollama/llama3", store=tmp_path / "s")
    with pytest.raises(ConfigurationError, match="--batch needs --out"):
        store_of(plan_of(["g.jsonl"], None), None)
    assert store_of(plan_of(["g.jsonl"], tmp_path / "o"), tmp_path / "o") == tmp_path / "o.batches"
    (tmp_path / "garbage").write_bytes(b"no database" * 1000)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        BatchJudge("openai/gpt-4o-mini", store=tmp_path / "garbage")


def test_killed_while_it_waits_the_command_goes_on_and_pays_once(serve_batches, tmp_path):
    groups = make_groups(9)
    server = serve_batches(groups, latency=5.0)
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "out.jsonl"
    args = ranking(source, server, out, "--batch", "-q")
    process = subprocess.Popen([sys.executable, "-m", "ranker", *args])
    while not server.batches:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert out.read_bytes() == b""
    server.latency = 0.0
    done = ranker(*args)
    assert done.returncode == 0, done.stderr
    by_id = {r["id"]: r for r in records(out)}
    assert all(truthful(g, list(by_id[g.id]["rewards"].values())) for g in groups)
    assert len(server.batches) == 1
    assert server.answered == 9
