"""The trainer's log-probs and gradients, and the sampler's log-probs, beside the plain forward of each sequence.

Three forwards of the same weights are compared: the trainer's (or sampler's), the model's own of each sequence alone
in the same precision, and that one in float32, which counts as the truth. In float32, the first may differ from the
truth by `FLOAT32_LIMIT`; in bfloat16, it may be as far from it as the plain forward is, and a little more.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.gpu import measure
from benchmarks.gpu.batch import GENERATIONS, drawn
from benchmarks.gpu.models import ARCHITECTURES, BFLOAT16, FLOAT32, MIXED, Precision, built, small_config
from benchmarks.harness import Json
from grpo.compatibility import check_layout
from grpo.model.loading import autocast
from grpo.model.logprobs import Layout, plain_logprobs, token_logprobs
from grpo.rollouts.collect import run_loop
from grpo.rollouts.engine import Completion, Engine
from grpo.sampling import Sampling
from grpo.types import TokenSequence

# Of a log-prob, and of the gradient's difference as a part of its norm.
FLOAT32_LIMIT = 1e-4
# In bfloat16, times the plain forward's: the root of the mean square, and the largest of all.
ROOT_MEAN_SQUARE, LARGEST = 1.5, 3.0
PRECISIONS = {p.name: p for p in (FLOAT32, BFLOAT16, MIXED)}


def rows(
    hidden: int, layers: int, vocabulary: int, prompt: int, completion: int, architectures: Sequence[str] = ()
) -> Iterator[Json]:
    """A row for the update and one for sampling, of every architecture in every precision."""
    where = measure.device()
    for architecture in architectures or tuple(ARCHITECTURES):
        for precision in PRECISIONS.values():
            torch.compiler.reset()  # it compiles for a bounded number of models
            case: Json = {"architecture": architecture, "precision": precision.name}
            config = small_config(architecture, hidden, layers, vocabulary)
            model = built(config, precision, where)
            truth = copy.deepcopy(model).float() if precision.weights != "float32" else model
            batch = drawn(2, prompt, completion, vocabulary, even=False)
            layout: Layout | None = None
            try:
                with measure.remarks() as refused:
                    layout = check_layout(model, batch.sequences, longest=prompt + completion)
                case |= {
                    "layout": str(layout),
                    "attention": attention(model, layout),
                    "refused": refused[:-1],
                }
                yield case | {"of": "update"} | of_update(model, truth, batch.sequences, layout, precision)
            except Exception as error:
                yield case | {"of": "update"} | _failed(error)
            try:
                shares = layout is not None and layout.packed and layout.head
                found = of_sampler(model, truth, batch.prompts, completion, shares, precision)
                own = {"of": "sampling", "attention": str(model.config._attn_implementation)}
                yield case | own | {"prompts": "read once" if shares else "read apart"} | found
            except Exception as error:
                yield case | {"of": "sampling"} | _failed(error)
            del model, truth
            measure.forget()


def attention(model: Any, layout: Layout) -> str:
    """Which attention an update in this layout uses."""
    return "flex_attention" if layout.flex else str(model.config._attn_implementation)


def of_update(
    model: Any, truth: Any, sequences: Sequence[TokenSequence], layout: Layout, precision: Precision
) -> Json:
    """Log-probs and gradients of the trainer's forward."""
    count = sum(int(s.sampled_T.sum()) for s in sequences)
    factors_N = torch.from_numpy(np.random.default_rng(1).standard_normal(count)).float().to(model.device)
    true_N, true_gradients = _both(truth, lambda: plain_logprobs(truth, sequences), factors_N, False)
    plain_N, plain_gradients = _both(
        model, lambda: plain_logprobs(model, sequences), factors_N, precision.autocast
    )
    ours_N, gradients = _both(
        model, lambda: token_logprobs(model, sequences, layout=layout).logps_N, factors_N, precision.autocast
    )
    exact = precision == FLOAT32
    logps = _judged(ours_N - true_N, plain_N - true_N, exact)
    apart = {
        "ours": _apart(gradients, true_gradients),
        "plain": _apart(plain_gradients, true_gradients),
    }
    limit = FLOAT32_LIMIT if exact else ROOT_MEAN_SQUARE * apart["plain"] + FLOAT32_LIMIT
    return {
        "tokens": count,
        "log_probs": logps,
        "gradient": {**apart, "limit": limit},
        "ok": bool(logps["ok"] and apart["ours"] <= limit),
    }


def of_sampler(
    model: Any,
    truth: Any,
    prompts: Sequence[np.ndarray],
    completion: int,
    shares: bool,
    precision: Precision,
) -> Json:
    """Log-probs that sampling gives to the tokens it draws."""
    engine = Engine(
        model,
        [],
        Sampling(max_completion_length=completion),
        shares=shares,
        bf16=precision.autocast,
    )
    # Of unequal lengths, so that rows join and leave the batch.
    jobs = [
        (p, np.random.default_rng(i), completion - i % 4)
        for i, p in enumerate(np.repeat(np.stack(prompts), GENERATIONS, 0))
    ]

    async def work() -> list[Completion]:
        return await asyncio.gather(*(engine.generate(*job) for job in jobs))

    drawn_ = run_loop(work())
    read = [TokenSequence.of_reply(job[0], c.tokens, c.logps) for job, c in zip(jobs, drawn_, strict=True)]
    with torch.no_grad():
        true_N = plain_logprobs(truth, read).float().cpu()
        with autocast(model, precision.autocast):
            plain_N = plain_logprobs(model, read).float().cpu()
    ours_N = torch.from_numpy(np.concatenate([s.logps_T[s.sampled_T] for s in read]))
    found = _judged(ours_N - true_N, plain_N - true_N, precision == FLOAT32)
    return {"tokens": len(ours_N), "log_probs": found, "ok": found["ok"]}


def _both(
    model: Any, logprobs: Callable[[], Tensor], factors_N: Tensor, bf16: bool
) -> tuple[Tensor, list[Tensor]]:
    """Log-probs, and the gradient of their sum with these factors."""
    model.zero_grad(set_to_none=True)
    with autocast(model, bf16):
        logps_N = logprobs()
    (logps_N.float() * factors_N).sum().backward()
    gradients = [p.grad.float().clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad(set_to_none=True)
    return logps_N.detach().float(), gradients


def _apart(gradients: list[Tensor], true: list[Tensor]) -> float:
    """The norm of the difference of two gradients, as a part of the second's."""
    difference = sum(float((a - b).square().sum()) for a, b in zip(gradients, true, strict=True))
    return float((difference / sum(float(b.square().sum()) for b in true)) ** 0.5)


def _judged(ours_N: Tensor, plain_N: Tensor, exact: bool) -> Json:
    """Errors of log-probs beside those of the plain forward."""

    def sizes(error_N: Tensor) -> tuple[float, float]:
        return float(error_N.square().mean().sqrt()), float(error_N.abs().max())

    (square, largest), (plain_square, plain_largest) = sizes(ours_N), sizes(plain_N)
    limits = (FLOAT32_LIMIT, FLOAT32_LIMIT)
    if not exact:
        limits = (
            ROOT_MEAN_SQUARE * plain_square + FLOAT32_LIMIT,
            LARGEST * plain_largest + FLOAT32_LIMIT,
        )
    return {
        "ours": {"root_mean_square": square, "largest": largest},
        "plain": {"root_mean_square": plain_square, "largest": plain_largest},
        "limit": {"root_mean_square": limits[0], "largest": limits[1]},
        "ok": square <= limits[0] and largest <= limits[1],
    }


def _failed(error: Exception) -> Json:
    return {"ok": False, "error": f"{type(error).__name__}: {str(error)[:600]}"}
