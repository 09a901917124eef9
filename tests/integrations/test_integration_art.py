"""The drop-in for ART's RULER, in the installed ART."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ranker import Audit
from ranker.errors import (
    BudgetExceeded,
    ConfigurationError,
    GroupError,
    JudgeAlarm,
    JudgeCallError,
    JudgeError,
)

pytest.importorskip("art.rewards")  # there is another package of the name `art`

import art
from art.metrics import MetricsBuilder
from art.rewards import ruler_score_group as rulers

try:
    from art.trajectories import LegacyHistory as History
except ImportError:  # up to 0.5.18
    from art.trajectories import History
from aiohttp import web
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessage
from openai.types.chat.chat_completion import Choice

from ranker.integrations.art import after_each, ruler_score_group


def worth(text: str) -> float:
    """A judge's opinion of an attempt: the last number it names. It refuses what is poisoned."""
    if "poison" in text:
        raise KeyError("poison")
    return float(re.findall(r"worth (\d+)", text)[-1])


def choice(content: str | None, **more) -> Choice:
    message = ChatCompletionMessage(role="assistant", content=content, **more)
    return Choice(finish_reason="stop", index=0, message=message, logprobs=None)


def trajectory(text: str, **more) -> art.Trajectory:
    messages = [{"role": "user", "content": "Write a word."}, choice(text)]
    return art.Trajectory(messages_and_choices=messages, **more)


def group(*values: int, word: str = "plain") -> art.TrajectoryGroup:
    return art.TrajectoryGroup(
        [trajectory(f"A {word} word worth {value}.", reward=float(i)) for i, value in enumerate(values)],
        metadata={"scenario": word},
        exceptions=[RuntimeError("a rollout that broke")],
    )


records = pytest.mark.skipif(not hasattr(art, "trajectory"), reason="ART records no exchanges up to 0.5.18")


class Policy:
    """A server of OpenAI's API that says the given messages in turn."""

    def __init__(self, *messages: dict):
        self.messages = list(messages)

    async def __aenter__(self) -> Policy:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._complete)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        base_url = f"http://127.0.0.1:{self.runner.addresses[0][1]}/v1"
        self.client = AsyncOpenAI(base_url=base_url, api_key="sk-of-the-policy-000000")
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.client.close()
        await self.runner.cleanup()

    async def ask(self, messages: list, **more) -> None:
        await self.client.chat.completions.create(model="policy", messages=messages, **more)

    async def _chat(self, request: web.Request) -> web.Response:
        message = {"role": "assistant", **self.messages.pop(0)}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return web.json_response(
            {"id": "c", "object": "chat.completion", "created": 0, "model": "policy", "choices": [choice]}
        )

    async def _complete(self, request: web.Request) -> web.Response:
        choice = {"index": 0, "finish_reason": "stop", "text": self.messages.pop(0)["content"]}
        return web.json_response(
            {"id": "c", "object": "text_completion", "created": 0, "model": "policy", "choices": [choice]}
        )


def test_the_signature_is_rulers():
    theirs, ours = inspect.signature(rulers), inspect.signature(ruler_score_group)
    names = list(theirs.parameters)
    assert list(ours.parameters)[: len(names)] == names
    for name in names:
        assert ours.parameters[name].kind == theirs.parameters[name].kind
        if name != "rubric":  # Ranker has its own
            assert ours.parameters[name].default == theirs.parameters[name].default


async def test_rewards_are_ranks_and_the_group_given_is_left_alone(serve):
    server = serve(worth)
    original = group(3, 1, 2)
    original.trajectories[1].initial_policy_version = 7
    before = original.model_copy(deep=True)
    scored = await ruler_score_group(original, "openai/sim", {"api_base": server.base_url})
    assert isinstance(scored, art.TrajectoryGroup)
    assert [t.reward for t in scored] == [1.0, 0.0, 0.5]
    assert [t.metrics["ruler_score"] for t in scored] == [1.0, 0.0, 0.5]
    assert [t.metrics["independent_reward"] for t in scored] == [0.0, 1.0, 2.0]
    assert [t.logs for t in scored] == [[f"RULER explanation: quality {q}.000"] for q in (3, 1, 2)]
    assert scored.trajectories[1].initial_policy_version == 7
    assert scored.metadata == {"scenario": "plain"}
    assert [e.message for e in scored.exceptions] == ["a rollout that broke"]
    assert original.model_dump() == before.model_dump()
    scored.trajectories[0].metrics["mine"] = 1.0
    scored.trajectories[0].logs.append("mine")
    assert original.model_dump() == before.model_dump()


async def test_litellms_headers_bodies_and_prefixes_reach_a_server_as_litellm_sends_them():
    seen = []

    async def refuse(request: web.Request) -> web.Response:
        seen.append((request.headers, await request.json()))
        return web.json_response({"error": {"message": "boom"}}, status=400)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    params = {
        "api_base": f"http://127.0.0.1:{runner.addresses[0][1]}/v1",
        "api_key": None,
        "extra_headers": {"x-gateway-key": "gw-secret-1234567"},
        "extra_body": {"chat_template_kwargs": {"enable_thinking": False}},
        "top_p": 0.5,
    }
    names = {
        "hosted_vllm/Qwen/Qwen3": "Qwen/Qwen3",
        "openai_like/openai/gpt-oss": "openai/gpt-oss",
        "Qwen/Qwen3": "Qwen/Qwen3",
    }
    for named, sent in names.items():
        with pytest.raises(JudgeCallError):
            await ruler_score_group(
                group(1, 2),
                named,
                params,
                structured="text",
                max_retries=0,
                headers={"x-team": "a"},
                extra={"seed": 3},
            )
        head, body = seen[-1]
        assert (head["x-gateway-key"], head["x-team"]) == ("gw-secret-1234567", "a")
        assert (body["top_p"], body["seed"]) == (0.5, 3)
        assert not body.keys() & params.keys() - {"top_p"}
        assert (body["model"], body["chat_template_kwargs"]) == (sent, {"enable_thinking": False})
    await runner.cleanup()
    with pytest.raises(ConfigurationError, match=r"openai/claude-x, .*\$ANTHROPIC_API_BASE"):
        await ruler_score_group(group(1, 2), "anthropic/claude-x", params, swallow_exceptions=True)
    with pytest.raises(ConfigurationError, match="extra_headers of extra_litellm_params takes a table"):
        await ruler_score_group(group(1, 2), "m", params | {"extra_headers": "x-key: 1"})


async def test_everything_an_attempt_did_reaches_the_judge_and_its_old_reward_does_not(serve):
    server = serve(worth, keep_prompts=True)
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "sky"}'}}
    tools = [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {}}}]
    choices = [
        {"role": "user", "content": "What is up?"},
        choice(None, tool_calls=[call], reasoning_content="I should look."),
        {"role": "tool", "tool_call_id": "c1", "content": "blue"},
        choice("It is blue, worth 5."),
    ]
    members = [
        art.Trajectory(messages_and_choices=choices, tools=tools, reward=0.77125),
        art.Trajectory(
            messages_and_choices=[choices[0], choice("worth 1")],
            tools=tools,
            additional_histories=[History(messages_and_choices=[choices[0], choice("Earlier: worth 9")])],
        ),
    ]
    scored = await ruler_score_group(art.TrajectoryGroup(members), "sim", {"base_url": server.base_url})
    assert [t.reward for t in scored] == [0.0, 1.0]
    shown = server.prompts[0][-1]["content"]
    for part in ("What is up?", "<call look>", "sky", "blue", "I should look.", "Looks.", "Earlier: worth 9"):
        assert part in shown
    assert "0.77" not in shown


@records
async def test_exchanges_that_art_records_are_judged_whole(serve):
    server = serve(worth, keep_prompts=True)
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "sky"}'}}
    tools = [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {}}}]
    asked = {"role": "user", "content": "What is up?"}
    looks = {"content": None, "tool_calls": [call], "reasoning_content": "I should look."}
    says = {"content": "It is blue, worth 5."}

    async def looking(policy: Policy) -> None:
        await policy.ask([asked], tools=tools)
        seen = {"role": "tool", "tool_call_id": "c1", "content": "blue"}
        await policy.ask([asked, {"role": "assistant", **looks}, seen], tools=tools)

    async def asking_twice(policy: Policy) -> None:
        await policy.ask([asked], tools=tools)
        await policy.ask([{"role": "user", "content": "And down?"}], tools=tools)

    async with Policy(looks, says) as a, Policy({"content": "Up: worth 1"}, {"content": "worth 9"}) as b:
        group = await art.trajectory_group(
            [await art.trajectory(looking(a)), await art.trajectory(asking_twice(b))]
        )
    assert not any(t.messages_and_choices for t in group)
    before = group.model_copy(deep=True)
    scored = await ruler_score_group(group, "sim", {"base_url": server.base_url})
    assert [t.reward for t in scored] == [0.0, 1.0]
    assert [len(t.exchanges.chat_completions) for t in scored] == [2, 2]
    assert group.model_dump() == before.model_dump()
    shown = server.prompts[0][-1]["content"]
    for part in ("What is up?", "<call look>", "sky", "blue", "I should look.", "Looks.", "And down?"):
        assert part in shown


@records
async def test_judging_inside_an_open_trajectory_is_not_recorded_in_it(serve):
    server = serve(worth)
    async with Policy({"content": "worth 1"}) as policy:
        with art.Trajectory() as outer:
            await policy.ask([{"role": "user", "content": "Write a word."}])
            await ruler_score_group(group(1, 2), "sim", {"base_url": server.base_url})
    assert server.requests == 1
    assert [e.model for e in outer.exchanges.chat_completions] == ["policy"]


@records
async def test_exchanges_without_chat_messages_fail_the_group(serve):
    server = serve(worth)

    async def completing(policy: Policy) -> None:
        await policy.client.completions.create(model="policy", prompt="A word:")

    async def silent() -> None:
        """Asks no model."""

    async with Policy({"content": "worth 1"}) as policy:
        raw = await art.trajectory(completing(policy))
    for odd in (raw, await art.trajectory(silent())):
        pair = art.TrajectoryGroup([trajectory("worth 2"), odd])
        with pytest.raises(GroupError):
            await ruler_score_group(pair, "sim", {"base_url": server.base_url})
        reach = {"base_url": server.base_url}
        assert await ruler_score_group(pair, "sim", reach, swallow_exceptions=True) is None
    assert server.requests == 0


async def test_request_fields_are_sent_as_litellm_takes_them(serve):
    server = serve(worth, api_key="sk-a-key-of-the-test-00")
    fields = {
        "api_base": server.base_url,
        "api_key": "sk-a-key-of-the-test-00",
        "temperature": 0.0,
        "top_p": 0.5,
    }
    scored = await ruler_score_group(group(1, 2), "openai/sim", fields)
    assert [t.reward for t in scored] == [0.0, 1.0]


async def test_a_failed_group_is_none_or_raises_and_never_gets_numbers(serve, caplog):
    server = serve(worth)
    reach = {"base_url": server.base_url}
    original = group(1, 2, word="poison")
    with caplog.at_level(logging.WARNING, "ranker"):
        assert await ruler_score_group(original, "sim", reach, swallow_exceptions=True) is None
    assert "A group of 2 was dropped: JudgeCallError" in caplog.text
    with pytest.raises(JudgeCallError):
        await ruler_score_group(original, "sim", reach)
    assert await ruler_score_group(group(1), "sim", reach, swallow_exceptions=True) is None
    with pytest.raises(GroupError, match="at least two"):
        await ruler_score_group(group(1), "sim", reach)
    with pytest.raises(GroupError):
        await ruler_score_group(group(), "sim", reach)


@pytest.mark.parametrize("fault", ["prose", "missing_id", "nan", "truncated"])
async def test_a_reply_that_is_no_ranking_gives_no_rewards(serve, fault):
    server = serve(worth, faults={fault: 1.0})
    assert (
        await ruler_score_group(group(1, 2), "sim", {"base_url": server.base_url}, swallow_exceptions=True)
        is None
    )


async def test_what_fails_every_group_is_raised_though_exceptions_are_swallowed(serve):
    server = serve(worth, api_key="sk-the-right-key-000000")
    wrong = {"base_url": server.base_url, "api_key": "sk-a-wrong-key-000000"}
    with pytest.raises(JudgeCallError) as caught:
        await ruler_score_group(group(1, 2), "sim", wrong, swallow_exceptions=True)
    assert caught.value.status_code == 401
    assert "sk-a-wrong" not in str(caught.value)
    with pytest.raises(ConfigurationError):
        await ruler_score_group(group(1, 2), "sim", wrong, swallow_exceptions=True, passes=0)
    with pytest.raises(ConfigurationError):
        after_each("sim", base_url=server.base_url, no_such_option=1)


@pytest.mark.parametrize("make", ["TrajectoryGroup", pytest.param("trajectory_group", marks=records)])
async def test_gathering_goes_on_without_the_groups_that_failed(serve, make):
    server = serve(worth)

    async def rollout(value: int, word: str) -> art.Trajectory:
        await asyncio.sleep(0)
        return trajectory(f"A {word} word worth {value}.", metadata={"value": value})

    scored = await art.gather_trajectory_groups(
        (
            getattr(art, make)([rollout(value, word) for value in range(4)])
            for word in ("plain", "poison", "other")
        ),
        after_each=after_each("sim", base_url=server.base_url, passes=2),
        pbar_desc=None,
    )
    assert len(scored) == 2
    for one in scored:
        assert {t.metadata["value"]: round(t.reward, 6) for t in one} == {
            0: 0.0, 1: round(1 / 3, 6), 2: round(2 / 3, 6), 3: 1.0,
        }  # fmt: skip


def truth(shown) -> list[float]:
    """An auditor that knows what attempts are worth."""
    return [worth(t.messages[-1]["content"]) for t in shown.trajectories]


async def test_an_audit_is_in_the_metrics_and_stops_gathering_under_an_alarm(serve):
    right, wrong = serve(worth), serve(lambda text: -worth(text))
    audit = Audit(auditor=truth, share=1.0, on_alarm="stop")
    rank = after_each("sim", base_url=right.base_url, audit=audit)
    for n in range(3):
        scored = await rank(group(n, n + 2, n + 4))
        assert all(t.metrics["judge_agreement"] == 1.0 for t in scored)
        assert scored.trajectories[0].metrics["audited_groups"] == n + 1

    async def rollout(value: int) -> art.Trajectory:
        return trajectory(f"A word worth {value}.")

    with pytest.raises(JudgeAlarm):
        await art.gather_trajectory_groups(
            [art.TrajectoryGroup([rollout(k), rollout(k + 2), rollout(k + 4)]) for k in range(12)],
            after_each=after_each("sim", base_url=wrong.base_url, audit=audit),
            pbar_desc=None,
        )
    with pytest.raises(ConfigurationError, match="after_each"):
        await ruler_score_group(group(1, 2), "sim", {"base_url": right.base_url}, audit=audit)


async def test_limits_hold_for_all_groups_together(serve):
    server = serve(worth)
    rank = after_each("sim", base_url=server.base_url, max_calls=2, swallow_exceptions=False)
    for _ in range(2):
        await rank(group(1, 2))
    with pytest.raises(BudgetExceeded):
        await rank(group(1, 2))
    assert server.requests == 2


async def test_the_cost_of_judging_is_in_arts_account_failed_groups_included(serve):
    server = serve(worth, faults={"prose": 1.0})
    good = serve(worth)
    account = MetricsBuilder(cost_context="train")
    price = (1000.0, 1000.0)
    with account.activate_context():
        await ruler_score_group(group(1, 2), "sim", {"base_url": good.base_url}, price=price)
        once = (await account.flush())["costs/train/judge/ruler"]
        assert once > 0
        with pytest.raises(JudgeError):
            await ruler_score_group(group(1, 2), "sim", {"base_url": server.base_url}, price=price)
        assert (await account.flush())["costs/train/judge/ruler"] > 0


async def test_debug_shows_the_ranking(serve, capsys):
    server = serve(worth)
    await ruler_score_group(group(1, 2), "sim", {"base_url": server.base_url}, debug=True)
    assert "[[1], [0]]" in capsys.readouterr().out


@pytest.mark.timeout(600)  # a new process, and importing ART takes its time
def test_the_program_of_the_page_runs(serve, monkeypatch):
    server = serve(lambda text: float(len(text)))
    page = (Path(__file__).parents[2] / "docs" / "integrations" / "art.md").read_text()
    (program,) = re.findall(r"^```py\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    monkeypatch.setenv("OPENAI_API_BASE", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-the-documents-0000")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # ART keeps rollouts in the order in which they end.
    assert sorted(line.split()[0] for line in done.stdout.splitlines()) == ["0.0", "0.5", "1.0"]
