"""Do models read compacted prompts as well? Questions about single attempts, with exact answers, over the judge's own prompt.

    python -m benchmarks.judges.reading MODEL --base-url http://localhost:8000/v1 --json benchmarks/results/reading.json

Each prompt shows real attempts as a judge is shown them, with `sharing` off, of whole messages, and fine; a question about one attempt
follows, with four answers to choose from. The questions, the attempts and the ids are the same for all three. Where MODEL's
server keeps prefixes (vLLM, llama.cpp), the questions of a group cost little more than one. A rerun into the same file keeps
the rows of other models and suites. $RANKER_DATA names the folder of the published group file, where it is not to be fetched.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, get_args

import numpy as np

from benchmarks.harness import Json, add_record, parser, rows_with, say, source, write_record
from ranker.judges.base import Lineup
from ranker.prompting.prompt import Prompt, build_prompt
from ranker.prompting.sharing import Sharing
from ranker.prompting.template import load_template
from ranker.prompting.transcript import transcript_of
from ranker.prompting.truncation import estimate_tokens
from ranker.statistics import difference, ratio
from ranker.suites import load
from ranker.trajectory import Trajectory

LETTERS = "ABCD"
_CALL = re.compile(r"^<call ([\w.-]+)", re.MULTILINE)
_SENTENCE = re.compile(r"[A-Z][^.!?\n<>]{30,160}[.!?]")
_VALUE = re.compile(r'"?(\w+)"?:("[^"\n]{2,40}"|\d+(?:\.\d+)?)')
_SHARES: tuple[Sharing, ...] = get_args(Sharing)


@dataclass(frozen=True, slots=True)
class Question:
    """One question about attempt `about` (its place in the group), with the right one of four options."""

    kind: str
    about: int
    text: str
    options: tuple[str, ...]
    answer: int


def questions(attempts: Sequence[Trajectory], each: int, seed: int) -> list[Question]:
    """Up to `each` questions of a kind: what is said in an attempt, what a record in it holds, which tool is called last. Wrong
    options come from the other attempts where they have some, so that the right attempt must be read."""
    rng = random.Random(seed)
    texts = [transcript_of(t).text for t in attempts]
    made: list[Question] = []
    for kind, find, others, ask in (
        ("sentence", _sentences, _sentences, "Which of these sentences stands in trajectory {id}?"),
        ("value", _values, _values, "Which of these stands in a tool result of trajectory {id}?"),
        ("last call", _last_call, _calls, "Which tool does trajectory {id} call last?"),
    ):
        found = [list(dict.fromkeys(find(text))) for text in texts]
        offered = {option for text in texts for option in others(text)}
        possible = [(i, right) for i, own in enumerate(found) for right in own]
        rng.shuffle(possible)
        count = 0
        for i, right in possible:
            wrong = sorted(offered - set(found[i]))
            if len(wrong) < len(LETTERS) - 1:
                continue
            options = [right, *rng.sample(wrong, len(LETTERS) - 1)]
            rng.shuffle(options)
            made.append(Question(kind, i, ask, tuple(options), options.index(right)))
            count += 1
            if count == each:
                break
    return made


def _sentences(text: str) -> Iterator[str]:
    yield from _SENTENCE.findall(text)


def _values(text: str) -> Iterator[str]:
    """Members of tool results, as they are written."""
    for piece in re.split(r"^(?=<)", text, flags=re.MULTILINE):
        if piece.startswith("<tool "):
            yield from (f"{key}: {value}" for key, value in _VALUE.findall(piece))


def _calls(text: str) -> Iterator[str]:
    yield from _CALL.findall(text)


def _last_call(text: str) -> Iterator[str]:
    yield from _CALL.findall(text)[-1:]


def asked(prompt: Prompt, question: Question) -> list[dict[str, Any]]:
    """The chat that asks a question of a prompt: the same beginning for all of a prompt's questions."""
    options = "\n".join(
        f"{letter}. {option}" for letter, option in zip(LETTERS, question.options, strict=True)
    )
    shown = prompt.messages[1]["content"].rpartition("</trajectory>")
    text = f"{shown[0]}{shown[1]}\n\n{question.text.format(id=prompt.ids[question.about])}\n{options}\nAnswer with one letter."
    about = "You read transcripts of several attempts at a task. Text under <shared> is shown once; <p1/> stands for the part p1."
    return [{"role": "system", "content": about}, {"role": "user", "content": text}]


async def answers(
    model: str, base_url: str, chats: Sequence[list[dict[str, Any]]], concurrency: int
) -> list[tuple[str | None, int]]:
    """The letter a model chooses in each chat, and the prompt's tokens; None where it wrote none."""
    import openai

    client = openai.AsyncOpenAI(base_url=base_url, api_key="none", timeout=3600.0, max_retries=2)
    create: Any = client.chat.completions.create
    room = asyncio.Semaphore(concurrency)
    schema = {"type": "object", "properties": {"answer": {"enum": list(LETTERS)}}, "required": ["answer"]}

    async def one(chat: list[dict[str, Any]]) -> tuple[str | None, int]:
        async with room:
            reply = await create(
                model=model, messages=chat, max_tokens=16, temperature=0.0,
                response_format={"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}},
            )  # fmt: skip
        try:
            letter = json.loads(reply.choices[0].message.content or "")["answer"]
        except (ValueError, KeyError, TypeError):
            letter = None
        return letter, reply.usage.prompt_tokens if reply.usage else 0

    try:
        return list(await asyncio.gather(*map(one, chats)))
    finally:
        await client.close()


def measure(
    model: str, base_url: str, suite: str, groups: int, size: int, each: int, concurrency: int
) -> Json:
    """A model's accuracy over each kind of prompt, with intervals over groups, and what fine sharing changes."""
    template = load_template()
    right: dict[str, list[list[float]]] = {sharing: [] for sharing in _SHARES}
    tokens: dict[str, list[int]] = {sharing: [] for sharing in _SHARES}
    kinds: dict[tuple[str, str], list[float]] = {}
    for index, group in enumerate(load(suite, groups).groups):
        attempts = [replace(t, ground_truth=None) for t in group.trajectories[:size]]
        made = questions(attempts, each, index)
        for sharing in _SHARES:
            lineup = Lineup(tuple(attempts), task=group.task, seed=index)
            prompt = build_prompt(lineup, template, room=None, count=estimate_tokens, sharing=sharing)
            said = asyncio.run(answers(model, base_url, [asked(prompt, q) for q in made], concurrency))
            hits = [float(letter == LETTERS[q.answer]) for q, (letter, _) in zip(made, said, strict=True)]
            right[sharing].append(hits)
            tokens[sharing] += [count for _, count in said[:1]]
            for q, hit in zip(made, hits, strict=True):
                kinds.setdefault((sharing, q.kind), []).append(hit)
        say(
            f"{model}: group {index + 1}, {', '.join(f'{s} {np.mean(list(chain(*right[s]))):.2f}' for s in _SHARES)}"
        )
    parts = {
        s: (np.array([sum(h) for h in right[s]]), np.array([float(len(h)) for h in right[s]]))
        for s in _SHARES
    }
    return {
        "model": model,
        "suite": suite,
        "groups": len(right["off"]),
        "attempts": size,
        "questions": int(parts["off"][1].sum()),
        "accuracy": {s: ratio(*parts[s], share=True).to_dict(3) for s in _SHARES},
        "against_off": {s: difference(parts[s], parts["off"])[0].to_dict(3) for s in _SHARES if s != "off"},
        "tokens": {s: round(float(np.mean(tokens[s]))) for s in _SHARES},
        "by_kind": {f"{s}, {kind}": [round(float(np.mean(h)), 3), len(h)] for (s, kind), h in kinds.items()},
    }


def main() -> None:
    options = parser("benchmarks.judges.reading", __doc__)
    options.add_argument("model")
    options.add_argument("--base-url", required=True)
    options.add_argument("--suite", default="tau-airline")
    options.add_argument("--groups", type=int, default=25)
    options.add_argument("--attempts", type=int, default=4, help="of each group")
    options.add_argument("--each", type=int, default=6, help="questions of each kind about a group")
    options.add_argument("--concurrency", type=int, default=4)
    options.add_argument("--engine", default="", help="what serves it, for the record")
    add_record(options)
    chosen = options.parse_args()
    row = measure(
        chosen.model, chosen.base_url, chosen.suite, chosen.groups, chosen.attempts, chosen.each, chosen.concurrency
    )  # fmt: skip
    rows = rows_with(chosen.json, {**row, "engine": chosen.engine}, "model", "suite")
    write_record(chosen.json, {**source("benchmarks.judges.reading"), "rows": rows})


if __name__ == "__main__":
    main()
