"""What a sweep that was run until decided (docs/how-to/until-decided.md) found at its looks: final, however
many seeds came later."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, cast

from transferscope.comparison.cells import Cell
from transferscope.comparison.pairing import tested
from transferscope.store.schema import Json, LookedAt, Sequential, SweepPlan

PLANNED: tuple[Literal["baseline", "metric", "selection", "margin", "alpha"], ...] = (
    "baseline",
    "metric",
    "selection",
    "margin",
    "alpha",
)


def hold(cells: Sequence[Cell], plans: Sequence[SweepPlan], settings: Json) -> list[Cell]:
    """The cells with the findings of their sweep's last look in place of a verdict of now; others as they
    are.

    plans: of the store, those with looks hold a part `sequential`. settings: of the comparison; where they
    are not those of the plan, a cell keeps its verdict and says that it is an interim one."""
    by_name = {plan["name"]: plan for plan in plans}
    return [_held(cell, by_name.get(cell.family.split("/")[0]), settings) for cell in cells]


def as_planned(plan: SweepPlan, settings: Json) -> bool:
    """Whether a plan has looks and they were taken as the comparison is made, so that what they found is
    final."""
    planned = plan.get("sequential")
    if not planned or settings.get("tested_on"):
        return False
    return all(planned[key] == settings[key] for key in PLANNED) and (
        settings["items"],
        settings["correction"],
    ) == ("random", "holm")


def _without_now(cell: Cell) -> Cell:
    """Less what a comparison says of all runs there are now, which may be others than those of the look."""
    return replace(
        cell,
        p_difference=None,
        p_equivalence=None,
        seeds_ahead=None,
        failure_rate=None,
        no_harm=False,
        no_gain=False,
        material=False,
        overruled="",
        barred=False,
        outlying_seeds=[],
        by_looks=True,
    )


def _at_look(cell: Cell, planned: Sequential, entry: LookedAt) -> Cell:
    """With what goes with an interval, of the seeds that the last look had: others may have come since."""
    seeds, evidence = entry["looks"][-1]["seeds"], cell.evidence
    pair = replace(tested(evidence, cell.metric, "random"), readings=entry.get("readings", 0))
    if pair.chance != "items":
        runs = {*zip(entry["runs"][:seeds], entry["baseline_runs"][:seeds], strict=False)}
        # one run a seed: no folds here
        pairs = zip(evidence.strategy_runs, evidence.baseline_runs, strict=True)
        pair = replace(pair, d=pair.d[[(one.name, other.name) in runs for one, other in pairs]])
    if (effect := pair.effect()) is None:
        return cell
    alpha = cast(float, planned["alpha"])  # held to be that of the comparison
    level = alpha / len(planned["looks"]) / cell.family_size / pair.price
    mde = effect.minimum_detectable(level)
    return replace(
        cell,
        ci=effect.interval(alpha / pair.price),
        seed_half=effect.seed_half(level),
        item_half=effect.item_half(level),
        mde=mde if mde <= pair.span else None,
    )


def _held(cell: Cell, plan: SweepPlan | None, settings: Json) -> Cell:
    if plan is None or not (planned := plan.get("sequential")):
        return cell
    runs = {folder.name for folder in cell.evidence.strategy_runs}
    entry = next(
        (
            e
            for e in planned["cells"]
            if runs & set(e["runs"]) and e["cell"]["label_budget"] == cell.label_budget
        ),
        None,
    )
    if entry is None:
        return cell
    if not as_planned(plan, settings):
        asked = ", ".join(f"{key} {planned[key]}" for key in PLANNED)
        return replace(
            cell, flags=[*cell.flags, f"interim: its sweep looks at {asked}; error rates hold for that"]
        )
    number = len(planned["looks"])
    if not entry["looks"] or entry["looks"][-1]["state"] == "open":
        return replace(
            _without_now(cell),
            verdict="undecided",
            reason=f"interim: look {len(entry['looks']) + 1} of {number} is to come",
        )
    found = entry["looks"][-1]
    if found["delta"] is None:
        return replace(_without_now(cell), verdict="undecided", reason=f"{found['limit']}; {found['reason']}")
    when = f"look {found['look']} of {number}, {found['seeds']} seeds"
    return replace(
        _at_look(_without_now(cell), planned, entry),
        material=cell.material and found["state"] == "decided",
        verdict=found["verdict"],
        delta=found["delta"],
        ci_simultaneous=cast(tuple[float, float], tuple(found["ci_simultaneous"]))
        if found["ci_simultaneous"]
        else None,
        p_adjusted=found["p_adjusted"],
        seeds=found["seeds"],
        reason="" if found["state"] == "decided" else f"{found['limit']}; {found['reason']}",
        flags=[*cell.flags, f"{found['state']} at {when}"],
    )
