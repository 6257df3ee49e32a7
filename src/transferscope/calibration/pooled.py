"""Claims over domains (statistics/pooled.py): how often their intervals miss, and what is found.

An effect is a domain's own, of spread 1, and what it was measured with. Truths are 0 but for what is
found."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.stats import nct, t

from transferscope.calibration.findings import ALPHA, LEVELS, Finding, Size, at_levels, most_errors, watched
from transferscope.data.splits import generator
from transferscope.statistics.effect import Effect
from transferscope.statistics.pooled import Shape, new_domain, of_domains, of_pairs, of_roles

DOMAINS = (5, 6, 10, 20)
FOUND_AT = (5, 10, 20)
SKEWED = 1.0  # of log-normal effects: the spread of their logarithms
PAIR_SHARE = 5  # one family of pairs for so many draws of a point
MISSING = 0.3  # of the pairs


def study(size: Size) -> Iterator[Finding]:
    for name, domains in watched(list(product(MEANS, DOMAINS)), "means over domains"):
        rng = generator("calibration", "pooled", name, domains)
        setting = f"{name}, G={domains}"
        yield from means(setting, name, domains, size.draws, rng)
        yield new_domains(setting, name, domains, size.draws, rng)
    count = max(1, size.draws // PAIR_SHARE)
    for kind, domains in watched(list(product(PAIRS, DOMAINS)), "pairs of domains"):
        rng = generator("calibration", "pooled pairs", kind.name, domains)
        yield from pairs(f"{kind.name}, D={domains}", kind, (domains, domains), count, rng)
    for kind, (sources, targets) in watched(list(product(PAIRS[:2], HALF_SHARED)), "few sources of many"):
        rng = generator("calibration", "pooled pairs", kind.name, sources, targets)
        setting = f"{kind.name}, {sources} domains are sources of {targets}"
        yield from pairs(setting, kind, (sources, targets), count, rng)
    for (name, spreads), (sources, targets) in watched(list(product(CROSSED.items(), GRIDS)), "two roles"):
        for missing in (0.0, MISSING):
            rng = generator("calibration", "pooled roles", name, sources, targets, missing)
            where = f"{name}, {sources} sources × {targets} targets" + ", pairs missing" * bool(missing)
            yield from crossed(where, spreads, (sources, targets), missing, count, rng)
    for measured, domains in product((0.0, 1.0), FOUND_AT):
        yield found(domains, measured, size.draws)


def normal(domains: int, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=domains)


def unequal(domains: int, rng: np.random.Generator) -> np.ndarray:
    """Measured with spreads from a quarter to four times that between domains."""
    return rng.normal(size=domains) + rng.normal(size=domains) * 4.0 ** rng.uniform(-1, 1, domains)


def one_unsure(domains: int, rng: np.random.Generator) -> np.ndarray:
    """The first is measured with a spread of three."""
    return rng.normal(size=domains) + rng.normal(size=domains) * np.where(np.arange(domains), 0.3, 3.0)


def log_normal(domains: int, rng: np.random.Generator) -> np.ndarray:
    """Log-normal less its mean: a few domains gain much."""
    return np.exp(SKEWED * rng.normal(size=domains)) - math.exp(SKEWED**2 / 2)


def exponential(domains: int, rng: np.random.Generator) -> np.ndarray:
    return rng.exponential(size=domains) - 1


def moderately_skewed(domains: int, rng: np.random.Generator) -> np.ndarray:
    """Exponential less its mean, half of the variance, and normal."""
    return rng.exponential(size=domains) - 1 + rng.normal(size=domains)


def one_baseline(domains: int, rng: np.random.Generator) -> np.ndarray:
    """Sources of one target, whose baseline and test items they share: measured with half their spread."""
    return rng.normal(size=domains) + 0.5 * rng.normal()


NORMAL = "normal effects"
LIMITS = {
    "exponential effects": exponential,
    "log-normal effects": log_normal,
    "sources that share a baseline": one_baseline,
}
MEANS: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    NORMAL: normal,
    "unequal variances": unequal,
    "one domain measured badly": one_unsure,
    "moderately skewed effects": moderately_skewed,
    **LIMITS,
}


@dataclass(frozen=True)
class Pairs:
    """Effects of pairs: what the source adds, what the target adds, what the pair adds, as spreads.
    correlation: of what a domain adds in its two roles. missing: share of the pairs. uneven: pairs of some
    targets are measured with four times the spread."""

    name: str
    source: float = 1.0
    target: float = 1.0
    pair: float = 1.0
    correlation: float = 0.0
    missing: float = 0.0
    uneven: bool = False

    def draw(self, sources: int, targets: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Effects [c], and which domains each involves [c, D]; the first `sources` domains are sources, the
        first `targets` targets."""
        domains = max(sources, targets)
        a, other = rng.normal(size=(2, domains))
        b = self.correlation * a + math.sqrt(1 - self.correlation**2) * other
        source, target = np.nonzero(~np.eye(domains, dtype=bool)[:sources, :targets])
        if self.missing:
            there = rng.random(len(source)) >= self.missing
            source, target = source[there], target[there]
        spread = self.pair * (np.where(target % 2, 4.0, 1.0) if self.uneven else 1.0)
        effects = self.source * a[source] + self.target * b[target] + spread * rng.normal(size=len(source))
        eye = np.eye(domains, dtype=bool)
        return effects, eye[source] | eye[target]


PAIRS = (
    Pairs("pairs"),
    Pairs("pairs missing", missing=MISSING),
    Pairs("roles correlated by 0.8", pair=0.3, correlation=0.8),
    Pairs("roles correlated by −0.8", correlation=-0.8),
    Pairs("roles correlated, pairs missing", pair=0.3, correlation=0.8, missing=MISSING),
    Pairs("unequal variances of pairs", uneven=True),
    Pairs("pairs that are all their own", source=0.0, target=0.0),
)
HALF_SHARED = ((5, 10), (5, 20))
GRIDS = ((5, 5), (5, 10), (10, 5), (10, 10))
CROSSED = {  # spreads of source, target, pair
    "both matter": (1.0, 1.0, 1.0),
    "sources matter": (1.0, 0.0, 1.0),
    "targets matter": (0.3, 1.0, 1.0),
}


def means(setting: str, kind: str, domains: int, count: int, rng: np.random.Generator) -> Iterator[Finding]:
    """called skewed, hangs on one: shares of the experiments that are flagged so."""
    missed, flags = np.zeros(len(LEVELS)), np.zeros(2)
    for _ in range(count):
        y = MEANS[kind](domains, rng)
        missed += misses(of_domains(y))
        shape = Shape.of(y)
        flags += shape.is_skewed, shape.hangs_on_one
    shares = dict(zip(("called skewed", "hangs on one"), (flags / count).tolist(), strict=True))
    detail = [shares] * len(LEVELS)
    yield from at_levels(
        "pooled", f"mean, {setting}", missed.tolist(), count, "t over domains", detail, limit=kind in LIMITS
    )


def new_domains(setting: str, kind: str, domains: int, count: int, rng: np.random.Generator) -> Finding:
    """How often one domain more, of the same kind, lies outside what was said of it."""
    outside = 0
    for _ in range(count):
        *y, new = MEANS[kind](domains + 1, rng)
        low, high = new_domain(np.array(y), ALPHA)
        outside += not low <= new <= high
    rate, bar = outside / count, most_errors(ALPHA, count)
    return Finding(
        "pooled", f"new domain, {setting}", ALPHA, rate, rate <= bar, count, "t over domains, prediction",
        {"bar": bar}, kind != NORMAL,
    )  # fmt: skip


def pairs(
    setting: str, kind: Pairs, roles: tuple[int, int], count: int, rng: np.random.Generator
) -> Iterator[Finding]:
    """cells as independent: the error rate of a t interval over the pairs. Designs in which one domain is in
    every pair make no claim and are drawn anew."""
    missed, alone, done = np.zeros(len(LEVELS)), np.zeros(len(LEVELS)), 0
    while done < count:
        effects, involved = kind.draw(*roles, rng)
        effect = of_pairs(effects, involved, min(roles)) if involved.any(axis=0).all() else None
        if effect is None:
            continue
        done += 1
        missed += misses(effect)
        alone += misses(of_domains(effects))
    detail = [{"cells as independent": rate} for rate in (alone / count).tolist()]
    yield from at_levels("pooled", setting, missed.tolist(), count, "jackknife over domains", detail)


def crossed(
    setting: str,
    spreads: tuple[float, float, float],
    roles: tuple[int, int],
    missing: float,
    count: int,
    rng: np.random.Generator,
) -> Iterator[Finding]:
    """Sources and targets that have no domain in common."""
    missed, alone, done = np.zeros(len(LEVELS)), np.zeros(len(LEVELS)), 0
    source, target, pair = spreads
    while done < count:
        own = source * rng.normal(size=(roles[0], 1)) + target * rng.normal(size=roles[1])
        cells = own + pair * rng.normal(size=roles)
        cells[rng.random(roles) < missing] = np.nan
        there = np.isfinite(cells)
        if not (there.any(axis=0).all() and there.any(axis=1).all()):
            continue
        done += 1
        missed += misses(of_roles(cells))
        alone += misses(of_domains(cells[there]))
    detail = [{"cells as independent": rate} for rate in (alone / count).tolist()]
    yield from at_levels("pooled", setting, missed.tolist(), count, "component-wise t, roles", detail)


def found(domains: int, measured: float, count: int) -> Finding:
    """How often a mean as large as the spread between domains is told from 0, against what theory says.
    measured: spread of what each was measured with, beside that between domains."""
    rng, spread = generator("calibration", "pooled", "found", domains, measured), math.hypot(1, measured)
    told = 0
    for _ in range(count):
        low, _ = of_domains(1 + spread * rng.normal(size=domains)).interval(ALPHA)
        told += low > 0
    edge = float(t.ppf(1 - ALPHA / 2, domains - 1))
    power = float(nct.sf(edge, domains - 1, math.sqrt(domains) / spread))
    rate, error = told / count, math.sqrt(power * (1 - power) / count)
    how = f"measured with a spread of {measured:g} of it" if measured else "measured exactly"
    return Finding(
        "pooled", f"found: mean as large as the spread, {how}, G={domains}", power, rate,
        abs(rate - power) <= 3 * error, count, "t over domains",
    )  # fmt: skip


def misses(effect: Effect) -> np.ndarray:
    """bool [levels]: whether 0 is outside."""
    return np.array([abs(effect.delta) > effect.half(alpha) for alpha in LEVELS.values()])
