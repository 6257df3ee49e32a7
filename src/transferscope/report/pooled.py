"""Claims over all targets of a page, where it has enough of them."""

from dataclasses import dataclass

from transferscope.comparison import over_formats
from transferscope.comparison.comparison import Comparison
from transferscope.comparison.over import Claim
from transferscope.errors import RequestError
from transferscope.report import figures
from transferscope.report.layout import Ground
from transferscope.store.schema import Json


@dataclass
class Row:
    """told_apart: what tells it from others of its strategy. place: of Δ and its intervals on the axis, as of
    a cell; new: of what one target more would show; dots: (target, position), one a target, in percent."""

    claim: Claim
    told_apart: str
    sentence: str
    notes: list[str]
    place: Json
    new: Json | None
    dots: list[tuple[str, float]]


@dataclass
class Pooled:
    """ground: axis and margin of the figure. not_claimed: lines on questions of which nothing is claimed."""

    rows: list[Row]
    ground: Ground
    not_claimed: list[str]


def over_targets(comparison: Comparison) -> Pooled | None:
    """None where no question has targets enough, or where their scores have no unit in common."""
    try:
        over = comparison.over("targets")
    except RequestError:
        return None
    if not over.claims:
        return None
    effects = [effect for claim in over for effect in claim.effects.values()]
    bounds: list[figures.Interval] = [None] * len(effects)
    bounds += [claim.ci_simultaneous for claim in over]
    margins = {claim.margin for claim in over}
    margin = margins.pop() if len(margins) == 1 else 0.0
    deltas = [*effects, *(claim.delta for claim in over)]
    axis = figures.difference_axis(deltas, bounds, margin, about=7)
    rows = [
        Row(
            claim,
            ", ".join(over_formats.told_apart(vars(claim), over)),
            over_formats.sentence(claim, over),
            [*over_formats.barred(claim), *claim.flags],
            figures.forest_row(axis, claim.delta, claim.ci, claim.ci_simultaneous),
            figures.bar(axis, claim.new_domain),
            [(name, axis.percent(effect)) for name, effect in claim.effects.items()],
        )
        for claim in over
    ]
    return Pooled(rows, Ground(axis=axis, margin_value=margin), over_formats.listed(over))
