"""Losses on a group's scores: values in closed form, directions, and laws."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ranker.tuning.losses import LOSSES, both_losses, listwise_loss, pairwise_loss


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x))


def test_pairwise_is_the_mean_over_pairs_that_differ():
    scores, truths = torch.tensor([1.0, -0.5, 2.0]), torch.tensor([1.0, 0.0, 0.0])
    expected = -(log_sigmoid(1.5) + log_sigmoid(-1.0)) / 2
    assert pairwise_loss(scores, truths).item() == pytest.approx(expected, rel=1e-6)


def test_listwise_is_plackett_luce():
    scores, truths = torch.tensor([0.3, 1.0, -0.7]), torch.tensor([0.2, 0.9, 0.1])
    e = [math.exp(s) for s in scores.tolist()]
    chosen = [e[1] / (e[0] + e[1] + e[2]), e[0] / (e[0] + e[2])]
    assert listwise_loss(scores, truths).item() == pytest.approx(-sum(map(math.log, chosen)) / 2, rel=1e-6)


def test_listwise_chooses_each_of_a_tie_from_itself_and_the_worse():
    scores, truths = torch.tensor([0.3, 1.0, -0.7]), torch.tensor([1.0, 1.0, 0.0])
    e = [math.exp(s) for s in scores.tolist()]
    chosen = [e[0] / (e[0] + e[2]), e[1] / (e[1] + e[2])]
    assert listwise_loss(scores, truths).item() == pytest.approx(-sum(map(math.log, chosen)) / 2, rel=1e-6)


@pytest.mark.parametrize("loss", LOSSES.values())
def test_a_step_down_raises_the_better_and_lowers_the_worse(loss):
    scores = torch.zeros(4, requires_grad=True)
    loss(scores, torch.tensor([0.0, 1.0, 0.0, 1.0])).backward()
    assert (scores.grad[[1, 3]] < 0).all()
    assert (scores.grad[[0, 2]] > 0).all()
    assert scores.grad.sum().item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", LOSSES.values())
def test_ties_give_no_gradient(loss):
    scores = torch.tensor([3.0, -1.0, 0.5], requires_grad=True)
    value = loss(scores, torch.ones(3))
    value.backward()
    assert value.item() == 0
    assert (scores.grad == 0).all()


def test_tied_attempts_with_equal_scores_are_moved_alike():
    for loss in LOSSES.values():
        scores = torch.tensor([0.4, 0.4, 0.1, 0.1], requires_grad=True)
        loss(scores, torch.tensor([1.0, 1.0, 0.0, 0.0])).backward()
        assert scores.grad[0].item() == pytest.approx(scores.grad[1].item())
        assert scores.grad[2].item() == pytest.approx(scores.grad[3].item())


numbers = st.floats(-20, 20, width=32)


@given(numbers, numbers)
def test_both_losses_are_one_for_two_attempts(a, b):
    scores, truths = torch.tensor([a, b]), torch.tensor([1.0, 0.0])
    one, other = pairwise_loss(scores, truths).item(), listwise_loss(scores, truths).item()
    assert one == pytest.approx(other, abs=1e-4)
    assert both_losses(scores, truths).item() == pytest.approx(one, abs=1e-4)


@settings(deadline=None)
@given(st.data())
def test_the_order_of_the_attempts_means_nothing(data):
    n = data.draw(st.integers(2, 7))
    scores = torch.tensor(data.draw(st.lists(numbers, min_size=n, max_size=n)), dtype=torch.float64)
    truths = torch.tensor(data.draw(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=n, max_size=n)))
    order = torch.tensor(data.draw(st.permutations(range(n))))
    for loss in LOSSES.values():
        plain, moved = scores.clone().requires_grad_(), scores[order].clone().requires_grad_()
        first, second = loss(plain, truths), loss(moved, truths[order])
        assert first.item() == pytest.approx(second.item(), abs=1e-9)
        first.backward()
        second.backward()
        assert torch.allclose(plain.grad[order], moved.grad, atol=1e-9)
        assert first.item() >= 0
        assert loss(scores + 3.0, truths).item() == pytest.approx(
            first.item(), abs=1e-9
        )  # only differences count
