"""Rankings in verifiers: Env.finalize of verifiers.v1 where it is installed, Rubric where that one is.

The two never stand in one release's plain namespace, so one part of this file is skipped in each environment.
"""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web

from ranker.errors import BudgetExceeded, ConfigurationError, GroupError
from ranker.integrations.verifiers import rank_finalize, rank_reward

verifiers = pytest.importorskip("verifiers")


def optional(name: str):
    try:
        return __import__(name, fromlist=["*"])
    except ImportError:
        return None


v1 = optional("verifiers.v1")
# Earlier releases have drafts of it.
v1 = v1 if tuple(map(int, version("verifiers").split(".")[:2])) >= (0, 4) else None
vf = next((m for m in (verifiers, optional("verifiers.legacy")) if hasattr(m, "Rubric")), None)
with_finalize = pytest.mark.skipif(v1 is None, reason="this release of verifiers has no Env.finalize")
with_rubric = pytest.mark.skipif(vf is None, reason="this release of verifiers has no Rubric")


def worth(text: str) -> float:
    if "poison" in text:
        raise KeyError("poison")
    return float(re.findall(r"worth (\d+)", text)[-1])


# ---------------------------------------------------------------- verifiers.v1


def trace(text: str, *, agent: str = "agent", ok: bool = True):
    task = v1.TraceTask(type="Task", data=v1.TaskData(prompt="Say a word."), key="k", hash="h")
    tool = {"name": "look", "description": "Looks."}
    nodes = [
        v1.MessageNode(message=v1.UserMessage(content="Say a word."), tools=[tool]),
        v1.MessageNode(
            parent=0,
            sampled=True,
            message=v1.AssistantMessage(
                reasoning_content="Let me look.",
                tool_calls=[{"id": "c", "name": "look", "arguments": '{"at":"sky"}'}],
            ),
        ),
        v1.MessageNode(parent=1, message=v1.ToolMessage(tool_call_id="c", content="blue")),
        v1.MessageNode(parent=2, sampled=True, message=v1.AssistantMessage(content=text)),
    ]
    made = v1.Trace(
        task=task, agent=v1.AgentInfo(config=v1.AgentConfig(), name=agent), nodes=nodes if ok or text else []
    )
    made.ok = ok
    made.record_reward("checker", 0.73125)
    return made


def env(finalize, *traces):
    """An Env whose agents' runs are given; how an episode is made of them is verifiers' own."""

    class Scripted(v1.Env):
        def __init__(self):
            limits = SimpleNamespace(episode=None, finalize=None)
            self.config = SimpleNamespace(env_id="scripted", timeout=limits)

        def _episode_agents(self, ctx, completed, on_trace, on_discard):
            self.completed = completed

        async def run(self, task, agents):
            self.completed.extend(traces)

    Scripted.finalize = finalize
    return Scripted()


async def episode_of(env):
    return await env.run_episode(v1.Task(v1.TaskData(prompt="Say a word.")), None)


@with_finalize
async def test_an_episodes_traces_get_ranks(serve):
    server = serve(worth, keep_prompts=True)
    made = env(rank_finalize("sim", base_url=server.base_url, passes=2, weight=0.5),
               trace("worth 3"), trace("worth 1"), trace("worth 2"))  # fmt: skip
    episode = await episode_of(made)
    assert episode.ok
    assert [t.rewards["rank_reward"].score for t in episode.traces] == [1.0, 0.0, 0.5]
    assert [t.reward for t in episode.traces] == pytest.approx([0.73125 + 0.5 * r for r in (1.0, 0.0, 0.5)])
    assert all(t.metrics["rank_reward/judge_calls"] == 2.0 for t in episode.traces)
    assert episode.traces[0].info["rank_reward/reason"] == "quality 3.000"
    shown = server.prompts[0][-1]["content"]
    for part in ("Say a word.", "Let me look.", "<call look>", "blue", "Looks."):
        assert part in shown
    assert "0.73" not in shown


@with_finalize
async def test_a_failed_group_is_a_failed_episode_without_rewards(serve):
    server = serve(worth)
    made = env(rank_finalize("sim", base_url=server.base_url), trace("worth 3 poison"), trace("worth 1"))
    episode = await episode_of(made)
    assert not episode.ok
    assert "JudgeCallError" in episode.last_error.message + episode.last_error.traceback
    assert all("rank_reward" not in t.rewards for t in episode.traces)


@with_finalize
async def test_only_the_named_agents_finished_traces_are_the_group(serve):
    server = serve(worth)
    traces = [
        trace("worth 1", agent="solver"),
        trace("worth 9", agent="critic"),
        trace("", agent="solver", ok=False),
        trace("worth 2", agent="solver"),
    ]
    episode = await episode_of(env(rank_finalize("sim", base_url=server.base_url, agent="solver"), *traces))
    given = [t.rewards.get("rank_reward") for t in episode.traces]
    assert [g and g.score for g in given] == [0.0, None, None, 1.0]
    assert not episode.ok  # one trace ended in an error

    mixed = await episode_of(env(rank_finalize("sim", base_url=server.base_url), *traces))
    assert "agent='critic'" in mixed.last_error.message
    alone = await episode_of(env(rank_finalize("sim", base_url=server.base_url), trace("worth 1")))
    assert "at least two" in alone.last_error.message


@with_finalize
async def test_every_branch_of_a_trace_is_shown(serve):
    server = serve(worth, keep_prompts=True)
    branched = trace("worth 5")
    branched.nodes.append(
        v1.MessageNode(parent=0, sampled=True, message=v1.AssistantMessage(content="A side branch, worth 0"))
    )
    await episode_of(env(rank_finalize("sim", base_url=server.base_url), branched, trace("worth 1")))
    assert "A side branch" in server.prompts[0][-1]["content"]


@with_finalize
async def test_the_program_of_the_page_about_finalize(serve, monkeypatch):
    server = serve(worth)
    made = program(server, monkeypatch, 0)["RankedAttempts"]
    episode = await episode_of(env(made.finalize, trace("worth 1"), trace("worth 2")))
    assert [t.rewards["rank_reward"].score for t in episode.traces] == [0.0, 1.0]


# ---------------------------------------------------------------- Rubric


class Policy:
    """An OpenAI-compatible server that says the given texts in turn."""

    def __init__(self, *texts: str):
        self.texts = list(texts)

    async def __aenter__(self) -> Policy:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._answer)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{self.runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        message = {"role": "assistant", "content": self.texts.pop(0)}
        return web.json_response(
            {
                "id": "c", "object": "chat.completion", "created": 0, "model": "policy",
                "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
            }
        )  # fmt: skip


async def group_outputs(rubric, *texts: str, max_retries: int = 0):
    """What verifiers puts out for one group of rollouts of its own SingleTurnEnv."""
    from datasets import Dataset
    from openai import AsyncOpenAI

    row = {"question": "Say a word.", "answer": "a secret answer"}
    env = vf.SingleTurnEnv(dataset=Dataset.from_list([row]), rubric=rubric)
    inputs = [dict(env.get_dataset()[0]) for _ in range(len(texts) // (1 + max_retries))]
    async with (
        Policy(*texts) as policy,
        AsyncOpenAI(base_url=policy.base_url, api_key="sk-of-the-policy-000000") as client,
    ):
        client = vf.OpenAIChatCompletionsClient(client)
        return await env.run_group(inputs, client, "policy", {}, max_retries=max_retries)


@with_rubric
async def test_a_rubrics_group_gets_ranks(serve):
    server = serve(worth, keep_prompts=True)
    rubric = vf.Rubric(funcs=[rank_reward("sim", base_url=server.base_url)])
    outputs = await group_outputs(rubric, "worth 3", "worth 1", "worth 2")
    said = {o["completion"][-1]["content"]: o for o in outputs}
    assert {text: o["reward"] for text, o in said.items()} == {"worth 3": 1.0, "worth 2": 0.5, "worth 1": 0.0}
    assert said["worth 3"]["metrics"]["rank_reward"] == 1.0
    assert all(o.get("error") is None for o in outputs)
    shown = server.prompts[0][-1]["content"]
    assert "Say a word." in shown
    assert "secret" not in shown


@with_rubric
async def test_a_failed_groups_zeros_are_marked_as_an_error(serve):
    """verifiers has no missing reward: it makes zeros of an exception. The error tells them from rewards."""
    server = serve(worth)
    rubric = vf.Rubric(funcs=[rank_reward("sim", base_url=server.base_url)])
    outputs = await group_outputs(rubric, "worth 3 poison", "worth 1")
    assert [o["reward"] for o in outputs] == [0.0, 0.0]
    assert all("JudgeCallError" in o["error"]["message"] for o in outputs)
    assert all("InfraError" in o["error"]["error"] for o in outputs)


@with_rubric
async def test_with_retries_verifiers_runs_a_failed_group_again(serve):
    server = serve(worth)
    rubric = vf.Rubric(funcs=[rank_reward("sim", base_url=server.base_url)])
    outputs = await group_outputs(rubric, "worth 3 poison", "worth 1", "worth 2", "worth 4", max_retries=1)
    assert sorted(o["reward"] for o in outputs) == [0.0, 1.0]
    assert all(o.get("error") is None for o in outputs)


@with_rubric
async def test_it_stands_beside_other_functions_and_weights(serve):
    server = serve(worth)

    def length(completion) -> float:
        return float(len(completion[-1]["content"]))

    ranks = rank_reward("sim", base_url=server.base_url, name="ranks")
    outputs = await group_outputs(vf.Rubric(funcs=[ranks, length], weights=[2.0, 1.0]), "worth 1", "worth 22")
    assert {o["metrics"]["ranks"] for o in outputs} == {0.0, 1.0}
    assert sorted(o["reward"] for o in outputs) == [7.0, 10.0]


@with_rubric
async def test_an_error_that_a_rollout_has_already_is_kept(serve):
    reward = rank_reward("sim", base_url=serve(worth).base_url)
    first = vf.Error("the policy was lost")
    states = [{"error": first}, {"error": None}]
    with pytest.raises(GroupError):
        await reward(prompts=["a", "b"], completions=[[{"role": "nobody"}], "worth 1"], states=states)
    assert states[0]["error"] is first
    assert isinstance(states[1]["error"], vf.InfraError)


@with_rubric
async def test_the_program_of_the_page_about_rubrics(serve, monkeypatch):
    server = serve(worth)
    outputs = await group_outputs(program(server, monkeypatch, 1)["rubric"], "worth 1", "worth 2")
    assert sorted(o["reward"] for o in outputs) == [0.0, 1.0]


# ---------------------------------------------------------------- both


def program(server, monkeypatch, which: int) -> dict:
    """The names that a program of the documentation makes, its judge being the server."""
    page = (Path(__file__).parents[1] / "docs" / "integrations" / "verifiers.md").read_text()
    monkeypatch.setenv("OPENAI_API_BASE", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-the-documents-0000")
    names: dict = {}
    exec(re.findall(r"^```py\n(.*?)^```", page, re.DOTALL | re.MULTILINE)[which], names)
    return names


async def test_the_function_itself(serve):
    server = serve(worth)
    reward = rank_reward("sim", base_url=server.base_url, max_calls=2)
    chat = [[{"role": "assistant", "content": f"worth {i}"}] for i in (2, 7, 7)]
    texts = ["worth 2", "worth 7", "worth 7 too"]
    asked = [[{"role": "user", "content": "Say."}]] * 3
    assert await reward(prompts=asked, completions=chat, states=[{}] * 3) == [0.0, 0.75, 0.75]
    assert await reward(prompts=["Say."] * 3, completions=texts, states=[{}] * 3) == [0.0, 0.75, 0.75]
    with pytest.raises(BudgetExceeded):
        await reward(prompts=["So."] * 3, completions=texts, states=[{}] * 3)
    assert server.requests == 2


def test_a_wrong_setting_is_told_at_once():
    for make in (rank_reward, rank_finalize):
        with pytest.raises(ConfigurationError):
            make("sim", base_url="http://127.0.0.1:9/v1", no_such_option=1)
        with pytest.raises(ConfigurationError):
            make("sim", reward="no such rule")
