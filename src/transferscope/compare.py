"""From run records to verdicts: pair every cell with its baseline, family by family. Imports no torch."""

from collections import defaultdict
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path

import numpy as np

from transferscope import baselines, formats, scores, verdict
from transferscope.arms import UNPLANNED, Arm, Records, read_store
from transferscope.errors import Refused, nearest
from transferscope.pairing import Evidence, Reader, pair
from transferscope.record import run_folders
from transferscope.scores import NotSelectable


@dataclass(frozen=True)
class Cell:
    """One row: a cell against its baseline. Scores and Δ are fractions, or have their sign flipped (nll, brier): higher is better.

    seeds, items: how many; items are groups where `item_unit` is "group", and scores then means of group means. ci is pointwise at
    1 − alpha, ci_simultaneous holds for the family at once (`verdict.judge`). collapse_rate: Clopper-Pearson, of the strategy's runs.
    without_collapse: Δ of the seeds without one, for reading only. evidence is not part of `to_dict`.
    """

    source: str | None
    target: str
    label_budget: int | str | None
    backbone: str
    initialisation: str
    strategy: str
    variant: str
    baseline: str
    metric: str
    selection: str
    protocol: str
    delta: float
    ci: tuple[float, float] | None
    p_adjusted: float | None
    verdict: str
    mde: float | None
    seeds: int
    items: int
    item_unit: str
    ci_simultaneous: tuple[float, float] | None
    reason: str
    conditional_on: list[str]
    family: str
    family_size: int
    no_harm: bool
    no_gain: bool
    material: bool
    collapsed: int
    baseline_collapsed: int
    collapse_rate: tuple[float, float]
    without_collapse: dict | None
    strategy_score: float
    baseline_score: float
    flags: list[str]
    evidence: Evidence = field(repr=False, compare=False)

    def to_dict(self) -> dict:
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "evidence"}

    @cached_property
    def regret(self) -> dict[str, float]:
        """Mean test score that selecting on the test labels would add, of either arm; reads every evaluation."""
        arms = {"strategy": self.evidence.strategy_runs, "baseline": self.evidence.baseline_runs}
        return {
            arm: float(np.mean([scores.regret(folder, self.evidence.records[folder], self.metric, self.selection) for folder in folders]))
            for arm, folders in arms.items()
        }


@dataclass(frozen=True)
class Comparison:
    """Cells in the order of target, budget, source, strategy; what could not be compared, and why. Iterates over its cells."""

    cells: list[Cell]
    missing: list[dict]
    failed: list[dict]
    not_applicable: list[dict]
    warnings: list[str]
    settings: dict

    def __iter__(self):
        return iter(self.cells)

    def __len__(self) -> int:
        return len(self.cells)

    def to_json(self) -> str:
        return formats.to_json(self)

    def to_csv(self) -> str:
        return formats.to_csv(self)

    def to_markdown(self) -> str:
        return formats.to_markdown(self)

    def to_table(self, width: int = 140, colour: bool = False) -> str:
        return formats.to_table(self, width, colour)


def compare(
    runs: str | Path = "runs",
    baseline: str = "scratch",
    metric: str = "accuracy",
    selection: str = "last",
    margin: float = 0.01,
    alpha: float = 0.05,
) -> Comparison:
    """Verdicts from run records.

    runs: a store, or one sweep of it (`runs/sweeps/NAME`): then only that plan's cells are shown; families stay what the store's plans made
    them, so a verdict does not depend on the view. baseline: a name, or `name:key=value` where several arms bear it. Raises Refused.
    """
    name, pinned = baselines.parse(baseline)
    for key, value, allowed in (("metric", metric, scores.METRICS), ("selection", selection, scores.SELECTIONS)):
        if value not in allowed:
            raise Refused(f"--{key} {value}: not one of {', '.join(allowed)}{nearest(value, allowed)}")
    if not 0 < alpha < 1:
        raise Refused(f"--alpha {alpha}: between 0 and 1 is needed")
    if not 0 <= margin < float("inf"):
        raise Refused(f"--margin {margin}: the smallest difference that matters, at least 0, is needed (0.01 is one point of accuracy)")
    store, plan = locate(runs)
    records = read_store(store)
    known = {key for arm in records.arms for key in arm.consumed}
    if unknown := [key for key in pinned if key not in known]:
        raise Refused(f"--baseline {baseline}: no run consumes '{unknown[0]}'{nearest(unknown[0], known)}")
    work = _Work(records, name, pinned, Reader(metric, selection), margin, alpha)
    families = defaultdict(list)
    for arm in records.arms:
        if baselines.is_row(arm, name):
            families[work.family(arm)].append(arm)
    for family, arms in families.items():
        if plan is None or any(plan in arm.plans for arm in arms):
            work.judge(family, arms, plan)
    return Comparison(
        cells=sorted(work.cells, key=_order),
        missing=work.missing + _shown(records.missing, plan),
        failed=_shown(records.failed, plan) + work.broken(),
        not_applicable=_shown(records.not_applicable, plan),
        warnings=_warnings(work.cells),
        settings={
            "runs": str(runs), "baseline": baseline, "metric": metric, "selection": selection, "margin": margin, "alpha": alpha,
            "families": {cell.family: cell.family_size for cell in work.cells},
        },
    )  # fmt: skip


def locate(runs: str | Path) -> tuple[Path, str | None]:
    """(store, name of the sweep or None) of a RUNS argument. Raises Refused where there are no runs."""
    path = Path(runs)
    if not path.is_dir():
        raise Refused(
            f"RUNS={runs}: no such folder; give a store of runs (`transferscope run ... store=FOLDER` makes one) or FOLDER/sweeps/NAME"
        )
    is_sweep = (path / "plan.json").is_file()
    store = path.resolve().parent.parent if is_sweep else path
    if not run_folders(store):
        raise Refused(f"RUNS={runs}: holds no runs; give a store of runs or FOLDER/sweeps/NAME")
    return store, path.resolve().name if is_sweep else None


@dataclass
class _Work:
    """One comparison in progress: the settings, and what has come of it so far."""

    records: Records
    baseline: str
    pinned: dict[str, str]
    reader: Reader
    margin: float
    alpha: float
    cells: list[Cell] = field(default_factory=list)
    missing: list[dict] = field(default_factory=list)

    def family(self, arm: Arm) -> str:
        """Target × baseline × metric as the earliest plan had it; protocols are not mixed, controls are a family of their own."""
        control = "/controls" if arm.noise else ""
        return f"{arm.plan}/{arm.cell['target']}/{self.baseline}/{self.reader.metric}/{arm.cell['protocol']}{control}"

    def judge(self, family: str, arms: list[Arm], plan: str | None) -> None:
        """The verdicts of one family; of these the cells of `plan` are kept, all where it is None."""
        rows, size = [], 0
        for arm in arms:
            shown = plan is None or plan in arm.plans
            found = baselines.find(arm, self.records.arms, self.baseline, self.pinned)
            size += len(found)
            if not found and shown:
                self._miss(arm, arm.cell["label_budget"], f"the store has no {self.baseline} to hold it against")
            for base, budget in found:
                try:
                    rows.append((arm, base, budget, pair(arm, base, self.reader)))
                except NotSelectable as why:
                    if shown:
                        self._miss(arm, budget, str(why))
        judgements = verdict.judge([_evidence_of(row[-1]) for row in rows], self.margin, self.alpha, size)
        for row, judgement in zip(rows, judgements, strict=True):
            if plan is None or plan in row[0].plans:
                self.cells.append(self._cell(*row, judgement, family, size))

    def _cell(
        self, arm: Arm, base: Arm, budget: int | str | None, evidence: Evidence, judged: verdict.Judgement, family: str, size: int
    ) -> Cell:
        groups = evidence.groups
        records = evidence.records.values()
        flags = ["few items"] if judged.few_items else []
        if judged.by_step_down:
            flags.append("decided by a later step of Holm's procedure; the simultaneous interval is cut where that decision ends it")
        if differences := baselines.unlike(arm, base):
            flags.append(f"unlike baseline: {', '.join(differences)}")
        return Cell(
            **arm.cell | {"label_budget": budget},
            variant=arm.variant,
            baseline=self.baseline,
            metric=self.reader.metric,
            selection=self.reader.selection,
            delta=judged.delta,
            ci=judged.ci,
            p_adjusted=judged.p_adjusted,
            verdict=judged.verdict,
            mde=judged.mde,
            seeds=len(evidence.seeds),
            items=len(evidence.ids) if groups is None else len(np.unique(groups)),
            item_unit="item" if groups is None else "group",
            ci_simultaneous=judged.ci_simultaneous,
            reason=judged.reason,
            conditional_on=list(dict.fromkeys(factor for record in records for factor in record.get("conditional_on", []))),
            family=family,
            family_size=size,
            no_harm=judged.no_harm,
            no_gain=judged.no_gain,
            material=judged.material,
            collapsed=judged.collapse_rate[0],
            baseline_collapsed=int(evidence.baseline_collapsed.sum()),
            collapse_rate=judged.collapse_rate[1:],
            without_collapse=judged.without_collapse,
            strategy_score=float(verdict.group_means(evidence.strategy_scores, groups).mean()),
            baseline_score=float(verdict.group_means(evidence.baseline_scores, groups).mean()),
            flags=flags + evidence.notes,
            evidence=evidence,
        )

    def _miss(self, arm: Arm, budget: int | str | None, reason: str) -> None:
        self.missing.append({**arm.described(), "label_budget": budget, "seed": None, "reason": reason})

    def broken(self) -> list[dict]:
        """Runs whose evaluations turned out to be unreadable."""
        runs = {record["fingerprint"]: record for arm in self.records.arms for _, record in arm.runs.values()}
        return [
            {**runs[name]["cell"], "seed": runs[name]["seed"], "fingerprint": name, "status": "unreadable", "reason": reason}
            for name, reason in self.reader.broken.items()
        ]


def _evidence_of(evidence: Evidence) -> verdict.Pair:
    d = verdict.group_means(evidence.strategy_scores - evidence.baseline_scores, evidence.groups)
    smallest = verdict.smallest_class(evidence.labels, evidence.groups)
    return verdict.Pair(d, evidence.strategy_collapsed, evidence.baseline_collapsed, smallest)


def _shown(rows: list[dict], plan: str | None) -> list[dict]:
    return [{key: value for key, value in row.items() if key != "plans"} for row in rows if plan is None or plan in row["plans"]]


def _warnings(cells: list[Cell]) -> list[str]:
    """What may make numbers differ although fingerprints agree."""
    records = [record for cell in cells for record in cell.evidence.records.values()]
    versions, revisions = defaultdict(set), set()
    for record in records:
        for package, number in (record.get("versions") or {}).items():
            versions[package].add(str(number))
        revisions.add(str((record.get("git") or {}).get("revision")))
    mixed = [f"{package} {', '.join(sorted(numbers))}" for package, numbers in sorted(versions.items()) if len(numbers) > 1]
    warnings = [f"runs of mixed package versions: {'; '.join(mixed)}"] if mixed else []
    if len(revisions) > 1:
        warnings.append(f"runs of mixed git revisions: {', '.join(sorted(revision[:7] for revision in revisions))}")
    unplanned = sum(cell.family.startswith(f"{UNPLANNED}/") for cell in cells)
    if unplanned:
        warnings.append(f"{unplanned} cells are in no plan: their family is what lies in the store, and grows with it")
    return warnings


def _order(cell: Cell) -> tuple:
    budget = {None: -1, "full": float("inf")}.get(cell.label_budget, cell.label_budget)
    return cell.target, budget, cell.source or "", cell.strategy, cell.backbone, cell.initialisation, cell.protocol, cell.variant
