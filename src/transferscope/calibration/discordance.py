"""Scores of 0 and 1 in which two arms rarely differ: d in −1, 0, 1, of which only the sums that the interval
needs are drawn.

An item differs either in every seed (lasting) or at single places (seed, item) by chance (noise). Items that
differ nowhere are counted, items that differ in one seed are counted by seed and sign, and only those that
differ in several are drawn one by one. The sums have exactly the distribution that full matrices [B, K, n]
would give them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from transferscope.calibration.many import Layout, Sums, powers


@dataclass(frozen=True)
class Kind:
    """lasting: shares of the items on which d is +1 in every seed, and −1. noise: shares of the other items'
    places with +1, and with −1."""

    lasting: tuple[float, float]
    noise: tuple[float, float] = (0.0, 0.0)

    @property
    def truth(self) -> float:
        gain, loss = self.lasting
        return gain - loss + (1 - gain - loss) * (self.noise[0] - self.noise[1])


@dataclass(frozen=True)
class Drawn:
    """lasting: items with +1, and with −1 [B, 2]. single: items that differ in one seed, by that seed and
    sign [B, K, 2]. several: d of the items that differ in two seeds or more, int8 [B, K, M], padded with
    items that do not differ. items: n, an int or [B]."""

    lasting: np.ndarray
    single: np.ndarray
    several: np.ndarray
    items: int | np.ndarray

    def sums(self, seeds: int | None = None) -> Sums:
        """Of the first `seeds` seeds, or of all."""
        several, single = self.several[:, :seeds], self.single[:, :seeds].astype(float)
        k, (gain, loss) = several.shape[1], self.lasting.T.astype(float)
        by_seed, (ups, downs) = single[..., 0] - single[..., 1], single.sum(axis=1).T
        sign = np.array([[1.0], [-1.0], [1.0]])  # of a loss, to the second, third and fourth power
        columns = powers(several.sum(axis=1, dtype=float)) + ups + sign * downs
        return Sums(
            row=several.sum(axis=2) + by_seed + (gain - loss)[:, None],
            square=np.count_nonzero(several, axis=(1, 2)) + ups + downs + k * (gain + loss),
            columns=columns + np.array([[k**2], [k**3], [k**4]]) * (gain + sign * loss),
            items=self.items,
        )


def draw(kind: Kind, seeds: int, items: int | np.ndarray, draws: int, rng: np.random.Generator) -> Drawn:
    """items: n, or n of each draw [draws]."""
    gain, loss = kind.lasting
    lasting = rng.multinomial(items, [gain, loss, 1 - gain - loss], size=draws)
    patterns, shares = _patterns(seeds, sum(kind.noise))
    differing = patterns.sum(axis=1)
    several = shares * (differing > 1)
    number = rng.multinomial(lasting[:, 2], [several.sum(), shares @ (differing == 1), shares[0]])
    is_gain = kind.noise[0] / max(sum(kind.noise), 1e-300)
    by_seed = np.full(seeds, 1 / seeds)
    single = rng.multinomial(number[:, 1], np.outer(by_seed, [is_gain, 1 - is_gain]).ravel())
    return Drawn(
        lasting[:, :2],
        single.reshape(draws, seeds, 2),
        _several(patterns, several, number[:, 0], is_gain, rng),
        items,
    )


def _patterns(seeds: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Every set of seeds in which an item may differ, bool [2^K, K], and how likely it is where each place
    differs with probability `share`."""
    patterns = (np.arange(2**seeds)[:, None] >> np.arange(seeds)) & 1 == 1
    return patterns, np.where(patterns, share, 1 - share).prod(axis=1)


def _several(
    patterns: np.ndarray, shares: np.ndarray, number: np.ndarray, is_gain: float, rng: np.random.Generator
) -> np.ndarray:
    """int8 [B, K, M]: d of number [B] items each, M the largest, by their patterns' shares, each place +1
    with probability `is_gain`."""
    shape = (len(number), patterns.shape[1], int(number.max(initial=0)))
    if not shape[2]:
        return np.zeros(shape, dtype=np.int8)
    chosen = rng.choice(len(patterns), size=(shape[0], shape[2]), p=shares / shares.sum())
    chosen[np.arange(shape[2]) >= number[:, None]] = 0
    differs = np.moveaxis(patterns[chosen], 2, 1)
    return differs * np.where(rng.random(shape, dtype=np.float32) < is_gain, np.int8(1), np.int8(-1))


# --- cells that share a baseline


@dataclass(frozen=True)
class Errors:
    """Of every arm alike: shares of the items that it gets wrong in every seed, and of the other places that
    it gets wrong by chance."""

    lasting: float
    noise: float


def against_one_baseline(
    errors: Errors, cells: int, seeds: int, items: int, draws: int, rng: np.random.Generator
) -> Iterator[Sums]:
    """The cells in turn, d = the baseline's errors − the strategy's: Δ is 0 in all, and their estimates go up
    and down together."""
    baseline = _errors(errors, seeds, items, draws, rng)  # [B, K, M]
    wrong_somewhere = baseline.any(axis=1)
    elsewhere = items - wrong_somewhere.sum(axis=1)
    for _ in range(cells):
        lasting = rng.random((draws, 1, baseline.shape[2]), dtype=np.float32) < errors.lasting
        strategy = (rng.random(baseline.shape, dtype=np.float32) < errors.noise) | lasting
        d = baseline - (strategy & wrong_somewhere[:, None]).astype(np.int8)
        rest = draw(Kind((0.0, errors.lasting), (0.0, errors.noise)), seeds, elsewhere, draws, rng)
        yield replace(Layout(d).sums + rest.sums(), items=items)


def _errors(errors: Errors, seeds: int, items: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """int8 [B, K, M]: 1 where one arm is wrong, on the items that it gets wrong in some seed; padded with
    items that are right."""
    lasting = rng.binomial(items, errors.lasting, size=draws)
    patterns, shares = _patterns(seeds, errors.noise)
    shares = shares * patterns.any(axis=1)
    by_chance = _several(patterns, shares, rng.binomial(items - lasting, shares.sum()), 1.0, rng)
    always = np.arange(lasting.max(initial=0)) < lasting[:, None, None]
    return np.concatenate(
        [np.broadcast_to(always, (draws, seeds, always.shape[2])).astype(np.int8), by_chance], axis=2
    )
