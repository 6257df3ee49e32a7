"""From run records to verdicts: pair every cell with its baseline, family by family. Imports no torch."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from transferscope.comparison import (
    baseline_words,
    baselines,
    ceiling,
    cut_texts,
    interim,
    naive,
    pairing,
    probability,
    scores,
    wording,
)
from transferscope.comparison.arms import Arm, Records, read_store
from transferscope.comparison.cells import Cell
from transferscope.comparison.comparison import Comparison
from transferscope.comparison.contrasts import Contrast, contrasts
from transferscope.comparison.history import History
from transferscope.comparison.margins import Margin
from transferscope.comparison.paired_scores import Evidence, ScoreReader
from transferscope.comparison.pairing import mixed_versions, pair, tested
from transferscope.comparison.plateau import Rises
from transferscope.comparison.rates import with_rates
from transferscope.comparison.scores import NotSelectable
from transferscope.comparison.trained import longest, rises
from transferscope.errors import RequestError, nearest
from transferscope.external.results import Results, foreign
from transferscope.statistics import influence, verdict
from transferscope.statistics.probabilities import Probabilities
from transferscope.store.record import read_predictions, run_folders
from transferscope.store.schema import CopiedItems, Json, Prediction
from transferscope.tasks.copied import Copies
from transferscope.tasks.metrics import HEADLINES, METRICS, judged_metrics
from transferscope.tracking import is_tracked, rebuild

if TYPE_CHECKING:
    from transferscope.external.files import Frame

__all__ = ["Cell", "Comparison", "compare", "compare_away", "locate"]

ITEMS = ("random", "fixed")
PROTOCOLS = ("inductive", "transductive", "both")
CLIPPED_SHARE = 0.01  # of an arm's losses cut off at the metric's cap, above which that is said


def compare(
    runs: "str | Path | Results | Frame" = "runs",
    *,
    baseline: str = "scratch",
    metric: str | None = None,
    selection: str = "last",
    margin: float | str | None = None,
    alpha: float = 0.05,
    items: str = "random",
    correction: str = "holm",
    protocol: str | None = None,
    tested_on: str | None = None,
) -> Comparison:
    """Verdicts from run records.

    runs: results made elsewhere (a file, a table in memory, or `Results`), a store, `wandb:ENTITY/PROJECT`,
    or a folder of offline W&B runs; or one sweep of these (`runs/sweeps/NAME`, `wandb:ENTITY/PROJECT/NAME`):
    then only that plan's cells are shown; families stay what the store's plans made them, so a verdict does
    not depend on the view. selection: a rule, or `RULE,last`: arms that see nothing the rule could choose by
    are then judged by their last evaluation, where the rule alone is refused. metric: None for the headline
    metric of the runs' task: accuracy, mean absolute error, F1 of an item. baseline: a name, or
    `name:key=value` where several arms bear it. margin: the smallest difference that matters, in the metric's
    unit (None: the metric's own), or `relative:0.1`, a share of the baseline's risk. items: `random` for a
    claim about other items too, `fixed` for one about this test set only. correction: `holm` or `bh`
    (`verdict.judge`). protocol: of the cells that are shown, `both` for a table that mixes them; None is
    refused where there would be both. tested_on: a domain of the runs' `test_also`, whose test items they are
    judged on in place of the target's. Raises RequestError."""
    if metric in METRICS and not METRICS[metric].judged:
        raise RequestError(
            "--metric ece: binned and biased, it is shown beside nll and brier and never judged; give "
            "nll or brier"
            if metric == "ece"
            else f"--metric {metric}: shown and never judged; give mae or rmse"
        )
    selection, _, otherwise = selection.partition(",")
    choices: tuple[tuple[str, str | None, tuple[str | None, ...]], ...]
    choices = (
        ("metric", metric, (None, *judged_metrics())),
        ("selection", selection, scores.selections()),
        ("items", items, ITEMS),
    )
    choices += (("selection", f"{selection},{otherwise}", (f"{selection},last",)),) if otherwise else ()
    choices += (
        ("correction", correction, tuple(verdict.CORRECTIONS)),
        ("protocol", protocol, (None, *PROTOCOLS)),
    )
    for key, value, allowed in choices:
        if value not in allowed:
            named = [name for name in allowed if name]
            raise RequestError(f"--{key} {value}: not one of {', '.join(named)}{nearest(str(value), named)}")
    if not 0 < alpha < 1:
        raise RequestError(f"--alpha {alpha}: between 0 and 1 is needed")
    elsewhere = foreign(runs)
    store, plan = (elsewhere.store, None) if elsewhere else locate(str(runs))
    records = read_store(store)
    name, pinned = baselines.parse(baseline, records.arms)
    metric = headline(records) if metric is None else metric
    smallest = Margin.parse(margin, metric)
    known = {baselines.BACKBONE} | {key for arm in records.arms for key in arm.consumed}
    if unknown := [key for key in pinned if key not in known]:
        raise RequestError(
            f"--baseline {baseline}: no run consumes '{unknown[0]}'{nearest(unknown[0], known)}"
        )
    protocols = (protocol,) if protocol in ("inductive", "transductive") else ("inductive", "transductive")
    reader = ScoreReader(metric, selection, tested_on)
    settings: Json = {
        "runs": str(elsewhere or runs), **({"arguments": elsewhere.arguments} if elsewhere else {}),
        "baseline": baseline, "isolates": baseline_words.of_baseline(baselines.called(name, pinned)).isolates,
        "metric": metric, "selection": selection, "margin": smallest.setting, "alpha": alpha, "items": items,
        "correction": correction, **({"protocol": protocol} if protocol else {}),
        **({"tested_on": tested_on} if tested_on else {}),
    }  # fmt: skip
    looked = {entry["name"] for entry in records.plans if interim.as_planned(entry, settings)}
    history = History.from_store(store, records.plans)
    work = _Work(records, history, looked, name, pinned, reader, smallest, alpha, items, correction)
    families = defaultdict(list)
    for arm in records.arms:
        if baselines.is_row(arm, name, pinned) and arm.cell["protocol"] in protocols:
            families[work.family(arm)].append(arm)
    paired = [
        work.collect(name, arms, plan)
        for name, arms in families.items()
        if plan is None or any(plan in arm.plans for arm in arms)
    ]
    shown = [row for family in paired for row in family.rows if row.shown]
    if (
        protocol is None and len({row.arm.cell["protocol"] for row in shown}) > 1
    ):  # before anything is judged, which is a reading
        raise RequestError(
            "--protocol: inductive and transductive cells are never ranked together; give inductive, "
            "transductive, or both for a mix"
        )
    if any(row.evidence.mixes_rules for row in shown) and not otherwise:
        raise RequestError(
            f"--selection {selection}: some arms see nothing to choose by; {selection},last judges these by "
            "their last evaluation"
        )
    settings |= _unit(shown, smallest)
    for family in paired:
        work.judge(family)
    pins = pinned if name in baselines.TARGET_ONLY else {}
    apart = contrasts(
        records,
        history,
        reader,
        pinned=pins,
        alpha=alpha,
        items=items,
        correction=correction,
        shown=lambda arm: _is_shown(arm, plan, protocols),
    )
    settings["families"] = {cell.family: cell.family_size for cell in work.cells}
    settings["other_plans"] = records.others({family.split("/")[0] for family in settings["families"]})
    predictions, unread = _predictions(store)
    plans = records.plans
    cells = sorted(with_rates(interim.hold(work.cells, plans, settings), alpha, items), key=_order)
    taken_back = history.tell(cells, settings)
    return Comparison(
        cells=cells,
        missing=work.missing + _absent(records.arms) + _shown(records.missing, plan, protocols),
        failed=_shown(records.failed, plan, protocols) + work.broken(),
        not_applicable=_shown(records.not_applicable, plan, protocols),
        warnings=[*filter(None, [history.log.trouble]), *_warnings(work.cells), *unread],
        settings=settings,
        contrasts=sorted(apart, key=_order),
        predictions=predictions,
        searches=[one for one in plans if "search" in one and plan in (None, one["name"])],
        taken_back=taken_back,
    )


def _absent(arms: list[Arm]) -> list[Json]:
    """Of results made elsewhere, which no plan lists, the strategies that have no run of a target that others
    have."""
    found: dict[str, dict[str, Arm]] = defaultdict(dict)
    for arm in arms:
        if arm.is_imported:
            found[arm.cell["strategy"]].setdefault(arm.cell["target"], arm)
    targets = dict.fromkeys(target for of_strategy in found.values() for target in of_strategy)
    return [
        {
            **next(iter(of_strategy.values())).described(),
            "target": target, "seed": None, "reason": "the results have no run of it on this target",
        }
        for of_strategy in found.values()
        for target in targets
        if target not in of_strategy
    ]  # fmt: skip


def headline(records: Records) -> str:
    """The metric that runs are judged by where none is named. Raises RequestError for runs of several
    tasks."""
    tasks = {
        told["name"] if (told := record["result"].get("task")) else "classification"
        for arm in records.arms
        for runs in arm.runs.values()
        for _, record in runs
        if record["result"]
    } or {"classification"}
    if len(tasks) > 1:
        choice = ", ".join(sorted(HEADLINES[task] for task in tasks if task in HEADLINES))
        raise RequestError(
            f"--metric: the runs are of several tasks ({', '.join(sorted(tasks))}); give one: {choice}"
        )
    task = tasks.pop()
    if task not in HEADLINES:
        raise RequestError(f"--metric: {task} is no task of this transferscope")
    return HEADLINES[task]


def _unit(shown: list["_Row"], margin: Margin) -> Json:
    """Of the settings, where numbers are predicted. Raises RequestError for a margin that says no unit where
    targets have several."""
    units = sorted({row.evidence.errors.display for row in shown if row.evidence.errors is not None})
    if len(units) > 1 and not margin.relative:
        raise RequestError(
            f"--margin {margin.setting}: the targets' units differ ({', '.join(units)}); give relative:0.05 "
            "for a share of the baseline's errors, or compare the targets apart"
        )
    return {"unit": units[0]} if len(units) == 1 else {}


def compare_away(comparison: Comparison) -> dict[str, Comparison]:
    """The same comparison on the test items of each further domain that its runs were tested on, by its
    name."""
    settings = comparison.settings
    keys = ("runs", "baseline", "metric", "selection", "margin", "alpha", "items", "correction", "protocol")
    if "tested_on" in settings:
        return {}
    names = {
        domain["name"]
        for cell in comparison
        for record in cell.evidence.records.values()
        for domain in record.get("test_also", [])
    }
    given = {key: settings[key] for key in keys if key in settings}
    return {name: compare(**given, tested_on=name) for name in sorted(names)}


def locate(runs: str | Path) -> tuple[Path, str | None]:
    """(store, name of the sweep or None) of a RUNS argument; what W&B holds is made a store first. Raises
    RequestError where there are no runs."""
    if is_tracked(runs):
        return rebuild(runs)
    path = Path(runs)
    if not path.is_dir():
        raise RequestError(
            f"RUNS={runs}: no such folder; give a store of runs (`transferscope run ... store=FOLDER` makes "
            "one) or FOLDER/sweeps/NAME"
        )
    is_sweep = (path / "plan.json").is_file()
    store = path.resolve().parent.parent if is_sweep else path
    if not run_folders(store):
        raise RequestError(f"RUNS={runs}: holds no runs; give a store of runs or FOLDER/sweeps/NAME")
    return store, path.resolve().name if is_sweep else None


@dataclass
class _Work:
    """One comparison in progress: the settings, the arms that could be a baseline, and what has come of it so
    far. looked: the plans whose looks have judged their cells, whatever was read between these."""

    records: Records
    history: History
    looked: set[str]
    baseline: str
    pinned: dict[str, str]
    reader: ScoreReader
    margin: Margin
    alpha: float
    items: str
    correction: str
    cells: list[Cell] = field(default_factory=list)
    missing: list[Json] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.able = baselines.able(self.records.arms, self.baseline)
        self.full = baselines.able(self.records.arms, ceiling.NAME)

    def family(self, arm: Arm) -> str:
        """Target × baseline × metric as the earliest plan had it; protocols are not mixed, controls are a
        family of their own."""
        control = f"/on {self.reader.tested_on}" if self.reader.tested_on else ""
        control += "/controls" if arm.noise else ""
        target, protocol = arm.cell["target"], arm.cell["protocol"]
        baseline = baselines.called(self.baseline, self.pinned)
        return f"{arm.plan}/{target}/{baseline}/{self.reader.metric}/{protocol}{control}"

    def collect(self, name: str, arms: list[Arm], plan: str | None) -> "_Family":
        """The evidence of one family. Shown are the cells of `plan`, all where it is None."""
        family = _Family(name)
        for arm in arms:
            shown = plan is None or plan in arm.plans
            found = baselines.find(arm, self.able, self.baseline, self.pinned)
            family.size += len(found)
            if not found and shown:
                of = "" if self.baseline in baselines.BASELINES else " of its source or of none"
                self._miss(
                    arm, arm.cell["label_budget"], f"the store has no {self.baseline}{of} to hold it against"
                )
            for base, budget in found:
                trained, against, length = longest(arm, base)
                try:
                    evidence = pair(
                        trained, against, self.reader, baselines.twin_of(against, self.records.twins)
                    )
                except NotSelectable as why:
                    if shown:
                        self._miss(arm, budget, str(why))
                else:
                    margin = self.margin.value_at(
                        evidence.mean(evidence.held_against), evidence.metric(self.reader.metric)
                    )
                    row = _Row(
                        arm,
                        base,
                        (trained, against),
                        length,
                        budget,
                        evidence,
                        margin,
                        rises(evidence, self.reader),
                        shown,
                    )
                    family.rows.append(row)
        return family

    def judge(self, family: "_Family") -> None:
        """The verdicts of one family, its cells of now noted as read."""
        rows, size, shown = family.rows, family.size, [row.shown for row in family.rows]
        read = self.history.count([(row.arm, row.base, row.evidence) for row in rows], family.name, shown)
        readings = [
            0 if row.arm.plan in self.looked else times for row, times in zip(rows, read, strict=True)
        ]
        pairs = [
            replace(tested(row.evidence, self.reader.metric, self.items, row.ends), readings=times)
            for row, times in zip(rows, readings, strict=True)
        ]
        margins = [row.margin for row in rows]
        judgements = verdict.judge(pairs, margins, self.alpha, size, self.correction)
        finished = [
            replace(pair, strategy_remaining=0.0, baseline_remaining=0.0, rising=(False, False))
            for pair in pairs
        ]
        had_finished = (
            verdict.judge(finished, margins, self.alpha, size, self.correction)
            if any(pair.unfinished for pair in pairs)
            else judgements
        )
        chances = probability.of_family(pairs, [row.evidence for row in rows], margins)
        for row, evidence, judged, other, chance in zip(
            rows, pairs, judgements, had_finished, chances, strict=True
        ):
            if row.shown:
                # by training that had not finished alone
                barred = evidence.unfinished and judged.verdict == "undecided" != other.verdict
                found = {
                    "family": family.name,
                    "family_size": size,
                    "readings": evidence.readings,
                    "barred": barred,
                }
                self.cells.append(self._cell(row, judged, chance, found))

    def _cell(
        self, row: "_Row", judged: verdict.Judgement, chance: Probabilities | None, found: Json
    ) -> Cell:
        """found: what only the family tells."""
        evidence, groups, agreement = row.evidence, row.evidence.groups, judged.agreement
        clipped = evidence.metric(self.reader.metric).clipped
        given = {
            "test_items": self.items == "fixed",
            "training_set": evidence.deterministic,
            "models": evidence.of_one_seed,
        }
        above = ceiling.ceiling(
            row.arm, row.base, evidence, self.full, self.reader, items=self.items, alpha=self.alpha
        )
        factors = [
            factor for record in evidence.records.values() for factor in record.get("conditional_on", [])
        ]
        return Cell(
            **row.arm.cell | {"label_budget": row.budget},
            variant=row.arm.variant,
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
            p_difference=judged.p_difference,
            p_equivalence=judged.p_equivalence,
            overruled=judged.overruled,
            reason=judged.reason,
            conditional_on=list(
                dict.fromkeys([*factors, *(factor for factor, holds in given.items() if holds)])
            ),
            **found,
            margin=row.margin,
            no_harm=judged.no_harm,
            no_gain=judged.no_gain,
            material=judged.material,
            probability_harm=chance and chance.harm,
            probability_within=chance and chance.within,
            probability_gain=chance and chance.gain,
            seed_half=judged.seed_half,
            item_half=judged.item_half,
            seeds_ahead=agreement.ahead if agreement else None,
            failure_rate=agreement.failure_rate if agreement else None,
            outlying_seeds=[evidence.seeds[at] for at in agreement.outliers] if agreement else [],
            collapsed=judged.collapse_rate[0],
            baseline_collapsed=int(evidence.baseline_collapsed.sum()),
            collapse_rate=judged.collapse_rate[1:],
            without_collapse=judged.without_collapse,
            strategy_score=evidence.mean(evidence.strategy_scores),
            baseline_score=evidence.mean(evidence.held_against),
            target_full_score=above.score,
            share_of_way=above.share.value if above.share else None,
            share_of_way_ci=above.share.ci if above.share else None,
            strategy_ece=_mean(evidence.strategy_ece),
            baseline_ece=_mean(evidence.baseline_ece),
            strategy_clipped=clipped(evidence.strategy_scores),
            baseline_clipped=clipped(evidence.baseline_scores),
            rates=None,
            rates_sign=None,
            strategy_rise=row.ends.strategy.to_dict(),
            baseline_rise=row.ends.baseline.to_dict(),
            times_steps=row.length,
            by_looks=False,
            copies=_copies(evidence),
            flags=self._flags(row, judged)
            + self.history.flags(found["readings"])
            + evidence.notes
            + above.flags,
            percent_of_naive=naive.percent(evidence, judged.delta, self.reader),
            evidence=evidence,
        )

    def _flags(self, row: "_Row", judged: verdict.Judgement) -> list[str]:
        flags = ["few items"] if judged.few_items else []
        if judged.hangs_on_few_items and judged.verdict != "undecided":
            flags.append("hangs on few items: a handful of the test items carry most of Δ")
        by_named = self.reader.metric in influence.OF_NAMED
        fewest = int(min(np.min(runs) for runs in row.evidence.named)) if by_named else 0
        if by_named and fewest < verdict.MINIMUM_CLASS:
            flags.append(f"a class is named on {fewest} items in some run: its precision is hardly known")
        if judged.agreement and judged.agreement.outliers:
            outlying = pairing.seeds_named([row.evidence.seeds[at] for at in judged.agreement.outliers])
            flags.append(f"outlying {outlying}: Δ is unlike that of the others")
        for who, found in (
            ("strategy", row.evidence.strategy_scores),
            ("baseline", row.evidence.baseline_scores),
        ):
            if (share := row.evidence.metric(self.reader.metric).clipped(found)) > CLIPPED_SHARE:
                flags.append(f"{share:.0%} of the {who}'s losses are clipped at the metric's cap")
        if judged.by_step_down:
            flags.append(
                "decided by a later step of Holm's procedure; the simultaneous interval is cut where that "
                "decision ends it"
            )
        if differences := baselines.unlike(*row.pair, self.baseline):
            flags.append(f"unlike baseline: {', '.join(differences)}")
        if row.length > 1:
            flags.append(
                f"both arms trained for {row.length} times the steps planned: at that length they had not "
                "finished (--settle)"
            )
        if copies := _copies(row.evidence):
            flags += Copies(**copies).warnings(row.arm.cell["target"])
        flags += wording.unfinished(row.ends, row.evidence) + self.reader.untold(row.evidence)
        flags += naive.flags(row.evidence, self.reader.metric, self.alpha)
        if self.items == "fixed":
            flags.append("this test set only: other items are not allowed for")
        if row.evidence.deterministic:
            flags.append("given the training set: no seed changes either arm")
        if row.evidence.of_one_seed and len(row.evidence.ids) > 1:
            flags.append(
                "one seed: a claim about these two models on other items, none about training them anew"
            )
        results = [row.evidence.records[folder].get("result") or {} for folder in row.evidence.strategy_runs]
        counts = Counter(flag for result in results for flag in result.get("flags") or [])
        return flags + [f"{flag} in {count} of {len(results)} runs" for flag, count in counts.items()]

    def _miss(self, arm: Arm, budget: int | str | None, reason: str) -> None:
        self.missing.append({**arm.described(), "label_budget": budget, "seed": None, "reason": reason})

    def broken(self) -> list[Json]:
        """Runs whose evaluations turned out to be unreadable."""
        runs = {
            record["fingerprint"]: record
            for arm in self.records.arms
            for runs in arm.runs.values()
            for _, record in runs
        }
        return [
            {
                **runs[name]["cell"],
                "seed": runs[name]["seed"],
                "fingerprint": name,
                "status": "unreadable",
                "reason": reason,
            }
            for name, reason in self.reader.broken.items()
        ]


@dataclass(frozen=True)
class _Row:
    """A pair of arms before its verdict. arm, base: as planned. pair: the two as they are compared, `length`
    times the planned steps long. ends: of their trainings. shown: whether it is asked for; the others of its
    family count in it."""

    arm: Arm
    base: Arm
    pair: tuple[Arm, Arm]
    length: int
    budget: int | str | None
    evidence: Evidence
    margin: float
    ends: Rises
    shown: bool


@dataclass
class _Family:
    """size: its cells as planned, those without a run too."""

    name: str
    size: int = 0
    rows: list[_Row] = field(default_factory=list)


def _copies(evidence: Evidence) -> CopiedItems | None:
    """As the strategy's first run has it: all have the same domains."""
    return (evidence.records[evidence.strategy_runs[0]].get("result") or {}).get("copies")


def _mean(values: np.ndarray) -> float | None:
    """Of those that are there."""
    return float(np.nanmean(values)) if np.isfinite(values).any() else None


def _is_shown(arm: Arm, plan: str | None, protocols: tuple[str, ...]) -> bool:
    return (plan is None or plan in arm.plans) and arm.cell["protocol"] in protocols


def _shown(rows: list[Json], plan: str | None, protocols: tuple[str, ...]) -> list[Json]:
    found = [
        row
        for row in rows
        if (plan is None or plan in row["plans"]) and row.get("protocol") in (None, *protocols)
    ]
    return [{key: value for key, value in row.items() if key != "plans"} for row in found]


def _predictions(store: Path) -> tuple[list[Prediction], list[str]]:
    """What `rank` left, and a warning where it cannot be read: the verdicts do not need it."""
    try:
        return read_predictions(store), []
    except RequestError as refusal:
        return [], [f"no prediction is ranked: {refusal}; remove it and rank again"]


def _warnings(cells: list[Cell]) -> list[str]:
    """What may make numbers differ although fingerprints agree, and what they are not about."""
    records = [record for cell in cells for record in cell.evidence.records.values()]
    found = [record.get("git") for record in records]
    revisions = {str(git.get("revision") if git else None) for git in found}
    warnings = [f"runs of mixed package versions: {mixed}"] if (mixed := mixed_versions(records)) else []
    if len(revisions) > 1:
        warnings.append(
            f"runs of mixed git revisions: {', '.join(sorted(revision[:7] for revision in revisions))}"
        )
    if len(splits := _split_seeds(cells)) > 1:
        warnings.append(
            f"cells that differ in split_seed alone ({', '.join(map(str, splits))}): each is judged by "
            "itself, their test sets overlap and their "
            "agreement is no evidence; with fold=range(0,5) every item is a test item, in one cell"
        )
    return warnings + _unequal_tuning(cells) + cut_texts.lines(records)


def _unequal_tuning(cells: list[Cell]) -> list[str]:
    """A line for each target where the values of some strategies alone were searched."""
    found: dict[tuple[str, str], dict[bool, set[str]]] = defaultdict(lambda: {True: set(), False: set()})
    for cell in cells:
        found[cell.target, cell.protocol][cell.evidence.tuned].add(cell.strategy)
    return [
        f"{target}: searched {', '.join(sorted(tuned[True]))}; not searched "
        f"{', '.join(sorted(tuned[False]))}: their order may be that of tuning; --search tunes all alike"
        for (target, _), tuned in found.items()
        if tuned[True] and tuned[False]
    ]


def _split_seeds(cells: list[Cell]) -> list[int]:
    """Of cells that are alike but for their split_seed."""
    found = defaultdict(set)
    for cell in cells:
        consumed = cell.evidence.records[cell.evidence.strategy_runs[0]]["consumed"]
        rest = {key: value for key, value in consumed.items() if key not in ("seed", "role", "split_seed")}
        found[str([consumed["target"], cell.strategy, cell.label_budget, sorted(rest.items())])].add(
            consumed.get("split_seed", 0)
        )
    return sorted(set().union(*(seeds for seeds in found.values() if len(seeds) > 1)))


def _order(cell: Cell | Contrast) -> tuple[object, ...]:
    other: dict[int | str | None, float] = {None: -1, "full": float("inf")}
    budget = other.get(cell.label_budget, cell.label_budget)
    return (
        cell.target,
        budget,
        cell.source or "",
        cell.strategy,
        cell.backbone,
        cell.initialisation,
        cell.protocol,
        cell.variant,
    )
