"""How probable it is that the true difference of a cell lies beyond the margin. Beside the verdict, never in
place of it.

The cells of a family inform one another. In margins, Δ of a cell comes from π0 δ₀ + (1 − π0) F(μ, τ), a share
of nulls and a distribution of the others (as in Stephens 2017, Biostatistics 18:275-294). Its estimate is
t-distributed about Δ and a shift that all cells share, for they share a baseline. π0, μ, τ, the shape of F
and the shift are integrated over, weighted by the family's marginal likelihood: of a dozen cells they cannot
be estimated well enough to be taken for known. Without μ a family in which every cell gains would look like a
shift of its baseline."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, ndtr, stdtr

FEWEST_CELLS = 3  # fewer say nothing of how effects are spread
NULL_SHARES, NULL_SHARE_WEIGHTS = np.array([0.0, 0.5, 0.8, 0.95]), np.array([0.4, 0.3, 0.2, 0.1])  # π0
# τ in margins; the last is for effects that dwarf the margin
SPREADS = np.array([0.5, 1.0, 2.0, 4.0, 8.0, 64.0])
SPREAD_WEIGHTS = np.array([0.19, 0.19, 0.19, 0.19, 0.19, 0.05])
# μ in margins; the other half of its prior is 0
ELSEWHERE = np.array([-8.0, -4.0, -2.0, -1.0, 1.0, 2.0, 4.0, 8.0])
FINEST = 0.05  # in margins: bins narrow up to this distance from the margin
FARTHEST = 1000.0  # in margins: the outermost edges
MOST_SHARED = 0.9  # of the cells' mean variance, by their covariance
MOST_SHIFTS = 50  # either side of 0
LARGEST_DF = 1e6
TINY = 1e-300
Column = np.ndarray | Sequence[float | None] | float | None  # one value a cell, or one for all
Names = Sequence[Sequence[object] | np.ndarray]  # of each cell's seeds, or of its items


class Probabilities(NamedTuple):
    """harm: P(Δ < −margin). within: P(−margin ≤ Δ ≤ margin). gain: P(Δ > margin). They add up to 1."""

    harm: float
    within: float
    gain: float


def probabilities(
    delta: Column,
    seed_variance: Column,
    item_variance: Column,
    seeds: Column,
    item_df: Column,
    margin: Column,
    *,
    covariance: float,
) -> list[Probabilities | None]:
    """One family of m cells, in order. delta, margin and the square roots of the variances are in one unit,
    whichever.

    delta, seed_variance A, item_variance C, seeds K, item_df ν: [m], of `effect.Effect`. margin: one, or one
    a cell. covariance: `mean_covariance` of the cells. A cell without an effect (None or nan), with fewer
    than 2 seeds or without a margin gets None and is left out of the family; all get None where fewer than 3
    cells are left."""
    given = delta, seed_variance, item_variance, seeds, item_df, margin
    columns = np.broadcast_arrays(*(np.asarray(one, dtype=float) for one in given))
    usable = np.all(np.isfinite(columns), axis=0) & (columns[3] >= 2) & (columns[5] > 0)
    found: list[Probabilities | None] = [None] * len(usable)
    if usable.sum() >= FEWEST_CELLS:
        rows = _of_family(*(column[usable] for column in columns), covariance=covariance)
        for cell, row in zip(np.flatnonzero(usable), rows.tolist(), strict=True):
            found[cell] = Probabilities(*row)
    return found


def mean_covariance(cells: Sequence[np.ndarray], seeds: Names, items: Names | None) -> float:
    """Mean covariance of the Δ of two cells of a family, from the two components that their variances have
    (`effect`).

    cells: d [K, n] of each, K ≥ 2, without pseudo-items. seeds: names [K] of each cell's runs; items: names
    [n] of each cell's items (groups, where these are the items); cells covary by the seeds and items that
    they share. items None: these very items are meant, seeds alone vary. 0 with fewer than two cells.

    Where all cells share all seeds and items it is (V(Σ d) − Σ V(d)) / (m (m − 1)), without bounds, with
    V = MS_seed/(Kn) + (MS_item − MS_rest)/(Kn).
    """
    if len(cells) < 2:
        return 0.0
    rows = _places(seeds)
    columns = _places(items if items is not None else [range(d.shape[1]) for d in cells])
    size = 1 + max(map(max, rows)), 1 + max(map(max, columns))
    of_sum, squares = (np.zeros(size[0]), np.zeros(size[1]), np.zeros(size)), 0.0
    for d, row, column in zip(cells, rows, columns, strict=True):
        parts = _scaled_parts(np.asarray(d, dtype=float))
        of_sum[0][row] += parts[0]
        of_sum[1][column] += parts[1]
        of_sum[2][np.ix_(row, column)] += parts[2]
        squares += _variance(parts, items is not None)
    return (_variance(of_sum, items is not None) - squares) / (len(cells) * (len(cells) - 1))


def display(found: Probabilities) -> tuple[str, str, str]:
    """(harm, within, gain) as a reader is shown them. P(within) is calibrated least and shown in tens."""
    harm, gain = (
        "<1 %" if p < 0.01 else ">99 %" if p > 0.99 else f"{100 * p:.0f} %" for p in (found.harm, found.gain)
    )
    tens = min(max(round(10 * found.within), 1), 9)
    within = "<5 %" if found.within < 0.05 else ">95 %" if found.within > 0.95 else f"about {10 * tens} %"
    return harm, within, gain


# --- one family --------------------------------------------------------------------------------------------


def _edges() -> np.ndarray:
    """[241], of bins of Δ in margins: symmetric, with edges at ±1, and narrowest about these."""
    below = 1 - FINEST * np.sinh(np.linspace(np.arcsinh(1 / FINEST), 0, 31))
    above = 1 + FINEST * np.sinh(np.linspace(0, np.arcsinh((FARTHEST - 1) / FINEST), 91))
    half = np.r_[below[1:], above[1:]]
    edges: np.ndarray = np.r_[-half[::-1], 0.0, half]
    return edges


def _prior() -> tuple[np.ndarray, np.ndarray]:
    """Mass [240, 60] of each F(μ, τ) in each bin, and their weights [60]. F is normal, about 0 half normal
    and half t(3)."""
    shapes = [
        (ndtr, 0.0, 1 / 4),
        (partial(stdtr, 3), 0.0, 1 / 4),
        *((ndtr, mean, 1 / 2 / len(ELSEWHERE)) for mean in ELSEWHERE),
    ]
    ends = np.r_[-np.inf, EDGES[1:-1], np.inf]
    mass = [np.diff(cdf((ends - mean) / SPREADS[:, None])) for cdf, mean, _ in shapes]
    return np.concatenate(mass).T, np.outer([weight for *_, weight in shapes], SPREAD_WEIGHTS).ravel()


EDGES = _edges()
CENTRES, WIDTHS = (EDGES[1:] + EDGES[:-1]) / 2, np.diff(EDGES)
BORDERS = np.searchsorted(CENTRES, [-1, 1])
SIDES = slice(0, BORDERS[0]), slice(*BORDERS), slice(BORDERS[1], None)  # bins of harm, within, of gain
PRIOR, PRIOR_WEIGHTS = _prior()


def _of_family(
    delta: np.ndarray,
    a: np.ndarray,
    c: np.ndarray,
    seeds: np.ndarray,
    item_df: np.ndarray,
    margin: np.ndarray,
    *,
    covariance: float,
) -> np.ndarray:
    """All [m] -> [m, 3]: harm, within, gain."""
    a = _moderated(a, seeds)
    variance = a + c
    df = variance**2 / np.maximum(a**2 / seeds + c**2 / item_df, TINY)  # Satterthwaite's, A having K
    df = np.clip(df, 1.0, LARGEST_DF)
    share = min(max(covariance, 0.0) / max(_mean_product(np.sqrt(variance)), TINY), MOST_SHARED)
    z, weights = _shifts(share, len(delta))
    shifted = delta[:, None] - np.sqrt(share * variance)[:, None] * z
    return _posterior(shifted / margin[:, None], (1 - share) * variance / margin**2, df, weights)


def _moderated(a: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """A with one more degree of freedom, K in all, at the family's median: with few seeds some cell's is far
    too small.

    A moderated variance (Smyth 2004, Stat Appl Genet Mol Biol 3:3). The median, since one erratic arm must
    not lend its spread to all."""
    moderated: np.ndarray = (np.median(seeds * a) / seeds + (seeds - 1) * a) / seeds
    return moderated


def _mean_product(spread: np.ndarray) -> float:
    """Mean of the products of two different ones."""
    m = len(spread)
    return float((spread.sum() ** 2 - np.sum(spread**2)) / (m * (m - 1)))


def _shifts(share: float, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes [H] and weights [H] of N(0, 1), close enough to sum over the posterior, were every Δ known."""
    if share == 0:
        return np.zeros(1), np.ones(1)
    # standard deviation of that posterior over the prior's
    least = 1 / np.sqrt(1 + cells * share / (1 - share))
    count = min(int(np.ceil(4 / (1.5 * least))), MOST_SHIFTS)
    z = np.linspace(-4, 4, 2 * count + 1)
    weights = np.exp(-(z**2) / 2)
    return z, weights / weights.sum()


def _posterior(x: np.ndarray, variance: np.ndarray, df: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """x [m, H]: estimates less each shift. variance, df [m]; weights [H] -> [m, 3]."""
    x, variance, df = np.clip(x, -FARTHEST, FARTHEST)[..., None], variance[:, None, None], df[:, None, None]
    in_bin = _log_t(x - CENTRES, variance + (WIDTHS / 2) ** 2, df)  # [m, H, 240], never narrower than the bin
    at_null = _log_t(x, variance + (WIDTHS.min() / 2) ** 2, df)
    top = np.maximum(in_bin.max(axis=(1, 2), keepdims=True), at_null.max(axis=1, keepdims=True))
    likelihood, null = np.exp(in_bin - top), np.exp(at_null - top)  # null [m, H, 1]
    slab = np.stack([likelihood[..., side] @ PRIOR[side] for side in SIDES], axis=2)  # [m, H, 3, 60]
    total = slab.sum(axis=2)[..., None] * (1 - NULL_SHARES) + null[..., None] * NULL_SHARES  # [m, H, 60, 4]
    total = np.maximum(total, TINY)
    log_prior = np.log(weights)[:, None, None] + np.log(PRIOR_WEIGHTS)[:, None] + np.log(NULL_SHARE_WEIGHTS)
    log_posterior = np.log(total).sum(axis=0) + log_prior  # [H, 60, 4]
    posterior = np.exp(log_posterior - log_posterior.max())
    by_mass = posterior / posterior.sum() / total  # [m, H, 60, 4]
    found: np.ndarray = np.einsum("mhsf,mhf->ms", slab, by_mass @ (1 - NULL_SHARES))
    found[:, 1] += np.einsum("mhf,mhx->m", by_mass @ NULL_SHARES, null)
    return found


def _log_t(x: np.ndarray, variance: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Log density of Student's t with this scale², at x."""
    scale = gammaln((df + 1) / 2) - gammaln(df / 2) - np.log(np.pi * df * variance) / 2
    density: np.ndarray = scale - (df + 1) / 2 * np.log1p(x**2 / (df * variance))
    return density


# --- the covariance of cells --------------------------------------------------------------------------------


def _places(names: Names) -> list[np.ndarray]:
    """Of each list of names, where they stand among all names."""
    _, place = np.unique(np.concatenate([np.asarray(one) for one in names]), return_inverse=True)
    return np.split(place, np.cumsum([len(one) for one in names])[:-1])


def _scaled_parts(d: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """d [K, n] -> seed [K], item [n], rest [K, n]; their sums of squares are MS_seed/(Kn), MS_item/(Kn),
    MS_rest/(Kn)."""
    seeds, n = d.shape
    row, column, grand = d.mean(axis=1), d.mean(axis=0), d.mean()
    by_seed, by_item = np.sqrt(seeds * (seeds - 1)), np.sqrt(n * max(n - 1, 1))
    rest = d - row[:, None] - column + grand
    return (row - grand) / by_seed, (column - grand) / by_item, rest / (by_seed * by_item)


def _variance(parts: tuple[np.ndarray, np.ndarray, np.ndarray], items_vary: bool) -> float:
    seed, item, rest = (float(np.sum(part**2)) for part in parts)
    return seed + (item - rest if items_vary else 0.0)
