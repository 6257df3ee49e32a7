"""How what `rank` computed beforehand ranks the realised Δ: one point a pair of source and target. Imports no
torch."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from transferscope.statistics.relabelling import highest_anywhere, permutation_tau, permutation_taus
from transferscope.statistics.verdict import holm
from transferscope.store.schema import Consumed, Estimate, Inputs, Json, Prediction

if TYPE_CHECKING:
    from transferscope.comparison.cells import Cell

LEAST_PAIRS, LEAST_DOMAINS = 8, 4  # for a τ
_LEAST = f"{LEAST_PAIRS} pairs of {LEAST_DOMAINS} domains are the least"
LEAST_OF_EACH = 5  # negative pairs, and others, for an AUROC

# what a larger value is expected to go with: every distance is taken to harm, every transferability score to
# promise
DIRECTIONS = {"inputs": -1, "features": -1, "labels": -1, "scores": 1}
_TOO_FEW = "Too few to claim anything"
EXPECTED = {-1: "lower Δ", 1: "higher Δ"}
_SAME = (
    "label_budget",
    "backbone",
    "initialisation",
    "strategy",
    "variant",
    "protocol",
    "baseline",
    "metric",
    "selection",
)
# of what a run consumes, its prediction must consume the same
_FIT = ("backbone", "image_size", "channels", "split_seed")


Domains = tuple[tuple[tuple[str, str], ...], tuple[str, str]]  # (name, digest) of sources and target
AtHand = dict[tuple[str, Domains], list[Json]]  # predictions with their setting, by kind and domains


@dataclass(frozen=True)
class Point:
    """One pair: the realised Δ of its cell, and its values by `group/name`, None where there is none."""

    source: str
    target: str
    delta: float
    ci: tuple[float, float] | None
    verdict: str
    values: dict[str, float | None]


@dataclass(frozen=True)
class Score:
    """One distance or score. tau: Kendall's τ-b between the order it expects and Δ: 1 = as expected, −1 = the
    reverse.

    larger_means: what is expected where its value is larger. p: one-sided, of a τ as high in the expected
    direction, from `relabellings` of the domains; p_adjusted: Holm over the scores of a ranking; p_anywhere:
    over those of all rankings, where there are several. auroc: the chance that a pair that turned out
    negative was ranked below one that did not; not tested. reasons: why tau or auroc is None."""

    name: str
    larger_means: str
    pairs: int
    domains: int
    tau: float | None
    p: float | None
    p_adjusted: float | None
    p_anywhere: float | None
    relabellings: int
    auroc: float | None
    reasons: list[str]


@dataclass(frozen=True)
class Ranking:
    """The pairs of one strategy, label budget and so on, and how each score ranks them. pairs, domains: those
    that have values. claims: names of the scores whose p, adjusted over all that the comparison tests, is at
    most alpha; conclusion: what may be said, in a sentence."""

    label_budget: int | str | None
    backbone: str
    initialisation: str
    strategy: str
    variant: str
    protocol: str
    baseline: str
    metric: str
    selection: str
    points: list[Point]
    scores: list[Score]
    pairs: int
    domains: int
    claims: list[str]
    conclusion: str

    def to_dict(self) -> Json:
        return asdict(self)


def rankings(cells: Iterable["Cell"], predictions: Sequence[Prediction], alpha: float) -> list[Ranking]:
    """One for all cells that differ in source and target alone, of those that the predictions
    (`record.read_predictions`) fit."""
    groups: dict[tuple[object, ...], dict[tuple[frozenset[str], str], Cell]] = defaultdict(dict)
    for cell in cells:
        if cell.source is not None and not _consumed(cell).get("source_label_noise"):
            pair = frozenset(cell.source.split("+")), cell.target
            groups[tuple(getattr(cell, key) for key in _SAME)].setdefault(pair, cell)
    at_hand: AtHand = defaultdict(list)
    for one in predictions:
        at_hand[one["kind"], _domains(one["consumed"])].append({**one, "setting": _setting(one["consumed"])})
    found = []
    for key, group in groups.items():
        points = _points(list(group.values()), at_hand)
        if any(point.values for point in points):
            found.append((dict(zip(_SAME, key, strict=True)), points, all_scores(points)))
    sets = adjust_anywhere(found) if len(found) > 1 else 0
    return [_ranking(key, points, rows, alpha, sets) for key, points, rows in found]


def line(found: Sequence[Ranking], alpha: float) -> list[str]:
    """What a table of verdicts says of the rankings: one line, or none."""
    if not found:
        return []
    claims = sum(len(one.claims) for one in found)
    tested = sum(score.p is not None for one in found for score in one.scores)
    if all(one.conclusion.startswith(_TOO_FEW) for one in found):
        said = "too few to claim that any score ranks Δ"
    else:
        said = (
            f"{claims} of {_many(tested, 'score')} ranked Δ beyond chance (by chance alone, any would in "
            f"{100 * alpha:g} % of stores)"
        )
    most = max(found, key=lambda one: one.pairs)
    return [
        (
            f"predicted beforehand, {_many(most.pairs, 'pair')} of {_many(most.domains, 'domain')}: {said} "
            "(transferscope report)"
        )
    ]


# --- which prediction belongs to which cell


def _points(cells: Sequence["Cell"], at_hand: AtHand) -> list[Point]:
    values: list[dict[str, float | None]] = [{} for _ in cells]
    for kind in ("distances", "scores"):
        for k, prediction in _on_one_footing(cells, kind, at_hand).items():
            for group, numbers in prediction["values"].items():
                values[k] |= {f"{group}/{name}": _estimate(value) for name, value in numbers.items()}
    return [
        Point(cell.source or "", cell.target, cell.delta, cell.ci, cell.verdict, found)
        for cell, found in zip(cells, values, strict=True)
    ]


def _on_one_footing(cells: Sequence["Cell"], kind: str, at_hand: AtHand) -> dict[int, Json]:
    """Predictions that differ in their domains alone, by the place of their cell. Where there are several
    such sets (other seeds, numbers of items, source models): the one of most pairs, of those the one of the
    lowest seed, of those the last made. None of this looks at Δ."""
    sets: dict[str, dict[int, Json]] = defaultdict(dict)
    for k, cell in enumerate(cells):
        run = _consumed(cell)
        for prediction in at_hand.get((kind, _domains(run)), ()):
            eaten = prediction["consumed"]
            # distances have none
            same_budget = eaten.get("label_budget", cell.label_budget) == cell.label_budget
            if same_budget and all(run.get(key) == eaten.get(key) for key in _FIT):
                sets[prediction["setting"]][k] = prediction

    def preference(found: dict[int, Json]) -> tuple[int, int, str]:
        some = list(found.values())
        return len(some), -some[0]["consumed"]["seed"], max(prediction["created"] for prediction in some)

    return max(sets.values(), key=preference, default={})


def _consumed(cell: "Cell") -> Consumed:
    return cell.evidence.records[cell.evidence.strategy_runs[0]]["consumed"]


def _domains(consumed: Inputs) -> Domains:
    """By content: a domain that has changed since is another domain."""
    target = consumed["target"]
    return tuple(sorted((one["name"], one["digest"]) for one in consumed["sources"])), (
        target["name"],
        target["digest"],
    )


def _setting(consumed: Inputs) -> str:
    return json.dumps(
        {key: value for key, value in consumed.items() if key not in ("sources", "target")}, sort_keys=True
    )


def _estimate(value: float | Estimate | None) -> float | None:
    return value["estimate"] if isinstance(value, dict) else value


# --- ranks


def all_scores(points: list[Point]) -> list[Score]:
    """Of one ranking, Holm over them."""
    having = {
        name: [p for p in points if p.values.get(name) is not None]
        for name in dict.fromkeys(name for p in points for name in p.values)
    }
    together = defaultdict(list)  # names of the scores that have a value at the same pairs
    for name, some in having.items():
        together[tuple(map(id, some))].append(name)
    scores = {
        name: score for names in together.values() for name, score in _scores(names, having[names[0]]).items()
    }
    tested = [score for score in scores.values() if score.p is not None]
    for score, adjusted in zip(
        tested, holm([score.p for score in tested if score.p is not None], len(tested)), strict=True
    ):
        scores[score.name] = replace(score, p_adjusted=float(adjusted))
    return [scores[name] for name in having]


def adjust_anywhere(found: list[tuple[Json, list[Point], list[Score]]]) -> int:
    """Fill in `p_anywhere`. Scores at the same pairs are relabelled together, whichever ranking they belong
    to; how many such sets of pairs there are is returned, and their p multiplied by it."""
    sets: dict[tuple[tuple[str, str], ...], list[tuple[list[Score], list[int], list[Point]]]] = defaultdict(
        list
    )
    for _, points, rows in found:
        places = defaultdict(list)
        for place, score in enumerate(rows):
            if score.p is not None:
                places[
                    tuple(k for k, point in enumerate(points) if point.values.get(score.name) is not None)
                ].append(place)
        for which, some in places.items():
            having = [points[k] for k in which]
            sets[tuple((point.source, point.target) for point in having)].append((rows, some, having))
    for pairs, members in sets.items():
        taus = [
            permutation_taus(
                _expected([rows[place].name for place in some], having),
                np.array([point.delta for point in having]),
                pairs,
            )
            for rows, some, having in members
        ]
        p = iter(highest_anywhere(np.hstack(taus)) * len(sets))
        for rows, some, _ in members:
            for place in some:
                rows[place] = replace(rows[place], p_anywhere=min(1.0, float(next(p))))
    return len(sets)


def _ranking(key: Json, points: list[Point], rows: list[Score], alpha: float, groups: int) -> Ranking:
    """groups: sets of pairs over which several rankings are adjusted together, 0 where this is the only
    one."""
    tested = [score for score in rows if score.p is not None]
    adjusted = {score.name: score.p_anywhere if groups else score.p_adjusted for score in tested}
    claims = [name for name, p in adjusted.items() if p is not None and p <= alpha]
    most, ways = max(rows, key=lambda score: score.pairs), max(score.relabellings for score in rows)
    least = (groups or len(tested)) / ways if tested else 0.0  # that an adjusted p can be
    if most.pairs < LEAST_PAIRS or most.domains < LEAST_DOMAINS:
        said = f"{_TOO_FEW}: {_many(most.pairs, 'pair')} of {_many(most.domains, 'domain')}; {_LEAST}."
    elif least > alpha:
        among = _many(groups, "set") + " of pairs" if groups else _many(len(tested), "score")
        said = (
            f"{_TOO_FEW}: the names of {most.domains} domains can be exchanged in {_many(ways, 'way')} that "
            f"keep the pairs, so that with {among} no adjusted p falls below {min(least, 1):.2g}."
        )
    elif claims:
        said = f"Ranked Δ beyond chance: {', '.join(claims)}."
    else:
        said = "No score ranked Δ beyond chance."
    return Ranking(
        **key,
        points=points,
        scores=rows,
        pairs=most.pairs,
        domains=most.domains,
        claims=claims,
        conclusion=said,
    )


def _expected(names: Sequence[str], points: list[Point]) -> np.ndarray:
    """Values [S, n], so that a larger one is expected to go with a higher Δ."""
    signs = [DIRECTIONS[name.partition("/")[0]] for name in names]
    values = np.array([[point.values[name] for point in points] for name in names], dtype=float)
    expected: np.ndarray = values * np.array(signs)[:, None]
    return expected


def _scores(names: Sequence[str], points: list[Point]) -> dict[str, Score]:
    """Scores that have a value at the same pairs."""
    signs = [DIRECTIONS[name.partition("/")[0]] for name in names]
    values = _expected(names, points)
    deltas = np.array([point.delta for point in points])
    domains = len({part for point in points for part in [*point.source.split("+"), point.target]})
    tau = p = np.full(len(names), np.nan)
    ways, no_tau = 0, "no τ: the same value for every pair"
    if len(points) >= LEAST_PAIRS and domains >= LEAST_DOMAINS:
        tau, p, ways = permutation_tau(values, deltas, [(point.source, point.target) for point in points])
    else:
        no_tau = f"no τ: {_many(len(points), 'pair')} of {_many(domains, 'domain')}; {_LEAST}"
    is_negative = np.array([point.verdict == "negative" for point in points], dtype=bool)
    counts = int(is_negative.sum()), int((~is_negative).sum())
    no_area = [
        f"no AUROC: {counts[0]} negative and {counts[1]} other pairs; {LEAST_OF_EACH} of each are the least"
    ]
    found = {}
    for name, sign, value, t, chance in zip(names, signs, values, tau, p, strict=True):
        area, has_tau = None, bool(np.isfinite(t))
        if min(counts) >= LEAST_OF_EACH:
            above = value[~is_negative][:, None] - value[is_negative][None, :]
            area = float((above > 0).mean() + (above == 0).mean() / 2)
        reasons = ([] if has_tau else [no_tau]) + (no_area if area is None else [])
        found[name] = Score(
            name, EXPECTED[sign], len(points), domains, float(t) if has_tau else None,
            float(chance) if has_tau else None, None, None, ways if has_tau else 0, area, reasons,
        )  # fmt: skip
    return found


def _many(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
