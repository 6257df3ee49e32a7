"""What earlier readings of a store make of today's: how often a cell was read before its seeds grew, and
which claims are taken back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from transferscope.comparison.arms import CELL_KEYS, Arm
from transferscope.comparison.paired_scores import Evidence
from transferscope.comparison.readings import Log, open_log
from transferscope.statistics.verdict import PRICE_OF_A_READING
from transferscope.store.record import fingerprint
from transferscope.store.schema import Json, SweepPlan

if TYPE_CHECKING:
    from transferscope.comparison.cells import Cell

# a claim by others is another claim
RULES = ("metric", "selection", "margin", "alpha", "items", "correction")


def identity(arm: Arm, baseline: Arm) -> str:
    """Of a cell in the log: what its arms are and consume, wherever it stands in a table and whichever plan
    asked for it."""
    return fingerprint({"strategy": [arm.cell, arm.consumed], "baseline": [baseline.cell, baseline.consumed]})


@dataclass
class History:
    """Of one comparison. unnoted: the plans that were made before the log was."""

    log: Log
    unnoted: set[str]
    identities: dict[Evidence, str] = field(default_factory=dict)

    @classmethod
    def from_store(cls, store: Path, plans: Sequence[SweepPlan]) -> "History":
        log = open_log(store)
        return cls(log, {plan["name"] for plan in plans if plan["created"] < log.began})

    def count(
        self, cells: Sequence[tuple[Arm, Arm, Evidence]], family: str, shown: Sequence[bool]
    ) -> list[int]:
        """How often each cell was read before its seeds grew. Those that are shown are noted as read, before
        anything is told of them.

        A reading in any metric counts, whichever selection or margin: seeds that were added after it were
        added in its knowledge."""
        names = [identity(arm, baseline) for arm, baseline, _ in cells]
        self.identities |= {evidence: name for name, (_, _, evidence) in zip(names, cells, strict=True)}
        self.log.note(
            {"read": name, "family": family, "seeds": evidence.seeds, "planned": sorted(arm.planned)}
            for name, (arm, _, evidence), is_shown in zip(names, cells, shown, strict=True)
            # one seed claims nothing, unless it is of results made elsewhere
            if is_shown and (len(evidence.seeds) > 1 or evidence.of_one_seed)
        )
        return [
            0 if evidence.deterministic else self.log.before(name, evidence.seeds, arm.presumed(self.unnoted))
            for name, (arm, _, evidence) in zip(names, cells, strict=True)
        ]

    def flags(self, times: int) -> list[str]:
        if not times:
            return []
        often = "once" if times == 1 else f"{times} times"
        doubt = ", one of these for the log of readings, see the warning" if self.log.trouble else ""
        return [f"read {often} before its seeds grew{doubt}: judged at alpha / {PRICE_OF_A_READING**times}"]

    def tell(self, cells: Sequence["Cell"], settings: Json) -> list[Json]:
        """Note what is claimed. Handed back: what was claimed before by the same rules, with other seeds or
        in another family, and stands no more."""
        rules = {key: settings[key] for key in RULES}
        found, noted = [], []
        for cell in cells:
            name = self.identities[cell.evidence]
            before = {
                claim["verdict"]: claim for claim in self.log.claims[name] if rules.items() <= claim.items()
            }
            found += [_taken_back(cell, claim) for claim in before.values() if not _stands(cell, claim)]
            if cell.verdict != "undecided":
                noted.append(
                    {
                        "told": name,
                        "verdict": cell.verdict,
                        **rules,
                        "seeds": cell.seeds,
                        "cells": cell.family_size,
                    }
                )
        self.log.note(noted, "a claim of now is not listed where it is taken back")
        return found


def _stands(cell: "Cell", claim: Json) -> bool:
    if (claim["seeds"], claim["cells"]) == (cell.seeds, cell.family_size):
        return True
    return claim["verdict"] == cell.verdict or (
        claim["verdict"] == "equivalent" and cell.no_harm and cell.no_gain
    )


def _taken_back(cell: "Cell", claim: Json) -> Json:
    then = {"told": claim["verdict"], "told_seeds": claim["seeds"], "told_family_size": claim["cells"]}
    return {
        key: getattr(cell, key) for key in (*CELL_KEYS, "variant", "verdict", "seeds", "family_size")
    } | then
