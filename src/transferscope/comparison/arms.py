"""From a store's records and plans to arms: the runs of one cell over seeds, and which plan asked for
them."""

import json
import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from transferscope.comparison.scores import FOLD
from transferscope.errors import RequestError
from transferscope.store.record import ANSWERS, read_plans, read_record, run_folders
from transferscope.store.schema import AnyJob, Cell, CellKey, Json, RuledOutCell, RunRecord, SweepPlan

CELL_KEYS: tuple[CellKey, ...] = (
    "source",
    "target",
    "label_budget",
    "backbone",
    "initialisation",
    "strategy",
    "protocol",
)
NOISE = "source_label_noise"
TWIN = "twin"
FOLDS = "folds"
BACKBONE_RATE = "strategy.backbone_rate"
SOURCE_RATE = "source_backbone_rate"  # of the source model: the same, unless an arm has no rate of its own
UNNAMED = "unnamed"  # in place of a plan's name: the family of all commands without one, single runs included
IMPORTED, UNSTATED = "imported", "unstated"  # the family of results made elsewhere; what they do not say
# of a planned job: the run that it is a longer training of, and how many times its steps
LENGTHENS: Final = "lengthens"
_BY_HASH = re.compile("(sweep|search)-[0-9a-f]{8}")  # what a command is called that was given no name
_NO_CHOICE = ("seed=", "fold=", "store=", "sweep=", "tracking", "hydra")  # overrides that make no other arm


@dataclass(eq=False)
class Arm:
    """The runs of one cell and one variant, over seeds.

    cell: the contract's cell keys. consumed: what the runs consume, flat (`trainer.steps`), less seed and
    fold; for an arm without any record only what its plan says. runs: (folder, record) by seed, those that
    can be scored: one a seed, or all its folds in order. asked: the seeds of it in each plan, the earliest
    plan first. plan: whose family it is in, that of the earliest. searches: the plans that tuned it.
    longer: by times the steps, what `run --settle` trained for longer; such an arm is no row and no baseline
    of its own."""

    cell: Json
    consumed: Json
    variant: str = ""
    runs: dict[int, list[tuple[Path, RunRecord]]] = field(default_factory=dict)
    asked: dict[str, set[int]] = field(default_factory=dict)
    plan: str = UNNAMED
    searches: set[str] = field(default_factory=set)
    longer: dict[int, "Arm"] = field(default_factory=dict)

    @property
    def noise(self) -> float:
        return float(self.consumed.get(NOISE) or 0.0)

    @property
    def is_imported(self) -> bool:
        """Whether its results were made elsewhere; it is never held against an arm whose were not."""
        return bool(self.consumed.get(IMPORTED))

    @property
    def is_twin(self) -> bool:
        """An A/A twin: the same run with another initialisation and other batches. Neither a row nor a
        baseline."""
        return bool(self.consumed.get(TWIN))

    @property
    def plans(self) -> list[str]:
        return list(self.asked)

    @property
    def planned(self) -> set[int]:
        """The seeds of the earliest plan."""
        return next(iter(self.asked.values()), set())

    def presumed(self, plans: set[str]) -> list[set[int]]:
        """What was read of it, as far as nobody noted it: its seeds after each of these plans."""
        reached: list[set[int]] = []
        seeds: set[int] = set()
        for name, added in self.asked.items():
            if name in plans:
                seeds = seeds | added
                reached.append(seeds)
        return reached

    def described(self) -> Json:
        return {**self.cell, "variant": self.variant}


@dataclass
class Records:
    """A store as `compare` sees it. plans: oldest first. arms: without the A/A twins, which are in `twins`.
    missing, failed, not_applicable: one dict a run, with `plans`, the plans that asked for it."""

    plans: list[SweepPlan] = field(default_factory=list)
    arms: list[Arm] = field(default_factory=list)
    twins: list[Arm] = field(default_factory=list)
    missing: list[Json] = field(default_factory=list)
    failed: list[Json] = field(default_factory=list)
    not_applicable: list[Json] = field(default_factory=list)

    def others(self, names: set[str]) -> dict[str, int]:
        """Of each name under which plans make families, how many plans lie beside it."""
        return {name: sum(family_plan(plan) != name for plan in self.plans) for name in sorted(names)}


def read_store(store: Path) -> Records:
    """Every record and plan of a store. A record that cannot be read is listed in `failed`; raises
    RequestError for a plan that cannot, for it is the family of the verdicts."""
    plans = read_plans(store)
    asked = defaultdict(list)
    for plan in plans:
        for job in plan["jobs"]:
            asked[_identity(job)].append((plan["name"], job))
    records = Records(plans=plans)
    by_fingerprint: dict[str | None, Arm | None] = {}
    by_content: dict[tuple[Hashable, ...], Arm] = {}
    wanted: dict[str | None, Arm] = {}
    for folder in run_folders(store):
        try:
            _take(folder, read_record(folder), records, by_fingerprint, by_content)
        except RequestError as refusal:
            cell: Cell | RuledOutCell = {}
            seed = None
            for _, job in asked[folder.name][:1]:
                cell, seed = job["cell"], job["seed"]
            records.failed.append(_listed(folder.name, cell, seed, "unreadable", str(refusal)))
            by_fingerprint.setdefault(folder.name, None)
    _join_lengths(plans, records, by_fingerprint)
    _name_variants(records.arms)
    for plan in plans:
        _follow_plan(plan, records, by_fingerprint, wanted)
    incomplete = _without_incomplete(records.arms)
    records.twins = [arm for arm in records.arms if arm.is_twin]
    records.arms = [arm for arm in records.arms if not arm.is_twin]
    for row in records.missing + records.failed + records.not_applicable:
        row["plans"] = [name for name, _ in asked[_identity(row)]]
    records.missing += incomplete
    return records


def _join_lengths(
    plans: list[SweepPlan], records: Records, by_fingerprint: dict[str | None, Arm | None]
) -> None:
    """Make what `run --settle` trained for longer a part of the arm that it lengthens; what a plan asks for
    by itself stays an arm as well."""
    jobs = [job for plan in plans for job in plan["jobs"]]
    asked = {job["fingerprint"] for job in jobs if LENGTHENS not in job}
    joined = set()
    for job in jobs:
        longer = by_fingerprint.get(job["fingerprint"])
        if longer is None or LENGTHENS not in job:
            continue
        if arm := by_fingerprint.get(job[LENGTHENS]["run"]):
            arm.longer[job[LENGTHENS]["times"]] = longer
        if job["fingerprint"] not in asked:
            joined.add(longer)
    records.arms = [arm for arm in records.arms if arm not in joined]


def _take(
    folder: Path,
    record: RunRecord,
    records: Records,
    by_fingerprint: dict[str | None, Arm | None],
    by_content: dict[tuple[Hashable, ...], Arm],
) -> None:
    """Put a record where it belongs: a run of an arm, failed, or not applicable."""
    name, seed, status = record["fingerprint"], record["seed"], record["status"]
    if record["role"] == "trial":
        return
    if name in by_fingerprint:
        raise RequestError(f"{folder}: a copy of run {name}")
    if status == "not_applicable":
        by_fingerprint[name] = None
        records.not_applicable.append(_listed(name, record["cell"], seed, status, record["reason"]))
        return
    cell: Json = {key: record["cell"][key] for key in CELL_KEYS}
    consumed = consumed_of(record)
    content = tuple(cell.values()), frozenset(consumed.items())
    if content not in by_content:
        plan = IMPORTED if consumed.get(IMPORTED) else UNNAMED
        by_content[content] = Arm(cell, consumed, plan=plan)
        records.arms.append(by_content[content])
    arm = by_fingerprint[name] = by_content[content]
    if status in ANSWERS:
        arm.runs.setdefault(seed, []).append((folder, record))
    else:
        records.failed.append(_listed(name, cell, seed, status, record["reason"]))


def consumed_of(record: RunRecord) -> Json:
    """What a run consumed, flat, less seed and fold; with the rate of its backbone where transferred weights
    are trained at one."""
    consumed = flat(
        {key: value for key, value in record["consumed"].items() if key not in ("seed", "role", FOLD)}
    )
    rate = record.get("backbone_rate", 1.0)  # a record that does not know of it was made at 1
    if rate is not None and record["cell"]["initialisation"] != "random":
        rate = consumed.setdefault(BACKBONE_RATE, rate)
    if SOURCE_RATE in consumed and consumed[SOURCE_RATE] == rate:
        del consumed[SOURCE_RATE]
    return consumed


def _without_incomplete(arms: list[Arm]) -> list[Json]:
    """Take the seeds that lack a fold out of their arms: what is left of their items is another test set. One
    listed row each."""
    rows = []
    for arm in arms:
        folds = range(arm.consumed.get(FOLDS, 1))
        for seed, runs in list(arm.runs.items()):
            by_fold = {run[1]["consumed"].get(FOLD, 0): run for run in runs}
            if absent := [str(fold) for fold in folds if fold not in by_fold]:
                del arm.runs[seed]
                why = f"fold {', '.join(absent)} of {len(folds)} (from 0) has no result: the seed is left out"
                rows.append({**_listed(None, arm.cell, seed, "incomplete", why), "plans": arm.plans})
            else:
                arm.runs[seed] = [by_fold[fold] for fold in folds]
    return rows


def flat(nested: Json | list[Any], prefix: str = "") -> Json:
    """{"trainer": {"steps": 3}} -> {"trainer.steps": 3}; items of a list by their number."""
    items: Iterable[tuple[object, Any]] = nested.items() if isinstance(nested, dict) else enumerate(nested)
    result: Json = {}
    for key, value in items:
        if isinstance(value, (dict, list)):
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = value
    return result


def _listed(
    fingerprint: str | None, cell: Mapping[str, Any], seed: int | None, status: str, reason: str
) -> Json:
    return {
        **{key: cell.get(key) for key in CELL_KEYS},
        "seed": seed,
        "fingerprint": fingerprint,
        "status": status,
        "reason": reason.split("\n")[0],
    }


def _name_variants(arms: list[Arm]) -> None:
    """Arms of one cell differ in what they consume: those keys are their variant. A non-zero label noise is
    always told."""
    cells = defaultdict(list)
    for arm in arms:
        cells[tuple(arm.cell.values())].append(arm)
    for group in cells.values():
        keys = sorted({key for arm in group for key in arm.consumed})
        differing = [key for key in keys if len({json.dumps(arm.consumed.get(key)) for arm in group}) > 1]
        for arm in group:
            named = sorted({*differing, NOISE} if arm.noise else {key for key in differing if key != NOISE})
            arm.variant = ", ".join(f"{key}={arm.consumed[key]}" for key in named if key in arm.consumed)


def _follow_plan(
    plan: SweepPlan,
    records: Records,
    by_fingerprint: dict[str | None, Arm | None],
    wanted: dict[str | None, Arm],
) -> None:
    """Note which arms the plan asked for, and what is missing; plans come oldest first. wanted: arms of
    missing runs by fingerprint."""
    jobs = [job for job in plan["jobs"] if job["role"] != "trial"]
    same: dict[str, Arm] = {}
    for job in jobs:
        if LENGTHENS not in job and (arm := by_fingerprint.get(job["fingerprint"])):
            same.setdefault(_key(job), arm)
            _ask(arm, plan, job["seed"])
    listed = {_identity(row) for row in records.not_applicable + records.missing}
    for job in jobs:
        name = job["fingerprint"]
        if job["status"] == "not_applicable":
            if _identity(job) not in listed:
                records.not_applicable.append(
                    {
                        **_listed(name, job["cell"], job["seed"], "not_applicable", job["reason"]),
                        "overrides": job["overrides"],
                    }
                )
            continue
        if by_fingerprint.get(name) or name in {row["fingerprint"] for row in records.not_applicable}:
            continue
        if LENGTHENS not in job:
            arm = same.get(_key(job)) or wanted.get(name)
            if arm is None:  # no run of it is in the store: planned all the same, so it counts in its family
                choices = flat(job["variant"])
                named = ", ".join(f"{key}={value}" for key, value in sorted(choices.items()))
                arm = Arm({key: job["cell"][key] for key in CELL_KEYS}, choices, named)
                records.arms.append(arm)
            same[_key(job)] = wanted[name] = arm
            _ask(arm, plan, job["seed"])
        if name not in by_fingerprint and name not in listed:
            why = f"planned in '{plan['name']}', no record"
            records.missing.append(
                {**_listed(name, job["cell"], job["seed"], "missing", why), "overrides": job["overrides"]}
            )


def _identity(row: Mapping[str, Any]) -> str:
    """Of a job or of a listed run: what was ruled out before it had a fingerprint goes by its overrides."""
    return str(row["fingerprint"] or row["overrides"])


def family_plan(plan: SweepPlan) -> str:
    """The name under which a plan makes families. One that was given none grows with the next command, unless
    its looks were planned."""
    return UNNAMED if _BY_HASH.fullmatch(plan["name"]) and "sequential" not in plan else plan["name"]


def _ask(arm: Arm, plan: SweepPlan, seed: int) -> None:
    if not arm.asked:
        arm.plan = family_plan(plan)
    arm.asked.setdefault(plan["name"], set()).add(seed)
    if "search" in plan:
        arm.searches.add(plan["name"])


def _key(job: AnyJob) -> str:
    """Equal for the seeds of one arm: the cell, and whatever else was asked for on the command line."""
    asked = [
        text
        for text in job["overrides"].split()
        if not text.startswith(_NO_CHOICE) and text.partition("=")[0] not in CELL_KEYS
    ]
    return json.dumps([job["cell"], job["variant"], sorted(asked)], sort_keys=True)
