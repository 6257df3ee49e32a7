"""Claims over domains: what the effects of several targets, sources or pairs say of the mean of all such.
Pure functions of arrays; each Δ has been estimated before.

Domains are few and differ, so that each counts once, however many items or seeds it has, and nothing is
claimed of fewer than FEWEST_DOMAINS. Weights by how sure each effect is are left out: with few domains they
are as unsure as the effects. Pairs share domains: the jackknife leaves out a domain with all its pairs
(Efron & Stein 1981: its variance is biased upwards, if at all)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from transferscope.statistics.effect import Effect, mean_squares
from transferscope.statistics.verdict import cut, level_of, procedures, told

FEWEST_DOMAINS = 5
STRONG_SKEW = 1.0  # of the effects, beyond which the interval of their mean errs more often than it says
LARGEST_SHARE = 0.5  # of Σ(y − ȳ)², beyond which one domain makes the spread


@dataclass(frozen=True)
class Shape:
    """Of effects y [G]. skewness: the third moment over the spread cubed. largest, share: which of them has
    most of Σ(y − ȳ)², and how much."""

    skewness: float
    largest: int
    share: float

    @classmethod
    def of(cls, y: np.ndarray) -> "Shape":
        from_mean = np.asarray(y, dtype=float) - np.mean(y)
        squares = from_mean**2
        if not (total := float(squares.sum())):
            return cls(0.0, 0, 0.0)
        skewness = float(np.mean(from_mean**3)) / (total / len(y)) ** 1.5
        return cls(skewness, int(np.argmax(squares)), float(squares.max()) / total)

    @property
    def is_skewed(self) -> bool:
        return abs(self.skewness) > STRONG_SKEW

    @property
    def hangs_on_one(self) -> bool:
        return self.share > LARGEST_SHARE


def of_domains(y: np.ndarray, rounding: float = 0.0) -> Effect:
    """y [G], one effect a domain, G ≥ 2: their unweighted mean, t(G − 1). rounding: the variance of one
    effect that rounding hides, scores being multiples of a step; equal effects would else be sure."""
    y = np.asarray(y, dtype=float)
    variance = max(float(y.var(ddof=1)), rounding) / len(y)
    return Effect(float(y.mean()), variance, 0.0, len(y), 1, math.inf)


def new_domain(y: np.ndarray, alpha: float, rounding: float = 0.0) -> tuple[float, float]:
    """What one domain more, measured as these were, would show with probability 1 − alpha, if it is one like
    them: mean ± t(1 − α/2; G − 1) s √(1 + 1/G)."""
    effect, domains = of_domains(y, rounding), len(y)
    spread = math.sqrt(effect.seed_variance * domains * (1 + 1 / domains))
    half = -float(stdtrit(domains - 1, alpha / 2)) * spread
    return effect.delta - half, effect.delta + half


@dataclass(frozen=True)
class Jackknife:
    """estimate: the mean over domains of the mean of each one's pairs, so that a domain counts once where
    pairs are missing too. left_out [D]: the same without a domain, as source and as target; nan where no pair
    is left."""

    estimate: float
    left_out: np.ndarray

    @classmethod
    def of(cls, effects: np.ndarray, involved: np.ndarray) -> "Jackknife":
        """effects [c], one a pair; involved [c, D] bool: its domains."""
        member = np.asarray(involved, dtype=float)
        # of pairs that involve both domains [D, D]; on the diagonal of all pairs of one
        sums, counts = member.T @ (effects[:, None] * member), member.T @ member
        own_sums, own_counts = np.diag(sums), np.diag(counts)
        left_out = _mean(own_sums[:, None] - sums, own_counts[:, None] - counts)
        return cls(float(_mean(own_sums, own_counts)), left_out)

    def variance(self, among: np.ndarray | slice = slice(None)) -> float:
        """Of the estimate, over these domains: (D − 1)/D Σ (θ₋d − θ̄)²."""
        values = self.left_out[among]
        return float((len(values) - 1) * np.mean((values - values.mean()) ** 2))

    @property
    def pseudo_values(self) -> np.ndarray:
        """[D]: D θ − (D − 1) θ₋d, what each domain contributes."""
        domains = len(self.left_out)
        return domains * self.estimate - (domains - 1) * self.left_out


def of_pairs(
    effects: np.ndarray, involved: np.ndarray, fewest: int | None = None, rounding: float = 0.0
) -> Effect | None:
    """effects [c], involved [c, D] of domains that are sources and targets: the jackknife over domains,
    t(D − 1). fewest: sources or targets, whichever are fewer, where not every domain is both: t(fewest − 1).
    None where one domain is in every pair: nothing is left without it."""
    found, domains = Jackknife.of(effects, involved), involved.shape[1]
    if not np.isfinite(found.left_out).all():
        return None
    variance = max(found.variance(), rounding / domains)
    return Effect(found.estimate, variance, 0.0, fewest or domains, 1, math.inf)


def of_roles(cells: np.ndarray, rounding: float = 0.0) -> Effect:
    """cells [S, T], S, T ≥ 2, effects of sources × targets that have no domain in common, nan where a pair is
    missing: h² = t²(S − 1) A + t²(T − 1) C, as of seeds and items, for any source and any target. Without all
    pairs A and C are the jackknife's over sources and over targets, each of which holds what single pairs add
    to it."""
    sources, targets = cells.shape
    there = np.isfinite(cells)
    if there.all():
        ms_source, ms_target, ms_rest = mean_squares(cells)
        of_sources = ms_source / cells.size
        of_targets = max(ms_target - ms_rest, 0.0) / cells.size
        estimate = float(cells.mean())
    else:
        source, target = np.nonzero(there)
        involved = np.hstack([np.eye(sources, dtype=bool)[source], np.eye(targets, dtype=bool)[target]])
        found = Jackknife.of(cells[there], involved)
        of_sources, of_targets = found.variance(slice(sources)), found.variance(slice(sources, None))
        estimate = found.estimate
    of_sources = max(of_sources, rounding / sources)
    return Effect(estimate, of_sources, of_targets, sources, targets, targets - 1)


def _mean(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """[D, ...], the pairs of each domain -> [...]: over the domains that have a pair, of each one's mean; nan
    where none has."""
    means = np.divide(sums, counts, out=np.zeros(np.shape(sums)), where=counts > 0)
    there = (counts > 0).sum(axis=0)
    mean: np.ndarray = np.divide(
        means.sum(axis=0), there, out=np.full(np.shape(there), np.nan), where=there > 0
    )
    return mean


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The verdict on one pooled claim, as that of a cell (`verdict.Judgement`). No rule bars it: what bars a
    cell is said beside it."""

    delta: float
    ci: tuple[float, float]
    ci_simultaneous: tuple[float, float]
    p_difference: float
    p_equivalence: float
    p_adjusted: float
    verdict: str
    reason: str
    no_harm: bool
    no_gain: bool
    material: bool
    by_step_down: bool


def judge(
    effects: Sequence[Effect],
    margins: Sequence[float],
    alpha: float,
    correction: str,
    nouns: Sequence[tuple[str, str]],
) -> list[Judgement]:
    """Verdicts of one family of pooled claims, by the two procedures of `verdict.judge`. nouns: of each
    claim, what more of would narrow its two parts: ("targets", "")."""
    claims = [
        [effect.p_value() for effect in effects],
        [effect.p_equivalence(margin) for effect, margin in zip(effects, margins, strict=True)],
    ]
    both = procedures(claims, (len(effects),) * 2, alpha, correction)
    found = []
    for effect, margin, noun, *p in zip(effects, margins, nouns, *both.adjusted, strict=True):
        p_difference, p_equivalence = (float(value) for value in p)
        verdict = told(effect.delta, (p_difference, p_equivalence), alpha)
        low, high = effect.interval(level_of(verdict, both.simultaneous))
        bounds = cut((low, high), verdict, margin)
        of_claim = {"equivalent": p_equivalence, "undecided": min(p_difference, p_equivalence)}
        found.append(
            Judgement(
                delta=effect.delta,
                ci=effect.interval(alpha),
                ci_simultaneous=bounds,
                p_difference=p_difference,
                p_equivalence=p_equivalence,
                p_adjusted=of_claim.get(verdict, p_difference),
                verdict=verdict,
                reason=_wanted(effect, margin, both.levels, noun) if verdict == "undecided" else "",
                no_harm=verdict in ("positive", "equivalent") or low > -margin,
                no_gain=verdict in ("negative", "equivalent") or high < margin,
                material=verdict in ("positive", "negative") and (low > margin or high < -margin),
                by_step_down=bounds != (low, high),
            )
        )
    return found


def _wanted(effect: Effect, margin: float, levels: Sequence[float], nouns: tuple[str, str]) -> str:
    """How many domains would decide the nearer claim, if they are like these."""
    difference, equivalence = abs(effect.delta), margin - abs(effect.delta)
    gap, level = (equivalence, levels[1]) if equivalence > difference else (difference, levels[0])
    first, second = nouns
    if second and effect.item_half(level) >= gap:
        targets = effect.items_needed(gap, level)
        return f"more {first} and {second}" + (
            "" if math.isinf(targets) else f": more than {targets:,.0f} {second} for this Δ"
        )
    needed = effect.seeds_needed(gap, level)
    return f"more {first}: about {needed} in all" if needed else f"budget: more than 100 {first}"
