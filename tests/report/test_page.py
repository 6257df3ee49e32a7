import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from store_fixture import edit, write_run, write_runs
from transferscope.cli import report
from transferscope.comparison import formatting, over_formats
from transferscope.comparison.compare import compare
from transferscope.comparison.comparison import Comparison
from transferscope.comparison.evidence import flips, forgetting, learning
from transferscope.comparison.evidence.predictions import PredictionReader
from transferscope.report import answer, figures, layout, page
from transferscope.store.record import read_history

NASTY = '<script>alert("x")</script>'


class Page(HTMLParser):
    """Ids, links to them, scripts, rows of the verdict tables and the words outside style and script."""

    def __init__(self, html: str):
        super().__init__()
        self.ids, self.links, self.outside, self.scripts, self.words, self.rows = [], [], [], 0, [], []
        self.at, self.row = [], None
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.at.append(tag)
        self.scripts += tag == "script"
        if "id" in attributes:
            self.ids.append(attributes["id"])
        for key in ("href", "src"):
            if key in attributes:
                (self.links if attributes[key].startswith("#") else self.outside).append(attributes[key])
        if tag == "tr" and "data-verdict" in attributes and "data-cell" in attributes:
            self.row = [attributes["data-cell"]]
            self.rows.append(self.row)

    def handle_endtag(self, tag):
        if tag == "tr":
            self.row = None

    def handle_data(self, data):
        if self.at[-1:] in (["style"], ["script"]):
            return
        self.words.append(data)
        if self.row is not None:
            self.row.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


@pytest.fixture(scope="module")
def html(comparison) -> str:
    return page.render(comparison)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A store of two cells: a gain and its control, with nothing beside it."""
    store = tmp_path_factory.mktemp("few") / "runs"
    write_runs(store, "scratch", 0.3, n=60)
    for noise in (0.0, 1.0):
        write_runs(store, "fine_tuning", 1.2 - noise, n=60, consumed={"source_label_noise": noise})
    return store


def test_every_cell_is_told_with_delta_verdict_and_reason(comparison, html):
    rows = {" ".join(row[1:]) for row in Page(html).rows}
    assert len(rows) == len(comparison) == 15
    for cell in comparison:
        expected = (
            cell.verdict,
            formatting.signed(cell.delta, "accuracy"),
            formatting.interval(cell.ci_simultaneous, "accuracy"),
            cell.reason,
        )
        assert any(all(part in row for part in expected) for row in rows), expected


def test_gaps_and_collapses_are_told(comparison, html):
    text = Page(html).text
    for row in (*comparison.failed, *comparison.missing, *comparison.not_applicable):
        assert row["reason"] in text
    assert not re.search(r"<[a-z/]", text)  # no markup shows as words
    assert re.search(r"dann from printed, 2 labels: 1 of 5 runs \(rate \d+ to \d+ %\)", text)


def test_anchors_resolve_and_nothing_is_elsewhere(html):
    found = Page(html)
    assert len(set(found.ids)) == len(found.ids)
    assert {link[1:] for link in found.links} <= set(found.ids)
    assert all(address.startswith("data:") for address in found.outside)
    assert not re.search(r"https?://", html)


def test_words_of_records_cannot_break_the_page(tmp_path):
    for seed in range(3):
        write_run(tmp_path, "scratch", seed, 0.5, n=60, target=NASTY)
        write_run(tmp_path, NASTY, seed, 0.9, n=60, target=NASTY, source=NASTY)
    write_run(
        tmp_path,
        NASTY,
        9,
        0.9,
        n=60,
        target=NASTY,
        source=NASTY,
        status="failed",
        reason=f"Error: {NASTY}</style>",
    )
    html = page.render(compare(tmp_path))
    found = Page(html)
    assert found.scripts == 1 and "<script>alert" not in html
    assert found.text.count(NASTY) > 5


def test_negative_transfer_is_said_against_target_only_baselines_alone(store, html):
    assert "negative transfer" in Page(html).text
    for baseline in ("source_only", "shuffled_source"):
        other = compare(store, baseline=baseline)
        assert len(other) and "negative transfer" not in page.render(other).lower()


def test_headline_counts_the_cells_without_the_controls(comparison):
    cells = [cell for cell in comparison if not cell.variant][:5]
    verdicts = ("positive", "negative", "negative", "equivalent", "undecided")
    judged = [replace(cell, verdict=verdict) for cell, verdict in zip(cells, verdicts, strict=True)]
    controls = [replace(cell, verdict="negative") for cell in comparison if cell.variant]
    said = answer.answer([view for target in layout.build(judged + controls, []) for view in target.views])
    assert said["plain"] == (
        "Against training from scratch, transfer helps in 1 of 5 cells, hurts in 2 and makes no difference "
        "in 1; in 1 nobody can tell yet."
    )
    assert (
        said["counts"] == {"positive": 1, "negative": 2, "equivalent": 1, "undecided": 1}
        and said["controls"] == len(controls) == 2
    )


@pytest.mark.parametrize("metric", ["nll", pytest.param("brier", marks=pytest.mark.slow)])
def test_other_metrics_are_not_called_points(store, metric):
    text = Page(page.render(compare(store, metric=metric, margin=0.05))).text
    assert "points" not in text and "±0.05" in text


def test_single_seed_and_nothing_at_all_still_give_a_page(tmp_path, comparison):
    write_run(tmp_path, "scratch", 0, 0.5, n=60)
    write_run(tmp_path, "fine_tuning", 0, 0.9, n=60, initialisation="source")
    assert "one seed" in page.render(compare(tmp_path))
    empty = Comparison([], [], [], [], [], comparison.settings)
    assert "There is nothing to compare yet." in page.render(empty)


def test_what_stands_beside_the_mean_is_told(comparison, html):
    text = Page(html).text
    for cell in comparison:
        found = flips.count_flips(cell, 0.05, PredictionReader())
        for one in (found.lost, found.won):
            assert (
                formatting.signed(one.delta, "accuracy") in text
                and formatting.interval(one.ci, "accuracy") in text
            )
        for source in forgetting.measure(cell, 0.05):
            assert formatting.interval(source.ci, "accuracy") in text
        if found := learning.compare_curves(cell, 0.05):
            assert formatting.interval(found.area.ci, "accuracy") in text
    assert "By ward" in text and "hidden negative transfer" in text and "lost by the twin" in text
    assert "What the source’s labels are worth" in text and "its being chosen" in text


def test_flipped_items_are_pictured_two_dozen_a_cell_at_most(comparison, html):
    most = max(len(flips.count_flips(cell, 0.05, PredictionReader()).items_lost) for cell in comparison)
    cards = html.split('<div class="evidence"')[1:]
    pictured = [card.count('<img src="data:image/png;base64,') for card in cards]
    assert len(cards) == len(comparison) and max(pictured) == 24 < most and min(pictured) == 0
    assert all(picture.split('alt="')[1][0] != '"' for picture in html.split("<img ")[1:])


def test_without_a_twin_there_is_no_column_for_it(few):
    text = Page(page.render(compare(few))).text
    assert "lost by the twin" not in text and "By ward" not in text and "between two runs of scratch" in text


def test_a_class_that_loses_is_a_headline_where_the_whole_does_not_lose(tmp_path):
    def spoil(members: dict) -> None:
        members["handwritten/test/probabilities/000300"][members["handwritten/test/labels"] == 3] = np.eye(
            10, dtype=np.float32
        )[4]

    write_runs(tmp_path, "scratch", 1.0)
    for job in write_runs(tmp_path, "joint", 2.0):
        edit(tmp_path, job["fingerprint"], spoil)
    said = (
        Page(page.render(compare(tmp_path)))
        .text.split("Not in the mean, the surest first:")[1]
        .split("baseline")[0]
    )
    assert "loses on class class3" in " ".join(said.split())
    write_runs(tmp_path / "equal", "scratch", 1.0)
    write_runs(tmp_path / "equal", "joint", 2.0)
    assert "Not in the mean" not in page.render(compare(tmp_path / "equal"))


def test_a_crossover_is_told_with_its_budgets(tmp_path):
    for budget, skill in ((2, 2.5), (10, -0.5)):
        write_runs(tmp_path, "scratch", 1.0, label_budget=budget)
        write_runs(tmp_path, "joint", skill, label_budget=budget)
    assert "turns into a loss between 2 labels and 10 labels" in Page(page.render(compare(tmp_path))).text


def test_other_choices_of_compare_give_a_page(few):
    choices = {"margin": "relative:0.1", "items": "fixed", "correction": "bh", "metric": "macro_f1"}
    text = Page(page.render(compare(few, **choices))).text
    for part in ("10 % of the baseline's risk", "these very test items", "Hochberg’s", "macro_f1"):
        assert part in text


def test_large_comparisons_fold_by_source(comparison):
    many = [replace(cell, source=f"{cell.source}_{k}") for cell in comparison for k in range(5)]
    html = page.render(replace(comparison, cells=many))
    assert len(Page(html).rows) == len(many) == 75
    assert html.count('<details class="fold">') > 17 > html.count('<details class="fold" open>')


def test_verb_writes_the_page_whole(few, tmp_path, capsys):
    output = tmp_path / "deep" / "page.html"
    assert report.main([str(few), "-o", str(output), "--margin", "0.02"]) == 0
    assert "--margin 0.02" in output.read_text() and "2 cells" in capsys.readouterr().out
    assert [path.name for path in output.parent.iterdir()] == ["page.html"]


def test_axis_holds_the_differences_and_cuts_an_interval_that_would_flatten_them():
    deltas, intervals = [0.02, -0.03, 0.0], [(0.0, 0.04), (-0.05, -0.01), (-2.0, 2.0)]
    axis = figures.difference_axis(deltas, intervals, 0.01)
    assert axis.lo < -0.05 and axis.hi > 0.04 and axis.hi - axis.lo < 0.5
    row = figures.forest_row(axis, 0.0, intervals[2], None)
    assert (
        row["ci"]["cut_left"]
        and row["ci"]["cut_right"]
        and row["ci"]["left"] == 0
        and row["ci"]["right"] == 100
    )
    assert 0.0 in axis.ticks and all(axis.lo <= tick <= axis.hi for tick in axis.ticks)


def test_curve_is_mean_and_range_at_shared_steps(comparison):
    assert figures.curve([[(0, 0.2), (10, 0.4), (15, 1.0)], [(0, 0.4), (10, 0.8)]]) == [
        (0, pytest.approx(0.3), 0.2, 0.4),
        (10, pytest.approx(0.6), 0.4, 0.8),
    ]
    thinned = figures.curve([[(step, 0.5) for step in range(1000)]])
    assert len(thinned) <= 61 and thinned[-1][0] == 999
    run = comparison.cells[0].evidence.strategy_runs[0]
    assert read_history(run)[0]["step"] == 0


@pytest.mark.parametrize(
    ("value", "text"), [(0.1234, "+12.3"), (-0.0004, "0.0"), (-0.05, "−5.0"), (None, "–"), (math.nan, "–")]
)
def test_signed(value, text):
    assert formatting.signed(value, "accuracy") == text


def test_variants_are_short_where_that_stays_clear():
    short = layout.short_variants(
        ["trainer.optimizer.lr=0.01, source_label_noise=1.0", "trainer.steps=600", "strategy.steps=5", ""]
    )
    assert list(short.values()) == ["lr=0.01, shuffled source", "trainer.steps=600", "strategy.steps=5"]


def test_a_page_of_five_targets_begins_with_the_claims_over_them(tmp_path, comparison, html):
    assert 'id="pooled"' not in html
    for k in range(5):
        write_runs(tmp_path, "scratch", 0.5, target=f"ward_{k}", n=60)
        write_runs(tmp_path, "fine_tuning", 0.5 + 0.2 * k, target=f"ward_{k}", n=60)
    write_runs(tmp_path, "dann", 1.0, target="ward_0", n=60)
    found = compare(tmp_path)
    told = Page(page.render(found))
    assert told.ids.index("pooled") < told.ids.index("matrix") and "#pooled" in told.links
    (claim,) = found.over("targets")
    above = page.render(found).partition("<h1>")[0].replace("<wbr>", "")
    assert f"Over 5 targets: fine_tuning, 10 labels: <strong>{claim.verdict}</strong>" in above
    text = " ".join(told.text.split())
    assert over_formats.sentence(claim, found.over("targets")) in text
    assert "only 1 target, 5 are needed: dann at 10 labels" in text
