"""The group reward of tinker-cookbook: its own rollouts, renderers and strategies, no service behind them."""

from __future__ import annotations

import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from ranker.errors import BudgetExceeded, ConfigurationError, GroupError, JudgeCallError
from ranker.testing import JudgeServer

tinker = pytest.importorskip("tinker")
pytest.importorskip("tinker_cookbook")

from tinker_cookbook.completers import TokenCompleter, TokensWithLogprobs  # noqa: E402
from tinker_cookbook.renderers.base import ensure_text  # noqa: E402
from tinker_cookbook.renderers.role_colon import RoleColonRenderer  # noqa: E402
from tinker_cookbook.rl.message_env import EnvFromMessageEnv, MessageEnv, MessageStepResult  # noqa: E402
from tinker_cookbook.rl.problem_env import ProblemEnv, ProblemGroupBuilder  # noqa: E402
from tinker_cookbook.rl.rollout_strategy import FailFast, RetryOnFailure  # noqa: E402
from tinker_cookbook.rl.rollouts import do_group_rollout  # noqa: E402
from tinker_cookbook.rl.types import Env, Trajectory, Transition  # noqa: E402

from ranker.integrations.tinker import group_rewards, messages_of  # noqa: E402


def worth(text: str) -> float:
    if "poison" in text:
        raise KeyError("poison")
    return float(re.findall(r"worth (\d+)", text)[-1])


class Letters:
    """A tokenizer whose tokens are characters."""

    eos_token_id = 0
    bos_token = None

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        return [ord(c) for c in text]

    def decode(self, tokens: list[int]) -> str:
        return "".join(map(chr, tokens))


RENDERER = RoleColonRenderer(Letters())


class Word(ProblemEnv):
    """A question whose answer earns nothing by itself."""

    def __init__(self, question: str):
        super().__init__(RENDERER, format_coef=0.0)
        self.question = question

    def get_question(self) -> str:
        return self.question

    def check_answer(self, sample_str: str) -> bool:
        return False

    def check_format(self, sample_str: str) -> bool:
        return True

    def get_reference_answer(self) -> str:
        return "a secret answer"


class Scripted(TokenCompleter):
    """A policy that says the given texts in turn, each with its end."""

    def __init__(self, *texts: str):
        self.texts = list(texts)

    async def __call__(self, model_input, stop, *, max_tokens=None) -> TokensWithLogprobs:
        tokens = RENDERER.tokenizer.encode(self.texts.pop(0))
        return TokensWithLogprobs(tokens=tokens, maybe_logprobs=[0.0] * len(tokens))


def said(*texts: str) -> Scripted:
    return Scripted(*(f" {text}\n\nUser:" for text in texts))


def builder(server: JudgeServer, size: int, question: str = "Say a word.", **options):
    @dataclass(frozen=True)
    class Words(ProblemGroupBuilder):
        compute_group_rewards = group_rewards("sim", base_url=server.base_url, **options)

    return Words(lambda: Word(question), size)


async def test_a_rollout_of_the_cookbook_gets_ranks_as_group_rewards(serve):
    server = serve(worth, keep_prompts=True)
    texts = ["worth 3", "worth 1", "worth 2", "worth 1"]
    group = await do_group_rollout(builder(server, 4, passes=2), said(*texts))
    made = {RENDERER.tokenizer.decode(t.transitions[0].ac.tokens)[1:8]: r
            for t, r in zip(group.trajectories_G, group.final_rewards_G, strict=True)}  # fmt: skip
    assert made == pytest.approx({"worth 3": 1.0, "worth 2": 2 / 3, "worth 1": 1 / 6})
    assert group.get_total_rewards() == group.final_rewards_G
    for reward, metrics in zip(group.final_rewards_G, group.metrics_G, strict=True):
        assert metrics == {
            "ranker/reward": reward,
            "ranker/judge_calls": 2.0,
            "ranker/tied_groups": 0.0,
            "ranker/consistency": 1.0,
        }
    assert server.requests == 2
    shown = server.prompts[0][-1]["content"]
    assert "Say a word." in shown
    assert "secret" not in shown


async def test_a_failed_group_stops_the_run_or_is_left_out_as_the_strategy_says(serve):
    server = serve(worth)
    poisoned = ("worth 3 poison", "worth 1")
    with pytest.raises(JudgeCallError):
        await do_group_rollout(builder(server, 2), said(*poisoned), strategy=FailFast())
    assert not FailFast().catches_group_errors
    # What the training loop asks before it skips a group.
    assert RetryOnFailure().catches_group_errors


async def test_the_training_loop_skips_a_failed_group(serve, monkeypatch):
    from tinker_cookbook.rl import rollouts

    server = serve(worth)
    made: list[Scripted] = []
    monkeypatch.setattr(rollouts, "TinkerTokenCompleter", lambda *args, **kwargs: made.pop())

    async def roll(*texts: str):
        made.append(said(*texts))
        return await rollouts.do_group_rollout_and_filter_constant_reward(
            None, builder(server, 2), 99, 1.0, True, strategy=RetryOnFailure()
        )

    assert await roll("worth 3 poison", "worth 1") is None
    assert await roll("worth 1, so", "worth 1 or so") is None  # tied: the loop drops it as constant
    assert sorted((await roll("worth 3", "worth 1")).get_total_rewards()) == [0.0, 1.0]


async def test_attempts_of_several_turns_are_shown_whole(serve):
    server = serve(worth)

    class Count(MessageEnv):
        def __init__(self):
            self.history = [{"role": "user", "content": "Count."}]

        async def initial_observation(self):
            return self.history

        async def step(self, message):
            self.history = [
                *self.history,
                message,
                {"role": "user", "content": f"After {ensure_text(message['content'])}?"},
            ]
            return MessageStepResult(0.5, len(self.history) > 4, self.history)

    class Counts(ProblemGroupBuilder):
        compute_group_rewards = group_rewards("sim", base_url=server.base_url)

        async def make_envs(self):
            return [EnvFromMessageEnv(RENDERER, Count()) for _ in range(2)]

    group = await do_group_rollout(Counts(Count, 2), Scripted(*[
        " one\n\nUser:", " uno\n\nUser:", " two, worth 1\n\nUser:", " dos, worth 9\n\nUser:"]))  # fmt: skip
    # Tinker adds the group's reward to what the steps gave: 0.5 twice.
    assert sorted(group.get_total_rewards()) == [1.0, 2.0]
    whole = messages_of(group.trajectories_G[0], EnvFromMessageEnv(RENDERER, Count()))
    assert [m["role"] for m in whole] == ["user", "assistant", "user", "assistant", "user"]
    text = "".join(m["content"] for m in whole)
    assert text.count("Count.") == 1
    assert re.search(r"(one|uno).*After (one|uno)\?.*(two|dos).*After (two|dos)", text, re.DOTALL)


def transition(seen: str, done: str) -> Transition:
    ob = tinker.ModelInput.from_ints(Letters().encode(seen))
    return Transition(ob, TokensWithLogprobs(Letters().encode(done), None), 0.0, True)


def test_tokens_that_the_renderer_cannot_read_are_shown_as_they_are():
    cut = Trajectory([transition("User: hi\n\nAssistant:", " half a sen")], tinker.ModelInput.empty())
    twice = " a\n\nUser: b\n\nUser: c"
    odd = Trajectory([transition("User: hi\n\nAssistant:", twice)], tinker.ModelInput.empty())
    env = Word("hi")
    assert messages_of(cut, env)[-1] == {"role": "assistant", "content": " half a sen"}
    assert messages_of(odd, env)[-1]["content"] == twice


def test_a_history_that_was_rewritten_is_shown_whole():
    steps = [
        transition("User: first\n\nAssistant:", " a\n\nUser:"),
        transition("User: a summary", " b\n\nUser:"),
    ]
    told = messages_of(Trajectory(steps, tinker.ModelInput.empty()), Word(""))
    assert [m["content"] for m in told] == ["User: first\n\nAssistant:", "a", "User: a summary", "b"]


def test_what_has_no_text_is_an_error_with_a_remedy():
    image = tinker.types.ImageChunk(data=b"x", format="png", expected_tokens=1)
    ob = tinker.ModelInput(chunks=[image])
    seen = Trajectory([Transition(ob, TokensWithLogprobs([65], None), 0.0, True)], tinker.ModelInput.empty())
    with pytest.raises(GroupError, match="messages="):
        messages_of(seen, Word(""))

    class Bare(Env):
        async def initial_observation(self): ...
        async def step(self, action, *, extra=None): ...

    with pytest.raises(GroupError, match="messages="):
        messages_of(Trajectory([transition("a", "b")], tinker.ModelInput.empty()), Bare())


class Sent(ProblemGroupBuilder):
    """At the module's top, as a builder that is sent to other processes must be."""

    compute_group_rewards: ClassVar = group_rewards("sim", base_url="http://127.0.0.1:9/v1")


def test_a_builder_with_it_can_be_pickled():
    again = pickle.loads(pickle.dumps(Sent(Word, 3)))
    assert again.num_envs == 3
    assert callable(again.compute_group_rewards)


async def test_limits_and_settings(serve):
    server = serve(worth)
    with pytest.raises(ConfigurationError):
        group_rewards("sim", base_url=server.base_url, no_such_option=1)
    made = builder(server, 2, max_calls=1)
    await do_group_rollout(made, said("worth 1", "worth 2"))
    with pytest.raises(BudgetExceeded):
        await do_group_rollout(made, said("worth 1", "worth 2"))
    with pytest.raises(GroupError, match="at least two"):
        await do_group_rollout(builder(server, 1), said("worth 1"))


def program(server, monkeypatch, which: int) -> dict:
    """The names that a program of the page makes, its judge being the server."""
    page = (Path(__file__).parents[2] / "docs" / "integrations" / "tinker.md").read_text()
    monkeypatch.setenv("OPENAI_API_BASE", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-the-documents-0000")
    names: dict = {"group_rewards": group_rewards}
    exec(re.findall(r"^```py\n(.*?)^```", page, re.DOTALL | re.MULTILINE)[which], names)
    return names


async def test_the_program_of_the_page(serve, monkeypatch):
    server = serve(worth, keep_prompts=True)
    ranked = program(server, monkeypatch, 0)["RankedProblems"]
    group = await do_group_rollout(
        ranked(lambda: Word("Say a word."), 3), said("worth 1", "worth 3", "worth 2")
    )
    assert sorted(group.final_rewards_G) == [0.0, 0.5, 1.0]
    assert "Prefer the shorter right answer." in str(server.prompts[0])


async def test_messages_of_your_own_as_the_page_gives_them(serve, monkeypatch):
    server = serve(worth, keep_prompts=True)

    class Talk(Word):
        async def step(self, action, *, extra=None):
            answer = {"role": "assistant", "content": f"Kept: {self.renderer.tokenizer.decode(action)}"}
            self.conversation = [{"role": "user", "content": self.question}, answer]
            return await super().step(action, extra=extra)

    class Talks(ProblemGroupBuilder):
        compute_group_rewards = program(server, monkeypatch, 1)["compute_group_rewards"]

    group = await do_group_rollout(Talks(lambda: Talk("Say a word."), 2), said("worth 1", "worth 2"))
    assert sorted(group.final_rewards_G) == [0.0, 1.0]
    assert "Kept: " in server.prompts[0][-1]["content"]
