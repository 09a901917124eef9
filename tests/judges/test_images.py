"""Images of attempts go to judges that can see, in their places, in one call; elsewhere they are tags."""

from __future__ import annotations

import base64
import json
import re

import pytest

from ranker import Budget, BudgetExceeded, LLMJudge, Trajectory, TrajectoryGroup, rank_group
from ranker.judges.transport import LiteLLMTransport
from ranker.prompting import images as limits
from ranker.prompting.images import IMAGE_TOKENS, MAX_IMAGES, count_images, images_of, most_images, words_of
from ranker.testing import Behaviour, JudgeServer
from ranker.testing.simulated import Truth
from ranker.testing.simulated import answer as simulated
from tests.cli.test_cli import ranker, records
from tests.scripted_server import ScriptedServer, chat

ASKED = {"role": "user", "content": "Draw a red square on a white page, and send me nothing but the picture."}


def data_of(name: str, size: int = 40, kind: str = "png") -> str:
    return f"data:image/{kind};base64," + base64.b64encode(name.encode().ljust(size, b".")).decode()


def openai(url: str) -> dict:
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


def drawn(*urls: str, words: str = "Here.") -> Trajectory:
    parts = [{"type": "text", "text": words}, *map(openai, urls)]
    return Trajectory([ASKED, {"role": "assistant", "content": parts}])


def pieces(body: dict) -> list[str]:
    """The user's message as a list: words, and images by their address."""
    content = body["messages"][1]["content"]
    assert isinstance(content, list)
    assert all(part["text"].strip() for part in content if part["type"] == "text")
    return [part["text"] if part["type"] == "text" else part["image_url"]["url"] for part in content]


def likes(*wanted: str):
    """A judge that sees: the attempts in whose block a wanted image stands, first."""

    def answer(body, n):
        text = "".join(
            piece if not piece.startswith(("data:", "http")) else f"[{piece}]" for piece in pieces(body)
        )
        shown = re.findall(r'<trajectory id="([A-Z]+)">\n(.*?)</trajectory>', text, re.DOTALL)
        rank = lambda block: next((i for i, url in enumerate(wanted) if f"[{url}]" in block[1]), len(wanted))  # noqa: E731
        order = sorted(shown, key=rank)
        reasons = [{"id": name, "reason": "r"} for name, _ in shown]
        return chat(json.dumps({"reasons": reasons, "ranking": [[name] for name, _ in order]}))

    return answer


def test_attempts_that_differ_only_in_an_image_are_ranked_by_it():
    red, blue, green = (data_of(c) for c in ("red", "blue", "green"))
    group = TrajectoryGroup([drawn(blue), drawn(red), drawn(green)])
    with ScriptedServer(likes(red, green)) as server:
        ranked = rank_group(group, LLMJudge("m", base_url=server.base_url, vision=True))
        assert ranked.rewards == [0.0, 1.0, 0.5]
        assert ranked.warnings == ()
        (body,) = server.requests  # one call
    found = pieces(body)
    assert sorted(p for p in found if p.startswith("data:")) == sorted([red, blue, green])
    for i, piece in enumerate(found):
        if piece.startswith("data:"):  # right behind its tag, inside an open block
            assert re.search(r"<image [0-9a-f]{8}>\Z", found[i - 1])
            before = "".join(found[:i])
            assert before.count('<trajectory id="') == before.count("</trajectory>") + 1
    assert body["messages"][1]["content"][1]["image_url"]["detail"] == "low"


def test_a_judge_that_cannot_see_is_sent_the_same_words_and_says_so():
    """Its prompt is text alone; that of one that sees has the same words around the images."""
    group = TrajectoryGroup([drawn(data_of("red")), drawn(data_of("blue"))])
    with JudgeServer(lambda text: float(len(text)), keep_prompts=True) as server:
        blind = rank_group(group, LLMJudge("m", base_url=server.base_url))
        rank_group(group, LLMJudge("m", base_url=server.base_url, vision=True))
    one, other = (prompt[1]["content"] for prompt in server.prompts)
    assert blind.warnings == ("The judge cannot see image content; it is shown as <image …>.",)
    assert isinstance(one, str)
    assert words_of(other).endswith(one)
    assert words_of(other).removesuffix(one).startswith("An image follows its tag")


def test_without_images_the_request_is_the_same():
    group = [[ASKED, {"role": "assistant", "content": text}] for text in ("a", "bb")]
    with JudgeServer(lambda text: float(len(text)), keep_prompts=True) as server:
        for vision in (None, True, False):
            rank_group(group, LLMJudge("m", base_url=server.base_url, vision=vision))
    one, *others = server.prompts
    assert others == [one, one]


def test_an_image_that_attempts_share_is_sent_once():
    page = data_of("page")
    asked = {
        "role": "user",
        "content": [{"type": "text", "text": "Copy this page in your own hand, please."}, openai(page)],
    }
    group = [[asked, {"role": "assistant", "content": [openai(data_of(c))]}] for c in ("red", "blue")]
    with ScriptedServer(likes(data_of("red"))) as server:
        assert rank_group(group, LLMJudge("m", base_url=server.base_url, vision=True)).rewards == [1.0, 0.0]
        found = pieces(server.requests[0])
    assert found.count(page) == 1
    assert '<trajectory id="' not in "".join(found[: found.index(page)])


FORMS = {
    "OpenAI": openai("data:image/png;base64,QQ=="),
    "OpenAI, short": {"type": "image_url", "image_url": "data:image/png;base64,QQ=="},
    "Responses": {"type": "input_image", "image_url": "data:image/png;base64,QQ=="},
    "Anthropic": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="}},
    "Inspect": {"type": "image", "image": "data:image/png;base64,QQ==", "detail": "auto"},
    "MCP": {"type": "image", "data": "QQ==", "mimeType": "image/png"},
    "an address": {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("inside", ["message", "tool message", "tool_result"])
def test_images_of_every_form_are_found(form, inside):
    part = FORMS[form]
    message = {
        "message": {"role": "user", "content": [part]},
        "tool message": {"role": "tool", "tool_call_id": "c", "content": [part]},
        "tool_result": {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "c", "content": [part]}],
        },
    }[inside]
    ((_, image),) = images_of([Trajectory([message])]).items()
    url = "https://example.com/a.png" if form == "an address" else "data:image/png;base64,QQ=="
    assert image is not None
    assert image["url"] == url
    with JudgeServer(lambda text: float(len(text)), keep_prompts=True) as server:
        group = [[message], [{"role": "user", "content": "nothing"}]]
        rank_group(group, LLMJudge("m", base_url=server.base_url, vision=True))
    assert [p["image_url"]["url"] for p in server.prompts[0][1]["content"] if p["type"] == "image_url"] == [
        url
    ]


@pytest.mark.parametrize(
    "url",
    [
        "data:image/svg+xml;base64,QQ==",
        "file:///etc/passwd",
        "data:text/html;base64,QQ==",
        data_of("big", 5_000_000),
    ],
)
def test_what_cannot_be_sent_stays_a_tag_with_a_warning(url):
    group = TrajectoryGroup([drawn(url), drawn(data_of("red"))])
    with JudgeServer(lambda text: float(len(text)), keep_prompts=True) as server:
        ranked = rank_group(group, LLMJudge("m", base_url=server.base_url, vision=True))
    (warning,) = ranked.warnings
    assert warning.startswith("1 of 2 images were not sent")
    content = server.prompts[0][1]["content"]
    assert [p["image_url"]["url"] for p in content if p["type"] == "image_url"] == [data_of("red")]
    assert len(re.findall(r"<image [0-9a-f]{8}>", words_of(content))) == 2


def test_more_images_than_go_with_a_call_are_shared_out_evenly():
    """Each attempt has its turn: the first is not shown whole at the cost of the last."""
    group = TrajectoryGroup([drawn(*(data_of(f"{a}-{i}") for i in range(20))) for a in range(4)])
    with ScriptedServer(likes()) as server:
        ranked = rank_group(group, LLMJudge("m", base_url=server.base_url, vision=True))
        sent = [p for p in pieces(server.requests[0]) if p.startswith("data:")]
    assert len(sent) == MAX_IMAGES
    for a in range(4):
        assert {data_of(f"{a}-{i}") for i in range(MAX_IMAGES // 4)} <= set(sent)
    assert ranked.warnings[0].startswith(
        f"{80 - MAX_IMAGES} of 80 images were not sent (at most {MAX_IMAGES} go"
    )


def test_together_they_are_bounded_in_bytes():
    size = limits.MAX_BYTES * 3 // 4 - 100  # of the picture itself
    group = TrajectoryGroup([drawn(data_of(f"{a}", size)) for a in range(6)])
    with ScriptedServer(likes()) as server:
        ranked = rank_group(group, LLMJudge("m", base_url=server.base_url, vision=True))
        sent = [p for p in pieces(server.requests[0]) if p.startswith("data:")]
    assert len(sent) == limits.MAX_BYTES_TOGETHER // limits.MAX_BYTES
    assert sum(map(len, sent)) <= limits.MAX_BYTES_TOGETHER
    assert "2 of 6 images" in ranked.warnings[0]


def test_a_small_window_has_room_for_fewer():
    """Half of it is for words, which go first; an image counts 1,600 tokens."""
    assert [most_images(room) for room in (None, 0, 3 * IMAGE_TOKENS, 10**6)] == [
        MAX_IMAGES,
        0,
        1,
        MAX_IMAGES,
    ]
    group = TrajectoryGroup([drawn(data_of(f"{a}"), words=f"{a} says. " * 600) for a in range(4)])
    with ScriptedServer(likes()) as server:
        judge = LLMJudge("m", base_url=server.base_url, vision=True, context_window=9_000)
        ranked = rank_group(group, judge)
        found = pieces(server.requests[0])
    sent = [p for p in found if p.startswith("data:")]
    assert 0 < len(sent) < 4
    assert sum(len(p) for p in found if not p.startswith("data:")) // 3 + len(sent) * IMAGE_TOKENS < 9_000
    assert any("images were not sent" in w for w in ranked.warnings)


def test_a_server_without_a_system_role_is_shown_the_images():
    """Its words open the user's turn, as a part before the others, which stay as they are."""
    ranks = likes(data_of("red"), data_of("green"))

    def answer(body, n):
        if body["messages"][0]["role"] == "system":
            return 400, {"error": {"message": "System role not supported"}}
        return ranks({"messages": [{}, *body["messages"]]}, n)

    group = TrajectoryGroup([drawn(data_of(c)) for c in ("blue", "red", "green")])
    with ScriptedServer(answer) as server:
        judge = LLMJudge("m", base_url=server.base_url, vision=True)
        assert rank_group(group, judge).rewards == [0.0, 1.0, 0.5]
        whole, folded = (body["messages"] for body in server.requests)
    (user,) = folded
    assert user["content"] == [{"type": "text", "text": f"{whole[0]['content']}\n\n"}, *whole[1]["content"]]


def test_the_simulated_judge_reads_the_form_asked_for_from_folded_parts():
    """With images and without a system role, what asks for scores stands in the first part."""
    truth = Truth(lambda text: float("better" in text))

    def answer(body, n):
        if body["messages"][0]["role"] == "system":
            return 400, {"error": {"message": "System role not supported"}}
        return chat(simulated(body["messages"], truth, Behaviour())[1])

    group = TrajectoryGroup([drawn(data_of("red"), words=words) for words in ("good", "better")])
    with ScriptedServer(answer) as server:
        judge = LLMJudge("m", base_url=server.base_url, vision=True, form="scores", max_reasks=0)
        assert rank_group(group, judge, reward="score").rewards == [0.0, 1.0]


@pytest.mark.parametrize(
    ("said", "learned"),
    [
        ("This model's maximum context length is 12000 tokens.", 12_000),
        ("prompt too long; exceeded max context length by 366 tokens", None),
    ],
)
def test_a_prompt_with_images_that_is_too_long_is_shortened(said, learned):
    """Words and images both count against what the server takes."""
    ranks = likes(data_of("1"))

    def answer(body, n):
        messages = body["messages"]
        size = sum(len(words_of(m["content"])) for m in messages) // 3 + count_images(messages) * IMAGE_TOKENS
        return (400, {"error": {"message": said}}) if size > 12_000 else ranks(body, n)

    words = [" ".join(f"w{a}x{k}" for k in range(1_500)) for a in range(3)]
    group = TrajectoryGroup([drawn(data_of(f"{a}"), words=w) for a, w in enumerate(words)])
    with ScriptedServer(answer) as server:
        judge = LLMJudge("m", base_url=server.base_url, vision=True)
        ranked = rank_group(group, judge)
        assert len(server.requests) > 1
        assert count_images(server.requests[-1]["messages"]) > 0
    assert ranked.rewards[1] == 1.0
    assert any(ranked.cut)
    assert judge._window == learned


def test_the_cost_of_images_is_reserved():
    """A limit in dollars stops the call that its images could make exceed it."""
    group = TrajectoryGroup([drawn(data_of("red")), drawn(data_of("blue"))])
    with ScriptedServer(likes()) as server:
        options = {"base_url": server.base_url, "price": (1_000.0, 0.0), "cache": "off"}
        with pytest.raises(BudgetExceeded):
            rank_group(
                group, LLMJudge("m", vision=True, **options), budget=Budget(None, 2 * IMAGE_TOKENS / 1e3)
            )
        assert server.requests == []


def test_two_images_are_two_keys_of_the_cache(tmp_path):
    one, other = (TrajectoryGroup([drawn(data_of(c)), drawn(data_of("blue"))]) for c in ("red", "green"))
    with ScriptedServer(likes(data_of("red"))) as server:
        judge = LLMJudge("m", base_url=server.base_url, vision=True, cache=tmp_path / "cache.sqlite")
        for group in (one, other, one):
            rank_group(group, judge)
        blind = LLMJudge("m", base_url=server.base_url, cache=tmp_path / "cache.sqlite")
        assert len(server.requests) == 2
        assert blind.identity() == judge.identity()


def test_litellms_table_says_which_of_its_models_see():
    assert LiteLLMTransport("openai/gpt-4o", None, 1.0).vision()
    assert not LiteLLMTransport("openai/gpt-3.5-turbo", None, 1.0).vision()
    assert not LiteLLMTransport("openai/nobody-knows-it", None, 1.0).vision()
    assert LLMJudge("openai/gpt-4o", vision=False).sees() is False
    assert LLMJudge("openai/gpt-4o", base_url="http://127.0.0.1:1/v1").sees() is False


def test_the_command_sends_them_where_it_is_told_to(tmp_path):
    source, out = tmp_path / "g.jsonl", tmp_path / "out.jsonl"
    members = [{"messages": list(drawn(data_of(c)).messages)} for c in ("red", "blue")]
    source.write_text(json.dumps({"id": "g", "trajectories": members}) + "\n")
    with ScriptedServer(likes(data_of("blue"))) as server:
        done = ranker("rank", source, "--judge", "m", "--base-url", server.base_url, "--vision", "--out", out)
        assert done.returncode == 0, done.stderr
    assert records(out)[0]["rewards"] == {"0": 0.0, "1": 1.0}
