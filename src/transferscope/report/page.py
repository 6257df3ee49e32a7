"""A comparison as one HTML page that needs nothing else: no other file, no network, no script for reading."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache, partial
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

import transferscope
from transferscope.comparison import best, formatting, wording
from transferscope.comparison.advice import advice
from transferscope.comparison.baseline_words import WORDS
from transferscope.comparison.comparison import Comparison
from transferscope.comparison.evidence import budgets, learning, regret
from transferscope.comparison.evidence.predictions import PredictionReader, check
from transferscope.report import (
    away,
    cards,
    figures,
    layout,
    method,
    pooled,
    ranking,
    residuals,
    search,
    standing,
    words,
)
from transferscope.report.answer import answer, losing_parts
from transferscope.report.pictures import Pictures
from transferscope.store import record

LARGE = 60  # cells beyond which the parts fold, a source each
PANEL_HEIGHT = 150
SECTIONS = {
    "pooled": "All targets",
    "matrix": "Matrix",
    "intervals": "Intervals",
    "standing": "Choice",
    "budgets": "Budgets",
    "curves": "Curves",
    "classes": "Classes",
    "residuals": "Residuals",
    "items": "Items",
    "aftermath": "Side effects",
    "away": "Away",
    "ranking": "Prediction",
    "search": "Search",
    "verdicts": "Verdicts",
    "evidence": "Evidence",
    "method": "Method",
}


def targets_of(comparison: Comparison) -> list[layout.Target]:
    """The targets of a page, with all that its figures draw. Reads history.csv of the runs for the curves."""
    settings = comparison.settings
    seen = [cell.evidence for cell in comparison.cells]
    for folder in dict.fromkeys(
        run for one in seen for run in (*one.strategy_runs, *one.baseline_runs, *one.twin_runs)
    ):
        check(folder)
    targets = layout.build(comparison.cells, method.gaps(comparison).places)
    reader, pictures = PredictionReader(), Pictures()
    costs = learning.source_costs(run for one in seen for run in one.records.values())
    for target in targets:
        cards.add(target, settings["alpha"], reader, pictures, costs)
        for line in (line for source in target.sources for line in source.lines):
            _draw_budgets(target, line, settings)
    cards.add_parts(targets, settings["alpha"], reader)
    return targets


def render(
    comparison: Comparison,
    targets: list[layout.Target] | None = None,
    elsewhere: Mapping[str, Comparison] | None = None,
) -> str:
    """The page of a comparison. targets: of `targets_of`, where they are there already. elsewhere: the same
    on further domains (`compare_away`)."""
    cells, settings = comparison.cells, comparison.settings
    targets = targets_of(comparison) if targets is None else targets
    gaps = method.gaps(comparison)
    views = [view for target in targets for view in target.views]
    for view, drawn in zip(
        views, best.within_families([view.cell for view in views], settings["items"]), strict=True
    ):
        view.shrunken = drawn
    found = standing.standing(comparison, views)
    searches = search.views(comparison.searches)
    rows = away.rows(comparison, elsewhere or {})
    regrets = regret.regrets(cells)
    over = pooled.over_targets(comparison)
    shown = {
        "pooled": over is not None,
        "standing": any(found.values()),
        "budgets": any(len(target.budgets) > 1 for target in targets),
        "curves": any(view.curves for view in views),
        "classes": any(view.classes for view in views),
        "residuals": any(view.residuals for view in views),
        "items": any(view.flips for view in views),
        "aftermath": any(view.calibration for view in views) or bool(regrets.mean or regrets.left_out),
        "away": bool(rows),
        "ranking": bool(comparison.rankings),
        "search": bool(searches),
    }
    metric = settings["metric"]
    said = words.of_task(metric, formatting.unit_in(settings))
    baselines = sorted({cell.baseline for cell in cells})
    margin = formatting.margin(settings)
    script = _asset("page.js")
    return (
        _environment(is_stated=not all(cell.evidence.is_imported for cell in comparison))
        .get_template("page.html.j2")
        .render(
            answer=answer(views),
            losing=losing_parts(views),
            targets=targets,
            metric=metric,
            unit=formatting.unit_in(settings),
            margin=margin,
            confidence=f"{100 * (1 - settings['alpha']):g} %",
            holds=wording.holds(settings, "of them"),
            alpha_percent=f"{100 * settings['alpha']:g} %",
            baseline_names=" or ".join(baselines) or "baseline",
            hidden=words.hidden(baselines),
            meanings=words.explanations(baselines, margin),
            settings=method.settings_line(cells, settings, margin),
            stamps=method.stamps(cells),
            sections=[
                (id, said.parts_nav if id == "classes" else name)
                for id, name in SECTIONS.items()
                if shown.get(id, True)
            ],
            task=said,
            residual_height=residuals.HEIGHT,
            **{f"with_{id}": there for id, there in shown.items()},
            with_probabilities=any(cell.probability_harm is not None for cell in cells),
            with_learning=any(view.learning for view in views),
            parts=next((view.classes["family"] for view in views if view.classes), 0),
            with_subgroups=any(view.subgroups for view in views),
            with_forgetting=any(view.forgetting for view in views),
            with_twin=any(view.flips and view.flips.twin is not None for view in views),
            regrets=regrets,
            pooled=over,
            standing=found,
            away_rows=rows,
            away_domains=list(elsewhere or {}),
            isolates=settings["isolates"],
            all_baselines={name: said.isolates for name, said in WORDS.items()},
            large=len(cells) > LARGE,
            panel_height=PANEL_HEIGHT,
            rankings=ranking.views(comparison.rankings),
            ranking_height=ranking.HEIGHT,
            searches=searches,
            search_height=search.HEIGHT,
            gutter=figures.GUTTER,
            collapses=method.collapses(cells),
            gaps=gaps.lists,
            advice=advice(comparison),
            warnings=list(comparison.warnings),
            method=method.paragraphs(cells, settings, margin),
            command=method.command(settings),
            versions=method.versions(cells),
            version=transferscope.__version__,
            style=Markup(_asset("page.css")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


def _draw_budgets(target: layout.Target, line: layout.Line, settings: dict) -> None:
    """Δ along the label budgets, the band that holds at all of them, and the crossovers it shows."""
    labelled = [view.cell for budget, view in line.views.items() if budget is not None]
    bounds = {}
    if len(labelled) > 1:
        band = budgets.band(labelled, settings["alpha"], settings["items"])
        bounds = dict(zip(band.budgets, band.ci, strict=True))
        line.crossings = [
            f"turns into a {side} between {words.budget(a)} and {words.budget(b)}"
            for a, b, side in band.crossovers()
        ]
    points = {budget: (view.cell.delta, view.cell.ci) for budget, view in line.views.items()}
    at = sorted({view.cell.label_budget for view in target.views}, key=layout.budget_order)
    line.panel = figures.budget_panel(target.budget_axis, at, points, bounds, PANEL_HEIGHT) | {"band": bounds}


def write(path: Path | str, html: str) -> None:
    """Whole or not at all: written beside `path`, then renamed."""
    record.write_atomically(Path(path), html)


def _asset(name: str) -> str:
    return files("transferscope.report").joinpath(name).read_text(encoding="utf-8")


@cache  # it keeps the compiled templates: compiling them takes longer than rendering a page
def _environment(is_stated: bool) -> Environment:
    """is_stated: whether no source, or no labels, means that there were none."""
    environment = Environment(
        loader=PackageLoader("transferscope.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "signed": formatting.signed,
        "number": formatting.score,
        "interval": lambda bounds, metric: formatting.interval(bounds, metric) or formatting.NOTHING,
        "probability": formatting.probability,
        "share": formatting.share,
        "p_value": wording.p_value,
        "ahead": wording.ahead,
        "probable": wording.probable,
        "detectable": wording.detectable,
        "budget": partial(words.budget, is_stated=is_stated),
        "source": partial(layout.source_name, is_stated=is_stated),
        "tally": _tally,
        "count": words.count,
        "breakable": lambda text: Markup(re.sub(r"(_|\.(?=[a-z]))", r"\1<wbr>", str(escape(text)))),
        "words": lambda text: text.replace("_", " "),
        "amount": words.amount,
        "saving": words.saving,
        "tick": lambda value, metric: formatting.signed(value, metric).removesuffix(".0"),
        "whole": formatting.rounded,
    }
    return environment


def _tally(views: Sequence[layout.View]) -> str:
    verdicts = [view.cell.verdict for view in views]
    return ", ".join(
        f"{verdicts.count(verdict)} {verdict}" for verdict in words.VERDICTS if verdict in verdicts
    )
