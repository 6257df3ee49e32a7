"""What was predicted before training, against what came of it: figures and numbers of
`comparison.ranking`."""

from collections.abc import Sequence

from transferscope.comparison import formatting
from transferscope.comparison.ranking import DIRECTIONS, EXPECTED, Point, Ranking, Score
from transferscope.report import figures, words

HEIGHT = 110
LEAST_DRAWN = 3  # points
HEADINGS = {
    "inputs": "Distances of inputs",
    "features": "Distances of features",
    "labels": "Label shift",
    "scores": "Transferability scores",
}


def views(rankings: Sequence[Ranking]) -> list[dict]:
    """One a ranking: its figures by group of scores, and the numbers of scores and pairs."""
    return [_view(one) for one in rankings]


def _view(one: Ranking) -> dict:
    deltas = figures.difference_axis(
        [point.delta for point in one.points], [None] * len(one.points), 0.0, about=3
    )
    groups = []
    for group, sign in DIRECTIONS.items():
        scores = [score for score in one.scores if score.name.partition("/")[0] == group]
        if scores:
            panels = [_panel(score, one.points, deltas) for score in scores if score.pairs >= LEAST_DRAWN]
            groups.append(
                {
                    "heading": f"{HEADINGS[group]} (larger: {EXPECTED[sign]} expected)",
                    "scores": scores,
                    "panels": panels,
                }
            )
    return {
        "title": " · ".join(filter(None, [one.strategy, one.variant]))
        + f", {words.budget(one.label_budget)}",
        "aside": (
            f"{one.backbone}, {one.initialisation} initialisation, {words.count(one.pairs, 'pair')} of "
            f"{words.count(one.domains, 'domain')}"
        ),
        "conclusion": one.conclusion,
        "metric": one.metric,
        "deltas": deltas,
        "groups": groups,
        "scores": [
            (score, short(score.name), number(score.tau), number(score.auroc)) for score in one.scores
        ],
        "several": any(score.p_anywhere is not None for score in one.scores),
        "reasons": _reasons(one.scores),
        "points": [_row(point, one.scores) for point in one.points],
    }


def _panel(score: Score, points: Sequence[Point], deltas: figures.Axis) -> dict:
    """Δ against a score. marks: (verdict, x in percent, y in pixels); whiskers: the intervals, cut at the
    edge, as one SVG path in a box 100 wide."""
    having = [point for point in points if point.values.get(score.name) is not None]
    values = [point.values[score.name] for point in having]
    lo, hi = min(values), max(values)
    room = 0.05 * (hi - lo) or abs(lo) or 1.0
    axis = figures.Axis(lo - room, hi + room, ())

    def across(value: float) -> float:
        return round(figures.GUTTER + axis.percent(value) * (1 - figures.GUTTER / 100), 1)

    bars = [(point, point.ci) for point in having if point.ci]
    return {
        "name": score.name.partition("/")[2],
        "tau": number(score.tau),
        "p": formatting.probability(score.p_adjusted if score.p_anywhere is None else score.p_anywhere),
        "bounds": [(across(value), f"{value:.3g}".replace("-", "−")) for value in (lo, hi)],
        "marks": [
            (point.verdict, across(point.values[score.name]), deltas.height(point.delta, HEIGHT))
            for point in having
        ],
        "whiskers": "".join(
            (
                f"M{across(p.values[score.name]):g} "
                f"{deltas.height(ci[0], HEIGHT):g}V{deltas.height(ci[1], HEIGHT):g}"
            )
            for p, ci in bars
        ),
    }


def _reasons(scores: Sequence[Score]) -> list[str]:
    """Why there is no τ or AUROC: each reason once, with its scores where it does not hold for all."""
    found: dict[str, list[str]] = {}
    for score in scores:
        for reason in score.reasons:
            found.setdefault(reason, []).append(short(score.name))
    return [
        reason if len(names) == len(scores) else f"{reason} ({', '.join(names)})"
        for reason, names in found.items()
    ]


def _row(point: Point, scores: Sequence[Score]) -> dict:
    values = [point.values.get(score.name) for score in scores]
    formatted = ["–" if value is None else f"{value:.3g}".replace("-", "−") for value in values]
    return {"pair": f"{point.source} → {point.target}", "point": point, "values": formatted}


def short(name: str) -> str:
    """`features/mmd` as "mmd of features"."""
    group, _, what = name.partition("/")
    return what if group in ("scores", "labels") else f"{what} of {group}"


def number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}".replace("-", "−")
