"""Rankings in verifiers.v1: the `finalize` method of an Env. Rubrics: test_integration_rubric.py."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from ranker import Audit
from ranker.errors import ConfigurationError
from ranker.integrations.verifiers import rank_finalize

pytest.importorskip("verifiers", minversion="0.4")  # earlier releases have drafts of it

from verifiers import v1


def worth(text: str) -> float:
    if "poison" in text:
        raise KeyError("poison")
    return float(re.findall(r"worth (\d+)", text)[-1])


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
    result = v1.Trace(
        task=task, agent=v1.AgentInfo(config=v1.AgentConfig(), name=agent), nodes=nodes if ok or text else []
    )
    result.ok = ok
    result.record_reward("checker", 0.73125)
    return result


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


async def test_an_episodes_traces_get_ranks(serve):
    server = serve(worth, keep_prompts=True)
    group_env = env(rank_finalize("sim", base_url=server.base_url, passes=2, weight=0.5),
               trace("worth 3"), trace("worth 1"), trace("worth 2"))  # fmt: skip
    episode = await episode_of(group_env)
    assert episode.ok
    assert [t.rewards["rank_reward"].score for t in episode.traces] == [1.0, 0.0, 0.5]
    assert [t.reward for t in episode.traces] == pytest.approx([0.73125 + 0.5 * r for r in (1.0, 0.0, 0.5)])
    assert all(t.metrics["rank_reward/judge_calls"] == 2.0 for t in episode.traces)
    assert episode.traces[0].info["rank_reward/reason"] == "quality 3.000"
    shown = server.prompts[0][-1]["content"]
    for part in ("Say a word.", "Let me look.", "<call look>", "blue", "Looks."):
        assert part in shown
    assert "0.73" not in shown


async def test_a_failed_group_is_a_failed_episode_without_rewards(serve):
    server = serve(worth)
    group_env = env(rank_finalize("sim", base_url=server.base_url), trace("worth 3 poison"), trace("worth 1"))
    episode = await episode_of(group_env)
    assert not episode.ok
    assert "JudgeCallError" in episode.last_error.message + episode.last_error.traceback
    assert all("rank_reward" not in t.rewards for t in episode.traces)


async def test_an_audit_is_in_the_metrics_and_fails_episodes_under_an_alarm(serve):
    def truth(group) -> list[float]:
        return [worth(t.messages[-1]["content"]) for t in group.trajectories]

    wrong = serve(lambda text: -worth(text))
    audit = Audit(auditor=truth, share=1.0, on_alarm="stop")
    finalize = rank_finalize("sim", base_url=wrong.base_url, audit=audit)
    episodes = [
        await episode_of(env(finalize, trace(f"worth {n}"), trace(f"worth {n + 2}"), trace(f"worth {n + 4}")))
        for n in range(12)
    ]
    good = [e for e in episodes if e.ok]
    assert 0 < len(good) < 12
    assert [e.ok for e in episodes] == [n < len(good) for n in range(12)]
    assert all(t.metrics["rank_reward/judge_agreement"] == 0.0 for e in good for t in e.traces)
    assert all("JudgeAlarm" in e.last_error.message + e.last_error.traceback for e in episodes[len(good) :])
    assert all("rank_reward" not in t.rewards for e in episodes[len(good) :] for t in e.traces)


async def test_only_the_named_agents_finished_traces_are_the_group(serve):
    server = serve(worth)
    traces = [
        trace("worth 1", agent="solver"),
        trace("worth 9", agent="critic"),
        trace("", agent="solver", ok=False),
        trace("worth 2", agent="solver"),
    ]
    episode = await episode_of(env(rank_finalize("sim", base_url=server.base_url, agent="solver"), *traces))
    recorded = [t.rewards.get("rank_reward") for t in episode.traces]
    assert [g and g.score for g in recorded] == [0.0, None, None, 1.0]
    assert not episode.ok  # one trace ended in an error

    mixed = await episode_of(env(rank_finalize("sim", base_url=server.base_url), *traces))
    assert "agent='critic'" in mixed.last_error.message
    alone = await episode_of(env(rank_finalize("sim", base_url=server.base_url), trace("worth 1")))
    assert "at least two" in alone.last_error.message


async def test_every_branch_of_a_trace_is_shown(serve):
    server = serve(worth, keep_prompts=True)
    branched = trace("worth 5")
    branched.nodes.append(
        v1.MessageNode(parent=0, sampled=True, message=v1.AssistantMessage(content="A side branch, worth 0"))
    )
    await episode_of(env(rank_finalize("sim", base_url=server.base_url), branched, trace("worth 1")))
    assert "A side branch" in server.prompts[0][-1]["content"]


def program(server, monkeypatch) -> dict:
    """The names that the page's program makes, its judge being the server."""
    page = (Path(__file__).parents[2] / "docs" / "integrations" / "verifiers.md").read_text()
    (code,) = [
        c for c in re.findall(r"^```py\n(.*?)^```", page, re.DOTALL | re.MULTILINE) if "rank_finalize" in c
    ]
    monkeypatch.setenv("OPENAI_API_BASE", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-the-documents-0000")
    names: dict = {}
    exec(code, names)
    return names


async def test_the_program_of_the_page_about_finalize(serve, monkeypatch):
    """Its class, with the attempts that verifiers' own BestOfNEnv makes; only what an agent says is given."""
    server = serve(worth)
    traces = [trace("worth 1"), trace("worth 3"), trace("worth 2")]

    class Scripted(program(server, monkeypatch)["RankedAttempts"]):
        def __init__(self):
            limits = SimpleNamespace(episode=None, finalize=None)
            self.config = SimpleNamespace(env_id="scripted", timeout=limits, n=3)

        def _episode_agents(self, ctx, completed, on_trace, on_discard):
            async def run(task):
                completed.append(traces[len(completed)])

            return SimpleNamespace(agent=SimpleNamespace(run=run))

    episode = await episode_of(Scripted())
    assert episode.ok
    assert [t.rewards["rank_reward"].score for t in episode.traces] == [0.0, 1.0, 0.5]


def test_a_wrong_setting_is_told_at_once():
    with pytest.raises(ConfigurationError):
        rank_finalize("sim", base_url="http://127.0.0.1:9/v1", no_such_option=1)
    with pytest.raises(ConfigurationError):
        rank_finalize("sim", reward="no such rule")
