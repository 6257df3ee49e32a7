"""Differences that take a gain apart: strategy − shuffled source, and shuffled source − target alone, each
with its own interval.

"The strategy beats its baseline and the shuffled source does not" is no test of the source's labels; their
difference is (Gelman & Stern 2006)."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from transferscope.comparison import baselines, naive
from transferscope.comparison.arms import Arm, Records
from transferscope.comparison.history import History
from transferscope.comparison.paired_scores import Evidence, ScoreReader
from transferscope.comparison.pairing import pair, tested
from transferscope.comparison.scores import NotSelectable
from transferscope.comparison.trained import longest, rises
from transferscope.errors import RequestError
from transferscope.statistics import verdict
from transferscope.store.schema import Json

LABELS = "strategy − shuffled_source"
REST = "shuffled_source − target_only"
WORTH = {LABELS: "the source's labels", REST: "the source's inputs, compute and scale"}
PLANTED_HARM = (
    "the strategy trains on source labels beside the target's: shuffled ones are noise in its "
    "loss, a planted harm, no placebo"
)


@dataclass(frozen=True)
class Contrast:
    """One row. worth: what the difference is the worth of. delta, intervals and p as in `Cell`; a family of
    their own, corrected together.

    verdict: `decided` where the difference is told from 0, else `undecided`, and then reason says what would
    decide it."""

    source: str | None
    target: str
    label_budget: int | str | None
    backbone: str
    initialisation: str
    strategy: str
    variant: str
    protocol: str
    metric: str
    contrast: str
    worth: str
    delta: float
    ci_simultaneous: tuple[float, float] | None
    ci: tuple[float, float] | None
    p_adjusted: float | None
    verdict: str
    reason: str
    seeds: int
    items: int
    item_unit: str
    family: str
    family_size: int
    notes: list[str]

    def to_dict(self) -> Json:
        return asdict(self)


def contrasts(
    records: Records,
    history: History,
    reader: ScoreReader,
    *,
    pinned: dict[str, str],
    alpha: float,
    items: str,
    correction: str,
    shown: Callable[[Arm], bool],
) -> list[Contrast]:
    """Of every arm that has a shuffled control. pinned: choice among several target-only arms. shown: whose
    rows are kept; families are as planned all the same. What cannot be paired (no run yet, other test items)
    counts in its family and gives no row."""
    families, shuffled, alone = (
        defaultdict(list),
        *(baselines.able(records.arms, name) for name in ("shuffled_source", "target_only")),
    )
    for arm in records.arms if shuffled else ():
        if arm.noise == 0 and arm.cell["source"] is not None:
            for name, first, second in _planned(arm, shuffled, alone, pinned):
                families[
                    f"{arm.plan}/{arm.cell['target']}/contrasts/{reader.metric}/{arm.cell['protocol']}"
                ].append((arm, name, first, second))
    rows = []
    for family, planned in families.items():
        found = []
        for arm, name, first, second in planned:
            try:
                found.append((arm, name, first, second, pair(*longest(first, second)[:2], reader)))
            except (NotSelectable, RequestError):
                continue
        readings = history.count(
            [(first, second, evidence) for *_, first, second, evidence in found],
            family,
            [shown(arm) for arm, *_ in found],
        )
        pairs = [
            replace(tested(evidence, reader.metric, items, rises(evidence, reader)), readings=times)
            for (*_, evidence), times in zip(found, readings, strict=True)
        ]
        judged = verdict.judge(pairs, 0.0, alpha, len(planned), correction)
        for (arm, name, _, _, evidence), judgement, times in zip(found, judged, readings, strict=True):
            if shown(arm):
                notes = [*naive.flags(evidence, reader.metric, alpha), *history.flags(times)]
                rows.append(
                    _row(
                        arm,
                        name,
                        evidence,
                        judgement,
                        metric=reader.metric,
                        family=family,
                        size=len(planned),
                        notes=notes,
                    )
                )
    return rows


def _planned(
    arm: Arm, shuffled: list[Arm], alone: list[Arm], pinned: dict[str, str]
) -> list[tuple[str, Arm, Arm]]:
    control = _one(arm, shuffled, "shuffled_source", {})
    if control is None:
        return []
    without_source = _one(control, alone, "target_only", pinned)
    return [(LABELS, arm, control), *([(REST, control, without_source)] if without_source else [])]


def _one(arm: Arm, arms: list[Arm], name: str, pinned: dict[str, str]) -> Arm | None:
    try:
        found = baselines.find(arm, arms, name, pinned)
    except RequestError:
        return None
    return found[0][0] if len(found) == 1 else None


def _row(
    arm: Arm,
    name: str,
    evidence: Evidence,
    judged: verdict.Judgement,
    *,
    metric: str,
    family: str,
    size: int,
    notes: list[str],
) -> Contrast:
    in_the_loss = arm.cell["initialisation"] != "source"
    groups = evidence.groups
    return Contrast(
        **arm.cell,
        variant=arm.variant,
        metric=metric,
        contrast=name,
        worth=WORTH[name],
        delta=judged.delta,
        ci=judged.ci,
        ci_simultaneous=judged.ci_simultaneous,
        p_adjusted=judged.p_adjusted,
        verdict="decided" if judged.verdict in ("positive", "negative") else "undecided",
        reason=judged.reason,
        seeds=len(evidence.seeds),
        items=len(evidence.ids) if groups is None else len(set(groups)),
        item_unit="item" if groups is None else "group",
        family=family,
        family_size=size,
        notes=[*([PLANTED_HARM] if in_the_loss else []), *notes, *evidence.notes],
    )
