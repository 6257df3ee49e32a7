"""Kendall's τ over pairs of domains, tested by exchanging the names of the domains.

Pairs share their domains, so they are not independent, and Kendall's own test is not valid for them (at 5 %
it rejects 10 to 22 % of the time). If a score knows nothing of Δ, the domains' names may be exchanged in one
and not in the other: quadratic assignment (Hubert & Schultz 1976, Br J Math Stat Psychol 29; Krackhardt 1988,
Social Networks 10)."""

import itertools
import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

MOST = 5040  # relabellings: all of them up to 7 domains; beyond, so many drawn


def permutation_tau(
    values: np.ndarray, deltas: np.ndarray, pairs: Sequence[tuple[str, str]]
) -> tuple[np.ndarray, np.ndarray, int]:
    """(Kendall's τ-b [S], one-sided p [S], number of relabellings) of S scores' values [S, n] and deltas [n]
    at n pairs (source, target); a source of several domains is written `a+b`. p is the share of relabellings,
    the true names among them, with a τ at least as high; exact where all are tried. τ is NaN where all values
    or all deltas are the same."""
    together, scale = _agreements(values, deltas, pairs)
    with np.errstate(invalid="ignore"):
        tau = together[0] / scale
    return tau.astype(float), (together >= together[0] - 0.5).mean(0), len(together)


def permutation_taus(values: np.ndarray, deltas: np.ndarray, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    """τ-b [R, S] of every relabelling, the true names first; else as `permutation_tau`."""
    together, scale = _agreements(values, deltas, pairs)
    with np.errstate(invalid="ignore"):
        taus: np.ndarray = together / scale
    return taus


def highest_anywhere(taus: np.ndarray) -> np.ndarray:
    """taus [R, S] of scores that were relabelled together -> p [S]: the share of relabellings in which any of
    them is at least as high as this one is with the true names. With the true null of all, one below α comes
    up in a share α (max-T, Westfall & Young 1993, single step)."""
    highest = np.nanmax(taus, axis=1)
    p: np.ndarray = (highest[:, None] >= taus[0] - 1e-6).mean(0)
    return p


def _agreements(
    values: np.ndarray, deltas: np.ndarray, pairs: Sequence[tuple[str, str]]
) -> tuple[np.ndarray, np.ndarray]:
    """(agreeing less disagreeing comparisons [R, S], by what they are divided for τ-b [S])"""
    orders = relabellings(tuple(pairs))
    first, second = np.triu_indices(len(pairs), 1)
    scored = np.sign(values[:, first] - values[:, second]).astype(np.float32)  # [S, n (n − 1) / 2]
    together = []
    for some in np.array_split(orders, max(1, orders.size * len(pairs) // 2_000_000)):
        renamed = deltas[some]
        together.append(np.sign(renamed[:, first] - renamed[:, second]).astype(np.float32) @ scored.T)
    return np.concatenate(together), np.sqrt(
        (scored**2).sum(1) * np.count_nonzero(deltas[first] != deltas[second])
    )


@lru_cache(maxsize=64)
def relabellings(pairs: tuple[tuple[str, str], ...]) -> np.ndarray:
    """[R, n]: which pair each pair becomes when the domains change names, the true names first.

    Names are exchanged among domains that play the same part: exchanging any two of them leads from the pairs
    that there are to pairs that there are. In a square of domains these are all; where sources are no
    targets, sources and targets each among themselves. So the test keeps its level with any set of pairs, and
    loses power where pairs are missing. All relabellings, or MOST drawn."""
    place = {(frozenset(source.split("+")), target): k for k, (source, target) in enumerate(pairs)}

    def renamed(new: dict[str, str]) -> list[int | None]:
        return [
            place.get((frozenset(new.get(name, name) for name in source), new.get(target, target)))
            for source, target in place
        ]

    parts: list[list[str]] = []
    for name in sorted({name for source, target in place for name in [*source, target]}):
        alike = next((part for part in parts if None not in renamed({name: part[0], part[0]: name})), None)
        if alike is None:
            parts.append([name])
        else:
            alike.append(name)
    if math.prod(math.factorial(len(part)) for part in parts) <= MOST:
        choices: Iterable[Iterable[Sequence[str]]] = itertools.product(
            *(itertools.permutations(part) for part in parts)
        )  # the first is the identity
    else:
        draws = np.random.default_rng(0)
        choices = itertools.chain(
            [parts], ([draws.permutation(part).tolist() for part in parts] for _ in range(MOST - 1))
        )
    names = list(itertools.chain(*parts))
    return np.array([renamed(dict(zip(names, itertools.chain(*choice), strict=True))) for choice in choices])
