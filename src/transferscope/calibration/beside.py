"""What stands beside the verdict: how often a sentence of the page, the terminal or the trackers is told of
experiments in which it is false.

Columns `as it was`: the form that each replaced, on the same draws, where that is a line of code.
"""

import math
from collections.abc import Callable, Iterator
from itertools import product
from types import SimpleNamespace

import numpy as np

from transferscope.calibration.findings import ALPHA, MARGIN, Finding, Size, most_errors, watched
from transferscope.comparison import best, ranking
from transferscope.comparison.evidence import learning, parts
from transferscope.comparison.evidence.budgets import Band
from transferscope.comparison.scores import cross_fitted
from transferscope.data.splits import generator
from transferscope.statistics.expected_best import band, expected_best
from transferscope.statistics.flips import lost
from transferscope.statistics.verdict import Pair, judge

SEEDS = (5, 10)
SHARE = 20  # one experiment for so many draws of a point of coverage
STEPS = np.arange(0, 301, 30)
ROWS, CLASSES = 12, 10  # of a page
WITHIN_REACH = 100  # seeds, of which "not seeds" says that they would not help


def study(size: Size) -> Iterator[Finding]:
    draws = max(size.draws // SHARE, 50)
    for row in watched(ROWS_OF_THE_STUDY, "beside the verdict"):
        yield from row(draws)


def rate(setting: str, nominal: float, claimed: int, draws: int, **detail: float | str) -> Finding:
    """Held to the bar of error rates."""
    bar = most_errors(nominal, draws)
    return Finding(
        "beside",
        setting,
        nominal,
        claimed / draws,
        claimed / draws <= bar,
        draws,
        "component-wise t",
        {"bar": bar} | detail,
    )


def bias(setting: str, errors: list[float], allowed: float, **detail: float | str) -> Finding:
    """Mean error in points, held to `allowed` and three standard errors."""
    mean, error = float(np.mean(errors)), float(np.std(errors) / math.sqrt(len(errors)))
    detail = {"bar": allowed + 3 * error, "standard_error": error} | detail
    return Finding(
        "beside",
        setting,
        0.0,
        mean,
        abs(mean) <= allowed + 3 * error,
        len(errors),
        "mean error, points",
        detail,
    )


# --- items, curves


def right(rng: np.random.Generator, easy: np.ndarray, subset: np.ndarray, gain: float = 0.0) -> np.ndarray:
    """Runs [K, n], 1 where right: items by how easy they are, the labelled subset of a seed [K, n], which
    both arms share, the run's own luck."""
    seeds = len(subset)
    return (easy + gain + subset + rng.normal(0, 0.2, (seeds, 1)) + rng.normal(size=subset.shape) > 0).astype(
        float
    )


def flips(draws: int) -> Iterator[Finding]:
    """Two arms that get every item right as often; and one that is better on every item, which loses none."""
    for seeds, n, spread in product(SEEDS, (200, 1000), (0.0, 1.0)):
        rng, claimed = generator("calibration", "beside", "flips", seeds, n, spread), np.zeros(3, int)
        for _ in range(draws):
            easy, subset = rng.normal(1, 1.2, n), rng.normal(0, spread, (seeds, n))
            s, b, better = (right(rng, easy, subset, gain) for gain in (0.0, 0.0, 0.5))
            ends = (
                lost(s, b, None, ALPHA).ci,
                lost(1 - s, 1 - b, None, ALPHA).ci,
                lost(better, b, None, ALPHA).ci,
            )
            claimed += [low > 0 for low, _ in ends]
        where = f"labelled subsets sd {spread:g}, K={seeds} n={n}"
        for what, count in zip(
            ("lost by an equal arm", "won by an equal arm", "lost by an arm better on every item"),
            claimed,
            strict=True,
        ):
            yield rate(f"items {what}, {where}", ALPHA / 2, int(count), draws)


def times(draws: int) -> Iterator[Finding]:
    """The baseline against itself saves nothing."""
    for seeds, n in product(SEEDS, (200, 2000)):
        rng, claimed = generator("calibration", "beside", "time", seeds, n), 0
        for _ in range(draws):
            low, high = learning.time_to_threshold(
                [(_curve(rng, n), _curve(rng, n)) for _ in range(seeds)], "steps", ALPHA
            ).saved.ci
            claimed += low > 0 or high < 0
        yield rate(f"steps saved by the baseline itself, K={seeds} n={n}", ALPHA, claimed, draws)


def _curve(rng: np.random.Generator, n: int) -> learning.Run:
    end, pace = rng.normal(0.8, 0.02), 3 * np.exp(rng.normal(0, 0.25))
    return learning.Run(
        STEPS,
        STEPS / 10,
        rng.binomial(n, 0.1 + (end - 0.1) * (1 - np.exp(-pace * STEPS / STEPS[-1]))) / n,
        0,
        0.0,
    )


# --- cells


def cell(
    rng: np.random.Generator,
    seeds: int,
    n: int,
    effect: float = 0.0,
    spread: float = 0.01,
    lasting: float = 0.02,
) -> Pair:
    """Arms that differ for good on a share of the items, by chance on a twentieth of them, and by seed."""
    c = rng.choice([-1.0, 0.0, 1.0], n, p=[lasting / 2, 1 - lasting, lasting / 2])
    shift = effect + spread * rng.normal(size=(seeds, 1))
    chance = (rng.random((seeds, n)) < 0.025 + np.maximum(shift, 0)) * 1.0 - (
        rng.random((seeds, n)) < 0.025 + np.maximum(-shift, 0)
    )
    return Pair(np.where(c, c, chance), np.zeros(seeds, bool), np.zeros(seeds, bool), n)


def reasons(draws: int) -> Iterator[Finding]:
    """Cells that are undecided for want of test items, "not seeds", of which 100 seeds decide all the
    same."""
    for n, spread, lasting in ((500, 0.01, 0.02), (2000, 0.005, 0.01), (2000, 0.02, 0.05)):
        rng, claimed, false = generator("calibration", "beside", "reasons", n, lasting), 0, 0
        for _ in range(draws):
            everything = cell(rng, WITHIN_REACH, n, 0.0, spread, lasting)
            [now] = judge([Pair(everything.d[:5], np.zeros(5, bool), np.zeros(5, bool), n)], MARGIN, ALPHA, 1)
            if "not seeds" in now.reason:
                claimed += 1
                false += judge([everything], MARGIN, ALPHA, 1)[0].verdict != "undecided"
        yield rate(
            f"“not seeds” where 100 seeds decide, {lasting:.0%} lasting, K=5 n={n}",
            ALPHA,
            false,
            draws,
            said=claimed / draws,
        )


def rates(draws: int) -> Iterator[Finding]:
    """The sign of a null cell holds at no rates; that of a true effect, whose intervals all err alike, does
    not change."""
    for seeds, rates in product(SEEDS, (3, 5)):
        rng = generator("calibration", "beside", "rates", seeds, rates)
        claimed = np.zeros(2, int)
        raw = np.zeros(2, int)
        for _ in range(draws):
            sides, signs = [], []
            for effect in (0.0, 0.01):
                pairs = [cell(rng, seeds, 500, effect) for _ in range(rates)]
                sides.append([pair.side(ALPHA / rates) for pair in pairs])
                signs.append([np.sign(pair.d.mean()) for pair in pairs])
            claimed += [abs(sum(sides[0])) == rates, {1, -1} <= set(sides[1])]
            raw += [abs(sum(signs[0])) == rates, {1, -1} <= set(signs[1])]
        for what, count, before in zip(("holds, Δ 0", "changes, Δ +1 point"), claimed, raw, strict=True):
            setting = f"the sign {what}, {rates} learning rates, K={seeds}"
            yield rate(setting, ALPHA, int(count), draws, **{"as it was": before / draws})


def crossovers(draws: int) -> Iterator[Finding]:
    for seeds, budgets in product(SEEDS, (3, 5)):
        rng, claimed = generator("calibration", "beside", "crossovers", seeds, budgets), 0
        for _ in range(draws):
            sides = [cell(rng, seeds, 500).side(ALPHA / budgets) for _ in range(budgets)]
            claimed += bool(Band(list(range(budgets)), [None] * budgets, sides).crossovers())
        yield rate(f"a crossover where every Δ is 0, {budgets} budgets, K={seeds}", ALPHA, claimed, draws)


def outlines(draws: int) -> Iterator[Finding]:
    """A page of equal arms outlines no class. As it was: Holm within each row."""
    for seeds, n in product(SEEDS, (300, 1000)):
        rng, claimed, before = generator("calibration", "beside", "outlines", seeds, n), 0, 0
        part, names = np.arange(n) % CLASSES, [str(k) for k in range(CLASSES)]
        for _ in range(draws):
            rows = [
                parts.effects(cell(rng, seeds, n, spread=0.05, lasting=0.0).d, part, names, None)
                for _ in range(ROWS)
            ]
            claimed += any(one.is_claimed for row in parts.judged(rows, ALPHA) for one in row)
            before += any(one.is_claimed for row in rows for one in parts.judged([row], ALPHA)[0])
        setting = f"a class outlined on a page of {ROWS} equal rows, K={seeds} n={n}"
        yield rate(setting, ALPHA, claimed, draws, **{"as it was": before / draws})


# --- scores that rank pairs


def orders(draws: int) -> Iterator[Finding]:
    """Scores and Δ that have effects of each domain and nothing in common, of several strategies. As it was:
    Holm within each of these."""
    for domains, strategies in product((5, 6), (2, 6)):
        rng, claimed, before = generator("calibration", "beside", "orders", domains, strategies), 0, 0
        pairs = [(f"d{a}", f"d{b}") for a in range(domains) for b in range(domains) if a != b]
        for _ in range(draws):
            values = {f"scores/s{k}": _of_domains(rng, domains, pairs) for k in range(6)}
            common, found = _of_domains(rng, domains, pairs), []
            for _ in range(strategies):
                deltas = common + 0.5 * _of_domains(rng, domains, pairs)
                points = [
                    ranking.Point(
                        *pair,
                        float(delta),
                        None,
                        "undecided",
                        {name: float(value[k]) for name, value in values.items()},
                    )
                    for k, (pair, delta) in enumerate(zip(pairs, deltas, strict=True))
                ]
                found.append(({}, points, ranking.all_scores(points)))
            before += any(score.p_adjusted <= ALPHA for *_, rows in found for score in rows)
            ranking.adjust_anywhere(found)
            claimed += any(score.p_anywhere <= ALPHA for *_, rows in found for score in rows)
        setting = f"some score ranks Δ, {strategies} strategies, {domains} domains"
        yield rate(setting, ALPHA, claimed, draws, **{"as it was": before / draws})


def _of_domains(rng: np.random.Generator, domains: int, pairs: list[tuple[str, str]]) -> np.ndarray:
    effect = rng.normal(size=domains)
    return np.array([effect[int(a[1:])] + effect[int(b[1:])] for a, b in pairs]) + rng.normal(size=len(pairs))


# --- the best, the largest


def winners(draws: int) -> Iterator[Finding]:
    """What the best of several strategies gains, in points, less the truth: none has an effect; effects as
    large as their errors; one star of 5 points, which the normal prior pulls back by one or so. As it was:
    the raw Δ."""
    for cells, (kind, allowed) in product(
        (5, 12), (("no effects", 0.5), ("effects of one error", 0.5), ("one star", 1.5))
    ):
        rng, errors, raw = generator("calibration", "beside", "winners", cells, kind), [], []
        for _ in range(draws):
            gains = {"one star": 0.05 * (np.arange(cells) == 0), "no effects": np.zeros(cells)}.get(
                kind, rng.normal(0, 0.01, cells)
            )
            base, *scores = (
                gain + 0.015 * rng.normal(size=(5, 1)) + 0.15 * rng.normal(size=(5, 200))
                for gain in (0.0, *gains)
            )
            order = sorted(range(cells), key=lambda k: -scores[k].mean())
            found = [_arm(scores[k], float((scores[k] - base).mean())) for k in order]
            errors.append(100 * (best.corrected(found, "fixed") - gains[order[0]]))
            raw.append(100 * (found[0].delta - gains[order[0]]))
        yield bias(f"the best of {cells}, {kind}", errors, allowed, **{"as it was": float(np.mean(raw))})


def _arm(scores: np.ndarray, delta: float) -> SimpleNamespace:
    ids = np.arange(scores.shape[1])
    seen = {
        "seeds": range(len(scores)),
        "ids": ids,
        "strategy_scores": scores,
        "strategy_named": None,
        "groups": None,
        "deterministic": False,
        "labels": ids % 2,
    }
    return SimpleNamespace(evidence=SimpleNamespace(**seen), delta=delta, metric="accuracy")


def largest(draws: int) -> Iterator[Finding]:
    """The largest |Δ| of twelve, shrunk, less the true one, in points. As it was: shown."""
    for spread in (0.0, 0.01, 0.03):
        rng, errors, raw = generator("calibration", "beside", "largest", spread), [], []
        for _ in range(draws):
            effects = rng.normal(0, spread, 12)
            pairs = [cell(rng, 5, 500, effect, spread=0.02, lasting=0.0) for effect in effects]
            cells = [
                SimpleNamespace(family="one", delta=float(pair.d.mean()), pair=_given(pair)) for pair in pairs
            ]
            at = max(range(12), key=lambda k: abs(cells[k].delta))
            sign = np.sign(cells[at].delta)
            errors.append(100 * sign * (best.within_families(cells, "fixed")[at] - effects[at]))
            raw.append(100 * sign * (cells[at].delta - effects[at]))
        yield bias(
            f"the largest of 12, true effects of sd {100 * spread:g} points",
            errors,
            0.5,
            **{"as it was": float(np.mean(raw))},
        )


def _given(pair: Pair) -> Callable[[str], Pair]:
    return lambda items: pair


def regrets(draws: int) -> Iterator[Finding]:
    """Ten evaluations that are equally good, of which a rule takes one, in points. As it was: the best on the
    items that score it."""
    for n in (200, 1000):
        rng, errors, raw = generator("calibration", "beside", "regrets", n), [], []
        for _ in range(draws):
            curve = (rng.random((10, n)) < 0.8).astype(float)
            errors.append(100 * cross_fitted(curve, curve[-1]))
            raw.append(100 * (curve.mean(axis=1).max() - curve[-1].mean()))
        yield bias(f"regret of equal evaluations, n={n}", errors, 0.0, **{"as it was": float(np.mean(raw))})


def searches(draws: int) -> Iterator[Finding]:
    """The expected best of k trials, and its band at a quarter of the trials: 90 % and more where 95 is its
    name."""
    for trials in (20, 40):
        rng, k = generator("calibration", "beside", "searches", trials), trials // 4
        truth = float(
            generator("calibration", "beside", "searches").normal(size=(200_000, k)).max(axis=1).mean()
        )
        errors, missed = [], 0
        for _ in range(draws):
            scores = rng.normal(size=trials)
            low, high = band(scores, ALPHA)
            errors.append(expected_best(scores)[k - 1] - truth)
            missed += not low[k - 1] <= truth <= high[k - 1]
        yield bias(f"the best of {k} of {trials} trials, in standard deviations", errors, 0.0)
        yield rate(f"the band of the best of {k} of {trials} trials", 0.1, missed, draws)


ROWS_OF_THE_STUDY = (
    flips,
    times,
    reasons,
    rates,
    crossovers,
    outlines,
    orders,
    winners,
    largest,
    regrets,
    searches,
)
