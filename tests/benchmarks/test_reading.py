"""The reading test: its questions have one right answer each, and the same ones are asked of every prompt."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from benchmarks.judges import reading
from benchmarks.judges.reading import asked, measure, questions
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


def sentences_of(text: str) -> str:
    """An attempt's last message of the assistant."""
    return text.rpartition("<assistant>\n")[2].partition("\n<")[0]


CALL = r"(?ms)^<call ([\w.-]+)>(.*?)(?=^<|\Z)"


def given(arguments: str, key: str, value: str) -> bool:
    """Whether a call has this argument, in either notation of a transcript."""
    return bool(re.search(rf'[{{,]\s*"?{key}"?: ?"?{re.escape(value)}["}},]', arguments))


def test_the_right_answer_is_true_of_the_attempt_and_no_wrong_one_is(groups):
    kinds = set()
    for seed, group in enumerate(groups):
        texts = [transcript_of(t).text for t in group.trajectories]
        for q in questions(group.trajectories, 4, seed):
            kinds.add(q.kind)
            assert q.right not in q.wrong
            assert 2 <= len(q.options) <= 4
            calls = re.findall(CALL, texts[q.about])
            names = [name for name, _ in calls]
            if q.kind == "last message":
                last = sentences_of(texts[q.about])
                assert last.startswith(q.right)
                assert not any(last.startswith(wrong) for wrong in q.wrong)
            elif q.kind == "next call":
                after = q.text.rpartition(" after ")[2].rstrip("?")
                assert names.count(after) == 1
                assert names[names.index(after) + 1] == q.right
            else:
                found = re.search(r"With which (\w+) does trajectory \{id\} call ([\w.-]+)\?", q.text)
                assert found is not None
                assert names.count(found[2]) == 1
                assert given(dict(calls)[found[2]], found[1], q.right)
    assert kinds == {"next call", "argument", "last message"}


def test_an_answer_is_found_elsewhere_in_the_group_too(groups):
    """No answer is right because nothing else could be meant."""
    for seed, group in enumerate(groups):
        texts = "\n".join(transcript_of(t).text for t in group.trajectories)
        for q in questions(group.trajectories, 4, seed):
            assert all(option in texts for option in q.options)


def test_a_prompts_questions_share_its_beginning(groups):
    group = groups[0]
    prompt = build_prompt(
        Lineup(tuple(group.trajectories)), load_template(), room=None, count=estimate_tokens, sharing="off"
    )
    texts = [asked(prompt, q)[1]["content"] for q in questions(group.trajectories, 3, 0)]
    ends = [text.rindex("</trajectory>") for text in texts]
    assert len({text[:end] for text, end in zip(texts, ends, strict=True)}) == 1


def test_accuracy_is_counted_for_each_prompt(groups, monkeypatch):
    """A reader that follows no reference: right where everything is written out."""

    class Suite:
        pass

    Suite.groups = groups[:6]  # type: ignore[attr-defined]
    monkeypatch.setattr(reading, "load", lambda name, count: Suite)

    def answer(body: dict[str, Any], n: int) -> Any:
        text = body["messages"][1]["content"]
        name = re.search(r"trajectory (\w+)\b[^\n]*\?$", text)
        assert name is not None
        (block,) = re.findall(rf'<trajectory id="{name[1]}">\n(.*?)</trajectory>', text, re.DOTALL)
        (schema,) = [body["response_format"]["json_schema"]["schema"]]
        options = schema["properties"]["answer"]["enum"]
        last = sentences_of(block)
        calls = dict(re.findall(CALL, block))
        names = re.findall(r"^<call ([\w.-]+)>", block, re.MULTILINE)
        if "begin?" in text:
            found = [o for o in options if last.startswith(o)]
        elif " call next after " in text:
            after = text.rpartition(" after ")[2].rstrip("?")
            found = names[names.index(after) + 1 :][:1] if after in names else []
        else:
            key, tool = re.findall(r"With which (\w+) does trajectory \w+ call ([\w.-]+)\?$", text)[0]
            found = [o for o in options if given(calls.get(tool, ""), key, o)]
        return chat(json.dumps({"answer": found[0] if found else "?"}))

    with ScriptedServer(answer) as server:
        row = measure("m", server.base_url, "tau-airline", 6, 4, 4, 4)
    assert row["groups"] == 6
    assert row["accuracy"]["off"]["value"] == 1.0
    assert row["accuracy"]["fine"]["value"] < 0.6
    assert row["against_off"]["fine"]["high"] < 0
    assert 0.25 <= row["chance"] <= 0.5
    assert row["questions"] * 3 == len(server.requests)
