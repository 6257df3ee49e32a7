"""A transfer matrix, a row a source and a column a target, as rows of runs: a single run a cell, and no
items."""

import math

import pyarrow as pa

from transferscope.errors import RequestError
from transferscope.external.files import Table
from transferscope.external.outcomes import plain
from transferscope.store.printable import printable

BASELINE, STRATEGY = "scratch", "transfer"
ALL = "all"  # the test items as one: what each scored is not told
NOT_RUN = ("", "nan", "null", "none", "na", "-")


def rows(table: Table) -> Table:
    """Columns strategy, source, target, item and score. The first column names the sources, the row `scratch`
    holds the scores of the targets without one; cells that were not run are empty. The diagonal, a source
    that is its own target, is left out whatever it holds. Raises RequestError."""
    first, *targets = table.header
    if doubled := [name for name in targets if targets.count(name) > 1]:
        raise RequestError(f"{table.name}: two columns are named '{printable(doubled[0])}'")
    content = table.columns(table.header, [])
    sources = content[first].to_pylist()
    if doubled := [name for name in sources if sources.count(name) > 1]:
        raise RequestError(f"{table.name}: two rows are named '{printable(doubled[0])}'")
    spelled = {plain(name): name for name in targets}
    for name in sources:
        if (other := spelled.get(plain(name), name)) != name:
            raise RequestError(
                f"{table.name}: row '{printable(name)}' and column '{printable(other)}': one domain is "
                "written in one way"
            )
    if BASELINE not in sources:
        turned = "rows are sources, columns targets; " if BASELINE in targets else ""
        raise RequestError(
            f"{table.name}: {turned}a row '{BASELINE}' is needed, with each target's score without a source"
        )
    found: dict[str, list[str | float]] = {
        key: [] for key in ("strategy", "source", "target", "item", "score")
    }
    for target in targets:
        for source, text in zip(sources, content[target].to_pylist(), strict=True):
            if source == target or text.strip().lower() in NOT_RUN:
                continue
            is_baseline = source == BASELINE
            cell = (
                BASELINE if is_baseline else STRATEGY, "" if is_baseline else source, target, ALL,
                _number(text, source, target, table.name),
            )  # fmt: skip
            for column, value in zip(found.values(), cell, strict=True):
                column.append(value)
    return Table(table.name, table.digest, list(found), pa.table(found))


def _number(text: str, source: str, target: str, name: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RequestError(
            f"{name}: row '{printable(source)}', column '{printable(target)}': '{printable(text)[:40]}' is "
            "no finite number"
        )
    return number
