"""Rankings in the Rubric of verifiers up to 0.3, as a group function. verifiers.v1: test_integration_verifiers.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from aiohttp import web

from ranker.errors import BudgetExceeded, ConfigurationError, GroupError
from ranker.integrations.verifiers import rank_reward

vf = pytest.importorskip("verifiers")
if not hasattr(vf, "Rubric"):  # 0.3 has it under another name, 0.4 not at all
    vf = pytest.importorskip("verifiers.legacy")


def worth(text: str) -> float:
    if "poison" in text:
        raise KeyError("poison")
    return float(re.findall(r"worth (\d+)", text)[-1])


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


async def test_a_failed_groups_zeros_are_marked_as_an_error(serve):
    """verifiers has no missing reward: it makes zeros of an exception. The error tells them from rewards."""
    server = serve(worth)
    rubric = vf.Rubric(funcs=[rank_reward("sim", base_url=server.base_url)])
    outputs = await group_outputs(rubric, "worth 3 poison", "worth 1")
    assert [o["reward"] for o in outputs] == [0.0, 0.0]
    assert all("JudgeCallError" in o["error"]["message"] for o in outputs)
    assert all("InfraError" in o["error"]["error"] for o in outputs)


async def test_with_retries_verifiers_runs_a_failed_group_again(serve):
    server = serve(worth)
    rubric = vf.Rubric(funcs=[rank_reward("sim", base_url=server.base_url)])
    outputs = await group_outputs(rubric, "worth 3 poison", "worth 1", "worth 2", "worth 4", max_retries=1)
    assert sorted(o["reward"] for o in outputs) == [0.0, 1.0]
    assert all(o.get("error") is None for o in outputs)


async def test_it_stands_beside_other_functions_and_weights(serve):
    server = serve(worth)

    def length(completion) -> float:
        return float(len(completion[-1]["content"]))

    ranks = rank_reward("sim", base_url=server.base_url, name="ranks")
    outputs = await group_outputs(vf.Rubric(funcs=[ranks, length], weights=[2.0, 1.0]), "worth 1", "worth 22")
    assert {o["metrics"]["ranks"] for o in outputs} == {0.0, 1.0}
    assert sorted(o["reward"] for o in outputs) == [7.0, 10.0]


async def test_an_error_that_a_rollout_has_already_is_kept(serve):
    reward = rank_reward("sim", base_url=serve(worth).base_url)
    first = vf.Error("the policy was lost")
    states = [{"error": first}, {"error": None}]
    with pytest.raises(GroupError):
        await reward(prompts=["a", "b"], completions=[[{"role": "nobody"}], "worth 1"], states=states)
    assert states[0]["error"] is first
    assert isinstance(states[1]["error"], vf.InfraError)


def program(server, monkeypatch) -> dict:
    """The names that the page's program makes, its judge being the server."""
    page = (Path(__file__).parents[2] / "docs" / "integrations" / "verifiers.md").read_text()
    (code,) = [
        c for c in re.findall(r"^```py\n(.*?)^```", page, re.DOTALL | re.MULTILINE) if "rank_reward" in c
    ]
    monkeypatch.setenv("OPENAI_API_BASE", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-the-documents-0000")
    names: dict = {}
    exec(code, names)
    return names


async def test_the_program_of_the_page_about_rubrics(serve, monkeypatch):
    server = serve(worth)
    outputs = await group_outputs(program(server, monkeypatch)["rubric"], "worth 1", "worth 2")
    assert sorted(o["reward"] for o in outputs) == [0.0, 1.0]


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
    with pytest.raises(ConfigurationError):
        rank_reward("sim", base_url="http://127.0.0.1:9/v1", no_such_option=1)
    with pytest.raises(ConfigurationError):
        rank_reward("sim", reward="no such rule")
