"""A key-value cache of rows of different lengths: row b's token t lies at index t, so an index is a position."""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache

Tensor = Any
_BLOCK = 64


class RaggedCache(Cache):  # type: ignore[misc]
    """The cache of B rows that decode together, one token each a step.

    Nothing is padded on the left: a row starts at index 0, whatever the others hold, and its mask ends
    at its own length. Rows join and leave between steps.

    Attributes:
        lengths_B: tokens each row holds.
        width: of the longest row with its next token.
        even: whether all rows are equally long.
    """

    def __init__(self) -> None:
        super().__init__(layers=[])
        self.lengths_B = torch.zeros(0, dtype=torch.int64)
        self.width = 0
        self.even = True

    def grow(self) -> None:
        """Make room for one more token in every row."""
        self.width = int(self.lengths_B.max()) + 1
        self.even = bool((self.lengths_B == self.width - 1).all())
        if self.layers and self.layers[0].keys.shape[2] < self.width:
            room = -(-self.width * 5 // 4 // _BLOCK) * _BLOCK
            for layer in self.layers:
                layer.widen(room)

    def mask(self) -> Tensor:
        """Which tokens each row's next token attends to, itself included; shape (B, 1, 1, width)."""
        here = torch.arange(self.width, device=self.lengths_B.device)
        return (here[None] <= self.lengths_B[:, None])[:, None, None]

    def keep(self, rows: Tensor) -> None:
        """Drop all rows but these."""
        self.lengths_B = self.lengths_B[rows]
        for layer in self.layers:
            layer.keys, layer.values = layer.keys[rows], layer.values[rows]

    def join(self, prefilled: DynamicCache, paths: list[Tensor]) -> None:
        """Add a row for each path: the cached tokens of a packed forward that make up its prompt."""
        lengths = torch.tensor([len(p) for p in paths], device=self.lengths_B.device)
        self.lengths_B = torch.cat([self.lengths_B, lengths])
        longest = int(self.lengths_B.max()) + 1
        for i, made in enumerate(prefilled.layers):
            if i == len(self.layers):
                self.layers.append(RaggedLayer(self))
            self.layers[i].join(made.keys, made.values, paths, longest)


class RaggedLayer(CacheLayerMixin):  # type: ignore[misc]
    """One layer's keys and values, shape (B, heads, room, width of a head)."""

    def __init__(self, cache: RaggedCache):
        super().__init__()
        self.cache = cache
        self.keys: Tensor = None
        self.values: Tensor = None

    def join(self, keys: Tensor, values: Tensor, paths: list[Tensor], longest: int) -> None:
        before = 0 if self.keys is None else self.keys.shape[0]
        room = -(-longest // _BLOCK) * _BLOCK if self.keys is None else max(longest, self.keys.shape[2])
        grown = []
        for old, new in ((self.keys, keys), (self.values, values)):
            made = new.new_zeros(before + len(paths), new.shape[1], room, new.shape[3])
            if old is not None:
                made[:before, :, : old.shape[2]] = old
            read: dict[int, Tensor] = {}  # attempts at the same row share their path
            for row, path in enumerate(paths, start=before):
                if id(path) not in read:
                    read[id(path)] = new[0][:, path]
                made[row, :, : len(path)] = read[id(path)]
            grown.append(made)
        self.keys, self.values = grown
        self.is_initialized = True

    def widen(self, room: int) -> None:
        more = room - self.keys.shape[2]
        self.keys = torch.nn.functional.pad(self.keys, (0, 0, 0, more))
        self.values = torch.nn.functional.pad(self.values, (0, 0, 0, more))

    def update(self, keys: Tensor, values: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        width = self.cache.width
        if self.cache.even:
            self.keys[:, :, width - 1] = keys[:, :, 0]  # with bf16 they may come in another dtype than before
            self.values[:, :, width - 1] = values[:, :, 0]
        else:
            rows = torch.arange(keys.shape[0], device=keys.device)
            self.keys[rows, :, self.cache.lengths_B] = keys[:, :, 0].to(self.keys.dtype)
            self.values[rows, :, self.cache.lengths_B] = values[:, :, 0].to(self.values.dtype)
        return self.keys[:, :, :width], self.values[:, :, :width]

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None: ...

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.cache.width, 0

    def get_seq_length(self) -> int:
        return self.cache.width - 1

    def get_max_length(self) -> int:
        return -1
