"""What verdict.py and sequential.py decide, for many families of cells at once. p-values and decisions are
[m, B]: m cells, B families."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from transferscope.calibration.many import Effects
from transferscope.statistics.sequential import Design


def claims(effects: Effects, margin: float, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """p [m, B] of "a difference" and of "inside ±margin"; 1 where it is above alpha."""
    return effects.p_value(0.0, alpha), effects.p_equivalence(margin, alpha)


def by_holm(p: np.ndarray, size: int | np.ndarray, alpha: float) -> np.ndarray:
    """p [m, B] -> bool [m, B], decided in families of `size` hypotheses, one number or [B]."""
    rank = np.argsort(np.argsort(p, axis=0, kind="stable"), axis=0)
    return rank < np.min(np.where(np.maximum(size - rank, 1) * p > alpha, rank, len(p)), axis=0)


def by_bh(p: np.ndarray, size: int | np.ndarray, alpha: float) -> np.ndarray:
    """As `by_holm`: Benjamini-Hochberg."""
    rank = np.argsort(np.argsort(p, axis=0, kind="stable"), axis=0)
    return rank < np.max(np.where(size * p <= alpha * (rank + 1), rank + 1, 0), axis=0)


CORRECTIONS = {"holm": by_holm, "bh": by_bh}


@dataclass(frozen=True)
class Decisions:
    """Of families of m cells: difference, equivalent (bool) and the sign of Δ's estimate, all [m, B]. truth:
    the cells' Δ [m]."""

    difference: np.ndarray
    equivalent: np.ndarray
    sign: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence["Decisions"]) -> "Decisions":
        return cls(
            **{name: np.concatenate([vars(part)[name] for part in parts], axis=1) for name in vars(parts[0])}
        )

    def false_difference(self, truth: np.ndarray) -> np.ndarray:
        return self.difference & (self.sign != np.sign(truth)[:, None])

    def false_equivalence(self, truth: np.ndarray, margin: float) -> np.ndarray:
        return self.equivalent & (np.abs(truth) >= margin)[:, None]

    def false(self, truth: np.ndarray, margin: float) -> np.ndarray:
        return self.false_difference(truth) | self.false_equivalence(truth, margin)

    def found(self, truth: np.ndarray, margin: float) -> dict[str, float]:
        """Shares of the true differences, and of the cells that are inside the margin, that are told as what
        they are."""
        inside, differs = np.abs(truth) < margin, truth != 0
        right = self.difference[differs] & (self.sign[differs] == np.sign(truth)[differs, None])
        found = {"equivalences found": float(self.equivalent[inside].mean())}
        return found | ({"differences found": float(right.mean())} if differs.any() else {})


def judged(effects: Effects, margin: float, alpha: float, correction: str = "holm") -> Decisions:
    """`verdict.judge` of families [m, B] whose cells may make every claim."""
    apart, inside = (CORRECTIONS[correction](p, len(p), alpha) for p in claims(effects, margin, alpha))
    return Decisions(apart, inside & ~apart, np.sign(effects.delta))


def bh_levels(effects: Effects, margin: float, alpha: float) -> np.ndarray:
    """[m, B], of the intervals that `verdict.judge` gives under `bh`."""
    apart, inside = (by_bh(p, len(p), alpha) for p in claims(effects, margin, alpha))
    different, equivalent = (
        alpha * np.maximum(claimed.sum(axis=0), 1) / len(claimed) for claimed in (apart, inside)
    )
    return np.where(apart, different, np.where(inside, equivalent, np.minimum(different, equivalent)))


@dataclass(frozen=True)
class Course:
    """Of families of m cells: difference, equivalent (bool), seeds (when a cell came to its end), all [m,
    B]."""

    difference: np.ndarray
    equivalent: np.ndarray
    seeds: np.ndarray

    @property
    def false_difference(self) -> np.ndarray:
        """bool [B], where every cell is null."""
        return self.difference.any(axis=0)


def course(effects: Sequence[Effects], margin: float, design: Design, counting: str = "each claim") -> Course:
    """`sequential.look` at every look of many families at once; effects [m, B] of each look.

    counting: what the procedures of a look count. `each claim`: the cells of which it has not been told. Two
    mistakes: `both claims`, the cells of which neither has been told; `open cells`, those that were not
    stopped for futility either."""
    shape = effects[0].delta.shape
    is_open = np.ones(shape, dtype=bool)
    difference = np.zeros(shape, dtype=bool)
    equivalent = np.zeros(shape, dtype=bool)
    ended = np.full(shape, design.looks[-1])
    for at, seeds in zip(effects, design.looks, strict=True):
        claimed = {
            "each claim": (difference, equivalent),
            "both claims": (difference | equivalent,) * 2,
            "open cells": (~is_open,) * 2,
        }[counting]
        untold = [np.maximum((~claim).sum(axis=0), 1) for claim in claimed]
        p = (np.where(is_open, claim, 1.0) for claim in claims(at, margin, design.level))
        apart, inside = (by_holm(claim, size, design.level) for claim, size in zip(p, untold, strict=True))
        inside &= ~apart
        difference, equivalent = difference | apart, equivalent | inside
        left = [
            np.maximum(size - claim.sum(axis=0), 1)
            for size, claim in zip(untold, (apart, inside), strict=True)
        ]
        still = (
            is_open
            & ~(apart | inside)
            & ~futile(at, margin, [design.level / number for number in left], design.looks[-1])
        )
        ended[is_open & ~still] = seeds
        is_open = still
    return Course(difference, equivalent, ended)


def futile(effects: Effects, margin: float, levels: Sequence[np.ndarray], seeds: int) -> np.ndarray:
    """`sequential.is_futile` of cells that may make every claim."""
    predicted = replace(effects, seed_variance=effects.seed_variance * effects.seeds / seeds, seeds=seeds)
    drift, size = np.sqrt(effects.seed_variance), np.abs(effects.delta)
    difference = size + drift >= predicted.half(levels[0])
    return ~(difference | (predicted.half(levels[1]) - drift <= margin - size))
