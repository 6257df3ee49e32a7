"""The mean difference of two arms and how sure one may be of it. Pure functions of arrays; nothing here knows of runs or files.

The design is fully crossed, random seeds × random test items, and paired: d[s, i] = score of the strategy − score of the baseline for
seed s on item i. It is the multi-reader multi-case design of radiology (Dorfman, Berbaum & Metz 1992; Obuchowski & Rockette 1995; Hillis
2007). The interval adds the two components with a t quantile each (Banerjee 1960): its coverage is at least nominal at every level, and
verdicts are made at levels far below 0.05, where Satterthwaite's degrees of freedom fail.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import betaincinv, chdtri, nctdtrinc, stdtrit

SMALLEST_P = 1e-15  # smaller p-values are reported as this
SEEDS_WITHIN_REACH = 100  # where more would be needed, the reason is the budget
POWER = 0.8  # of the minimum detectable effect


@dataclass(frozen=True)
class Effect:
    """Δ of one cell with its two components of variance.

    delta: mean of d, raw. seed_variance A and item_variance C: the shares of the variance of `delta` that fall with more seeds and with
    more items; one of them is 0 where only the other is left to chance. seeds K. items n: items (or groups), pseudo-items not counted.
    """

    delta: float
    seed_variance: float
    item_variance: float
    seeds: int
    items: int

    def half(self, alpha: float) -> float:
        """Half-width at level 1 − alpha: h² = t²(1 − α/2; K − 1) A + t²(1 − α/2; n + 1) C. Always positive for alpha < 1."""
        seed_part = _t(alpha, self.seeds - 1) ** 2 * self.seed_variance if self.seed_variance else 0.0
        return math.sqrt(seed_part + _t(alpha, self.items + 1) ** 2 * self.item_variance)

    def interval(self, alpha: float) -> tuple[float, float]:
        half = self.half(alpha)
        return self.delta - half, self.delta + half

    def p_value(self, x: float = 0.0) -> float:
        """Of "the true difference is x", two-sided: the alpha at which the interval just reaches x, by bisection."""
        gap = abs(self.delta - x)
        low, high = math.log(SMALLEST_P), 0.0
        if gap >= self.half(SMALLEST_P):
            return SMALLEST_P
        for _ in range(60):  # half() falls with alpha
            middle = (low + high) / 2
            low, high = (middle, high) if self.half(math.exp(middle)) > gap else (low, middle)
        return math.exp((low + high) / 2)

    def p_equivalence(self, margin: float) -> float:
        """Of "the true difference is at or beyond ±margin": the alpha at which the interval just fits inside.

        Two one-sided tests, each at alpha / 2, since the interval is two-sided: conservative.
        """
        return max(self.p_value(-margin), self.p_value(margin)) if abs(self.delta) < margin else 1.0

    def minimum_detectable(self, alpha: float) -> float:
        """The true |Δ| that a repetition of this experiment (same seeds, same items) would tell from 0 at level alpha with probability 0.8.

        As half(alpha), with the noncentrality at which a t test has that power in place of each quantile, for the repetition estimates its
        spread anew; and with a seed component that is as often too large as too small, where A is more often too small.
        """
        seed_part = detectable_factor(alpha, self.seeds - 1) * self.seed_variance if self.seed_variance else 0.0
        return math.sqrt(seed_part + detectable_factor(alpha, self.items + 1) * self.item_variance)

    def seeds_needed(self, gap: float, alpha: float) -> int | None:
        """Seeds, more than now, at which half(alpha) is expected below `gap`; None where SEEDS_WITHIN_REACH do not suffice."""
        for seeds in range(self.seeds + 1, SEEDS_WITHIN_REACH + 1):
            if replace(self, seed_variance=self.seed_variance * self.seeds / seeds, seeds=seeds).half(alpha) < gap:
                return seeds
        return None

    def items_needed(self, gap: float, alpha: float) -> float:
        """Test items below which the interval stays wider than ±gap however many seeds are run: n z² C / gap²."""
        return self.items * _t(alpha, math.inf) ** 2 * self.item_variance / gap**2 if gap else math.inf


def detectable_factor(alpha: float, df: float) -> float:
    """By which a variance estimated with df degrees of freedom is multiplied for the square of the minimum detectable effect.

    The square of the noncentrality at which a two-sided t test at level alpha rejects with probability POWER, times df over the median of
    χ² with df degrees of freedom, which makes the estimate median-unbiased.
    """
    return float(nctdtrinc(df, 1 - POWER, _t(alpha, df)) ** 2 * df / chdtri(df, 0.5))


def estimate(d: np.ndarray, influence: float | None = None) -> Effect:
    """d [K, n], differences of seeds and items (or of groups: `group_means`), K ≥ 2, n ≥ 1, on the scale of accuracy (0 to 1).

    Two pseudo-items +w, −w join every seed's row, w² = (2 + Σ c²) / (2 + #{c ≠ 0}), c = means over seeds: with few discordant items the
    interval stays honest, with many it does not change. Equal row means happen by chance, scores being multiples of 1/n, and would give
    A = 0: A is at least what rounding to 1/n hides, (1/n)²/12 a seed.

    influence: given where d are differences of influence values, and then what one changed item makes of one (`influence.of_one_change`). They
    get no pseudo-items; C is at least what two changed items would make it, or arms that never differ on few items would pass for equal.
    """
    d = np.asarray(d, dtype=float)
    if d.ndim != 2 or d.shape[0] < 2 or d.shape[1] < 1:
        raise ValueError(f"differences of at least 2 seeds and 1 item are needed, got shape {d.shape}")
    delta, items = float(d.mean()), d.shape[1]
    if influence is None:
        w = _pseudo_item(d.mean(axis=0))
        d = np.hstack([d, np.full((len(d), 1), w), np.full((len(d), 1), -w)])  # [K, n + 2]
    seeds, n = d.shape
    ms_seed, ms_item, ms_rest = mean_squares(d)
    return Effect(
        delta=delta,
        seed_variance=max(ms_seed / n, _rounding(n)) / seeds,
        item_variance=max((ms_item - ms_rest) / (seeds * n), _least_item_variance(items, influence)),
        seeds=seeds,
        items=items,
    )


def estimate_over_seeds(d: np.ndarray) -> Effect:
    """d [K, n], K ≥ 2: for these very items, the t interval over seed means. It says nothing of other items."""
    d = np.asarray(d, dtype=float)
    seeds, n = d.shape
    means = d.mean(axis=1)
    return Effect(float(means.mean()), max(float(means.var(ddof=1)), _rounding(n)) / seeds, 0.0, seeds, n)


def estimate_over_items(d: np.ndarray, influence: float | None = None) -> Effect:
    """d [n] of two arms that no seed changes: for this very training set, the t interval over items, pseudo-items and all."""
    d = np.asarray(d, dtype=float)
    items, delta = len(d), float(d.mean())
    if influence is None:
        w = _pseudo_item(d)
        d = np.append(d, [w, -w])
    variance = float(d.var(ddof=1)) / len(d) if len(d) > 1 else 0.0
    return Effect(delta, 0.0, max(variance, _least_item_variance(items, influence)), 1, items)


def _pseudo_item(c: np.ndarray) -> float:
    return math.sqrt((2 + np.sum(c**2)) / (2 + np.count_nonzero(c)))


def _rounding(n: int) -> float:
    return 1 / (12 * n**2)


def _least_item_variance(items: int, influence: float | None) -> float:
    return 0.0 if influence is None else 2 * influence**2 / ((items + 1) * (items + 2))


def mean_squares(d: np.ndarray) -> tuple[float, float, float]:
    """MS_seed, MS_item, MS_rest of d [K, n] in the two-way layout with one observation a place."""
    seeds, n = d.shape
    row, column, grand = d.mean(axis=1, keepdims=True), d.mean(axis=0, keepdims=True), d.mean()
    ms_seed = n * np.sum((row - grand) ** 2) / (seeds - 1)
    ms_item = seeds * np.sum((column - grand) ** 2) / max(n - 1, 1)
    ms_rest = np.sum((d - row - column + grand) ** 2) / ((seeds - 1) * max(n - 1, 1))
    return float(ms_seed), float(ms_item), float(ms_rest)


def interval(d: np.ndarray, alpha: float) -> tuple[float, float]:
    """Bounds of the mean of d [K, n] at level 1 − alpha."""
    return estimate(d).interval(alpha)


def group_means(scores: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """scores [K, n], groups [n] -> [K, G], groups sorted: items that come in groups (writer, font, patient) count once together."""
    if groups is None:
        return scores
    names, place = np.unique(groups, return_inverse=True)
    member = np.zeros((len(place), len(names)))
    member[np.arange(len(place)), place] = 1.0
    return scores @ member / member.sum(axis=0)


def smallest_class(labels: np.ndarray, groups: np.ndarray | None) -> int:
    """Items (groups where given) in the class that has fewest; classes without a test item are not counted."""
    units = np.arange(len(labels)) if groups is None else groups
    return min(len(np.unique(units[labels == c])) for c in np.unique(labels))


def clopper_pearson(count: int, n: int, alpha: float) -> tuple[float, float]:
    """Exact interval of a rate, count of n."""
    low = float(betaincinv(count, n - count + 1, alpha / 2)) if count else 0.0
    high = float(betaincinv(count + 1, n - count, 1 - alpha / 2)) if count < n else 1.0
    return low, high


def _t(alpha: float, df: float) -> float:
    """The 1 − alpha/2 quantile of Student's t, taken in the lower tail, where small alphas keep their digits; df = inf is the normal."""
    return -float(stdtrit(min(df, 1e10), alpha / 2))
