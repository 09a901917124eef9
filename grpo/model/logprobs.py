"""Log-probs of the policy's own tokens: a tree for a whole group, or padded rows for models that need them."""

from __future__ import annotations

import logging
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from grpo.model.head import Kept, head_logps
from grpo.model.packing import Tree, pack
from grpo.types import Sequence
from ranker.judges.local.read import CANNOT, inner, mask_for, trunk

Tensor = Any
log = logging.getLogger("ranker")
# Settings by which models change logits after the output embedding (Gemma, Granite, Cohere).
_LOGIT_CHANGES = ("final_logit_softcapping", "logits_scaling", "logit_scale")


@dataclass(frozen=True, slots=True)
class Layout:
    """How a model can be run, found out by `check_layout`.

    Attributes:
        tree: sequences may share tokens through a 4-D mask and reset positions; else rows are padded.
        flex: the mask goes to FlexAttention as a rule, block by block, and is never written out; on a GPU
            only (its backward does not exist on a CPU). Else SDPA gets it as a tensor.
        head: the logits are the output embedding of the last hidden state, so they can be made in
            chunks; else the model makes its own, a sequence at a time.
    """

    tree: bool = True
    head: bool = True
    flex: bool = False

    def __str__(self) -> str:
        shape = "prompts shared in a tree" if self.tree else "padded rows, nothing shared"
        shape += " by FlexAttention" if self.flex else ""
        return f"{shape}, {'logits in chunks' if self.head else 'whole logits of one sequence at a time'}"


@dataclass(frozen=True, slots=True)
class Scores:
    """Log-probs of the N sampled tokens of some sequences, sequence by sequence, in order.

    Attributes:
        logps_N: with gradient where the model has one.
        entropy_N: of the distribution each was drawn from; no gradient.
    """

    logps_N: Tensor
    entropy_N: Tensor


def score(
    model: Any,
    sequences: Seq[Sequence],
    temperature: float = 1.0,
    layout: Layout | None = None,
    gradient_N: Tensor | None = None,
) -> Scores:
    """Log-probs of every sampled token under `model`, with the distribution the sampler used:
    the same temperature and, where sampling was truncated, the same ids kept.

    Args:
        sequences: their sampled tokens are scored; the first token of a sequence never is one.
        gradient_N: see `head_logps`; used where no token is shared between sequences.
    """
    layout = layout or Layout()
    with _AttentionFor(model, layout):
        if not layout.head:
            return _score_whole(model, sequences, temperature)
        if layout.tree:
            return _score_tree(model, sequences, temperature, gradient_N)
        return _score_padded(model, sequences, temperature, gradient_N)


def _score_tree(
    model: Any, sequences: Seq[Sequence], temperature: float, gradient_N: Tensor | None
) -> Scores:
    device = model.device
    tree = pack([s.tokens_T for s in sequences])
    hidden_LH = run_tree(model, tree)[0]
    paths = [(path, np.flatnonzero(s.sampled_T)) for path, s in zip(tree.paths, sequences, strict=True)]
    at_N = np.concatenate([path[where] for path, where in paths])
    before_N = np.concatenate([path[where - 1] for path, where in paths])
    # Tokens that trajectories have in common are scored once; their gradients add up.
    at_U, first_U, back_N = np.unique(at_N, return_index=True, return_inverse=True)
    unique = len(at_U) == len(at_N) or any(s.kept for s in sequences)  # what was kept may differ
    if unique:
        at_U, before_U, gradient_U, kept = at_N, before_N, gradient_N, _kept(sequences)
    else:
        before_U = before_N[first_U]
        back = torch.from_numpy(back_N).to(device)
        gradient_U = None
        if gradient_N is not None:
            gradient_U = torch.zeros(len(at_U), dtype=gradient_N.dtype, device=device)
            gradient_U.index_add_(0, back, gradient_N)
        kept = None
    logps_U, entropy_U = head_logps(
        hidden_LH[torch.from_numpy(before_U).to(device)],
        *_head(model),
        torch.from_numpy(tree.tokens_L[at_U]).to(device),
        temperature,
        kept,
        gradient_U,
    )
    if unique:
        return Scores(logps_U, entropy_U)
    return Scores(logps_U[back], entropy_U[back])


def run_tree(model: Any, tree: Tree, **extra: Any) -> Tensor:
    """Last hidden states of a tree, shape (1, L, H)."""
    device = model.device
    output = trunk(model)(
        input_ids=torch.from_numpy(tree.tokens_L)[None].to(device),
        position_ids=torch.from_numpy(tree.positions_L)[None].to(device),
        attention_mask=tree_mask(model, torch.from_numpy(tree.ends_L).to(device)),
        use_cache="past_key_values" in extra,
        **extra,
    )
    return output.last_hidden_state


def tree_mask(model: Any, ends_L: Tensor) -> Any:
    """Who sees whom in a tree, as the model's attention takes it."""
    size = len(ends_L)
    if inner(model).config._attn_implementation == "flex_attention":
        from torch.nn.attention.flex_attention import create_block_mask

        def sees(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return (key <= query) & (query < ends_L[key])

        return create_block_mask(sees, 1, None, size, size, device=ends_L.device)
    here_L = torch.arange(size, device=ends_L.device)
    allowed_LL = (here_L[None, :] <= here_L[:, None]) & (here_L[:, None] < ends_L[None, :])
    return mask_for(model, allowed_LL[None, None])


def _score_padded(
    model: Any, sequences: Seq[Sequence], temperature: float, gradient_N: Tensor | None
) -> Scores:
    """Rows padded on the right: positions count from 0 and no real token can see the padding."""
    ids_ST, mask_ST, positions_ST = _padded(model, sequences)
    output = trunk(model)(
        input_ids=ids_ST, attention_mask=mask_ST, position_ids=positions_ST, use_cache=False
    )
    rows, places = _places(sequences)
    hidden_NH = output.last_hidden_state[rows, places - 1]
    logps_N, entropy_N = head_logps(
        hidden_NH, *_head(model), ids_ST[rows, places], temperature, _kept(sequences), gradient_N
    )
    return Scores(logps_N, entropy_N)


def _score_whole(model: Any, sequences: Seq[Sequence], temperature: float) -> Scores:
    """The model's own logits, a sequence at a time."""
    logps, entropies = [], []
    for sequence in sequences:
        ids_1T = torch.from_numpy(sequence.tokens_T)[None].to(model.device)
        places = np.flatnonzero(sequence.sampled_T)
        logits_NV = (
            inner(model)(input_ids=ids_1T, use_cache=False).logits[0, places - 1].float() / temperature
        )
        kept = _kept([sequence])
        if kept is not None:
            logits_NV = logits_NV.masked_fill(kept.mask(0, len(places), logits_NV), -torch.inf)
        every_NV = logits_NV.log_softmax(1)
        logps.append(every_NV.gather(1, ids_1T[0, places][:, None])[:, 0])
        fixed_NV = every_NV.detach()
        entropies.append(
            -torch.linalg.vecdot(fixed_NV.exp(), fixed_NV.masked_fill(fixed_NV == -torch.inf, 0.0))
        )
    return Scores(torch.cat(logps), torch.cat(entropies))


def _padded(model: Any, sequences: Seq[Sequence]) -> tuple[Tensor, Tensor, Tensor]:
    longest = max(len(s.tokens_T) for s in sequences)
    ids_ST = torch.zeros(len(sequences), longest, dtype=torch.int64)
    mask_ST = torch.zeros_like(ids_ST)
    for i, sequence in enumerate(sequences):
        ids_ST[i, : len(sequence.tokens_T)] = torch.from_numpy(sequence.tokens_T)
        mask_ST[i, : len(sequence.tokens_T)] = 1
    positions_ST = torch.arange(longest).expand_as(ids_ST)
    return ids_ST.to(model.device), mask_ST.to(model.device), positions_ST.to(model.device)


def _places(sequences: Seq[Sequence]) -> tuple[np.ndarray, np.ndarray]:
    places = [np.flatnonzero(s.sampled_T) for s in sequences]
    rows = np.repeat(np.arange(len(sequences)), [len(p) for p in places])
    return rows, np.concatenate(places)


def _kept(sequences: Seq[Sequence]) -> Kept | None:
    if not any(s.kept for s in sequences):
        return None
    nothing = np.zeros(0, np.int32)
    lists: list[np.ndarray] = []
    for sequence in sequences:
        lists += sequence.kept or [nothing] * int(sequence.sampled_T.sum())
    return Kept(np.concatenate(lists), np.array([len(ids) for ids in lists]))


def head_logits(model: Any, hidden_BH: Tensor) -> Tensor:
    """Logits of a few hidden states, shape (B, V). Weight times states is a third faster on a CPU than states
    times weight, for batches as small as those of sampling."""
    weight_VH, bias_V = _head(model)
    logits_BV = (weight_VH @ hidden_BH.to(weight_VH.dtype).T).T.contiguous()
    return logits_BV if bias_V is None else logits_BV + bias_V


def _head(model: Any) -> tuple[Tensor, Tensor | None]:
    head = inner(model).get_output_embeddings()
    return head.weight, getattr(head, "bias", None)


def plain_logps(model: Any, sequences: Seq[Sequence], temperature: float = 1.0) -> Tensor:
    """Log-probs by the plainest road there is, each sequence alone through the model's own forward."""
    return _score_whole(model, sequences, temperature).logps_N


def check_layout(model: Any, sequences: Seq[Sequence], longest: int) -> Layout:
    """Find out on real tokens how this model can be run, and log it.

    Every layout must give the log-probs of the plain forward of each sequence alone, to a tolerance
    for the dtype; the first that does is taken. A model whose attention has a window shorter than
    `longest` tokens cannot share prompts by a mask, whatever a short check says.

    Args:
        sequences: a few that share a beginning; short ones will do.
        longest: tokens of the longest sequence to come.
    """
    half = model.dtype in (torch.bfloat16, torch.float16)
    tolerance = 0.15 if half else 1e-4
    config = inner(model).config
    windowed = _window(config) < longest or _masks_itself(model)
    plain = (
        type(inner(model).get_output_embeddings()) is torch.nn.Linear
    )  # an adapter on it is more than a weight
    scaled = not plain or any(getattr(config, name, None) not in (None, 1, 1.0) for name in _LOGIT_CHANGES)
    with torch.no_grad():
        expected_N = plain_logps(model, sequences)
        for layout in (
            *([Layout(flex=True)] if model.device.type == "cuda" else []),
            Layout(),
            Layout(tree=False),
        ):
            if layout.head and (scaled or (layout.tree and windowed)):
                continue
            why = _fault(model, sequences, layout, expected_N, tolerance)
            if why is None:
                log.info("%s: %s", type(inner(model)).__name__, layout)
                return layout
            log.info("%s does not take: %s (%s)", type(inner(model)).__name__, layout, why)
    log.info("%s: %s", type(inner(model)).__name__, Layout(tree=False, head=False))
    return Layout(tree=False, head=False)


def _fault(
    model: Any, sequences: Seq[Sequence], layout: Layout, expected_N: Tensor, tolerance: float
) -> str | None:
    try:
        found_N = score(model, sequences, layout=layout).logps_N
    except CANNOT as error:
        return str(error).partition("\n")[0]
    worst = float((found_N - expected_N).abs().max())
    return None if worst <= tolerance else f"log-probs differ by {worst:.2g}"


def _window(config: Any) -> float:
    """Tokens that the narrowest attention layer sees; infinite where all see everything."""
    if getattr(config, "keep_window_size", None):  # Doge: a window chosen by content
        return float(config.keep_window_size)
    kinds = getattr(config, "layer_types", None)
    if kinds is not None and "sliding_attention" not in kinds:
        return float("inf")
    if getattr(config, "use_sliding_window", True) is False:
        return float("inf")
    return float(getattr(config, "sliding_window", None) or "inf")


def _masks_itself(model: Any) -> bool:
    """Whether attention layers carry a causal mask of their own (GPT-Neo), which counts places in the
    packed row instead of positions."""
    return any(b.dim() == 4 and b.shape[-1] == b.shape[-2] > 1 for b in inner(model).buffers())


class _AttentionFor:
    """The attention a layout needs, for the time of a forward; the model's own comes back after.

    FlashAttention takes no mask: SDPA or FlexAttention stand in for it.
    """

    def __init__(self, model: Any, layout: Layout):
        self.model, self.own = inner(model), inner(model).config._attn_implementation
        self.other = "flex_attention" if layout.flex else "sdpa"
        self.swap = layout.tree and layout.head and (layout.flex or "flash" in str(self.own))

    def __enter__(self) -> None:
        if self.swap:
            self.model.set_attn_implementation(self.other)

    def __exit__(self, *_: object) -> None:
        if self.swap:
            self.model.set_attn_implementation(self.own)
