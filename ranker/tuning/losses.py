"""Losses on the scores of one group: pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

Tensor = Any


def pairwise_loss(scores_G: Tensor, truths_G: Tensor) -> Tensor:
    """Mean over pairs with a better and a worse attempt of ``-log sigmoid(better - worse)``, a scalar.

    Source: RankNet (Burges et al. 2005), the Bradley-Terry likelihood. Pairs of equal truth do not count; 0 where
    there are no others.
    """
    better_GG = truths_G[:, None] > truths_G[None, :]
    if not bool(better_GG.any()):
        return scores_G.sum() * 0.0
    return functional.softplus(scores_G[None, :] - scores_G[:, None])[better_GG].mean()


def listwise_loss(scores_G: Tensor, truths_G: Tensor) -> Tensor:
    """Negative log-likelihood of the truth's order under Plackett-Luce, divided by the number of choices; a scalar.

    Source: ListMLE (Xia et al. 2008). Each attempt that has a worse one is chosen from itself and all worse ones, so
    that ties are never chosen between; 0 where there is nothing to choose.
    """
    below_GG = truths_G[:, None] > truths_G[None, :]
    chosen_G = below_GG.any(1)
    if not bool(chosen_G.any()):
        return scores_G.sum() * 0.0
    among_GG = below_GG | torch.eye(len(scores_G), dtype=torch.bool, device=scores_G.device)
    all_GG = scores_G[None, :].expand_as(among_GG).masked_fill(~among_GG, -torch.inf)
    return (all_GG.logsumexp(1) - scores_G)[chosen_G].mean()


def both_losses(scores_G: Tensor, truths_G: Tensor) -> Tensor:
    """The mean of the two."""
    return 0.5 * (pairwise_loss(scores_G, truths_G) + listwise_loss(scores_G, truths_G))


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "pairwise": pairwise_loss,
    "listwise": listwise_loss,
    "both": both_losses,
}
