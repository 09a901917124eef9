"""Orders as people write them."""

from __future__ import annotations

import random
from string import ascii_letters

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ranker.labelling.order import (
    OrderError,
    chosen,
    equal_pairs,
    names_of,
    parse_order,
    render_order,
    shuffled,
    unshuffled,
)

ABCD = names_of(4)


@st.composite
def orders(draw, most=60):
    n = draw(st.integers(1, most))
    items = draw(st.permutations(range(n)))
    cuts = draw(st.lists(st.booleans(), min_size=n - 1, max_size=n - 1))
    tiers = [[items[0]]]
    for item, cut in zip(items[1:], cuts, strict=True):
        if cut:
            tiers.append([item])
        else:
            tiers[-1].append(item)
    return n, tuple(tuple(sorted(tier)) for tier in tiers)


@pytest.mark.parametrize(
    ("text", "tiers"),
    [
        ("B > A = D > C", ((1,), (0, 3), (2,))),
        ("BADC", ((1,), (0,), (3,), (2,))),
        ("b>ad>c", ((1,), (0,), (3,), (2,))),
        ("  b > a=d,c\n", ((1,), (0, 3), (2,))),
        ("A=B=C=D", ((0, 1, 2, 3),)),
        ("D c B a", ((3,), (2,), (1,), (0,))),
        ("CA=BD", ((2,), (0, 1), (3,))),
    ],
)
def test_what_people_write_is_read(text, tiers):
    assert parse_order(text, ABCD) == tiers


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "missing: A, B, C, D"),
        ("B > A", "missing: C, D"),
        ("ABCDA", "twice: A"),
        ("AABC", "missing: D; twice: A"),
        ("ABCE", "no attempt 'E'"),
        ("A > > B", "no letter before '>'"),
        ("> ABCD", "no letter before '>'"),
        ("ABCD =", "no letter after '='"),
        ("A < B", "no attempt '<'"),
        ("1 2 3 4", "no attempt '1'"),
        ("\x1b[31mABCD", "no attempt '\\x1b'"),
        ("ＡBCD", "no attempt 'Ａ'"),
    ],
)
def test_what_is_no_order_of_all_is_refused_with_what_is_missing(text, said):
    with pytest.raises(OrderError) as caught:
        parse_order(text, ABCD)
    assert said in str(caught.value)


@given(orders(most=80))
def test_a_written_order_is_read_back(order):
    n, tiers = order
    names = names_of(n)
    text = render_order(tiers, names)
    assert parse_order(text, names) == tiers
    assert parse_order(text.lower().replace(" ", ""), names) == tiers


@given(st.text(alphabet=ascii_letters + ">=, ﬁßΑ０<-", max_size=12), st.integers(1, 5))
@example("ﬁ", 5)
def test_only_permutations_are_accepted(text, n):
    names = names_of(n)
    try:
        tiers = parse_order(text, names)
    except OrderError:
        return
    assert sorted(i for tier in tiers for i in tier) == list(range(n))
    assert sorted(c for c in text.upper() if c.isalpha()) == sorted(names)


def test_letters():
    assert names_of(3) == ["A", "B", "C"]
    assert names_of(30)[:2] == ["AA", "AB"]
    assert parse_order("ab" + "aa" + "".join(names_of(30)[2:]), names_of(30))[0] == (1,)
    with pytest.raises(ValueError, match="700 attempts"):
        names_of(700)


@given(st.integers(2, 12), st.integers(0, 99), st.text(max_size=5))
def test_the_order_shown_follows_from_seed_and_id_and_is_another_the_second_time(n, seed, group):
    first = shuffled(n, seed, group)
    assert sorted(first) == list(range(n))
    assert first == shuffled(n, seed, group)
    again = shuffled(n, seed, group, again=True)
    assert again != first
    assert sorted(again) == list(range(n))


def test_orders_are_spread():
    assert len({shuffled(4, 0, f"g{i}") for i in range(300)}) == 24


@given(orders(8), st.integers(0, 9))
def test_what_was_shown_is_undone(order, seed):
    n, tiers = order
    shown = tuple(random.Random(seed).sample(range(n), n))
    back = unshuffled(tiers, shown)
    assert [sorted(shown.index(i) for i in tier) for tier in back] == [list(tier) for tier in tiers]


def test_pairs_on_which_two_orders_agree():
    assert equal_pairs(((0,), (1,), (2,)), ((0,), (1,), (2,)), 3) == (3, 3)
    assert equal_pairs(((0,), (1,), (2,)), ((2,), (1,), (0,)), 3) == (0, 3)
    assert equal_pairs(((0, 1), (2,)), ((0,), (1,), (2,)), 3) == (2, 3)


@given(st.floats(0, 1), st.integers(0, 50))
def test_the_share_shown_again_is_exact_to_one_group(share, seed):
    count = sum(chosen(i, share, seed) for i in range(100))
    assert abs(count - 100 * share) < 1.001
