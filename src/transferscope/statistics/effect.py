"""The mean difference of two arms and how sure one may be of it. Pure functions of arrays; nothing here knows
of runs or files.

The design is fully crossed, random seeds × random test items, and paired: d[s, i] = score of the strategy −
score of the baseline for seed s on item i. It is the multi-reader multi-case design of radiology (Dorfman,
Berbaum & Metz 1992; Obuchowski & Rockette 1995; Hillis 2007). The interval adds the two components with a t
quantile each (Banerjee 1960): its coverage is at least nominal at every level, and verdicts are made at
levels far below 0.05, where Satterthwaite's degrees of freedom fail."""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import betaincinv, chdtri, nctdtrinc, ndtri, stdtrit

SMALLEST_P = 1e-15  # smaller p-values are reported as this
SEEDS_WITHIN_REACH = 100  # where more would be needed, the reason is the budget
POWER = 0.8  # of the minimum detectable effect
# of the χ² that the seeds' spread is taken to have come from: at the median, experiments find 0.70 to 0.78,
# not 0.8
SPREAD_QUANTILE = 0.35
SPREAD_QUANTILE_OF_MANY = 0.5  # where the spread is the mean of `MANY` cells or more of one baseline
MANY = 6


@dataclass(frozen=True)
class Effect:
    """Δ of one cell with its two components of variance.

    delta: mean of d, raw. seed_variance A and item_variance C: the shares of the variance of `delta` that
    fall with more seeds and with more items; one of them is 0 where only the other is left to chance. seeds
    K. items n: items (or groups), pseudo-items not counted. item_df ν: how many items carry Δ, as far as
    degrees of freedom go. raw_item_variance: C without pseudo-items."""

    delta: float
    seed_variance: float
    item_variance: float
    seeds: int
    items: int
    item_df: float
    raw_item_variance: float = 0.0

    def half(self, alpha: float) -> float:
        """Half-width at level 1 − alpha: h² = t²(1 − α/2; K − 1) A + t²(1 − α/2; ν) C. Always positive for
        alpha < 1."""
        return math.hypot(self.seed_half(alpha), self.item_half(alpha))

    def seed_half(self, alpha: float) -> float:
        """What is left of the half-width with test items without end."""
        return (
            t_quantile(alpha, self.seeds - 1) * math.sqrt(self.seed_variance) if self.seed_variance else 0.0
        )

    def item_half(self, alpha: float) -> float:
        """What is left of the half-width with seeds without end."""
        return t_quantile(alpha, self.item_df) * math.sqrt(self.item_variance) if self.item_variance else 0.0

    def interval(self, alpha: float) -> tuple[float, float]:
        half = self.half(alpha)
        return self.delta - half, self.delta + half

    def p_value(self, x: float = 0.0) -> float:
        """Of "the true difference is x", two-sided: the alpha at which the interval just reaches x, by
        bisection. 1 where the two are equal, however narrow the interval."""
        gap = abs(self.delta - x)
        low, high = math.log(SMALLEST_P), 0.0
        if gap >= self.half(SMALLEST_P):
            return SMALLEST_P if gap else 1.0
        for _ in range(60):  # half() falls with alpha
            middle = (low + high) / 2
            low, high = (middle, high) if self.half(math.exp(middle)) > gap else (low, middle)
        return math.exp((low + high) / 2)

    def p_equivalence(self, margin: float) -> float:
        """Of "the true difference is at or beyond ±margin": the alpha at which the interval just fits inside.

        Two one-sided tests, each at alpha / 2, since the interval is two-sided: conservative.
        """
        return max(self.p_value(-margin), self.p_value(margin)) if abs(self.delta) < margin else 1.0

    def minimum_detectable(self, alpha: float, doubt: float | None = None) -> float:
        """The true |Δ| that a repetition of this experiment (same seeds, same items) would tell from 0 at
        level alpha with probability 0.8.

        Seeds: the noncentrality at which a t test has that power in place of the quantile, for the repetition
        estimates its spread anew, and A times `doubt`: what A was found in leaves it open, and it is more
        often too small than too large; None where that are these very seeds. Items: the quantile times √C,
        which pseudo-items widen, and z at that power times what really varies."""
        seed_part = (
            noncentrality(alpha, self.seeds - 1)
            * math.sqrt((spread_doubt(self.seeds - 1) if doubt is None else doubt) * self.seed_variance)
            if self.seed_variance
            else 0.0
        )
        return math.hypot(
            seed_part, self.item_half(alpha) + float(ndtri(POWER)) * math.sqrt(self.raw_item_variance)
        )

    def seeds_needed(self, gap: float, alpha: float) -> int | None:
        """Seeds, more than now, at which half(alpha) is expected below `gap`; None where SEEDS_WITHIN_REACH
        do not suffice."""
        return next(
            (
                seeds
                for seeds in range(self.seeds + 1, SEEDS_WITHIN_REACH + 1)
                if self.with_seeds(seeds).half(alpha) < gap
            ),
            None,
        )

    def with_seeds(self, seeds: int) -> "Effect":
        """As is to be expected with another number of seeds and the same spread."""
        return replace(self, seed_variance=self.seed_variance * self.seeds / seeds, seeds=seeds)

    def items_needed(self, gap: float, alpha: float) -> float:
        """Test items below which the interval stays wider than ±gap however many seeds are run, C falling
        with 1/n and ν rising with n."""
        if not (gap and self.item_variance):
            return math.inf if self.item_variance else 0.0
        low, high = -20.0, 40.0  # log of the number of items over that of now
        for _ in range(60):
            middle = (low + high) / 2
            times = math.exp(middle)
            wider = t_quantile(alpha, self.item_df * times) * math.sqrt(self.item_variance / times) > gap
            low, high = (middle, high) if wider else (low, middle)
        return self.items * math.exp(high)


def noncentrality(alpha: float, df: float) -> float:
    """At which a two-sided t test at level alpha with df degrees of freedom rejects with probability
    POWER."""
    return float(nctdtrinc(df, 1 - POWER, t_quantile(alpha, df)))


def spread_doubt(df: float, quantile: float = SPREAD_QUANTILE) -> float:
    """By which a variance that was estimated with df degrees of freedom is multiplied before it is planned
    with: df over the χ² of that quantile."""
    return float(df / chdtri(df, 1 - quantile))


def estimate(d: np.ndarray, unit: float = 1.0, influence: float | None = None) -> Effect:
    """d [K, n], differences of seeds and items (or of groups: `group_means`), K ≥ 2, n ≥ 1, all finite.

    unit u: of the metric, 1 for scores of 0 and 1, else half the largest possible |difference|. Two
    pseudo-items +u, −u join every seed's row: what a bounded score may yet show on items like none of these.
    The item part has the degrees of freedom ν = min(n + 1, (2u² + Σc²)² / (2u⁴ + Σc⁴)), c the means of d over
    seeds: Satterthwaite's number for a sum of squares that few items carry. The same data in another unit (d
    and u both multiplied) give the same p-values. Equal row means happen by chance, scores being multiples of
    u/n, and would give A = 0: A is at least what rounding hides, (u/N)²/12 a seed.

    influence w: given where d are differences of influence values, and then what one changed item makes of
    one (`influence.of_one_change`). They get no pseudo-items; C is at least what two changed items would make
    it, or arms that never differ on few items would pass for equal, and ν counts those two: min(n − 1, (2w² +
    Σc²)² / (2w⁴ + Σc⁴)), c less their mean."""
    d = _finite(d)
    if d.ndim != 2 or d.shape[0] < 2 or d.shape[1] < 1:
        raise ValueError(f"differences of at least 2 seeds and 1 item are needed, got shape {d.shape}")
    seeds, n = d.shape
    ms_seed, ms_item, ms_rest = mean_squares(d)
    raw = max((ms_item - ms_rest) / (seeds * n), 0.0)
    df = item_df(d.mean(axis=0), unit, influence)
    variance = max(raw, least_item_variance(n, influence))
    if influence is None:
        padded = np.hstack([d, np.full((seeds, 1), unit), np.full((seeds, 1), -unit)])
        ms_seed, ms_item, ms_rest = mean_squares(padded)
        n += 2
        variance = max((ms_item - ms_rest) / (seeds * n), 0.0)
    return Effect(
        delta=float(d.mean()),
        seed_variance=max(ms_seed / n, rounding(unit, n)) / seeds,
        item_variance=variance,
        seeds=seeds,
        items=d.shape[1],
        item_df=df,
        raw_item_variance=raw,
    )


def estimate_over_seeds(d: np.ndarray, unit: float = 1.0) -> Effect:
    """d [K, n], K ≥ 2: for these very items, the t interval over seed means. It says nothing of other
    items."""
    d = _finite(d)
    seeds, n = d.shape
    means = d.mean(axis=1)
    variance = max(float(means.var(ddof=1)), rounding(unit, n)) / seeds
    return Effect(float(means.mean()), variance, 0.0, seeds, n, math.inf)


def estimate_over_items(d: np.ndarray, unit: float = 1.0, influence: float | None = None) -> Effect:
    """d [n] of two arms that no seed changes: for this very training set, the t interval over items; unit and
    influence as in `estimate`."""
    d = _finite(d)
    n, raw = len(d), float(d.var(ddof=1)) / len(d) if len(d) > 1 else 0.0
    variance = max(raw, least_item_variance(n, influence))
    if influence is None:
        variance = float(np.append(d, [unit, -unit]).var(ddof=1)) / (n + 2)
    return Effect(float(d.mean()), 0.0, variance, 1, n, item_df(d, unit, influence), raw)


def _finite(d: np.ndarray) -> np.ndarray:
    d = np.asarray(d, dtype=float)
    if not np.isfinite(d).all():
        raise ValueError(f"{np.size(d) - np.isfinite(d).sum()} of {np.size(d)} differences are not finite")
    return d


def item_df(c: np.ndarray, unit: float, influence: float | None) -> float:
    """ν of `estimate`; c [n], the items' means over seeds."""
    n = len(c)
    w, most = (unit, n + 1) if influence is None else (influence, max(n - 1, 1))
    c = c if influence is None else c - c.mean()
    squares = (c / w) ** 2
    return min(most, float((2 + squares.sum()) ** 2 / (2 + (squares**2).sum())))


def rounding(unit: float, n: int) -> float:
    return (unit / n) ** 2 / 12


def least_item_variance(items: int, influence: float | None) -> float:
    return 0.0 if influence is None else 2 * influence**2 / ((items + 1) * (items + 2))


def mean_squares(d: np.ndarray) -> tuple[float, float, float]:
    """MS_seed, MS_item, MS_rest of d [K, n] in the two-way layout with one observation a place."""
    seeds, n = d.shape
    row, column, grand = d.mean(axis=1, keepdims=True), d.mean(axis=0, keepdims=True), d.mean()
    ms_seed = n * np.sum((row - grand) ** 2) / (seeds - 1)
    ms_item = seeds * np.sum((column - grand) ** 2) / max(n - 1, 1)
    ms_rest = np.sum((d - row - column + grand) ** 2) / ((seeds - 1) * max(n - 1, 1))
    return float(ms_seed), float(ms_item), float(ms_rest)


def interval(d: np.ndarray, alpha: float, unit: float = 1.0) -> tuple[float, float]:
    """Bounds of the mean of d [K, n] at level 1 − alpha."""
    return estimate(d, unit).interval(alpha)


def group_means(scores: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """scores [K, n], groups [n] -> [K, G], groups sorted: items that come in groups (writer, font, patient)
    count once together."""
    if groups is None:
        return scores
    names, place = np.unique(groups, return_inverse=True)
    member = np.zeros((len(place), len(names)))
    member[np.arange(len(place)), place] = 1.0
    means: np.ndarray = scores @ member / member.sum(axis=0)
    return means


def smallest_class(labels: np.ndarray, groups: np.ndarray | None) -> int:
    """Items (groups where given) in the class that has fewest; classes without a test item are not
    counted."""
    units = np.arange(len(labels)) if groups is None else groups
    return min(len(np.unique(units[labels == c])) for c in np.unique(labels))


def clopper_pearson(count: int, n: int, alpha: float) -> tuple[float, float]:
    """Exact interval of a rate, count of n."""
    low = float(betaincinv(count, n - count + 1, alpha / 2)) if count else 0.0
    high = float(betaincinv(count + 1, n - count, 1 - alpha / 2)) if count < n else 1.0
    return low, high


def t_quantile(alpha: float, df: float) -> float:
    """The 1 − alpha/2 quantile of Student's t, taken in the lower tail, where small alphas keep their digits;
    df = inf is the normal."""
    return -float(stdtrit(min(df, 1e10), alpha / 2))
