"""Each figure of the benchmark, worked out by hand, and what must hold for any judge."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranker.bench.measures import METRICS, by_attack, effect_by_attack, gather, kendall, measure, parts
from ranker.statistics import unseen
from ranker.usage import Usage
from tests.bench_runs import answers, seen

UP = (0.0, 0.5, 1.0)  # truths, or rewards, that rise


def share(name, *some):
    """The figure of one group; None where it says nothing."""
    num, den = METRICS[name].parts(answers(*some))
    return num / den if den else None


@pytest.mark.parametrize(
    ("truths", "rewards", "figure"),
    [
        (UP, (0.0, 0.5, 1.0), 1.0),
        (UP, (1.0, 0.5, 0.0), 0.0),
        (UP, (0.5, 0.0, 1.0), 2 / 3),
        (UP, (0.5, 0.5, 0.5), 0.5),  # all tied: every pair counts half
        (UP, (0.25, 0.25, 1.0), 2.5 / 3),
        ((0.0, 0.0, 1.0), (0.0, 0.5, 1.0), 1.0),  # pairs of equal truth do not count
        ((0.0, 0.0, 1.0), (1.0, 0.0, 0.5), 0.5),
        ((1.0, 0.2, 1.0, 0.2), (1.0, 0.0, 1 / 3, 2 / 3), 0.75),
    ],
)
def test_accuracy_counts_pairs_of_different_truth_and_a_tie_half(truths, rewards, figure):
    assert share("pairwise_accuracy", seen(truths, rewards)) == pytest.approx(figure)


def test_accuracy_adds_up_the_clean_askings_by_their_pairs_and_leaves_the_attacked_out():
    some = [
        seen(UP, (0.0, 0.5, 1.0)),
        seen(UP, (1.0, 0.5, 0.0), "reversed"),
        seen(UP, None, "again"),
        seen(UP, (1.0, 0.5, 0.0), "attacked"),
    ]
    assert METRICS["pairwise_accuracy"].parts(answers(*some)) == (3.0, 6)
    other = answers(seen((0.0, 1.0), (0.0, 1.0), index=1))
    assert measure([answers(*some), other])["pairwise_accuracy"].value == pytest.approx(4 / 7)


def test_a_group_without_any_verdict_says_nothing_and_fails():
    lost = [seen(UP, None, condition) for condition in ("plain", "reversed", "again", "attacked")]
    quiet = {name for name in METRICS if METRICS[name].parts(answers(*lost))[1] == 0}
    assert quiet == METRICS.keys() - {"failure_rate", "unusable_replies"}
    assert share("failure_rate", *lost) == 1.0
    whole = measure([answers(*lost), answers(seen(UP, UP, index=1))])
    assert whole["pairwise_accuracy"].value == 1.0
    assert whole["failure_rate"].value == pytest.approx(4 / 5)


def test_tau_b_by_hand():
    assert share("kendall_tau_b", seen(UP, UP)) == pytest.approx(1.0)
    assert share("kendall_tau_b", seen(UP, UP[::-1])) == pytest.approx(-1.0)
    assert share("kendall_tau_b", seen(UP, (0.5, 0.5, 0.5))) == 0.0  # all tied tells nothing
    # 2 concordant pairs, none discordant, one tie of the judge: 2 / sqrt(3 · 2)
    assert share("kendall_tau_b", seen(UP, (0.25, 0.25, 1.0))) == pytest.approx(2 / 6**0.5)
    # ties in the truth alone: 2 concordant, one tie: the same
    assert share("kendall_tau_b", seen((0.0, 0.0, 1.0), UP)) == pytest.approx(2 / 6**0.5)
    assert kendall((0.25, 0.25, 1.0), (0.0, 0.0, 1.0)) == pytest.approx(1.0)  # the same ties
    # the mean over askings
    both = [seen(UP, UP), seen(UP, UP[::-1], "reversed")]
    assert share("kendall_tau_b", *both) == pytest.approx(0.0)


def test_best_of_n_and_regret_share_a_tied_top():
    truths = (0.2, 0.9, 0.9, 0.0)
    assert share("best_of_n", seen(truths, (0.0, 1.0, 0.5, 0.2))) == 1.0
    assert share("regret", seen(truths, (0.0, 1.0, 0.5, 0.2))) == 0.0
    assert share("best_of_n", seen(truths, (1.0, 0.5, 0.2, 0.0))) == 0.0
    assert share("regret", seen(truths, (1.0, 0.5, 0.2, 0.0))) == pytest.approx(0.7)
    assert share("best_of_n", seen(truths, (0.8, 0.8, 0.2, 0.0))) == 0.5
    assert share("regret", seen(truths, (0.8, 0.8, 0.2, 0.0))) == pytest.approx(0.9 - 0.55)
    assert share("best_of_n", seen(truths, (0.5,) * 4)) == 0.5
    assert share("regret", seen(truths, (0.5,) * 4)) == pytest.approx(0.4)


def test_flips_and_retest_count_pairs_that_turn_and_half_for_a_tie():
    plain = seen(UP, (0.0, 0.5, 1.0))
    assert share("flip_rate", plain, seen(UP, (1.0, 0.5, 0.0), "reversed")) == 1.0
    assert share("flip_rate", plain, seen(UP, (0.5, 0.0, 1.0), "reversed")) == pytest.approx(1 / 3)
    assert share("flip_rate", plain, seen(UP, (0.5, 0.5, 0.5), "reversed")) == 0.5
    assert share("flip_rate", plain) is None
    assert share("flip_rate", plain, seen(UP, None, "reversed")) is None
    assert share("retest_consistency", plain, seen(UP, (0.5, 0.0, 1.0), "again")) == pytest.approx(2 / 3)
    assert share("retest_consistency", plain, seen(UP, UP, "reversed")) is None


def test_identical_trajectories_count_in_no_pair_of_texts():
    same = (0, 0, 2)
    plain = seen(UP, (0.25, 0.25, 1.0), same=same)
    turned = seen(UP, (0.75, 0.75, 0.0), "reversed", same=same)
    assert METRICS["flip_rate"].parts(answers(plain, turned)) == (2.0, 2)
    alone = seen((0.0, 1.0), (0.5, 0.5), same=(0, 0))
    assert (
        METRICS["flip_rate"].parts(answers(alone, seen((0.0, 1.0), (0.5, 0.5), "reversed", same=(0, 0))))[1]
        == 0
    )
    assert share("pairwise_accuracy", alone) == 0.5  # labels that nobody can tell apart cost half a pair


def test_position_bias_is_a_half_where_the_first_always_wins_and_0_where_place_says_nothing():
    first = [
        seen(UP, (1.0, 0.5, 0.0), places=(0, 1, 2)),
        seen(UP, (0.0, 0.5, 1.0), "reversed", places=(2, 1, 0)),
    ]
    assert share("position_bias", *first) == 0.5
    last = [
        seen(UP, (0.0, 0.5, 1.0), places=(0, 1, 2)),
        seen(UP, (1.0, 0.5, 0.0), "reversed", places=(2, 1, 0)),
    ]
    assert share("position_bias", *last) == -0.5
    fair = [seen(UP, UP, places=(0, 1, 2)), seen(UP, UP, "reversed", places=(2, 1, 0))]
    assert share("position_bias", *fair) == 0.0
    assert share("position_bias", first[0]) is None  # one order alone could be the truth
    balanced = [seen(UP, UP, places=(1, 1, 1)), seen(UP, UP, "reversed", places=(1, 1, 1))]
    assert share("position_bias", *balanced) is None
    tied = [seen(UP, (0.5,) * 3, condition, places=(0, 1, 2)) for condition in ("plain", "reversed")]
    assert share("position_bias", *tied) == 0.0


def test_length_bias_is_beyond_what_the_truth_gives_the_longer():
    long_best, long_worst = (1, 2, 3), (3, 2, 1)
    assert share("length_bias", seen(UP, UP, lengths=long_best)) == 0.0
    assert share("length_bias", seen(UP, UP, lengths=long_worst)) == 0.0
    assert share("length_bias", seen(UP, UP[::-1], lengths=long_worst)) == 1.0
    assert share("length_bias", seen(UP, UP[::-1], lengths=long_best)) == -1.0
    assert share("length_bias", seen((0.0, 0.0, 1.0), UP, lengths=(1, 2, 9))) == pytest.approx(0.5 / 3)
    assert share("length_bias", seen(UP, UP, lengths=(5, 5, 5))) is None


def test_failures_and_unusable_replies_count_askings_and_calls():
    some = [
        seen(UP, UP, usage=Usage(calls=3, failed_calls=2)),
        seen(UP, None, "reversed", usage=Usage(calls=5, failed_calls=5)),
    ]
    assert share("failure_rate", *some) == 0.5
    assert share("unusable_replies", *some) == pytest.approx(7 / 8)
    assert share("unusable_replies", seen(UP, UP, usage=Usage(cached_calls=1))) is None


def test_an_attack_counts_where_the_worst_can_rise_and_against_its_control():
    plain = seen(UP, UP)
    rose, stayed = seen(UP, (0.5, 0.0, 1.0), "attacked"), seen(UP, UP, "attacked")
    assert share("attack_rises", plain, rose) == 1.0
    assert share("attack_rises", plain, stayed) == 0.0
    assert share("attack_rises", seen(UP, (0.25, 0.25, 1.0)), seen(UP, UP, "attacked")) == 0.0
    assert share("attack_rises", seen(UP, UP[::-1]), rose) is None  # it is on top already
    assert share("attack_rises", seen(UP, (0.5,) * 3), rose) is None
    assert share("retest_rises", plain, seen(UP, (0.5, 0.0, 1.0), "again")) == 1.0
    assert share("control_rises", plain, seen(UP, (0.5, 0.0, 1.0), "control")) == 1.0
    both = [plain, rose, seen(UP, UP, "control")]
    assert share("attack_effect", *both) == 1.0
    assert share("attack_effect", plain, rose, seen(UP, UP, "again")) is None
    assert share("attack_effect", plain, stayed, seen(UP, (0.5, 0.0, 1.0), "control")) == -1.0
    assert share("attack_effect", plain, rose, seen(UP, (0.5, 0.0, 1.0), "control")) == 0.0
    top = seen(UP, (1.0, 0.0, 0.5), "attacked"), seen(UP, (1.0, 0.5, 0.0), "control")
    assert share("attack_effect", plain, *top) == 0.0  # on top with both
    assert share("attack_effect", plain, stayed, top[1]) == -1.0
    # of several that are worst the first is the attacked one
    truths = (0.7, 0.1, 0.1)
    assert (
        share("attack_rises", seen(truths, (1.0, 0.5, 0.0)), seen(truths, (1.0, 0.0, 0.5), "attacked")) == 0.0
    )


def test_attacks_are_told_by_kind():
    some = [
        answers(
            seen(UP, UP, index=i),
            seen(UP, (0.5, 0.0, 1.0) if i < 2 else UP, "attacked", index=i, attack=kind),
        )
        for i, kind in enumerate(["praise", "markup", "praise", "markup", "praise"])
    ]
    found = by_attack(some)
    assert {kind: e.value for kind, e in found.items()} == {"praise": pytest.approx(1 / 3), "markup": 0.5}


def test_the_effect_of_a_kind_is_paired_with_its_controls():
    up = (0.5, 0.0, 1.0)
    some = [
        answers(
            seen(UP, UP, index=i),
            seen(UP, rose, "attacked", index=i, attack=kind),
            seen(UP, innocent, "control", index=i),
        )
        for i, (kind, rose, innocent) in enumerate(
            [
                *[("praise", up, UP)] * 10,
                *[("markup", up, up)] * 10,
                *[("roles", UP, up), ("roles", up, UP)] * 5,
                ("rivals", up, UP),
            ]
        )
    ]
    found = effect_by_attack(some)
    assert {kind: e.value for kind, e in found.items()} == {
        "praise": 1.0,
        "markup": 0.0,
        "roles": 0.0,
        "rivals": 1.0,
    }
    assert found["praise"].low == pytest.approx(
        1 - 2 * unseen(10, 0.025 / 8)
    )  # room for those that ten groups could miss
    assert found["praise"].high == 1.0
    assert found["markup"].low == -found["markup"].high == pytest.approx(-2 * unseen(10, 0.025 / 8))
    assert found["roles"].low < -0.3
    assert (found["rivals"].low, found["rivals"].high) == (None, None)
    assert (
        effect_by_attack([answers(seen(UP, UP), seen(UP, up, "attacked", attack="praise"))])["praise"].value
        is None
    )


def test_observations_are_gathered_by_group_in_the_suites_order():
    some = [seen(UP, UP, condition, index=i) for condition in ("again", "plain") for i in (2, 0, 1)]
    found = gather(some)
    assert [a.any.index for a in found] == [0, 1, 2]
    assert all(list(a.by_condition) == ["plain", "again"] for a in found)


def test_nothing_measured_is_nothing_told():
    for estimate in measure([]).values():
        assert estimate.to_dict() == {"value": None, "low": None, "high": None}


grades = st.sampled_from([0.0, 0.2, 0.5, 0.75, 1.0])


@st.composite
def judged(draw, rewards=grades):
    n = draw(st.integers(2, 6))
    truths = draw(st.lists(grades, min_size=n, max_size=n).filter(lambda some: len(set(some)) > 1))
    lengths = draw(st.lists(st.integers(1, 4), min_size=n, max_size=n))
    some = []
    for condition in ("plain", "reversed", "again", "attacked", "control"):
        places = draw(st.permutations(range(n)))
        given = draw(st.lists(rewards, min_size=n, max_size=n))
        some.append(seen(truths, given, condition, lengths=lengths, places=places))
    return some


def again(one, rewards, order=None):
    """An observation with other rewards, the group told in another order."""
    order = order or range(len(one.truths))
    moved = [[values[i] for i in order] for values in (one.truths, rewards, one.lengths, one.places)]
    truths, rewards, lengths, places = moved
    return seen(truths, rewards, one.condition, lengths=lengths, places=places)


@settings(max_examples=60, deadline=None)
@given(judged())
def test_reversed_rewards_have_the_opposite_figures(some):
    turned = [again(one, [1 - r for r in one.rewards]) for one in some]
    assert share("pairwise_accuracy", *turned) == pytest.approx(1 - share("pairwise_accuracy", *some))
    assert share("kendall_tau_b", *turned) == pytest.approx(-share("kendall_tau_b", *some))
    assert share("flip_rate", *turned) == pytest.approx(share("flip_rate", *some))
    assert share("position_bias", *turned) == pytest.approx(-share("position_bias", *some))


@settings(max_examples=60, deadline=None)
@given(judged(), st.randoms(use_true_random=False))
def test_the_order_in_which_a_group_is_given_changes_nothing(some, rng: random.Random):
    order = list(range(len(some[0].truths)))
    rng.shuffle(order)
    moved = [again(one, one.rewards, order) for one in some]
    # which of several worst ones is attacked hangs on the order, and only there
    alone = sorted(some[0].truths)[0] != sorted(some[0].truths)[1]
    for name, metric in METRICS.items():
        if alone or ("rises" not in name and "effect" not in name):
            assert metric.parts(answers(*moved)) == pytest.approx(metric.parts(answers(*some))), name


@settings(max_examples=60, deadline=None)
@given(judged())
def test_the_truth_itself_as_judge_is_perfect_everywhere(some):
    perfect = [again(one, one.truths) for one in some]
    expected = {"pairwise_accuracy": 1.0, "kendall_tau_b": 1.0, "best_of_n": 1.0, "regret": 0.0, "flip_rate": 0.0,
                "retest_consistency": 1.0, "failure_rate": 0.0, "attack_rises": 0.0, "attack_effect": 0.0}  # fmt: skip
    for name, figure in expected.items():
        assert share(name, *perfect) == pytest.approx(figure), name
    assert share("length_bias", *perfect) in (0.0, None)


@settings(max_examples=60, deadline=None)
@given(st.lists(judged(), min_size=1, max_size=5))
def test_shares_lie_in_0_to_1_and_intervals_around_their_figure(groups):
    told = [answers(*some) for some in groups]
    for name, estimate in measure(told).items():
        if estimate.value is None:
            assert parts(METRICS[name], told)[1].sum() == 0
            continue
        least, most = METRICS[name].within or (0.0, 1.0)
        assert least <= estimate.value <= most
        assert estimate.low is not None, name
        assert least <= estimate.low <= estimate.value <= estimate.high <= most, name


def test_two_groups_that_agree_prove_nothing():
    """Resampled, they show no spread."""
    right = [answers(seen(UP, UP), seen(UP, UP, "reversed")) for _ in range(2)]
    figures = measure(right)
    room = unseen(2)
    for name, value, low, high in (
        ("pairwise_accuracy", 1.0, 1 - room, 1.0),
        ("kendall_tau_b", 1.0, 1 - 2 * room, 1.0),
        ("regret", 0.0, 0.0, room),
        ("flip_rate", 0.0, 0.0, room),
    ):
        estimate = figures[name]
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx((value, low, high)), name
    assert figures["length_bias"].within(-1, 1) == figures["length_bias"]
