"""Intervals that published work uses or could use, on the same draws as ours. Each: bool [B], the truth lies
outside the interval."""

import numpy as np

from transferscope.calibration.many import Layout, t_quantile

REPLICATES = 2_000  # of the bootstrap


def t_over_seeds(layout: Layout, truth: float, alpha: float) -> np.ndarray:
    """Mean and standard error over seeds: exact for this one test set, silent about new items."""
    error = layout.row.std(axis=1, ddof=1) / np.sqrt(layout.seeds)
    return np.abs(layout.delta - truth) > t_quantile(alpha, layout.seeds - 1) * error


def items_of_one_seed(layout: Layout, truth: float, alpha: float) -> np.ndarray:
    """One run of each arm and the items alone, as McNemar's test or a bootstrap of the test set has it:
    silent about seeds."""
    d = layout.d[:, 0]
    error = d.std(axis=1, ddof=1) / np.sqrt(layout.items)
    return np.abs(d.mean(axis=1) - truth) > t_quantile(alpha, np.inf) * error


def satterthwaite(layout: Layout, truth: float, alpha: float) -> np.ndarray:
    """Both components, one t with Satterthwaite's degrees of freedom (at least K − 1): the textbook's crossed
    analysis."""
    ms_seed, ms_item, ms_rest, n = layout.mean_squares()
    a, c = ms_seed / (layout.seeds * n), np.maximum(ms_item - ms_rest, 0) / (layout.seeds * n)
    denominator = a**2 / (layout.seeds - 1) + c**2 / (n - 1)
    df = np.divide((a + c) ** 2, denominator, out=np.full_like(a, layout.seeds - 1.0), where=denominator > 0)
    return np.abs(layout.delta - truth) > t_quantile(alpha, np.maximum(df, layout.seeds - 1)) * np.sqrt(a + c)


def pigeonhole(
    layout: Layout, truth: float, alphas: tuple[float, ...], rng: np.random.Generator
) -> np.ndarray:
    """Percentiles of a bootstrap that draws seeds and items anew (Owen 2007): bool [B, len(alphas)].

    The draws of one call share their bootstrap weights, so that all replicates are one matrix product.
    """
    by_seed = (
        rng.multinomial(layout.seeds, np.full(layout.seeds, 1 / layout.seeds), REPLICATES) / layout.seeds
    )  # [R, K]
    by_item = (
        rng.multinomial(layout.items, np.full(layout.items, 1 / layout.items), REPLICATES) / layout.items
    )  # [R, n]
    rows = layout.d.reshape(-1, layout.items).astype(np.float32)  # [B K, n]
    means = (by_item.astype(np.float32) @ rows.T).reshape(REPLICATES, layout.draws, layout.seeds)
    replicates = np.einsum("rbk,rk->rb", means, by_seed.astype(np.float32))
    tails = np.array([tail for alpha in alphas for tail in (alpha / 2, 1 - alpha / 2)])
    bounds = np.quantile(replicates, tails, axis=0).reshape(len(alphas), 2, -1)
    return ((truth < bounds[:, 0]) | (truth > bounds[:, 1])).T


HABITS = {
    "t over seeds": t_over_seeds,
    "items of one seed": items_of_one_seed,
    "Satterthwaite": satterthwaite,
}
