"""The lines around a table of cells: what was compared, what is missing, what to take away."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from transferscope.comparison import baseline_words, baselines, formatting
from transferscope.comparison.arms import CELL_KEYS, IMPORTED, UNNAMED, UNSTATED
from transferscope.comparison.paired_scores import Evidence
from transferscope.comparison.plateau import LEAST_EVALUATIONS, LEAST_RUNS, Rises
from transferscope.statistics.probabilities import Probabilities, display
from transferscope.store.schema import Json
from transferscope.tasks.metrics import METRICS

if TYPE_CHECKING:
    from transferscope.comparison.best import Best
    from transferscope.comparison.cells import Cell
    from transferscope.comparison.contrasts import Contrast
    from transferscope.comparison.findings import Findings

LISTED = 8  # lines of missing or failed runs, and of contrasts; JSON has all
NAMED = 6  # strategies named where several cannot be told apart
IDENTITY = ("target", "label_budget", "source", "backbone", "initialisation", "protocol", "seeds", "items")

_WANTS = {
    "more seeds": "for want of seeds",
    "needs test items, not seeds": "for want of test items, not of seeds",
    "needs test items and seeds": "for want of test items and seeds",
    "budget": "out of reach of 100 seeds",
    "collapse": "because of collapsed runs",
    "one seed": "with one seed only",
    "no items": "of which one score of one run tells nothing",
    "interim": "because their looks are not all taken",
    "seeds alone cannot help": "which seeds alone cannot help",
    "seeds cannot help": "which seeds alone cannot help",  # in plans of 0.1
    "cannot be compared": "which cannot be compared",
    "the baseline was still improving": "because the baseline was still improving",
    "the strategy was still improving": "because the strategy was still improving",
    "both arms were still improving": "because both arms were still improving",
}
_GROWING = {
    UNNAMED: "commands without a name are one family, which the next of them makes larger; sweep=NAME gives "
    "one of its own",
    IMPORTED: "results made elsewhere are one family, which more of them make larger",
}
_CORRECTION = {
    "holm": "Holm",
    "bh": "Benjamini-Hochberg: false discovery rate, simultaneous intervals at the FCR level",
}


def opening(comparison: "Findings") -> list[str]:
    s = comparison.settings
    cells = list(comparison)
    margin = formatting.margin(s)
    lines = [
        (
            f"baseline {s['baseline']} · metric {s['metric']} · selection {s['selection']} · margin "
            f"±{margin} · alpha {s['alpha']:g}"
        ),
        f"Δ tells {s['isolates']}",
    ]
    lines += families(s)
    unsaid = (UNSTATED, formatting.NOTHING) if all(c.evidence.is_imported for c in cells) else ()
    same = [
        f"{heading(key, s['metric'])} {formatted(cells[0], key)}"
        for key in IDENTITY
        if cells and len({getattr(c, key) for c in cells}) == 1 and formatted(cells[0], key) not in unsaid
    ]
    if same:
        lines.append(f"everywhere: {', '.join(same)}")
    lines.append(
        f"intervals {holds(s, 'cells of a family')}"
        + "; * beyond the margin with the whole of it" * any(c.material for c in cells)
    )
    if any(cell.seeds_ahead is not None and cell.verdict in ("positive", "negative") for cell in cells):
        lines.append(
            "ahead: seeds on the side of Δ, and the largest share of seeds that are not which this does not "
            "exclude (95 %)"
        )
    if any(cell.probability_harm is not None for cell in cells):
        lines.append(
            "P(harm / gain): of a loss, and of a gain, larger than the margin; beside the verdict, never in "
            "place of it"
        )
    return lines + stamps(s, cells)


def holds(settings: Json, what: str) -> str:
    """What is promised of simultaneous intervals."""
    if settings["correction"] == "bh":
        return f"of the decided {what}: a share of {settings['alpha']:g} is expected to miss"
    return f"hold for all {what} at once"


def families(settings: Json) -> list[str]:
    """The size of each family, whether it may still grow, and what lies beside its plan."""
    sizes = settings["families"]
    closed = {family: size for family, size in sizes.items() if not may_grow(family)}
    lines = []
    if closed:
        formatted = "; ".join(f"{family} {size}" for family, size in closed.items())
        lines.append(f"cells in each family ({_CORRECTION[settings['correction']]}): {formatted}")
    for plan, why in _GROWING.items():
        formatted = "; ".join(
            f"{size} cells in {family}" for family, size in sizes.items() if family.startswith(f"{plan}/")
        )
        if formatted:
            lines.append(f"so far, {formatted} ({_CORRECTION[settings['correction']]}; {why})")
    others = other_plans(settings)
    return lines + ([f"other plans in this store, with families of their own: {others}"] if others else [])


def other_plans(settings: Json) -> str:
    """`2 beside demo`; '' where there are none."""
    return ", ".join(f"{count} beside {name}" for name, count in settings["other_plans"].items() if count)


def may_grow(family: str) -> bool:
    """Whether a family has no plan that says what belongs to it."""
    return family.partition("/")[0] in _GROWING


def taken_back(row: Json) -> str:
    """Of `Comparison.taken_back`, in one line."""
    larger = row["family_size"] > row["told_family_size"]
    then, now = (
        f" in a family of {row[key]}" if larger else "" for key in ("told_family_size", "family_size")
    )
    more = f" at {row['seeds']}" if row["seeds"] != row["told_seeds"] else ""
    return (
        f"{_described(row)}: {row['told']} at {row['told_seeds']} seeds{then}, {row['verdict']} "
        f"now{more}{now}"
    )


def stamps(settings: Json, cells: list["Cell"]) -> list[str]:
    """What makes numbers no result, or not comparable with each other."""
    found = []
    if settings["items"] == "fixed":
        found.append("FIXED ITEMS: every claim is about this test set only")
    if settings["selection"] == "oracle":
        found.append("ORACLE: evaluations were chosen on the test labels; a bound, no result")
    if mixes_rules(cells):
        rule = settings["selection"]
        found.append(
            f"MIXED RULES: arms that see nothing {rule} could choose by are judged by their last "
            "evaluation, see the notes"
        )
    if away := settings.get("tested_on"):
        found.append(f"TESTED ON {away} in place of the target: the same models, on its test items")
    protocols = {cell.protocol for cell in cells}
    if "transductive" in protocols:
        which = "all cells" if len(protocols) == 1 else "cells so marked"
        found.append(
            f"TRANSDUCTIVE: {which} saw the unlabelled test inputs; never to be ranked with inductive ones"
        )
    return found


def mixes_rules(cells: Iterable["Cell"]) -> bool:
    """Whether some arm is judged by its last evaluation where another rule was asked for."""
    return any(cell.evidence.mixes_rules for cell in cells)


def unfinished(ends: Rises, evidence: Evidence) -> list[str]:
    """What must be known of arms that had not finished training, or of which that cannot be told."""
    said = []
    for arm, end in ends._asdict().items():
        if end.is_rising:
            rise, left = (
                f"{formatting.signed(value, end.metric)} {evidence.metric(end.metric).display}"
                for value in (end.mean or 0.0, end.remaining)
            )
            said.append(
                f"{arm} still improving: {rise} over the last {100 * (end.share or 0):.0f} % of its steps, "
                f"{left} more projected"
            )
        elif 0 < end.evaluations < LEAST_EVALUATIONS and end.runs >= LEAST_RUNS:
            what = (
                f"{end.evaluations} evaluations, {LEAST_EVALUATIONS} are needed "
                f"(trainer.evaluations={LEAST_EVALUATIONS - 1})"
            )
            said.append(f"whether the {arm} had finished training cannot be told: {what}")
    return said


def finished(comparison: "Findings") -> list[str]:
    """How sure it is of the arms that are not flagged that they had finished training."""
    ends = [
        end
        for cell in comparison
        for end in (cell.strategy_rise, cell.baseline_rise)
        if end["mean"] is not None and not end["is_rising"]
    ]
    if not ends:
        return []
    upper, metric = max(max(end["upper"] for end in ends), 0.0), comparison.settings["metric"]
    rise = f"{100 * upper:.1f} points"
    if METRICS[metric].of_errors is not None:
        if len({cell.unit for cell in comparison}) > 1:
            return []
        rise = f"{formatting.score(upper, metric)} {formatting.unit_in(comparison.settings)}"
    return [
        f"arms not flagged as still improving rose by at most {rise} over the end of their training "
        "(95 % bound)"
    ]


def formatted(cell: "Cell", key: str) -> str:
    value = getattr(cell, key)
    return (
        "–"
        if value is None
        else f"{value} groups"
        if key == "items" and cell.item_unit == "group"
        else str(value)
    )


def ahead(cell: "Cell") -> str:
    """`5/5`: seeds on the side of Δ; beside a claim also what share of seeds that are not is left
    possible."""
    if cell.seeds_ahead is None or cell.failure_rate is None:
        return ""
    rate = f" (≤{100 * cell.failure_rate:.0f} %)" if cell.verdict in ("positive", "negative") else ""
    return f"{cell.seeds_ahead}/{cell.seeds}{rate}"


def probable(cell: "Cell") -> str:
    """`2 / 81 %`: of a loss and of a gain beyond the margin."""
    found = cell.probability_harm, cell.probability_within, cell.probability_gain
    if found[0] is None or found[1] is None or found[2] is None:
        return ""
    harm, _, gain = display(Probabilities(found[0], found[1], found[2]))
    return f"{harm.removesuffix(' %')} / {gain}"


def p_value(cell: "Cell") -> str:
    """Adjusted; where a rule has overruled it, that rule."""
    return cell.overruled or formatting.probability(cell.p_adjusted)


def detectable(cell: "Cell") -> str:
    """The minimum detectable effect; `none` where it lies beyond the metric's range."""
    return "" if cell.ci is None else "none" if cell.mde is None else formatting.score(cell.mde, cell.metric)


def heading(key: str, metric: str = "accuracy") -> str:
    """Of a column. Labels are those of each class or, where there are none, of all items."""
    labels = "labels" if METRICS[metric].task == "classification" else "labelled"
    return {"label_budget": labels, "initialisation": "from"}.get(key, key)


def listing(comparison: "Findings") -> list[str]:
    """Claims taken back, warnings, and what is missing, failed or not applicable."""
    lines = [f"taken back: {taken_back(row)}" for row in comparison.taken_back]
    lines += [f"warning: {warning}" for warning in comparison.warnings]
    for key in ("missing", "failed", "not_applicable"):
        together = defaultdict(list)
        for row in getattr(comparison, key):
            together[_described(row), row["reason"]].append(row["seed"])
        found = []
        for (what, reason), seeds in together.items():
            seeds = sorted(seed for seed in seeds if seed is not None)
            found.append(
                f"{key.replace('_', ' ')}: {what}{f', seed {_commas(seeds)}' if seeds else ''}: {reason}"
            )
        lines += _shortened(found, key.replace("_", " "))
    return lines


def contrasts(comparison: "Findings") -> list[str]:
    """One line a cell: what the source's labels, and the rest of the source, are worth."""
    together = defaultdict(list)
    for row in comparison.contrasts:
        together[tuple(getattr(row, name) for name in (*CELL_KEYS, "variant"))].append(row)
    lines = []
    for rows in together.values():
        found = [f"{row.contrast} {_difference(row)}, {row.verdict}" for row in rows]
        lines.append(f"{_described(vars(rows[0]))}: {'; '.join(found)}")
    if not lines:
        return []
    unit = formatting.unit_in(comparison.settings)
    head = (
        f"what the source's labels are worth, then its inputs, compute and scale (Δ {unit}; a family of "
        f"their own; intervals {holds(comparison.settings, 'of them')}):"
    )
    notes = list(
        dict.fromkeys(
            f"  {note}"
            for row in comparison.contrasts
            for note in row.notes
            if note.startswith("the strategy trains")
        )
    )
    return [head, *(f"  {line}" for line in _shortened(lines, "  contrasts")), *notes]


def _difference(row: "Contrast") -> str:
    return (
        f"{formatting.signed(row.delta, row.metric)} {formatting.interval(row.ci_simultaneous, row.metric)}"
    ).strip()


def sentence(comparison: "Findings") -> str:
    """What a person wants to take away. Controls are told apart, not counted."""
    cells = [cell for cell in comparison if not cell.is_control and cell.transfers]
    settings = comparison.settings
    baseline = baselines.short(settings["baseline"])
    if not cells and any(not cell.transfers for cell in comparison):
        return f"No cell transfers anything: each is another training on the target alone, as {baseline} is."
    if not cells:
        return (
            f"Nothing could be compared with {baseline}: see what is missing or failed, or give another "
            "--baseline."
        )
    count = Counter(cell.verdict for cell in cells)
    words = baseline_words.of_baseline(baseline)
    margin = formatting.margin(settings)
    equivalent = f"{words.same} beyond ±{margin} in {count['equivalent']}"
    undecided = f"undecided in {count['undecided']}"
    if count["undecided"]:
        why = Counter(
            cell.reason.partition(":")[0].partition(";")[0] for cell in cells if cell.verdict == "undecided"
        )
        undecided += f": {', '.join(f'{n} {_WANTS.get(reason, reason)}' for reason, n in why.most_common())}"
    controls = sum(cell.is_control for cell in comparison)
    remark = f" Controls, not counted here: {controls}." if controls else ""
    if without := {cell.strategy for cell in comparison if not cell.transfers}:
        remark += f" {', '.join(sorted(without))}: without a source, not counted here."
    named = f" ({words.harm})" if count["negative"] and words.negative_transfer else ""
    loss = f"{words.loses} in {count['negative']}{named}"
    gain = f"{words.subject} {words.gains} in {count['positive']} cell{'' if count['positive'] == 1 else 's'}"
    return f"Against {baseline}, {gain}, {loss}, {equivalent}, {undecided}.{remark}"


def best(comparison: "Findings") -> list[str]:
    """A sentence a target and budget where there was something to choose from."""
    targets, protocols = (
        {getattr(found, key) for found in comparison.best} for key in ("target", "protocol")
    )
    lines, across = [], baselines.backbone_of(comparison.settings["baseline"]) is not None
    for found in comparison.best:
        if found.among < 2:
            continue
        labels = _labels(found)
        where = ", ".join([found.target] * (len(targets) > 1) + [labels] * bool(labels))
        if len(targets) == 1:
            where = where[:1].upper() + where[1:]
        apart = [found.protocol] * (len(protocols) > 1) + [found.arm] * bool(found.arm)
        where += f" ({', '.join(apart)})" if apart else ""
        sentence = _best(found, across)
        lines.append(f"{where}: {sentence}" if where else sentence)
    return lines


def _labels(found: "Best") -> str:
    budget = found.label_budget
    if budget == "full":
        return "with all labels"
    if budget is None and found.cells[0].evidence.is_imported:
        return ""
    return "without labels" if budget in (None, 0) else f"at {budget} label{'s' * (budget != 1)}"


def _best(found: "Best", across: bool) -> str:
    """across: whether cells have other backbones than the baseline."""
    if not found.gains:
        return f"none of {found.among} cells scores above {found.baseline}."
    backbones = len({cell.backbone for cell in found.cells}) > 1 or across
    leader, *others = (_named(cell, backbones) for cell in found.cells)
    more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
    metric = found.metric
    corrected = (
        ""
        if found.corrected is None
        else f", {formatting.signed(found.corrected, metric)} once its being chosen is allowed for"
    )
    gain = (
        f"{formatting.signed(found.delta, metric)}{corrected}, simultaneous interval "
        f"{formatting.interval(found.ci_simultaneous, metric)}"
    )
    rest = (
        f"{', '.join(others[:NAMED])}{more} cannot be told from it"
        if others
        else "every other is told from it"
    )
    return f"{leader} scores highest of {found.among} ({gain}); {rest}."


def _named(cell: "Cell", backbones: bool) -> str:
    details = ", ".join(filter(None, (cell.backbone if backbones else "", cell.variant)))
    source = f" from {cell.source}" if cell.source else ""
    return f"{cell.strategy}{source}{f' ({details})' if details else ''}"


def _described(row: Json) -> str:
    if row.get("strategy") is None:
        return f"run {row['fingerprint']}"
    variant = f" ({row['variant']})" if row.get("variant") else ""
    domains = " → ".join(filter(None, (row["source"], row["target"])))
    labels = "" if row["label_budget"] is None else f", labels {row['label_budget']}"
    return f"{row['strategy']}{variant}, {domains}{labels}"


def _shortened(lines: list[str], what: str) -> list[str]:
    more = (
        [f"{what}: {len(lines) - LISTED} more lines (--format json has all)"] if len(lines) > LISTED else []
    )
    return lines[:LISTED] + more


def _commas(seeds: list[int]) -> str:
    return ", ".join(map(str, seeds))
