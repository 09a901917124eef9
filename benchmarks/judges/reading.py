"""Do models read compacted prompts as well? Questions about single attempts, with exact answers, over the judge's own prompt.

    python -m benchmarks.judges.reading MODEL --base-url http://localhost:8000/v1 --json benchmarks/results/reading.json

Each prompt shows real attempts as a judge is shown them, with `sharing` off, of whole messages, and fine; a question about one attempt
follows. The questions, the attempts and the ids are the same for all three. An answer is one of up to four texts that the server's
schema allows, all of them from the group: letters to choose from would measure which letter a small model likes. Where MODEL's server
keeps prefixes (vLLM, llama.cpp), the questions of a group cost little more than one. A rerun into the same file keeps the rows of
other models and suites. $RANKER_DATA names the folder of the published group file, where it is not to be fetched.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from typing import Any, get_args

import numpy as np

from benchmarks.harness import Json, add_record, parser, rows_with, say, source, write_record
from ranker.judges.base import Lineup
from ranker.prompting.prompt import Prompt, build_prompt
from ranker.prompting.sharing import Sharing
from ranker.prompting.template import load_template
from ranker.prompting.truncation import estimate_tokens
from ranker.statistics import difference, ratio
from ranker.suites import load
from ranker.trajectory import Trajectory

OPTIONS = 4  # texts to choose from, at most
_SENTENCE = re.compile(r"[A-Z][^.!?\n<>\"\\]{15,160}[.!?]")
_PLAIN = re.compile(r"[\w .:/+-]{1,40}")  # an argument that JSON writes as it is
_SHARES: tuple[Sharing, ...] = get_args(Sharing)
_ABOUT = "You read transcripts of several attempts at a task. Text under <shared> is shown once; <p1/> stands for the part p1."


@dataclass(frozen=True, slots=True)
class Question:
    """One question about attempt `about` (its place in the group): its one right answer, and others that are wrong."""

    kind: str
    about: int
    text: str
    right: str
    wrong: tuple[str, ...]

    @property
    def options(self) -> list[str]:
        return sorted((self.right, *self.wrong))


def questions(attempts: Sequence[Trajectory], each: int, seed: int) -> list[Question]:
    """Up to `each` questions of a kind: which tool is called after another, with which argument, how the last message begins.
    Wrong answers are true of other places in the group, most of them of other attempts: the right attempt must be read."""
    rng = random.Random(seed)
    calls = [_calls(t) for t in attempts]
    said = [_last_words(t) for t in attempts]
    possible: dict[str, list[Question]] = {}

    def add(kind: str, about: int, text: str, right: str, others: Iterable[str]) -> None:
        wrong = sorted({*others} - {right})
        if wrong:
            few = tuple(rng.sample(wrong, min(len(wrong), OPTIONS - 1)))
            possible.setdefault(kind, []).append(Question(kind, about, text, right, few))

    every_call = list(chain.from_iterable(calls))
    tools = [name for name, _ in every_call]
    for i, own in enumerate(calls):
        names = [name for name, _ in own]
        once = {
            name for name in names if names.count(name) == 1
        }  # of others it would be unclear which call is meant
        for name, after in pairwise(names):
            if name in once:
                text = f"Which tool does trajectory {{id}} call next after {name}?"
                add("next call", i, text, after, tools)
        for name, arguments in own:
            for key, value in arguments.items() if name in once else ():
                others = [values[key] for tool, values in every_call if tool == name and key in values]
                add("argument", i, f"With which {key} does trajectory {{id}} call {name}?", value, others)
        if said[i] and (begins := _SENTENCE.match(said[i])):
            others = [sentence for text in said for sentence in _SENTENCE.findall(text)]
            add("last message", i, "With which sentence does the last message of the assistant in trajectory {id} begin?",
                begins[0], others)  # fmt: skip
    return [q for kind in possible.values() for q in rng.sample(kind, min(each, len(kind)))]


def _calls(attempt: Trajectory) -> list[tuple[str, dict[str, str]]]:
    """The tools that are called, with those of their arguments that are short and plain."""
    functions = [call["function"] for m in attempt.messages for call in m.get("tool_calls") or ()]
    return [(f["name"], _plain(json.loads(f["arguments"] or "{}"))) for f in functions]


def _plain(arguments: dict[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in arguments.items() if _PLAIN.fullmatch(str(value))}


def _last_words(attempt: Trajectory) -> str:
    """The assistant's last message."""
    said = [m["content"] for m in attempt.messages if m["role"] == "assistant" and m.get("content")]
    return str(said[-1]).strip() if said else ""


def asked(prompt: Prompt, question: Question) -> list[dict[str, Any]]:
    """The chat that asks a question of a prompt: the same beginning for all of a prompt's questions."""
    shown, end, _ = prompt.messages[1]["content"].rpartition("</trajectory>")
    text = f"{shown}{end}\n\n{question.text.format(id=prompt.ids[question.about])}"
    return [{"role": "system", "content": _ABOUT}, {"role": "user", "content": text}]


async def answers(
    model: str, base_url: str, prompt: Prompt, made: Sequence[Question], concurrency: int
) -> list[tuple[str | None, int]]:
    """The answer a model gives to each question, and the prompt's tokens; None where it gave none."""
    import openai

    client = openai.AsyncOpenAI(base_url=base_url, api_key="none", timeout=3600.0, max_retries=2)
    create: Any = client.chat.completions.create
    room = asyncio.Semaphore(concurrency)

    async def one(question: Question) -> tuple[str | None, int]:
        schema = {
            "type": "object",
            "properties": {"answer": {"enum": question.options}},
            "required": ["answer"],
        }
        async with room:
            reply = await create(
                model=model, messages=asked(prompt, question), max_tokens=96, temperature=0.0,
                response_format={"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}},
            )  # fmt: skip
        try:
            answer = json.loads(reply.choices[0].message.content or "")["answer"]
        except (ValueError, KeyError, TypeError):
            answer = None
        return answer, reply.usage.prompt_tokens if reply.usage else 0

    try:
        # Alone: the server then has the prefix that the others share.
        first = [await one(q) for q in made[:1]]
        return first + await asyncio.gather(*map(one, made[1:]))
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
    chance: list[float] = []
    for index, group in enumerate(load(suite, groups).groups):
        attempts = [replace(t, ground_truth=None) for t in group.trajectories[:size]]
        made = questions(attempts, each, index)
        chance += [1 / len(q.options) for q in made]
        for sharing in _SHARES:
            lineup = Lineup(tuple(attempts), task=group.task, seed=index)
            prompt = build_prompt(lineup, template, room=None, count=estimate_tokens, sharing=sharing)
            said = asyncio.run(answers(model, base_url, prompt, made, concurrency))
            hits = [float(answer == q.right) for q, (answer, _) in zip(made, said, strict=True)]
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
        "chance": round(float(np.mean(chance)), 3),
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
