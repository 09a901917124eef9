"""Packing into trees, against brute force."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from grpo.model.packing import batches, pack

# Few different tokens, so that beginnings are shared often.
SEQUENCES = st.lists(
    st.lists(st.integers(0, 2), max_size=7).map(lambda s: np.array(s, np.int64)), min_size=1, max_size=9
)


def prefixes(sequences: Any) -> set[tuple[int, ...]]:
    return {tuple(s[: n + 1].tolist()) for s in sequences for n in range(len(s))}


@settings(max_examples=300, deadline=None)
@given(SEQUENCES)
@example([np.zeros(0, np.int64)])
@example([np.array([1, 2]), np.array([1, 2]), np.array([1]), np.array([1, 2, 3])])
def test_a_tree_is_its_sequences(sequences: Any) -> None:
    tree = pack(sequences)
    assert len(tree) == len(prefixes(sequences)), "every prefix stands once"
    for sequence, path in zip(sequences, tree.paths, strict=True):
        assert tree.tokens_L[path].tolist() == sequence.tolist()
        assert tree.positions_L[path].tolist() == list(range(len(sequence)))
    paths = {int(path[n]): path[: n + 1].tolist() for path in tree.paths for n in range(len(path))}
    assert sorted(paths) == list(range(len(tree)))
    for i in range(len(tree)):
        seen = [j for j in range(len(tree)) if j <= i < tree.ends_L[j]]
        assert seen == paths[i], "a token sees its own beginning and nothing else"


def test_order_and_kind_of_input_do_not_matter() -> None:
    long = np.arange(50)
    tree = pack([np.append(long, [7, 8]), long[:20], np.append(long, [9])])
    assert len(tree) == 53
    assert [len(p) for p in tree.paths] == [52, 20, 51]
    assert len(pack([])) == 0


@settings(max_examples=200, deadline=None)
@given(SEQUENCES, st.integers(1, 20))
def test_batches_stay_below_the_limit(sequences: Any, most: int) -> None:
    made = batches(sequences, most)
    assert [i for batch in made for i in batch] == list(range(len(sequences)))
    for batch in made:
        inside = [sequences[i] for i in batch]
        assert len(pack(inside)) <= most or len(batch) == 1
    for batch, after in pairwise(made):  # and no batch is cut too early
        assert len(prefixes([sequences[i] for i in (*batch, after[0])])) > most


def test_a_tree_takes_in_what_costs_less_than_reading_its_beginning_again() -> None:
    def group(first: int, prompt: int, own: int) -> list[Any]:
        start = np.arange(prompt) + 100_000 * first
        return [np.concatenate([start, 10_000 * (i + 1) + np.arange(own)]) for i in range(4)]

    long, other = group(1, 600, 50), group(2, 600, 50)
    assert batches([*long, *other], 10_000, 64) == [[0, 1, 2, 3], [4, 5, 6, 7]], "nothing shared: apart"
    assert batches([*long, *other], 10_000) == [list(range(8))], "where hidden tokens cost nothing: together"
    assert batches(group(1, 20, 400), 10_000, 64) == [[0, 1], [2, 3]], (
        "long branches of a short prompt: apart"
    )
    small = [*group(1, 20, 10), *group(2, 20, 10)]
    assert batches(small, 10_000, 64) == [list(range(8))], "small ones share a forward"
