"""The page's section on what was predicted."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from markupsafe import escape

from store_fixture import write_runs
from transferscope.comparison import formatting
from transferscope.comparison.compare import compare
from transferscope.comparison.comparison import Comparison
from transferscope.report import page
from transferscope.store import record

NASTY = '<script>alert("x")</script>'
PAIRS = [(f"d{a}", f"d{b}") for a in range(4) for b in range(4) if a != b]


@pytest.fixture(scope="module")
def comparison(tmp_path_factory) -> Comparison:
    """Twelve pairs of four domains; a distance with bad markup for a name, of one pair without a value."""
    store = tmp_path_factory.mktemp("predicted")
    for target in {target for _, target in PAIRS}:
        write_runs(store, "scratch", 0.5, seeds=2, target=target, n=40)
    for source, target in PAIRS:
        write_runs(
            store,
            "fine_tuning",
            0.5 + 0.1 * int(source[1]),
            seeds=2,
            source=source,
            target=target,
            n=40,
            initialisation="source",
        )
    comparison = compare(store)
    predictions = []
    for k, cell in enumerate(cell for cell in comparison if cell.source):
        eaten = next(iter(cell.evidence.records.values()))["consumed"]
        consumed = {
            key: eaten.get(key) for key in ("target", "backbone", "image_size", "channels", "split_seed")
        }
        consumed |= {"sources": [{"name": cell.source, "digest": digest(store, cell.source)}], "seed": 0}
        values = {"inputs": {"mmd": -cell.delta, NASTY: None if k == 0 else 3e-9 * k}}
        predictions.append({"kind": "distances", "created": "", "consumed": consumed, "values": values})
    return replace(comparison, predictions=predictions)


def digest(store: Path, name: str) -> str:
    runs = (record.read_record(folder)["consumed"] for folder in record.run_folders(store))
    return next(one["digest"] for run in runs for one in run["sources"] if one["name"] == name)


def section(html: str) -> str:
    return html.partition('<section id="ranking"')[2].partition("</section>")[0]


def test_the_section_is_there_with_predictions_alone(comparison):
    assert section(page.render(replace(comparison, predictions=[]))) == "" and '"#ranking"' in page.render(
        comparison
    )


def test_it_tells_the_conclusion_and_every_number(comparison):
    (found,) = comparison.rankings
    expected = section(page.render(comparison))
    assert (
        found.conclusion.startswith("Too few to claim anything: the names of 4 domains")
        and found.conclusion in expected
    )
    by_name = {score.name: score for score in found.scores}
    assert by_name["inputs/mmd"].tau == pytest.approx(1) and "τ 1.00, p " in expected
    assert (
        "no AUROC: 0 negative and 12 other pairs" in expected
        and "no AUROC: 0 negative and 11 other pairs" in expected
    )
    for point in found.points:
        value = f"{point.values['inputs/mmd']:.3g}".replace("-", "−")
        assert f"{point.source} → {point.target}" in expected and f">{value}<" in expected
        assert formatting.signed(point.delta, "accuracy") in expected


def test_a_figure_has_one_point_a_pair_that_has_a_value(comparison):
    panels = section(page.render(comparison)).split('<figure class="panel"')[1:]
    assert [panel.partition("</figure>")[0].count("<use ") for panel in panels] == [12, 11]


def test_names_cannot_break_the_page(comparison):
    html = page.render(comparison)
    assert html.count("<script") == 1 and escape(NASTY) in section(html)


def test_two_pairs_are_a_table_without_a_figure(comparison):
    few = replace(
        comparison,
        cells=[
            cell
            for cell in comparison
            if cell.source and (cell.target, cell.source) in (("d0", "d1"), ("d1", "d0"))
        ],
    )
    expected = section(page.render(few))
    assert (
        "2 pairs of 2 domains; 8 pairs of 4 domains are the least" in expected
        and "<figure" not in expected
        and "d0 → d1" in expected
    )


def test_json_holds_what_the_page_shows(comparison):
    (found,) = json.loads(comparison.to_json())["rankings"]
    assert found["conclusion"] == comparison.rankings[0].conclusion and len(found["points"]) == 12
