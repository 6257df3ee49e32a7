"""A comparison as one HTML page that needs nothing else: no other file, no network, no script for reading."""

import base64
import hashlib
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

import transferscope
from transferscope import record
from transferscope.compare import Comparison
from transferscope.report import evidence, figures, layout, method, words
from transferscope.report.answer import answer

LARGE = 60  # cells beyond which the parts fold, a source each
PANEL_HEIGHT = 150
SECTIONS = {
    "matrix": "Matrix",
    "intervals": "Intervals",
    "budgets": "Budgets",
    "curves": "Curves",
    "classes": "Classes",
    "verdicts": "Verdicts",
    "evidence": "Evidence",
    "method": "Method",
}


def render(comparison: Comparison) -> str:
    """The page of a comparison. Reads history.csv of the runs for the curves."""
    cells, settings = comparison.cells, comparison.settings
    gaps = method.gaps(comparison)
    targets = layout.build(cells, gaps.places, settings["margin"])
    for target in targets:
        evidence.add(target, settings["alpha"])
        budgets = sorted({view.cell.label_budget for view in target.views}, key=layout.budget_order)
        for line in (line for source in target.sources for line in source.lines):
            points = {b: (view.cell.delta, view.cell.ci) for b, view in line.views.items()}
            line.panel = figures.budget_panel(target.budget_axis, budgets, points, PANEL_HEIGHT)
    views = [view for target in targets for view in target.views]
    shown = {
        "budgets": any(len(target.budgets) > 1 for target in targets),
        "curves": any(view.curves for view in views),
        "classes": any(view.classes for view in views),
    }
    metric = settings["metric"]
    baselines = sorted({cell.baseline for cell in cells})
    margin = f"{words.number(settings['margin'], metric)} {words.unit(metric)}"
    script = _asset("page.js")
    return _environment().get_template("page.html.j2").render(
        answer=answer(views),
        targets=targets,
        metric=metric,
        unit=words.unit(metric),
        margin=margin,
        confidence=f"{100 * (1 - settings['alpha']):g} %",
        baseline_names=" or ".join(baselines) or "baseline",
        meanings=words.explanations(baselines, margin),
        settings=method.settings_line(cells, settings, margin),
        stamps=method.stamps(cells),
        sections=[(id, name) for id, name in SECTIONS.items() if shown.get(id, True)],
        with_budgets=shown["budgets"],
        with_curves=shown["curves"],
        with_classes=shown["classes"],
        large=len(cells) > LARGE,
        panel_height=PANEL_HEIGHT,
        gutter=figures.GUTTER,
        collapses=method.collapses(cells),
        gaps=gaps.lists,
        warnings=list(comparison.warnings),
        method=method.paragraphs(cells, settings, margin),
        command=method.command(settings),
        versions=method.versions(cells),
        version=transferscope.__version__,
        style=Markup(_asset("page.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def write(path: Path | str, html: str) -> None:
    """Whole or not at all: written beside `path`, then renamed."""
    record.write_atomically(Path(path), html)


def _asset(name: str) -> str:
    return files("transferscope.report").joinpath(name).read_text(encoding="utf-8")


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("transferscope.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "signed": words.signed,
        "number": words.number,
        "interval": words.interval,
        "probability": words.probability,
        "budget": words.budget,
        "source": layout.source_name,
        "tally": _tally,
        "count": words.count,
        "breakable": lambda text: Markup(re.sub(r"(_|\.(?=[a-z]))", r"\1<wbr>", str(escape(text)))),
        "words": lambda text: text.replace("_", " "),
        "tick": lambda value, metric: words.signed(value, metric).removesuffix(".0"),
        "whole": lambda delta, metric: words.signed(round(delta, 2), metric).removesuffix(".0"),
    }
    return environment


def _tally(views: Sequence[layout.View]) -> str:
    verdicts = [view.cell.verdict for view in views]
    return ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in words.VERDICTS if verdict in verdicts)
