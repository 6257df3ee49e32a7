"""Claims over the domains of a comparison: the mean of the effects of several targets, sources or pairs.

A question is what all its cells have in common but source and target; the questions of one command are one
family (statistics/pooled.py)."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from transferscope.comparison import over_formats, wording
from transferscope.comparison.domain_effects import Domains, Roles, question_of
from transferscope.errors import RequestError, nearest
from transferscope.statistics import pooled
from transferscope.store.schema import Json

if TYPE_CHECKING:
    from transferscope.comparison.cells import Cell
    from transferscope.comparison.findings import Findings

OVER = ("targets", "sources", "pairs")
MOST_APART = 10  # of the largest errors of targets whose unit is not stated, beyond which it may be several
METHODS = {
    "targets": "mean over targets, given these sources",
    "sources": "mean over sources, given these targets, their test items and these runs of the baseline",
}
METHODS_OF_PAIRS: dict[Roles, str] = {
    "both roles": "jackknife over domains that are sources and targets",
    "roles apart": "sources × targets, for any source and any target",
}


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What is said of one question. Δ, intervals and margin in fractions, or with the sign flipped, as of
    `Cell`: higher is better.

    over: targets, sources or pairs; method: how. domains: how many count, each once. delta: their mean.
    ci_simultaneous: holds for all claims of the command at once; ci: this one alone, 1 − alpha. new_domain:
    what one target (source) more, measured as these were, would show, 1 − alpha, alone; None of pairs.
    counted: domains (pairs) whose signs are told: below, how many have Δ < 0; surely_below and
    surely_not_below by the simultaneous intervals of their cells, where no rule bars these. collapsed,
    unfinished: cells that a rule keeps from claims of their own; their Δ count here. effects: Δ of each
    domain, or pair. flags: why the interval may err more often than it says, and what is not in it."""

    strategy: str
    variant: str
    label_budget: int | str | None
    backbone: str
    initialisation: str
    protocol: str
    baseline: str
    metric: str
    selection: str
    unit: str
    over: str
    method: str
    delta: float
    ci_simultaneous: tuple[float, float]
    ci: tuple[float, float]
    new_domain: tuple[float, float] | None
    p_adjusted: float
    verdict: str
    reason: str
    p_difference: float
    p_equivalence: float
    margin: float
    no_harm: bool
    no_gain: bool
    material: bool
    family_size: int
    domains: int
    sources: int
    targets: int
    cells: int
    counted: int
    below: int
    surely_below: int
    surely_not_below: int
    collapsed: int
    unfinished: int
    flags: list[str]
    effects: dict[str, float]

    def to_dict(self) -> Json:
        return asdict(self)


@dataclass(frozen=True, repr=False)
class Over:
    """What `Comparison.over` gives; iterates over its claims.

    not_claimed: questions of which nothing is claimed, with `domains`, how many there are, and `reason`.
    stamps: what makes numbers no result. settings: of the comparison, with `over`."""

    claims: list[Claim]
    not_claimed: list[Json]
    stamps: list[str]
    settings: Json

    def __iter__(self) -> Iterator[Claim]:
        return iter(self.claims)

    def __len__(self) -> int:
        return len(self.claims)

    def __repr__(self) -> str:
        return "\n".join(over_formats.sentences(self))

    def to_json(self) -> str:
        return over_formats.to_json(self)

    def to_csv(self) -> str:
        return over_formats.to_csv(self)

    def to_markdown(self) -> str:
        return over_formats.to_markdown(self)

    def to_latex(self) -> str:
        return over_formats.to_latex(self)

    def to_table(self, width: int = 140, colour: bool = False) -> str:
        return over_formats.to_table(self, width, colour)


def over(comparison: "Findings", domains: str) -> Over:
    """Raises RequestError for another word than targets, sources or pairs, and where the cells' scores are in
    several units, or in an unstated one that may be several."""
    settings = comparison.settings
    check(domains, settings.get("tested_on"))
    cells = [cell for cell in comparison if not cell.is_control]
    _check_units(cells, domains)
    questions: dict[tuple[object, ...], list[Cell]] = defaultdict(list)
    for cell in cells:
        questions[tuple(question_of(vars(cell)).values())].append(cell)
    asked, not_claimed = [], []
    for its_cells in sorted(questions.values(), key=_order):
        one = Domains.of(its_cells, domains, settings, comparison.missing)
        if reason := one.why_not_claimed():
            not_claimed.append(question_of(vars(its_cells[0])) | {"domains": one.count, "reason": reason})
        else:
            asked.append(one)
    judged = pooled.judge(
        [one.effect for one in asked if one.effect],
        [one.margin for one in asked],
        settings["alpha"],
        settings["correction"],
        [one.nouns for one in asked],
    )
    return Over(
        [_claim(one, judgement, len(asked)) for one, judgement in zip(asked, judged, strict=True)],
        not_claimed,
        wording.stamps(settings, cells),
        settings | {"over": domains},
    )


def check(domains: str, tested_on: str | None) -> None:
    """Raises RequestError for what can be refused before anything is judged, which is a reading."""
    if domains not in OVER:
        raise RequestError(f"--over {domains}: not one of {', '.join(OVER)}{nearest(domains, OVER)}")
    if domains != "sources" and tested_on:
        raise RequestError(
            f"--over {domains}: every target is judged on the test items of {tested_on}, so that they are no "
            "sample of targets; leave out --tested-on"
        )


def _claim(of: Domains, judged: pooled.Judgement, family_size: int) -> Claim:
    flags = [*of.flags]
    if judged.by_step_down:
        flags.append(
            "decided by a later step of the correction; the interval is cut where that decision ends it"
        )
    given = {key: value for key, value in asdict(judged).items() if key != "by_step_down"}
    return Claim(
        **question_of(vars(of.cells[0])),
        **given,
        unit=of.cells[0].unit,
        over=of.over,
        method=METHODS_OF_PAIRS[of.roles] if of.roles else METHODS[of.over],
        new_domain=of.new_domain,
        margin=of.margin,
        family_size=family_size,
        domains=of.count,
        sources=len(of.sources),
        targets=len(of.targets),
        cells=len(of.cells),
        **of.signs._asdict(),
        collapsed=of.collapsed,
        unfinished=of.unfinished,
        flags=flags,
        effects=of.named_effects,
    )


def _check_units(cells: Sequence["Cell"], domains: str) -> None:
    units = sorted({cell.unit for cell in cells})
    ranges = {(told.lowest, told.highest) for cell in cells if (told := cell.evidence.score_range)}
    if len(units) > 1 or len(ranges) > 1:
        found = (
            ", ".join(units) if len(units) > 1 else " and ".join(f"{a:g} to {b:g}" for a, b in sorted(ranges))
        )
        raise RequestError(
            f"--over {domains}: the scores are in several units ({found}), and a mean of them is in none; "
            "compare the targets of one unit apart"
        )
    unstated = {c.target: e for c in cells if (e := c.evidence.errors) is not None and not e.unit}
    by_size = sorted(unstated, key=lambda target: unstated[target].cap)
    if by_size and (high := unstated[by_size[-1]].cap) > MOST_APART * (low := unstated[by_size[0]].cap):
        raise RequestError(
            f"--over {domains}: the unit of {units[0]} is not stated, and errors reach {low:.3g} in "
            f"{by_size[0]} and {high:.3g} in {by_size[-1]}; compare the targets of one unit apart, or give "
            "scores"
        )


def _order(cells: Sequence["Cell"]) -> tuple[object, ...]:
    cell = cells[0]
    other: dict[int | str | None, float] = {None: -1, "full": float("inf")}
    budget = other.get(cell.label_budget, cell.label_budget)
    return budget, cell.strategy, cell.backbone, cell.initialisation, cell.protocol, cell.variant
