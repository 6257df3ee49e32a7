"""P(Δ > margin) and P(Δ < −margin) of families whose effects are known: do they come true as often as they
say?

Calibration slope: Cox's (1958, Biometrika 45:562-565), the b of logit P(outcome) = a + b logit P, fitted by
maximum likelihood, P kept within 0.001 and 0.999. Below 1 P is surer than right, above 1 less sure. Brier
score: over that of a forecaster who knows how often the kind exceeds the margin."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.special import expit, logit

from transferscope.calibration import runs
from transferscope.calibration.findings import MARGIN, Finding, Size, watched
from transferscope.calibration.resampling import resampled
from transferscope.calibration.simulated_families import KINDS, Kind, simulated
from transferscope.data.splits import generator
from transferscope.statistics.effect import mean_squares
from transferscope.statistics.probabilities import mean_covariance, probabilities

CELLS, SEEDS = (3, 12, 36), (3, 5, 10)
POOLED, ONE_KIND = (0.8, 1.2), (0.65, 1.2)  # bars of the slope
CELLS_FOR_BRIER = 12  # from which the Brier score has a bar
SHARE, REAL_SHARE = 3, 50  # one simulated cell a point for so many draws; one real family
CLIP, MOST_SLOPE, FEWEST_OUTCOMES = 0.001, 5.0, 20
ONE_FAMILY = "the effects of one family"


@dataclass(frozen=True)
class Forecasts:
    """P and outcome (bool) of every cell, harm and gain apart; is_gain (bool); family, the number of the
    cell's. All [N]."""

    p: np.ndarray
    outcome: np.ndarray
    is_gain: np.ndarray
    family: np.ndarray

    @classmethod
    def from_draws(cls, truth: np.ndarray, found: np.ndarray) -> "Forecasts":
        """truth [B, m] in margins; found [B, m, 3]: harm, within, gain."""
        family = np.repeat(np.arange(len(truth)), truth.shape[1])
        p = np.r_[found[..., 0].ravel(), found[..., 2].ravel()]
        outcome = np.r_[(truth < -1).ravel(), (truth > 1).ravel()]
        return cls(p, outcome, np.repeat([False, True], truth.size), np.r_[family, family])

    @classmethod
    def joined(cls, parts: Sequence["Forecasts"]) -> "Forecasts":
        starts = np.cumsum([0] + [part.family.max() + 1 for part in parts[:-1]])
        families = [part.family + start for part, start in zip(parts, starts, strict=True)]
        columns = [[getattr(part, name) for part in parts] for name in ("p", "outcome", "is_gain")]
        return cls(*map(np.concatenate, (*columns, families)))

    def of_side(self, side: str) -> "Forecasts":
        """side: harm, gain, or both."""
        kept = np.ones(len(self.p), dtype=bool) if side == "both" else self.is_gain == (side == "gain")
        return Forecasts(self.p[kept], self.outcome[kept], self.is_gain[kept], self.family[kept])

    def slope(self) -> tuple[float, float] | None:
        """(calibration slope, its standard error); None where too few outcomes are of either value.

        Families are independent, cells of one are not: sums over families make the error (a sandwich).
        """
        if min(self.outcome.sum(), np.sum(~self.outcome)) < FEWEST_OUTCOMES:
            return None
        x = np.stack([np.ones(len(self.p)), logit(np.clip(self.p, CLIP, 1 - CLIP))], axis=1)
        beta, step = np.array([0.0, 1.0]), np.ones(2)
        while np.abs(step).max() > 1e-8 and beta[1] < MOST_SLOPE:  # beyond, outcomes are as good as known
            fitted = expit(x @ beta)
            information = x.T @ (x * (fitted * (1 - fitted))[:, None])
            step = np.clip(np.linalg.solve(information, x.T @ (self.outcome - fitted)), -1, 1)
            beta = beta + step
        score = np.zeros((self.family.max() + 1, 2))
        np.add.at(score, self.family, x * (self.outcome - fitted)[:, None])
        bread = np.linalg.inv(information)
        error = np.sqrt((bread @ (score.T @ score) @ bread)[1, 1])
        return min(float(beta[1]), MOST_SLOPE), float(error)

    def brier(self) -> float:
        """Brier score over that of the outcome's rate, harm and gain each by its own."""
        sides = [self.outcome[side] for side in (self.is_gain, ~self.is_gain)]
        of_rates = sum(len(outcome) * outcome.var() for outcome in sides if len(outcome))
        return float(np.sum((self.p - self.outcome) ** 2) / of_rates)


def of_kind(kind: Kind, cells: int, seeds: int, count: int, rng: np.random.Generator) -> Forecasts:
    drawn = simulated(kind, cells, seeds, count, rng)
    columns = drawn.delta, drawn.seed_variance, drawn.item_variance, drawn.covariance
    found = [
        probabilities(*figures, seeds, drawn.item_df, 1.0, covariance=shared)
        for *figures, shared in zip(*columns, strict=True)
    ]
    return Forecasts.from_draws(drawn.truth, np.array(found))


def of_pool(pool: np.ndarray, seeds: int, count: int, rng: np.random.Generator) -> Forecasts:
    """pool [m, S, N] of real scores, whose means are the truth, resampled."""
    m, _, items = pool.shape
    names, found = ([range(seeds)] * m, [range(items)] * m), []
    for chunk in resampled(pool, seeds, items, count, rng):
        for cells in np.stack(list(chunk), axis=1).astype(float):  # [m, K, n]
            ms_seed, ms_item, ms_rest = np.transpose([mean_squares(d) for d in cells]) / (seeds * items)
            figures = cells.mean(axis=(1, 2)), ms_seed, np.maximum(ms_item - ms_rest, 0), seeds, items - 1
            found.append(probabilities(*figures, MARGIN, covariance=mean_covariance(cells, *names)))
    truth = np.broadcast_to(pool.mean(axis=(1, 2)) / MARGIN, (count, m))
    return Forecasts.from_draws(truth, np.array(found))


# --- the study ----------------------------------------------------------------------------------------------


def study(size: Size) -> Iterator[Finding]:
    for m in CELLS:
        found, count = {}, max(2, size.draws // (SHARE * m))
        for kind, seeds in watched(list(product(KINDS, SEEDS)), f"probabilities: families of {m}"):
            rng = generator("calibration", "probabilities", kind.name, m, seeds)
            found[kind, seeds] = of_kind(kind, m, seeds, count, rng)
        for seeds, side in product(SEEDS, ("harm", "gain")):
            pooled = Forecasts.joined([found[kind, seeds] for kind in KINDS]).of_side(side)
            slope, error = pooled.slope()
            yield finding(
                f"slope, all kinds, {side}, m={m} K={seeds}", slope, POOLED, pooled, {"error": error}
            )
        for kind in KINDS:
            for side in ("harm", "gain") if kind.one_sided else ("both",):
                by_seeds = {seeds: found[kind, seeds].of_side(side) for seeds in SEEDS}
                yield from findings(by_seeds, f"{kind.name}, {side}, m={m}", kind.limit, m)
    for m, budgets in ((12, runs.BUDGETS[1:2]), (36, runs.BUDGETS)):
        pool, by_seeds = runs.differences(runs.STRATEGIES, budgets, range(size.seeds)), {}
        for seeds in SEEDS:
            rng = generator("calibration", "probabilities", "real", m, seeds)
            by_seeds[seeds] = of_pool(pool, seeds, max(2, size.draws // REAL_SHARE), rng)
        yield from findings(by_seeds, f"real family of {m}, resampled", ONE_FAMILY, m)


def findings(by_seeds: Mapping[int, Forecasts], setting: str, limit: str, cells: int) -> Iterator[Finding]:
    """Slope, and Brier score where it has a bar; where no slope can be fitted the mean P, held to none."""
    joined = Forecasts.joined(list(by_seeds.values()))
    more = {"limit": True, "why": limit} if limit else {}
    fitted = joined.slope()
    if fitted is None:
        yield finding(f"mean P, {setting}", float(joined.p.mean()), (0.0, 1.0), joined, more)
        return
    slope, error = fitted
    slopes = {f"K={seeds}": of_k[0] for seeds, one in by_seeds.items() if (of_k := one.slope())}
    bar = ONE_KIND[0] - 3 * error, ONE_KIND[1] + 3 * error
    yield finding(f"slope, {setting}", slope, bar, joined, {"error": error, **slopes, **more})
    if cells >= CELLS_FOR_BRIER:
        yield finding(f"Brier, {setting}", joined.brier(), (0.0, 1.0), joined, more)


def finding(setting: str, measured: float, bar: tuple[float, float], of: Forecasts, more: dict) -> Finding:
    least, most = bar
    detail = {
        "from": least,
        "to": most,
        "mean P": float(of.p.mean()),
        "rate": float(of.outcome.mean()),
        **more,
    }
    inside = least <= measured <= most
    return Finding("probabilities", setting, 1.0, measured, inside, len(of.p), "integrated prior", detail)
