"""The top of the page: one sentence, its counts, and the cells worth looking at first."""

from collections import Counter
from collections.abc import Sequence

from transferscope.comparison import baseline_words
from transferscope.comparison.evidence.parts import Part
from transferscope.report import words
from transferscope.report.layout import View


def answer(views: Sequence[View], shown: int = 3) -> dict:
    """{headline: [(text, verdict or None)], plain, counts, controls, without_source, ordered, findings} for
    the views of a page; controls, and what transfers nothing, are not counted."""
    everything = views
    cells = [view.cell for view in everything]
    views = [view for view in everything if not view.cell.is_control and view.cell.transfers] or everything
    tally = Counter(view.cell.verdict for view in views)
    counts = {verdict: tally[verdict] for verdict in words.VERDICTS}
    baselines = sorted({view.cell.baseline for view in views})
    said = baseline_words.words_of(baselines)
    hurts = "Where it hurts" + (f": {said.harm}" if said.negative_transfer else "")
    headline = _headline(counts, len(views), baselines)
    return {
        "headline": headline,
        "plain": "".join(text for text, _ in headline),
        "counts": counts,
        "controls": sum(cell.is_control for cell in cells),
        "without_source": sorted({cell.strategy for cell in cells if not cell.transfers}),
        "ordered": counts["positive"] + counts["negative"] > 1,
        "findings": [
            _finding(views, "negative", hurts, f"No cell shows {said.harm}.", shown),
            _finding(views, "positive", "Where it helps", "No cell shows a gain.", shown),
            _open(views, shown),
        ],
    }


def _headline(counts: dict[str, int], cells: int, baselines: list[str]) -> list[tuple[str, str | None]]:
    if not cells:
        return [("There is nothing to compare yet.", None)]
    said = baseline_words.words_of(baselines)
    subject = f"Against {said.against}, {said.subject}"
    verbs = {"positive": said.gains, "negative": said.loses, "equivalent": said.same}
    parts = [(f"{verb} in {counts[verdict]}", verdict) for verdict, verb in verbs.items() if counts[verdict]]
    undecided = counts["undecided"]
    if not parts:
        nobody = f"nobody can tell yet in any of {words.count(cells, 'cell')}"
        return [(f"{subject} may help or hurt: ", None), (nobody, "undecided"), (".", None)]
    pieces: list[tuple[str, str | None]] = [(f"{subject} ", None)]
    for k, (text, verdict) in enumerate(parts):
        if k:
            pieces.append((" and " if k == len(parts) - 1 else ", ", None))
        pieces.append((text, verdict))
        if k == 0:
            pieces.append((f" of {words.count(cells, 'cell')}", None))
    if undecided:
        pieces += [("; in ", None), (f"{undecided} nobody can tell yet", "undecided")]
    return [*pieces, (".", None)]


def _finding(views: Sequence[View], verdict: str, title: str, none: str, shown: int) -> dict:
    here = sorted(
        (view for view in views if view.cell.verdict == verdict), key=lambda view: -abs(view.cell.delta)
    )
    note = (
        none
        if not here
        else f"and {words.count(len(here) - shown, 'more cell')}"
        if len(here) > shown
        else ""
    )
    return {"verdict": verdict, "title": title, "views": here[:shown], "note": note}


def _open(views: Sequence[View], shown: int) -> dict:
    """The undecided: what would decide them, most frequent first."""
    here = [view for view in views if view.cell.verdict == "undecided"]
    reasons = Counter(kind(view.cell.reason) for view in here)
    note = f"{len(here)} cells, the nearest to a decision first; " * (len(here) > 1)
    note += (
        "; ".join(f"{n} × {reason}" for reason, n in reasons.most_common(4))
        if here
        else "Every cell is decided."
    )
    nearest = sorted(
        (v for v in here if v.cell.p_adjusted is not None), key=lambda view: view.cell.p_adjusted
    )
    return {"verdict": "undecided", "title": "What is open", "views": nearest[: shown - 1], "note": note}


def losing_parts(views: Sequence[View], shown: int = 3) -> list[tuple[View, str, Part]]:
    """(view, what it is a value of, part): classes and subgroups that lose in cells that are not negative as
    a whole, the surest first."""
    found = []
    for view in views:
        tables = {"class": view.classes, **view.subgroups} if view.classes else {}
        found += [(view, name.replace("_", " "), table["worst"]) for name, table in tables.items()]
    sure = [(view, name, part) for view, name, part in found if part and view.cell.verdict != "negative"]
    return sorted(sure, key=lambda one: one[2].p_adjusted)[:shown]


def kind(reason: str) -> str:
    """A reason without its numbers and asides, so that equal ones can be counted."""
    return reason.split(":")[0].split("(")[0].strip() or "no reason given"
