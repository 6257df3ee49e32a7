"""What folklore.py claims, of digits_pairs alone: over all pairs, and of the pairs' order by distance."""

from typing import Any

import numpy as np

from transferscope.statistics import pooled
from transferscope.statistics.relabelling import highest_anywhere, permutation_tau, permutation_taus

STRATEGIES = ("feature_extraction", "fine_tuning")
LESS = "feature_extraction less fine_tuning"
FEW, MANY = 2, 20  # labels a class
MARGIN, ALPHA = 0.01, 0.05

Pairs = list[tuple[str, str]]
Outcomes = dict[tuple[str, int], np.ndarray]


def outcomes(deltas: dict[tuple[str, int, tuple[str, str]], float]) -> tuple[Pairs, Outcomes]:
    """Δ by strategy, label budget and pair -> the pairs [n], and Δ [n] of each strategy, and of the first
    less the second, at each budget. KeyError where a pair lacks one of them."""
    pairs = sorted({pair for _, _, pair in deltas})
    found = {
        (strategy, budget): np.array([deltas[strategy, budget, pair] for pair in pairs])
        for strategy in STRATEGIES
        for budget in (FEW, MANY)
    }
    first, second = STRATEGIES
    return pairs, found | {
        (LESS, budget): found[first, budget] - found[second, budget] for budget in (FEW, MANY)
    }


def claims(pairs: Pairs, found: Outcomes) -> list[dict[str, Any]]:
    """Means over all pairs, one family. folklore: held, not held or undecided; a claim of no harm is one
    of nothing beyond the margin."""
    asked = {
        f"{strategy}, {MANY} labels less {FEW}": (found[strategy, MANY] - found[strategy, FEW], "negative")
        for strategy in STRATEGIES
    }
    asked[f"{LESS}, {FEW} labels"] = found[LESS, FEW], "not negative"
    asked[f"{LESS}, {MANY} labels"] = found[LESS, MANY], "negative"
    domains = sorted({name for pair in pairs for name in pair})
    involved = np.array([[name in pair for name in domains] for pair in pairs])
    effects = [effect for values, _ in asked.values() if (effect := pooled.of_pairs(values, involved))]
    judged = pooled.judge(effects, [MARGIN] * len(asked), ALPHA, "holm", [("domains", "")] * len(asked))
    lines = []
    for (name, (_, expected)), one in zip(asked.items(), judged, strict=True):
        seen = "negative" if one.verdict == "negative" else "not negative" if one.no_harm else ""
        lines.append(
            {
                "claim": name, "expected": expected, "delta": round(one.delta, 4),
                "ci_simultaneous_low": round(one.ci_simultaneous[0], 4),
                "ci_simultaneous_high": round(one.ci_simultaneous[1], 4),
                "p_adjusted": f"{one.p_adjusted:.4g}", "verdict": one.verdict,
                "pairs": len(pairs), "domains": len(domains),
                "folklore": "undecided" if not seen else "held" if seen == expected else "not held",
            }
        )  # fmt: skip
    return lines


def orders(
    pairs: Pairs, found: Outcomes, distances: dict[tuple[str, str], dict[str, str]]
) -> list[dict[str, Any]]:
    """Kendall's τ of every outcome with every distance, 1 where the nearest pair has the highest. p_anywhere:
    of all of these, relabelled together."""
    names = sorted(set.intersection(*(set(distances[pair]) for pair in pairs)))
    nearness = -np.array([[float(distances[pair][name]) for pair in pairs] for name in names])
    taus = [permutation_taus(nearness, values, pairs) for values in found.values()]
    anywhere = iter(highest_anywhere(np.hstack(taus)))
    lines = []
    for (outcome, budget), values in found.items():
        tau, p, relabellings = permutation_tau(nearness, values, pairs)
        for place, name in enumerate(names):
            lines.append(
                {
                    "of": outcome, "label_budget": budget, "distance": name, "pairs": len(pairs),
                    "relabellings": relabellings, "tau": round(float(tau[place]), 4),
                    "p": f"{p[place]:.4g}", "p_anywhere": f"{next(anywhere):.4g}",
                }
            )  # fmt: skip
    return lines
