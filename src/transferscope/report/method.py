"""The words around the figures: settings, stamps, gaps, and how it was computed."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from transferscope.comparison import formatting, wording
from transferscope.comparison.cells import Cell
from transferscope.comparison.comparison import Comparison
from transferscope.report import layout, words
from transferscope.tasks.metrics import METRICS


@dataclass
class Gaps:
    """Claims that stand no more, and cells and runs that never came: `lists` of (title, lines) to print,
    `places` of (cell keys, word) for the matrix."""

    lists: list[tuple[str, list[str]]]
    places: list[tuple[dict, str]]


def gaps(comparison: Comparison) -> Gaps:
    kinds = (
        ("Failed runs", "failed", comparison.failed),
        ("Missing runs", "missing", comparison.missing),
        ("Not applicable", "n/a", comparison.not_applicable),
    )
    lists, places = [], {}
    for title, word, entries in kinds:
        lists.append((title, _lines(entries)))
        for entry in entries:
            if entry["strategy"] is not None:  # None: a record that cannot be read
                key = tuple(entry[k] for k in layout.PLACE)
                places.setdefault(key, ({k: entry.get(k) for k in layout.KEYS}, word))
    return Gaps(
        [("Taken back", [wording.taken_back(row) for row in comparison.taken_back]), *lists],
        list(places.values()),
    )


def _lines(entries: Sequence[dict]) -> list[str]:
    """One line a cell and reason, with its seeds."""
    seeds: dict[tuple[str, str], list[int]] = {}
    for entry in entries:
        if entry["strategy"] is None:
            where = f"run {entry['fingerprint']}"
        else:
            where = (
                f"{entry['strategy']} {layout.source_name(entry['source'])} to {entry['target']}, "
                f"{words.budget(entry['label_budget'])}"
            )
        seeds.setdefault((where, entry["reason"]), []).append(entry["seed"])
    return [f"{where}{_seeds(found)}: {reason}" for (where, reason), found in seeds.items()]


def _seeds(seeds: Sequence[int | None]) -> str:
    known = sorted(seed for seed in seeds if seed is not None)
    return f", seed{'s' if len(known) > 1 else ''} {', '.join(map(str, known))}" if known else ""


def settings_line(cells: Sequence[Cell], settings: dict, margin: str) -> list[tuple[str, str]]:
    families = {cell.family: cell.family_size for cell in cells}
    seeds = sorted({cell.seeds for cell in cells})
    largest = sorted(families, key=families.get, reverse=True)
    sizes = [
        ("so far, " if wording.may_grow(family) else "") + words.count(families[family], "cell")
        for family in largest
    ]
    of = f"{sizes[0]} each" if len(sizes) > 1 and len(set(sizes)) == 1 else ", ".join(sizes)
    span = "" if not seeds else str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return [
        ("baseline", settings["baseline"]),
        ("metric", _all(cells, "metric")),
        ("selection", _all(cells, "selection")),
        ("margin", margin),
        ("α", f"{settings['alpha']:g}"),
        ("families", f"{len(families)} ({of})" if families else "none"),
        *([("other plans", others)] if (others := wording.other_plans(settings)) else []),
        ("seeds", span),
        ("protocol", _all(cells, "protocol")),
    ]


def stamps(cells: Sequence[Cell]) -> list[str]:
    """What a reader must not overlook."""
    out = []
    if any(cell.selection == "oracle" for cell in cells):
        out.append(
            "Oracle selection: checkpoints were chosen on the target’s test labels. These numbers are no "
            "result, only a bound."
        )
    if wording.mixes_rules(cells):
        out.append(
            f"Mixed rules: arms that see nothing {cells[0].selection} could choose by are judged by their "
            "last evaluation."
        )
    for away in sorted({cell.evidence.tested_on for cell in cells if cell.evidence.tested_on}):
        out.append(f"Tested on {away} in place of the target: the same models, on its test items.")
    protocols = {cell.protocol for cell in cells}
    if "transductive" in protocols:
        which = "the runs" if len(protocols) == 1 else "rows so marked"
        out.append(
            f"Transductive: {which} saw the unlabelled test inputs. Do not rank them with inductive ones."
        )
    return out


def collapses(cells: Sequence[Cell]) -> list[str]:
    """Collapse is told beside Δ, never removed from it."""
    out = []
    for cell in cells:
        if not (cell.collapsed or cell.baseline_collapsed):
            continue
        low, high = (f"{100 * bound:.0f}" for bound in cell.collapse_rate)
        line = f"{cell.strategy} {layout.place_of(cell)}: "
        line += (
            f"{cell.collapsed} of {cell.seeds} runs (rate {low} to {high} %), {cell.baseline_collapsed} "
            f"of {cell.baseline}"
        )
        given = without_collapse(cell)
        out.append(f"{line}; Δ without them {given}" if given else line)
    return out


def without_collapse(cell: Cell) -> str:
    given = cell.without_collapse
    if not given:
        return ""
    delta = formatting.signed(given["delta"], cell.metric)
    interval = formatting.interval(given["ci"], cell.metric)
    return f"{delta} {interval}, {words.count(given['seeds'], 'seed')}"


ERRORS = (
    "Errors are judged clipped at what the median of the target’s training items, as a prediction, exceeds "
    "on 1 % of them; where more than 1 % of an arm’s are, that is flagged. RMSE enters as pseudo-values of "
    "the jackknife."
)
LABELS = (
    "A label is predicted of an item where its probability is above one half. The mean AUROC of the labels "
    "enters as influence values, their average precision as pseudo-values of the jackknife; labels that all "
    "test items have, or none, are left out of both."
)
SIDES = (
    "Items that change sides are counted between runs of different seeds, and what two runs of the "
    "baseline exchange is taken off; the interval of a row alone adds a jackknife over seeds to the part of "
    "the items. Single items are listed by Fisher’s exact test between the runs of the two arms, "
    "Benjamini–Hochberg over the items of a cell."
)


def paragraphs(cells: Sequence[Cell], settings: dict, margin: str) -> list[str]:
    task = METRICS[settings["metric"]].task
    parts, told_in, rose = {
        "regression": ("Quarters of the true values", "absolute errors", "errors still fell"),
        "multi_label": ("Labels", "accuracy", "F1 still rose"),
    }.get(task, ("Classes", "accuracy", "accuracy still rose"))
    given = sorted({str(what).replace("_", " ") for cell in cells for what in cell.conditional_on})
    any_groups = any(cell.item_unit == "group" for cell in cells)
    grouped = ", which come in groups and count once a group" if any_groups else ""
    sources = {
        "random": "The interval allows for both sources of chance: other seeds, and other test "
        f"items{grouped}. Each variance component gets "
        "its own t quantile, that of the items by how many of them carry Δ, so that the interval holds at "
        "every level, also with few seeds.",
        "fixed": "The interval allows for other seeds alone: it speaks of these very test items.",
    }
    corrections = {
        "holm": "Holm’s method adjusts the p-values of differences, and by itself those of equivalences; "
        "the simultaneous interval is widened for the whole family.",
        "bh": "Benjamini and Hochberg’s method adjusts the p-values of differences, and by itself those of "
        "equivalences: a share of α of either "
        "is expected to be wrong, and of the simultaneous intervals of decided cells to miss.",
    }
    return [
        "Δ is the score of the strategy minus the score of the baseline, averaged over seeds and test "
        "items. A seed draws the labelled "
        "subset, the initialisation, the batches and the source model; both arms share the labelled subset "
        "of a seed and are paired on the same test items.",
        sources[settings["items"]],
        "All comparisons of one target, baseline and metric, as they were planned, form a family. "
        f"{corrections[settings['correction']]} Equivalent: two one-sided tests place Δ inside ±{margin}.",
        *{"regression": [ERRORS], "multi_label": [LABELS]}.get(task, []),
        (
            f"Given, and not allowed for: {', '.join(given) or 'the runs as recorded'}. Another choice of "
            "these may give another answer."
        ),
        f"{parts}, and the subgroups of each metadata column, are told in {told_in}, and those of all cells "
        "of this page are one family: Holm over "
        "all of them, intervals at α divided by their number. The worst one, and the best strategy, are "
        "drawn towards the others (normal-normal empirical Bayes).",
        *([SIDES] if task == "classification" else []),
        "P(harm / gain) is the probability that Δ lies below minus the margin, and above it, given the "
        "whole family: beside the verdict, never in "
        "its place. Seeds ahead are those on the side of Δ; in brackets the largest share of seeds that are "
        "not which this leaves possible.",
        f"Where an arm’s {rose} at the end of its training, what it would yet have gained is "
        "projected, and a difference is told only "
        "beyond that. Otherwise training curves enter no decision. Their measures (Taylor & Stone 2009) "
        "have a t interval over seeds, for these test items.",
    ]


def versions(cells: Sequence[Cell]) -> list[tuple[str, str]]:
    """What the runs were made with, each package with every version found."""
    records = [record for cell in cells for record in cell.evidence.records.values()]
    found: dict[str, set] = {}
    for entry in records:
        for name, version in entry.get("versions", {}).items():
            found.setdefault(name, set()).add(str(version))
        git = entry.get("git") or {}
        if git.get("revision"):
            found.setdefault("revision", set()).add(
                git["revision"][:10] + (" with changes" if git.get("dirty") else "")
            )
        if entry.get("device"):
            found.setdefault("device", set()).add(str(entry["device"]))
    return [(name, ", ".join(sorted(values))) for name, values in sorted(found.items())]


def command(settings: dict) -> str:
    """The line that makes this page again."""
    keys = ("baseline", "metric", "selection", "margin", "alpha", "items", "correction")
    options = " ".join(
        f"--{key.replace('_', '-')} {shlex.quote(str(settings[key]))}"
        for key in (*keys, "protocol", "tested_on")
        if key in settings
    )
    runs = settings.get("arguments") or shlex.quote(str(settings["runs"]))
    return f"transferscope report {runs} {options} -o report.html"


def _all(cells: Sequence[Cell], key: str) -> str:
    return ", ".join(sorted({str(getattr(cell, key)) for cell in cells})) or "–"
