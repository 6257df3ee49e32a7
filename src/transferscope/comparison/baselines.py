"""Which arm a cell is held against, by the baseline's name."""

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from transferscope.comparison.arms import BACKBONE_RATE, CELL_KEYS, FOLDS, NOISE, TWIN, Arm
from transferscope.comparison.baseline_words import WORDS
from transferscope.comparison.naive import NAME as NAIVE
from transferscope.errors import RequestError, nearest
from transferscope.store.schema import Json

BASELINES = tuple(WORDS)
# all that they learn, they learn from the source
SOURCE_ONLY = ("source_only", "source_nearest_neighbour", "source_svm", "source_boosted_trees")
TARGET_ONLY = tuple(name for name, words in WORDS.items() if words.negative_transfer)

STEPS, SOURCE_STEPS = "trainer.steps", "trainer.source_steps"
BACKBONE = "backbone"  # pinned: every cell is held against the baseline on this one

# what a cell and its baseline differ in by their nature
_OWN = ("strategy.", "sources.", "initialisation", "label_budget", "protocol", NOISE)
# save for what shallow strategies and their baselines can have alike, each of it worth points of its own
_ALIKE = ("strategy.scaling", "strategy.classifier", "strategy.C", "strategy.unit_length")
# initialisations that there are none of without a source
_LEARNT_FROM_SOURCE = ("source", "rotation", "simclr", "mlm")
_WITHOUT_SOURCE = ("scratch", "target_only", "target_ssl")


def parse(text: str, arms: Collection[Arm] = ()) -> tuple[str, dict[str, str]]:
    """'scratch:trainer.optimizer.lr=0.01' -> ('scratch', {'trainer.optimizer.lr': '0.01'}). arms: whose
    strategies may stand in for a baseline. Raises RequestError."""
    strategies = dict.fromkeys(arm.cell["strategy"] for arm in arms)
    name, _, rest = (text, "", "") if text in strategies else text.partition(":")
    if arms and all(arm.is_imported for arm in arms) and name not in strategies:
        raise RequestError(
            f"--baseline {text}: the results have no such strategy{nearest(name, strategies)}; give one that "
            f"they have: {', '.join(strategies)}"
        )
    if name not in BASELINES and name not in strategies:
        known = (*BASELINES, *strategies)
        raise RequestError(f"--baseline {text}: not one of {', '.join(known)}{nearest(name, known)}")
    pinned = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.strip().partition("=")
        if not equals:
            raise RequestError(
                f"--baseline {text}: '{part}' is not KEY=VALUE, as in {name}:trainer.optimizer.lr=0.01"
            )
        pinned[key] = value
    if BACKBONE in pinned:
        _check_backbone(text, name, pinned[BACKBONE], arms)
    if name == NAIVE and pinned:
        raise RequestError(f"--baseline {text}: the naive predictor has no settings; give --baseline {NAIVE}")
    return name, pinned


def _check_backbone(text: str, name: str, backbone: str, arms: Collection[Arm]) -> None:
    if name in BASELINES and name != "scratch":
        raise RequestError(
            f"--baseline {text}: {BACKBONE} goes with scratch, or a strategy that is held against as it is"
        )
    known = dict.fromkeys(arm.cell["backbone"] for arm in arms if arm.cell["strategy"] == name)
    if arms and backbone not in known:
        raise RequestError(
            f"--baseline {text}: {name} has no run with backbone {backbone}{nearest(backbone, known)}; it "
            f"has {', '.join(known) or 'none at all'}"
        )


def short(text: str) -> str:
    """As sentences call it: without what chooses among several, but for the backbone."""
    backbone = backbone_of(text)
    return called(text.partition(":")[0], {} if backbone is None else {BACKBONE: backbone})


def backbone_of(text: str) -> str | None:
    """The backbone that a baseline names, wherever among what it pins."""
    pinned = (part.strip().partition("=") for part in text.partition(":")[2].split(","))
    return next((value for key, _, value in pinned if key == BACKBONE), None)


def called(name: str, pinned: dict[str, str]) -> str:
    """A baseline as its families of cells are called."""
    return f"{name}:{BACKBONE}={pinned[BACKBONE]}" if BACKBONE in pinned else name


def is_row(arm: Arm, name: str, pinned: dict[str, str]) -> bool:
    """Whether the arm is compared with this baseline, rather than being it."""
    strategy, budget = arm.cell["strategy"], arm.cell["label_budget"]
    if BACKBONE in pinned:
        return bool((strategy, arm.cell["backbone"]) != (name, pinned[BACKBONE]))
    if _is_by_name(arm, name):
        return bool(strategy != name)
    if name == NAIVE:
        return True
    if name == "scratch":
        return bool(strategy != "scratch")
    if name in ("target_only", "target_only_long"):
        return strategy not in ("scratch", "target_only")
    if name == "target_ssl":
        return strategy not in _WITHOUT_SOURCE
    if name in SOURCE_ONLY:
        return strategy not in SOURCE_ONLY and arm.cell["source"] is not None
    if name == "target_full":
        return not (budget == "full" and strategy in ("scratch", "target_only"))
    return arm.noise == 0 and arm.cell["source"] is not None


def _is_by_name(arm: Arm, name: str) -> bool:
    """Whether the baseline is the strategy of this name, by no rule of its own: of imported arms it always
    is."""
    return arm.is_imported or name not in BASELINES


def able(arms: list[Arm], name: str) -> list[Arm]:
    """Those that could be the baseline of some arm: few beside many, which `find` looks through for each
    arm."""
    alone = ("scratch", "target_only")
    strategies = {"target_only": alone, "target_only_long": alone, "target_full": alone}.get(name, (name,))

    def could_be(arm: Arm) -> bool:
        if _is_by_name(arm, name):
            return bool(arm.cell["strategy"] == name)
        return arm.noise == 1 if name == "shuffled_source" else arm.cell["strategy"] in strategies

    return [arm for arm in arms if could_be(arm)]


def find(arm: Arm, arms: list[Arm], name: str, pinned: dict[str, str]) -> list[tuple[Arm, int | str | None]]:
    """(baseline arm, label budget of the row), one for each budget the baseline has where the arm itself has
    none. Empty: there is none.

    arms: all, or those that are `able`. The naive predictor is an arm without runs, of the arm's own labels.
    Raises RequestError where several arms could be the baseline."""
    if name == NAIVE and not arm.is_imported:
        return [(Arm(arm.cell | {"strategy": NAIVE}, {}), arm.cell["label_budget"])]
    by_budget = defaultdict(list)
    for candidate in arms:
        if _serves(arm, candidate, name, pinned.get(BACKBONE)) and all(
            _equal(candidate.consumed.get(key), value) for key, value in pinned.items() if key != BACKBONE
        ):
            by_budget[candidate.cell["label_budget"]].append(candidate)
    own = arm.cell["label_budget"]
    return [
        (_choose(arm, candidates, name), budget if own is None else own)
        for budget, candidates in by_budget.items()
    ]


def twin_of(arm: Arm, twins: list[Arm]) -> Arm | None:
    """The arm's A/A twin: the same labels and settings, another initialisation and other batches."""
    return next(
        (
            twin
            for twin in twins
            if twin.cell == arm.cell and _without(twin.consumed, TWIN) == _without(arm.consumed, TWIN)
        ),
        None,
    )


def unlike(arm: Arm, baseline: Arm, name: str) -> list[str]:
    """What the two consume differently beside what makes them different arms: `trainer.steps 300 vs 1000`."""
    same_start = arm.cell["initialisation"] == baseline.cell["initialisation"]
    same_backbone = arm.cell["backbone"] == baseline.cell["backbone"]
    own = (*_OWN, STEPS) if name == "target_only_long" else _OWN
    return [
        f"{key} {arm.consumed[key]} vs {baseline.consumed[key]}"
        for key in sorted(arm.consumed.keys() & baseline.consumed.keys())
        if arm.consumed[key] != baseline.consumed[key]
        and (key in _ALIKE or not key.startswith(own))
        and (same_start or key != "backbone.weights")
        and (same_backbone or not key.startswith("backbone."))
    ]


def _serves(arm: Arm, candidate: Arm, name: str, backbone: str | None) -> bool:
    """backbone: the candidate's, None for that of the arm."""
    a, b = arm.cell, candidate.cell
    if candidate is arm or (a["target"], backbone or a["backbone"]) != (b["target"], b["backbone"]):
        return False
    if arm.is_imported != candidate.is_imported:
        return False
    if arm.consumed.get(FOLDS) != candidate.consumed.get(FOLDS):  # tested on other items
        return False
    if _is_by_name(arm, name):
        return (
            b["strategy"] == name
            and b["source"] in (None, a["source"])
            and candidate.noise == 0
            and _has_budget_of(a, b)
        )
    if name == "shuffled_source":
        return candidate.noise == 1 and all(a[key] == b[key] for key in CELL_KEYS)
    if name in SOURCE_ONLY[1:] and (a["initialisation"], a["label_budget"]) != (
        b["initialisation"],
        b["label_budget"],
    ):
        return False
    if name in SOURCE_ONLY:
        return candidate.noise == 0 and b["strategy"] == name and a["source"] == b["source"]
    if name == "target_full":
        return b["label_budget"] == "full" and _without_source(arm, candidate)
    if not _has_budget_of(a, b):
        return False
    if name == "scratch":
        return bool(b["strategy"] == "scratch")
    if name == "target_ssl":
        return bool(
            b["strategy"] == "target_ssl"
            and a["protocol"] == b["protocol"]
            and b["initialisation"] == _start(arm)
        )
    if (
        name == "target_only_long"
        and arm.runs
        and candidate.runs
        and candidate.consumed.get(STEPS) != _compute(arm)
    ):
        return False
    return _without_source(arm, candidate)


def _has_budget_of(a: Json, b: Json) -> bool:
    """A cell without a label budget goes with any."""
    return None in (a["label_budget"], b["label_budget"]) or a["label_budget"] == b["label_budget"]


def _without_source(arm: Arm, candidate: Arm) -> bool:
    """A(∅, T) from the arm's own start."""
    start, strategy = _start(arm), candidate.cell["strategy"]
    return (strategy == "scratch" and start == "random") or (
        strategy == "target_only" and candidate.cell["initialisation"] == start
    )


def _start(arm: Arm) -> str:
    """Where the arm's weights come from once the source is taken away: pretrained where the backbone has
    them, else random ones."""
    start: str = arm.cell["initialisation"]
    if start not in _LEARNT_FROM_SOURCE:
        return start
    return "random" if arm.consumed.get("backbone.weights", "random") == "random" else "pretrained"


def _compute(arm: Arm) -> int:
    """Optimiser steps of the arm, those of its source model counted."""
    return (arm.consumed.get(STEPS) or 0) + (arm.consumed.get(SOURCE_STEPS) or 0)


def _choose(arm: Arm, candidates: list[Arm], name: str) -> Arm:
    candidates = [c for c in candidates if c.runs] or candidates
    candidates = [c for c in candidates if c.cell["source"] == arm.cell["source"]] or candidates
    candidates = [
        c for c in candidates if c.searches & arm.searches
    ] or candidates  # tuned beside it, with the same number of trials
    if not arm.runs:  # nothing to compare yet
        return candidates[0]
    if name != "target_only_long":  # whose steps are those of another arm's baseline
        candidates = _of_length(arm, candidates)
    own = (NOISE,) if name == "shuffled_source" else _OWN
    keys = sorted({key for c in candidates for key in c.consumed})
    differing = [key for key in keys if len({str(c.consumed.get(key)) for c in candidates}) > 1]
    shared = [
        key for key in differing if key in arm.consumed and (key == BACKBONE_RATE or not key.startswith(own))
    ]
    agreeing = [c for c in candidates if all(c.consumed.get(key) == arm.consumed[key] for key in shared)]
    chosen = agreeing if agreeing else candidates
    if len(chosen) == 1:
        return chosen[0]
    choices = sorted(",".join(f"{key}={c.consumed.get(key)}" for key in differing) for c in chosen)
    cell = " ".join(f"{key}={value}" for key, value in arm.described().items() if value not in (None, ""))
    raise RequestError(
        f"--baseline {name}: {len(chosen)} arms could be the baseline of {cell}: {' or '.join(choices)}; "
        f"choose with --baseline '{name}:{choices[0]}'"
    )


def _of_length(arm: Arm, candidates: list[Arm]) -> list[Arm]:
    """Those trained for as many steps as the arm, if any; an arm without steps on the target goes by those of
    its source model, and where these decide nothing by the shortest, for longer ones are there for equal
    compute."""
    lengths = [candidate.consumed.get(STEPS) for candidate in candidates]
    wanted = arm.consumed.get(STEPS) or arm.consumed.get(SOURCE_STEPS)
    if wanted not in lengths and not arm.consumed.get(STEPS):
        wanted = min((length for length in lengths if length), default=None)
    return [
        candidate for candidate, length in zip(candidates, lengths, strict=True) if length == wanted
    ] or candidates


def _without(consumed: Json, key: str) -> Json:
    return {k: value for k, value in consumed.items() if k != key}


def _equal(value: Any, text: str) -> bool:
    try:
        return float(value) == float(text)
    except (TypeError, ValueError):
        return str(value) == text
