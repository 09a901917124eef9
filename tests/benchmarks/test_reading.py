"""The reading test: its questions have one right answer each, and the same ones are asked of every prompt."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from benchmarks.judges import reading
from benchmarks.judges.reading import LETTERS, asked, measure, questions
from ranker.jsonl.group_file import read_groups
from ranker.judges.base import Lineup
from ranker.prompting.prompt import build_prompt
from ranker.prompting.template import load_template
from ranker.prompting.transcript import transcript_of
from ranker.prompting.truncation import estimate_tokens
from tests.scripted_server import ScriptedServer, chat


@pytest.fixture(scope="module")
def groups(real_groups: Any) -> list[Any]:
    return list(read_groups(real_groups / "tau_airline.jsonl"))


def test_one_option_is_true_of_the_attempt_and_the_others_are_not(groups):
    kinds = set()
    for seed, group in enumerate(groups):
        texts = [transcript_of(t).text for t in group.trajectories]
        for q in questions(group.trajectories, 4, seed):
            kinds.add(q.kind)
            assert len(set(q.options)) == 4
            text = texts[q.about]
            if q.kind == "sentence":
                assert [option in text for option in q.options] == [i == q.answer for i in range(4)]
            elif q.kind == "last call":
                assert re.findall(r"^<call ([\w.-]+)", text, re.MULTILINE)[-1] == q.options[q.answer]
            else:
                key, _, value = q.options[q.answer].partition(": ")
                assert re.search(rf'"?{key}"?:{re.escape(value)}', text)
    assert kinds == {"sentence", "value", "last call"}


def test_the_answer_does_not_stand_at_the_same_letter(groups):
    letters = [q.answer for seed, g in enumerate(groups) for q in questions(g.trajectories, 6, seed)]
    assert min(letters.count(i) for i in range(4)) > len(letters) / 8


def test_a_prompts_questions_share_its_beginning(groups):
    group = groups[0]
    prompt = build_prompt(
        Lineup(tuple(group.trajectories)), load_template(), room=None, count=estimate_tokens, sharing="off"
    )
    texts = [asked(prompt, q)[1]["content"] for q in questions(group.trajectories, 3, 0)]
    ends = [text.rindex("</trajectory>") for text in texts]
    assert len({text[:end] for text, end in zip(texts, ends, strict=True)}) == 1


def test_accuracy_is_counted_for_each_prompt(groups, monkeypatch):
    """A reader that finds whole sentences and values, but follows no reference: right where everything is written out."""

    class Suite:
        pass

    Suite.groups = groups[:3]  # type: ignore[attr-defined]
    monkeypatch.setattr(reading, "load", lambda name, count: Suite)

    def answer(body: dict[str, Any], n: int) -> Any:
        text = body["messages"][1]["content"]
        name = re.search(r"trajectory (\w+)(?: call last)?\?\n", text)
        assert name is not None
        (block,) = re.findall(rf'<trajectory id="{name[1]}">\n(.*?)</trajectory>', text, re.DOTALL)
        options = re.findall(r"^([A-D])\. (.*)$", text, re.MULTILINE)[-4:]
        plain = block.replace('"', "")
        best = next(
            (
                x
                for x, said in options
                if said.replace('"', "").replace(": ", ":", 1) in plain or said in block
            ),
            "A",
        )
        return chat(json.dumps({"answer": best}))

    with ScriptedServer(answer) as server:
        row = measure("m", server.base_url, "tau-airline", 3, 4, 4, 4)
    assert row["groups"] == 3
    assert row["accuracy"]["off"]["value"] > 0.6 > row["accuracy"]["fine"]["value"]
    assert row["against_off"]["fine"]["high"] < 0
    assert len({len(body["messages"]) for body in server.requests}) == 1
    assert row["questions"] * 3 == len(server.requests)
    assert set(LETTERS) == set("ABCD")
