"""How fast a local model reads a group: weights, precision, sharing, ways; as ratios in one run.

    python -m benchmarks.judges.local_speed --json benchmarks/results/local_speed.json
    python -m benchmarks.judges.local_speed --cost qwen2.5-coder-1.5b-instruct --json FILE

The first times a group of eight answers of 60 tokens under the embedded judge, and the parts it is made of. The second
times each way to ask a model against one listwise prefill (the prompt of `rank.v1`) of the same GSM8K groups. Keep the
machine idle.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness import Json, add_record, parser, source, write_record
from ranker import Trajectory, TrajectoryGroup
from ranker.judges.base import Lineup
from ranker.judges.local.forward import read_scores
from ranker.judges.local.hidden_states import PACK, hidden_tails, plain_tails
from ranker.judges.local.judge import _tokenize
from ranker.judges.local.judge_file import read_judge, setup_from
from ranker.judges.local.model import Loaded, LocalModel
from ranker.judges.local.ways import Way, question, texts_of
from ranker.prompting.prompt import build_prompt
from ranker.prompting.template import ASK, ASK_BLOCKS, RANK, load_template
from ranker.suites import load

WAYS: tuple[Way, ...] = (
    "pointwise",
    "expected_digit",
    "first_token",
    "pointwise_in_context",
    "number_likelihood",
    "pointwise_with_numbers",
)


def timed(jobs: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each job without gradients, after one run that is not timed; the jobs take turns, so that a busy
    moment touches all alike."""
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    with torch.inference_mode():
        for _ in range(rounds + 1):
            for name, job in jobs.items():
                started = time.perf_counter()
                job()
                taken[name].append(time.perf_counter() - started)
    return {name: round(statistics.median(times[1:]), 4) for name, times in taken.items()}


def eight(loaded: Loaded) -> TrajectoryGroup:
    """Eight answers of 60 tokens to one question."""
    task = {"role": "user", "content": "Explain to a new colleague how the stock list is kept up to date."}
    words = "The list is read each night, {} lines are checked against the shelves and the rest is left for the week. "
    attempts = []
    for i in range(8):
        ids = loaded.encode(words.format(i) * 6)[:60]
        attempts.append(Trajectory([task, {"role": "assistant", "content": loaded.tokenizer.decode(ids)}]))
    return TrajectoryGroup(attempts)


def embedded(rounds: int) -> Json:
    """The embedded judge's group of eight, and what each choice of ours is worth."""
    import ranker.judges.embedded

    setup = setup_from(*read_judge(Path(ranker.judges.embedded.__file__).parent))
    models = {
        dtype: LocalModel(setup.base, adapter=setup.adapter, dtype=dtype).load()
        for dtype in ("bfloat16", "float32")
    }
    group = eight(models["float32"])
    template = load_template(setup.template or ASK, None, ASK_BLOCKS)
    one = models["bfloat16"]
    segments = question(
        texts_of(Lineup(tuple(group.trajectories))), setup.way, template, one.frame, one.encode
    )
    attempts = sum(s.tail for s in segments)

    def shared(loaded: Loaded, most: int = PACK) -> Callable[[], Any]:
        return partial(hidden_tails, loaded.model, segments, most)

    jobs: dict[str, Callable[[], Any]] = {
        "verdict": partial(read_scores, one, segments, setup.way, attempts),
        "bfloat16": shared(one),
        "float32": shared(models["float32"]),
        "each sequence by itself": partial(plain_tails, one.model, segments),
        **{f"runs of {most} tokens": shared(one, most) for most in (1, 128, 640, 1_280)},
    }
    return {
        "tokens": sum(map(len, segments)),
        "seconds": timed(jobs, rounds),
        "scores_bf16_float32": [
            [round(s, 4) for s in read_scores(model, segments, setup.way, attempts)]
            for model in models.values()
        ],
    }


def packed(gguf: Path, rounds: int) -> dict[str, float]:
    """A GGUF file's packed weights against the same dequantised and saved once, seconds for 600 tokens."""
    from transformers import AutoModelForCausalLM

    ids = torch.arange(600)[None] % 5_000 + 100
    models = {
        "packed": AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name).eval(),
        "dequantised, bfloat16": LocalModel(str(gguf), dtype="bfloat16").load().model,
        "dequantised, float32": LocalModel(str(gguf), dtype="float32").load().model,
    }

    jobs = {name: partial(model, input_ids=ids, logits_to_keep=1) for name, model in models.items()}
    return timed(jobs, rounds)


def cost(name: str, groups: int) -> Json:
    """Seconds of each way against one listwise prefill of the same groups."""
    loaded = LocalModel(name).load()
    ask, rank = load_template(ASK, None, ASK_BLOCKS), load_template(RANK)
    taken: dict[str, list[float]] = {}
    tokens: dict[str, list[int]] = {}
    for group in load("gsm8k-solutions", groups).groups:
        lineup = Lineup(tuple(t.bare() for t in group.trajectories))
        request = texts_of(lineup)
        prompt = build_prompt(lineup, rank, room=None, count=loaded.count)
        prompt_P = torch.as_tensor(_tokenize(loaded.tokenizer, list(prompt.messages)))

        prefill = partial(loaded.model, input_ids=prompt_P[None], logits_to_keep=1)
        jobs: dict[str, Callable[[], Any]] = {"listwise prefill": prefill}
        tokens.setdefault("listwise prefill", []).append(len(prompt_P))
        for way in WAYS:
            segments = question(request, way, ask, loaded.frame, loaded.encode)
            tokens.setdefault(way, []).append(sum(map(len, segments)))
            jobs[way] = partial(read_scores, loaded, segments, way, len(group))
        for job_name, seconds in timed(jobs, 1).items():
            taken.setdefault(job_name, []).append(seconds)
    base = sum(taken["listwise prefill"])
    return {
        "model": name,
        "groups": groups,
        "seconds_per_group": {k: round(statistics.mean(v), 3) for k, v in taken.items()},
        "tokens_per_group": {k: round(statistics.mean(v)) for k, v in tokens.items()},
        "times_a_prefill": {k: round(sum(v) / base, 3) for k, v in taken.items()},
    }


def main() -> None:
    module = "benchmarks.judges.local_speed"
    options = parser(module, __doc__)
    options.add_argument("--cost", help="a local model whose ways are timed against a listwise prefill")
    options.add_argument("--gguf", type=Path, help="a GGUF file, read packed and dequantised")
    options.add_argument("--groups", type=int, default=6)
    options.add_argument("--rounds", type=int, default=9)
    add_record(options)
    args = options.parse_args()
    if args.cost:
        figures = cost(args.cost, args.groups)
    else:
        figures = {"embedded": embedded(args.rounds)}
        if args.gguf:
            figures["packed"] = packed(args.gguf, args.rounds)
    record = {**source(module, torch=True), "threads": torch.get_num_threads(), **figures}
    write_record(args.json, record)


if __name__ == "__main__":
    main()
