"""What the groups of late say of a judge: the state that debiasing carries from group to group."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ranker.debias.model import Comparisons, Fit, fit
from ranker.errors import ConfigurationError
from ranker.runtime.outputs import replace_file
from ranker.statistics import Estimate

VERSION = 1
WINDOW = 24  # groups


@dataclass(slots=True)
class Evidence:
    """The latest groups' comparisons. Save it with a run and load it to go on exactly.

    Attributes:
        window: groups that are weighed together, at least 1.
        judge: whose comparisons they are.
        history: the latest `window` groups.
        last: the latest fit; of a restored state the bias alone.
    """

    window: int = WINDOW
    judge: str | None = None
    history: list[Comparisons] = field(default_factory=list)
    last: Fit | None = None

    def weigh(self, groups: Sequence[Comparisons]) -> Fit:
        """The worth of these groups' attempts in the light of the groups before, which are remembered; `worth` and
        `deviation` have one list for each of `groups`, in the order of its attempts.

        Raises:
            ConfigurationError: the groups before were compared with other covariates.
        """
        names = self.history[-1].names_K if self.history else groups[0].names_K
        if other := [c for c in groups if c.names_K != names]:
            raise ConfigurationError(
                f"This debiasing state is of {', '.join(names)}, not of {', '.join(other[0].names_K)}; start with a "
                "fresh one where the covariates change."
            )
        weighed = [*self.history, *groups][-max(self.window, len(groups)) :]
        start = None if self.last is None else [e.value or 0.0 for e in self.last.phi_K]
        whole = fit(weighed, start)
        self.history = weighed[-self.window :]
        self.last = replace(
            whole,
            worth=_per_attempt(whole.worth, weighed)[-len(groups) :],
            deviation=_per_attempt(whole.deviation, weighed)[-len(groups) :],
        )
        return self.last

    @property
    def bias(self) -> dict[str, Estimate]:
        """By covariate the log-odds that the most of it wins against the least of it, all else equal; empty before
        the first group."""
        if self.last is None or not self.history:
            return {}
        return dict(zip(self.history[-1].names_K, self.last.phi_K, strict=True))

    def bind(self, judge: str) -> None:
        """Say whose comparisons these are.

        Raises:
            ConfigurationError: they are another judge's.
        """
        if self.judge not in (None, judge):
            raise ConfigurationError(
                f"This debiasing state is of the judge {self.judge}, not of {judge}: what one judge likes says nothing "
                "of another. Use a state for each."
            )
        self.judge = judge

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "version": VERSION,
            "window": self.window,
            "judge": self.judge,
            "history": [c.to_dict() for c in self.history],
            "bias": None if self.last is None else [e.to_dict() for e in self.last.phi_K],
        }

    @classmethod
    def from_dict(cls, state: Any) -> Evidence:
        """Raises ConfigurationError for a state of another version, or a damaged one."""
        version = state.get("version") if isinstance(state, dict) else None
        if version != VERSION:
            raise ConfigurationError(
                f"This is no debiasing state of version {VERSION} but of {version!r}; start with a fresh one."
            )
        try:
            history = [Comparisons.from_dict(fields) for fields in state["history"]]
            bias = state["bias"]
            last = None
            if bias is not None:
                last = Fit([], [], tuple(Estimate(e["value"], e["low"], e["high"]) for e in bias), {}, None)
            evidence = cls(state["window"], state["judge"], history, last)
            evidence._check()
            return evidence
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ConfigurationError(
                f"The debiasing state is damaged ({error!r}); start with a fresh one."
            ) from None

    def _check(self) -> None:
        """Raises ValueError, TypeError or IndexError: it is not what `to_dict` wrote."""
        if type(self.window) is not int or self.window < 1:
            raise ValueError(f"window {self.window!r}")
        if self.judge is not None and not isinstance(self.judge, str):
            raise ValueError(f"judge {self.judge!r}")
        if self.last is not None and len(self.last.phi_K) != len(self.history[-1].names_K):
            raise ValueError("bias")
        for c in self.history:
            _check(c)

    def save(self, path: str | Path) -> None:
        """Write it to a file, whole or not at all."""
        replace_file(Path(path), json.dumps(self.to_dict()).encode())

    @classmethod
    def load(cls, path: str | Path) -> Evidence:
        """Read it from a file. Raises ConfigurationError: the file holds none."""
        try:
            state = json.loads(Path(path).read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{path} holds no debiasing state: {error}.") from None
        return cls.from_dict(state)


def _per_attempt(values: Sequence[Sequence[float]], history: Sequence[Comparisons]) -> list[list[float]]:
    return [[of_item[i] for i in c.attempt_G] for of_item, c in zip(values, history, strict=True)]


def _check(c: Comparisons) -> None:
    """Raises ValueError or TypeError: these are no comparisons of one group."""
    n, k = len(c.owner_N), len(c.names_K)
    fits = (
        all(isinstance(name, str) for name in c.names_K)
        and all(type(i) is int and 0 <= i < n for i in (*c.owner_N, *c.attempt_G))
        and all(c.owner_N[i] == i for i in c.owner_N)
        and len(c.edit_N) == n
        and len(c.tiers_P) == len(c.covariates_PNK) > 0
        and all(sorted(i for tier in tiers for i in tier) == list(range(n)) for tiers in c.tiers_P)
        and all(
            len(x_NK) == n and all(len(x_K) == k and all(map(math.isfinite, x_K)) for x_K in x_NK)
            for x_NK in c.covariates_PNK
        )
    )
    if not fits:
        raise ValueError("comparisons of a group")
