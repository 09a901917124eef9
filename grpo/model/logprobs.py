"""Log-probs of the policy's own tokens: a tree for a whole group, or padded rows for models that need them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from grpo.model.head import Support, head_logps
from grpo.model.packing import PackedTree, pack
from grpo.types import TokenSequence
from ranker.judges.local.hidden_states import inner, mask_for, trunk


@dataclass(frozen=True, slots=True)
class Layout:
    """How a model can be run, found out by `grpo.compatibility.check_layout`.

    Attributes:
        packed: sequences may share tokens through a 4-D mask and reset positions; else rows are padded.
        flex: the mask goes to FlexAttention as a rule, block by block, and is never written out; on a GPU
            only (its backward does not exist on a CPU). Else SDPA gets it as a tensor.
        head: the logits are the output embedding of the last hidden state, so they can be made in
            chunks; else the model makes its own, a sequence at a time.
    """

    packed: bool = True
    head: bool = True
    flex: bool = False

    def __str__(self) -> str:
        shape = "prompts shared in a tree" if self.packed else "padded rows, nothing shared"
        shape += " by FlexAttention" if self.flex else ""
        return f"{shape}, {'logits in chunks' if self.head else 'whole logits of one sequence at a time'}"


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Log-probs of the N sampled tokens of some sequences, sequence by sequence, in order.

    Attributes:
        logps_N: with gradient where the model has one.
        entropy_N: of the distribution each was drawn from; no gradient.
    """

    logps_N: Tensor
    entropy_N: Tensor


def token_logprobs(
    model: Any,
    sequences: Sequence[TokenSequence],
    temperature: float = 1.0,
    layout: Layout | None = None,
    gradient_N: Tensor | None = None,
) -> TokenLogprobs:
    """Log-probs of every sampled token under `model`, with the distribution the sampler used:
    the same temperature and, where sampling was truncated, the same ids to choose from.

    Args:
        sequences: their sampled tokens are read; the first token of a sequence never is one.
        gradient_N: see `head_logps`; used where no token is shared between sequences.
    """
    layout = layout or Layout()
    with _attention_for(model, layout):
        if not layout.head:
            return _whole_logprobs(model, sequences, temperature)
        if layout.packed:
            return _packed_logprobs(model, sequences, temperature, gradient_N)
        return _padded_logprobs(model, sequences, temperature, gradient_N)


def _packed_logprobs(
    model: Any, sequences: Sequence[TokenSequence], temperature: float, gradient_N: Tensor | None
) -> TokenLogprobs:
    device = model.device
    packed = pack([s.tokens_T for s in sequences])
    hidden_LH = packed_forward(model, packed)[0]
    paths = [(path, np.flatnonzero(s.sampled_T)) for path, s in zip(packed.paths, sequences, strict=True)]
    at_N = np.concatenate([path[where] for path, where in paths])
    before_N = np.concatenate([path[where - 1] for path, where in paths])
    # Tokens that trajectories have in common are read once; their gradients add up.
    at_U, first_U, back_N = np.unique(at_N, return_index=True, return_inverse=True)
    unique = len(at_U) == len(at_N) or any(s.support for s in sequences)  # the supports may differ
    if unique:
        at_U, before_U, gradient_U, support = at_N, before_N, gradient_N, _support(sequences)
    else:
        before_U = before_N[first_U]
        back = torch.from_numpy(back_N).to(device)
        gradient_U = None
        if gradient_N is not None:
            gradient_U = torch.zeros(len(at_U), dtype=gradient_N.dtype, device=device)
            gradient_U.index_add_(0, back, gradient_N)
        support = None
    logps_U, entropy_U = head_logps(
        hidden_LH[torch.from_numpy(before_U).to(device)],
        *_head(model),
        torch.from_numpy(packed.tokens_L[at_U]).to(device),
        temperature,
        support,
        gradient_U,
    )
    if unique:
        return TokenLogprobs(logps_U, entropy_U)
    return TokenLogprobs(logps_U[back], entropy_U[back])


def packed_forward(model: Any, packed: PackedTree, **extra: Any) -> Tensor:
    """Last hidden states of a tree, shape (1, L, H)."""
    device = model.device
    output = trunk(model)(
        input_ids=torch.from_numpy(packed.tokens_L)[None].to(device),
        position_ids=torch.from_numpy(packed.positions_L)[None].to(device),
        attention_mask=packed_mask(model, torch.from_numpy(packed.ends_L).to(device)),
        use_cache="past_key_values" in extra,
        **extra,
    )
    return output.last_hidden_state


def packed_mask(model: Any, ends_L: Tensor) -> Any:
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


def _padded_logprobs(
    model: Any, sequences: Sequence[TokenSequence], temperature: float, gradient_N: Tensor | None
) -> TokenLogprobs:
    """Rows padded on the right: positions count from 0 and no real token can see the padding."""
    ids_ST = pad_sequence([torch.from_numpy(s.tokens_T) for s in sequences], batch_first=True).to(
        model.device
    )
    positions_ST = torch.arange(ids_ST.shape[1], device=model.device).expand_as(ids_ST)
    lengths_S = torch.tensor([len(s.tokens_T) for s in sequences], device=model.device)
    mask_ST = (positions_ST < lengths_S[:, None]).to(torch.int64)
    output = trunk(model)(
        input_ids=ids_ST, attention_mask=mask_ST, position_ids=positions_ST, use_cache=False
    )
    sampled = [np.flatnonzero(s.sampled_T) for s in sequences]
    rows = np.repeat(np.arange(len(sequences)), [len(p) for p in sampled])
    places = np.concatenate(sampled)
    hidden_NH = output.last_hidden_state[rows, places - 1]
    logps_N, entropy_N = head_logps(
        hidden_NH, *_head(model), ids_ST[rows, places], temperature, _support(sequences), gradient_N
    )
    return TokenLogprobs(logps_N, entropy_N)


def _whole_logprobs(model: Any, sequences: Sequence[TokenSequence], temperature: float) -> TokenLogprobs:
    """The model's own logits, a sequence at a time."""
    logps, entropies = [], []
    for sequence in sequences:
        ids_1T = torch.from_numpy(sequence.tokens_T)[None].to(model.device)
        places = np.flatnonzero(sequence.sampled_T)
        logits_NV = (
            inner(model)(input_ids=ids_1T, use_cache=False).logits[0, places - 1].float() / temperature
        )
        support = _support([sequence])
        if support is not None:
            logits_NV = logits_NV.masked_fill(support.mask(0, len(places), logits_NV), -torch.inf)
        every_NV = logits_NV.log_softmax(1)
        logps.append(every_NV.gather(1, ids_1T[0, places][:, None])[:, 0])
        fixed_NV = every_NV.detach()
        entropies.append(
            -torch.linalg.vecdot(fixed_NV.exp(), fixed_NV.masked_fill(fixed_NV == -torch.inf, 0.0))
        )
    return TokenLogprobs(torch.cat(logps), torch.cat(entropies))


def _support(sequences: Sequence[TokenSequence]) -> Support | None:
    if not any(s.support for s in sequences):
        return None
    nothing = np.zeros(0, np.int32)
    lists: list[np.ndarray] = []
    for sequence in sequences:
        lists += sequence.support or [nothing] * int(sequence.sampled_T.sum())
    return Support(np.concatenate(lists), np.array([len(ids) for ids in lists]))


def head_logits(model: Any, hidden_BH: Tensor) -> Tensor:
    """Logits of a few hidden states, shape (B, V). Weight times states is a third faster on a CPU than states
    times weight, for batches as small as those of sampling."""
    weight_VH, bias_V = _head(model)
    logits_BV = (weight_VH @ hidden_BH.to(weight_VH.dtype).T).T.contiguous()
    return logits_BV if bias_V is None else logits_BV + bias_V


def _head(model: Any) -> tuple[Tensor, Tensor | None]:
    head = inner(model).get_output_embeddings()
    return head.weight, getattr(head, "bias", None)


def plain_logprobs(model: Any, sequences: Sequence[TokenSequence], temperature: float = 1.0) -> Tensor:
    """Log-probs by the plainest road there is, each sequence alone through the model's own forward."""
    return _whole_logprobs(model, sequences, temperature).logps_N


@contextlib.contextmanager
def _attention_for(model: Any, layout: Layout) -> Iterator[None]:
    """The attention a layout needs, for the time of a forward; the model's own comes back after.

    FlashAttention takes no mask: SDPA or FlexAttention stand in for it.
    """
    causal, own = inner(model), inner(model).config._attn_implementation
    if not (layout.packed and layout.head and (layout.flex or "flash" in str(own))):
        yield
        return
    causal.set_attn_implementation("flex_attention" if layout.flex else "sdpa")
    try:
        yield
    finally:
        causal.set_attn_implementation(own)
