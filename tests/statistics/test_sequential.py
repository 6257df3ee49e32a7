"""Looks at a family on the way: the rules by hand, the error rates by simulation."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from transferscope.statistics.sequential import BUDGET, SEEDS_CANNOT_HELP, Design, Outcome, is_futile, look
from transferscope.statistics.verdict import Pair, estimate

DESIGN = Design((5, 7, 10), 0.05)
MARGIN = 0.01
UNIT = 0.1  # the scores below vary by tenths


def pair_of(d: np.ndarray, **more) -> Pair:
    none = np.zeros(len(d), dtype=bool)
    return replace(Pair(d, none, none, 50, unit=UNIT), **more)


def noisy(
    delta: float, seeds: int = 5, items: int = 200, seed_sd: float = 0.01, item_sd: float = 0.0, draw: int = 0
) -> Pair:
    """Of exactly this Δ and these spreads."""
    rng = np.random.default_rng(draw)
    row = rng.normal(size=(seeds, 1))
    column = rng.normal(size=(1, items))
    rest = 0.1 * rng.normal(size=(seeds, items))
    rest -= rest.mean(axis=0) + rest.mean(axis=1, keepdims=True) - rest.mean()
    spread = seed_sd * (row - row.mean()) / row.std(ddof=1) + item_sd * (column - column.mean()) / column.std(
        ddof=1
    )
    return pair_of(delta + spread + rest)


def one(pair: Pair, number: int = 1, undecided: int = 1, family: int = 1, design: Design = DESIGN) -> Outcome:
    [finding] = look([pair], [MARGIN], number, (undecided, undecided), family, design)
    return finding


# --- one look


def test_a_decision_is_made_at_the_level_of_one_look_over_those_undecided() -> None:
    pair = noisy(0.03)
    p = pair.effect().p_value()
    for undecided in (1, 2, 3, 5, 10, 30):
        finding = one(pair, undecided=undecided, family=30)
        assert (finding.verdict == "positive") == (finding.state == "decided") == (undecided * p <= 0.05 / 3)
        assert finding.p_adjusted == pytest.approx(min(1, 3 * min(1, undecided * p)))
    assert 0.05 / 3 / 30 < p < 0.05 / 3 / 2  # so that both happened


def test_the_interval_holds_for_all_looks_and_the_whole_family() -> None:
    far = one(noisy(0.3), family=12)
    assert far.ci_simultaneous == pytest.approx(noisy(0.3).effect().interval(0.05 / 3 / 12))
    # decided by a late step: the interval is cut where the decision ends it
    near = one(noisy(-0.03), undecided=1, family=30)
    assert near.verdict == "negative" and near.ci_simultaneous[1] == 0.0


def test_equivalence_is_decided_too() -> None:
    finding = one(noisy(0.0, items=5000, seed_sd=0.0))
    assert (finding.state, finding.verdict) == ("decided", "equivalent")
    assert -MARGIN <= finding.ci_simultaneous[0] < finding.ci_simultaneous[1] <= MARGIN


def test_futility_is_as_defined() -> None:
    seen = []
    for draw in range(60):
        pair = noisy(
            0.001 * (draw % 20), items=400, item_sd=0.05 * (draw % 2), seed_sd=0.01 * (draw % 5), draw=draw
        )
        effect = pair.effect()
        a, drift = 0.05 / 3 / 4, math.sqrt(effect.seed_variance)
        t_seed, t_item = stats.t.ppf(1 - a / 2, [9, effect.item_df])
        half = math.sqrt(t_seed**2 * effect.seed_variance * 5 / 10 + t_item**2 * effect.item_variance)
        expected = abs(effect.delta) + drift < half and half - drift > MARGIN - abs(effect.delta)
        assert is_futile(pair, effect, MARGIN, (a, a), seeds=10) == expected
        seen.append(expected)
    assert 10 < sum(seen) < 50


def test_what_is_stopped_is_told_apart() -> None:
    saturated = one(noisy(0.004, items=100, seed_sd=0.0, item_sd=0.2))
    assert (saturated.state, saturated.limit) == ("stopped", SEEDS_CANNOT_HELP)
    assert "needs test items, not seeds" in saturated.reason
    too_noisy = one(noisy(0.02, items=100_000, seed_sd=0.1))
    assert (too_noisy.state, too_noisy.limit) == ("stopped", BUDGET)
    hopeful = noisy(0.012, seed_sd=0.008)
    assert (one(hopeful).state, one(hopeful).limit) == ("open", "")
    at_the_end = one(hopeful, number=3)
    assert (at_the_end.state, at_the_end.verdict) == ("undecided", "undecided") and at_the_end.limit


def test_a_collapse_leaves_only_the_negative_claim() -> None:
    one_collapsed = {"strategy_collapsed": np.array([True, False, False, False, False])}
    better, worse, nearly_worse = (replace(noisy(delta), **one_collapsed) for delta in (0.3, -0.3, -0.012))
    assert (one(better).state, one(better).verdict, one(better).limit) == (
        "stopped",
        "undecided",
        SEEDS_CANNOT_HELP,
    )
    assert one(better).reason.startswith("collapse: 1 of 5 strategy runs")
    assert one(worse).verdict == "negative"
    assert one(nearly_worse).state == "open"


def test_few_items_are_never_equivalent() -> None:
    same = noisy(0.0, items=5000, seed_sd=0.0)
    assert one(same).verdict == "equivalent"
    few = one(replace(same, smallest_class=9))
    assert (few.state, few.verdict) == ("stopped", "undecided")


def test_a_baseline_still_improving_is_beaten_by_nothing() -> None:
    finding = one(replace(noisy(0.3), baseline_remaining=0.5))
    assert (finding.state, finding.limit) == ("stopped", SEEDS_CANNOT_HELP)
    assert one(replace(noisy(-0.3), baseline_remaining=0.5)).verdict == "negative"


def test_over_a_baseline_that_learnt_nothing_only_a_gain_is_worth_more_seeds() -> None:
    def told(delta: float) -> Pair:
        pair = noisy(delta)
        return replace(pair, baseline_collapsed=np.ones(len(pair.d), bool), baseline_learnt_nothing=True)

    assert (one(told(0.3)).state, one(told(0.3)).verdict) == ("decided", "positive")
    assert (one(told(-0.3)).state, one(told(-0.3)).limit) == ("stopped", SEEDS_CANNOT_HELP)


def test_a_family_may_have_no_open_cell_left() -> None:
    assert look([], [], number=2, untold=(0, 3), family=3, design=DESIGN) == []


# --- error rates


def families(
    rng: np.random.Generator, truth: np.ndarray, seeds: int, items: int, seed_sd: float, item_sd: float
) -> np.ndarray:
    """d [m, K, n]: half of every variance is the baseline's, which all cells share."""

    def component(shape: tuple[int, int], sd: float) -> np.ndarray:
        return sd * math.sqrt(0.5) * (rng.normal(size=(1, *shape)) + rng.normal(size=(len(truth), *shape)))

    return (
        truth[:, None, None]
        + component((seeds, 1), seed_sd)
        + component((1, items), item_sd)
        + component((seeds, items), 0.1)
    )


def run_looks(d: np.ndarray, design: Design = DESIGN, dropping: bool = False) -> list[Outcome]:
    """The last finding of every cell. dropping: the bug someone will write, cells stopped for futility leave
    the family."""
    m, found = len(d), {}
    still_open = list(range(m))
    for number, seeds in enumerate(design.looks, start=1):
        verdicts = [finding.verdict for finding in found.values()]
        different, equivalent = (
            sum(map(verdicts.count, told)) for told in (("positive", "negative"), ("equivalent",))
        )
        untold = (len(still_open),) * 2 if dropping else (m - different, m - equivalent)
        if still_open:
            pairs = [pair_of(d[cell, :seeds]) for cell in still_open]
            found.update(
                zip(still_open, look(pairs, [MARGIN] * len(pairs), number, untold, m, design), strict=True)
            )
        still_open = [cell for cell in still_open if found[cell].state == "open"]
    return [found[cell] for cell in range(m)]


def may_decide(d: np.ndarray, design: Design) -> bool:
    """Whether any cell is told from 0 at any look at the level of Holm's last step: without one, no procedure
    calls a difference."""
    effects = [estimate(cell[:seeds], UNIT) for cell in d for seeds in design.looks]
    return any(abs(effect.delta) >= effect.half(design.level) for effect in effects)


def false_differences(draws: int, m: int, item_sd: float, seed: int) -> tuple[float, float]:
    """Rate of families of nulls in which some cell is called different: by the procedure, and by the one that
    drops stopped cells."""
    rng, ours, dropping = np.random.default_rng(seed), 0, 0
    for _ in range(draws):
        d = families(rng, np.zeros(m), 10, 100, seed_sd=0.012, item_sd=item_sd)
        if may_decide(d, DESIGN):
            ours += any(finding.verdict in ("positive", "negative") for finding in run_looks(d))
            dropping += any(
                finding.verdict in ("positive", "negative") for finding in run_looks(d, dropping=True)
            )
    return ours / draws, dropping / draws


def bar(draws: int) -> float:
    """alpha and three Monte-Carlo standard errors."""
    return 0.05 + 3 * math.sqrt(0.05 * 0.95 / draws)


def test_false_alarms_stay_below_alpha_and_dropping_what_was_stopped_raises_them() -> None:
    draws = 300
    ours, dropping = false_differences(draws, m=12, item_sd=0.0, seed=1)
    assert ours <= 0.05
    assert dropping > bar(draws)


@pytest.mark.slow
@pytest.mark.parametrize(("m", "item_sd"), [(12, 0.0), (12, 0.05), (36, 0.0), (36, 0.05)])
def test_false_alarms_at_length(m: int, item_sd: float) -> None:
    draws = 4000 if m == 12 else 1500
    ours, dropping = false_differences(draws, m, item_sd, seed=2)
    print(f"m={m} item_sd={item_sd}: family-wise error {ours:.4f}, dropping stopped cells {dropping:.4f}")
    assert ours <= bar(draws)
    assert dropping > 2 * ours


def mixed(draws: int, design: Design, seed: int) -> dict[str, float]:
    """A third of 12 cells null, a third 1-4 points, a third 5-15 points either way."""
    rng, rows = np.random.default_rng(seed), []
    fixed = Design(design.looks[-1:], design.alpha)
    for _ in range(draws):
        truth = np.repeat([0.0, 1.0, 1.0], 4) * np.concatenate(
            [np.zeros(4), rng.uniform(0.01, 0.04, 4), rng.uniform(0.05, 0.15, 4)]
        )
        truth *= rng.choice([-1, 1], 12)
        d = families(rng, truth, design.looks[-1], 200, seed_sd=0.012, item_sd=0.07)
        found = run_looks(d, design)
        right = np.array([called(truth, finding) for truth, finding in zip(truth, found, strict=True)])
        at_once = np.array(
            [called(truth, finding) for truth, finding in zip(truth, run_looks(d, fixed), strict=True)]
        )
        seeds = [finding.seeds for finding in found]
        rows.append(
            [
                np.mean(seeds),
                (sum(seeds) + max(seeds)) / 13,
                right[8:].mean(),
                right[4:8].mean(),
                at_once[4:8].mean(),
            ]
        )
    names = (
        "seeds",
        "seeds, baseline counted",
        "power, large",
        "power, small",
        "power, small, all seeds at once",
    )
    return dict(zip(names, np.mean(rows, axis=0), strict=True))


def called(truth: float, finding: Outcome) -> bool:
    return finding.verdict == ("positive" if truth > 0 else "negative")


def test_seeds_are_saved_and_large_effects_found() -> None:
    result = mixed(100, DESIGN, seed=3)
    assert result["seeds, baseline counted"] <= 0.67 * 10
    assert result["power, large"] >= 0.99
    assert result["power, small"] >= result["power, small, all seeds at once"] - 0.15


@pytest.mark.slow
def test_seeds_saved_at_length() -> None:
    result = mixed(2000, DESIGN, seed=4)
    longer = mixed(1000, Design((5, 10, 20), 0.05), seed=4)
    print(result, longer)
    assert 0.5 * 10 <= result["seeds"] <= 0.62 * 10 and result["power, large"] >= 0.995
    assert longer["seeds"] <= 0.45 * 20 and longer["power, small"] > result["power, small"]
