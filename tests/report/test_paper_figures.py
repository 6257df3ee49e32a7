import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.text import Text

from store_fixture import write_run, write_runs
from transferscope.cli import main
from transferscope.comparison import formatting
from transferscope.comparison.compare import compare
from transferscope.comparison.comparison import Comparison
from transferscope.report import layout, page, paper_figures, words
from transferscope.report.layout import Target
from transferscope.report.paper_style import style

NASTY = r"a/../$x_1$ & <b>"


@pytest.fixture(scope="module")
def comparison(bare) -> Comparison:
    return compare(bare)


@pytest.fixture(scope="module")
def targets(comparison) -> list[Target]:
    return page.targets_of(comparison)


@pytest.fixture(scope="module")
def drawn(comparison, targets) -> dict:
    return paper_figures.drawn(comparison, targets)


def texts(path: Path) -> list[str]:
    return [node.text for node in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def lines(figure) -> dict[str, list[tuple]]:
    """Ends of every line that has a name, by that name."""
    found = {}
    for axes in figure.axes:
        for line in axes.lines:
            found.setdefault(line.get_gid(), []).append((list(line.get_xdata()), list(line.get_ydata())))
    return found


def test_the_verb_writes_page_and_figures_the_same_bytes_each_time(tmp_path, monkeypatch, capsys):
    for budget in (2, 10):
        for strategy, skill in {"scratch": 0.3, "fine_tuning": 0.9, "dann": 0.2}.items():
            write_runs(tmp_path / "store", strategy, skill, 2, target="blobs", label_budget=budget, n=60)
    monkeypatch.chdir(tmp_path)
    assert main.main(["report", "store", "--figures", "a/b"]) == 0
    said = capsys.readouterr().out.splitlines()
    found = {path.name: path.read_bytes() for path in Path("a/b").iterdir()}
    assert len(said) == 2 and said[1] == f"a/b: {len(found) // 2} figures, each as SVG and PDF"
    assert "verdicts-blobs.svg" in found and {name[:-3] + "pdf" for name in found if name[-3:] == "svg"} == {
        name for name in found if name[-3:] == "pdf"
    }
    assert "blobs" in Path("report.html").read_text()
    Path("a/b/verdicts-blobs.svg").write_text("of another day")
    comparison = compare("store")
    paper_figures.write(Path("a/b"), comparison, page.targets_of(comparison))
    assert found == {path.name: path.read_bytes() for path in Path("a/b").iterdir()}
    assert not [name for name, data in found.items() if b"Type3" in data or b"CreationDate" in data]


def test_every_figure_is_the_same_drawn_again(comparison, targets, drawn):
    with style():
        again = paper_figures.drawn(comparison, targets)
        assert all(
            paper_figures._bytes(drawn[n], "svg") == paper_figures._bytes(again[n], "svg") for n in again
        )


def test_every_cell_stands_in_the_forest_plot_with_label_numbers_and_verdict(targets, drawn, tmp_path):
    with style():
        drawn["verdicts-handwritten"].savefig(tmp_path / "forest.svg")
    said = texts(tmp_path / "forest.svg")
    together = " ".join(said)
    for view in targets[0].views:
        cell = view.cell
        assert f"{view.label}, {words.budget(cell.label_budget)}" in together
        assert f"{cell.source or 'no source domain'} → {cell.target}" in said and cell.verdict in said
        bounds = formatting.interval(cell.ci_simultaneous, cell.metric)
        assert f"{formatting.signed(cell.delta, cell.metric)} {bounds}" in said
        assert f"{cell.seeds} × {cell.items}" in said
    assert "baseline scratch, selection last" in together and "Δ of accuracy in points" in said


def test_the_intervals_drawn_are_those_of_the_comparison(targets, drawn):
    forest = lines(drawn["verdicts-handwritten"])
    panels = [lines(figure) for name, figure in drawn.items() if name.startswith("budgets-")]
    for view in targets[0].views:
        cell = view.cell
        assert [list(cell.ci)] == [x for x, _ in forest[f"{view.id}-ci"]]
        assert [list(cell.ci_simultaneous)] == [x for x, _ in forest[f"{view.id}-simultaneous"]]
        assert [[cell.delta]] == [x for x, _ in forest[f"{view.id}-delta"]]
        (panel,) = (found for found in panels if f"{view.id}-ci" in found)
        assert [list(cell.ci)] == [y for _, y in panel[f"{view.id}-ci"]]
        assert any(cell.strategy_score in y for _, y in panel["strategy_score"])
        assert any(cell.baseline_score in y for _, y in panel["baseline_score"])
    assert sorted(x for x, _ in forest["margin"]) == [[-0.01, -0.01], [0.01, 0.01]]


def test_a_shape_says_the_verdict(comparison, targets):
    views = [view for view in targets[0].views if view.cell.label_budget == 10][:4]
    for view, verdict in zip(views, words.VERDICTS, strict=True):
        view.cell, view.was = replace(view.cell, verdict=verdict), view.cell
    figure = paper_figures.forest(targets[0], views, comparison.settings)
    marks = {line.get_gid(): line.get_marker() for line in figure.axes[0].lines}
    assert len({marks[f"{view.id}-delta"] for view in views}) == 4
    for view in views:
        view.cell = view.was


def test_training_curves_are_those_of_the_page(targets, drawn):
    views = [view for view in targets[0].views if view.curves]
    found = {name: ends for figure in drawn.values() for name, ends in lines(figure).items()}
    assert len(views) == 15
    for view in views:
        for arm, line in view.curves["lines"].items():
            ((steps, means),) = found[f"{view.id}-{arm}"]
            assert steps == [point[0] for point in line] and means == [point[1] for point in line]


def test_names_of_records_are_text_and_no_path(tmp_path, monkeypatch):
    monkeypatch.setattr(paper_figures, "NO_DATE", {"svg": {"Date": None}})  # a PDF takes long
    for seed in range(2):
        for target in (NASTY, NASTY.upper(), "名"):
            write_run(tmp_path / "runs", "scratch", seed, 0.5, n=40, target=target)
            write_run(tmp_path / "runs", NASTY, seed, 0.9, n=40, target=target, source=NASTY)
    output = tmp_path / "figures"
    with pytest.warns(UserWarning, match="missing from font"):
        main.main(["report", str(tmp_path / "runs"), "-o", str(tmp_path / "page"), "--figures", str(output)])
    names = {path.name for path in output.iterdir()}
    assert {"verdicts-A-X_1-B.svg", "verdicts-a-x_1-b-2.svg", "verdicts-x.svg"} < names and len(names) == 6
    assert all(re.fullmatch(r"[\w-]+\.svg", name, re.ASCII) for name in names)
    said = texts(output / "verdicts-a-x_1-b-2.svg")
    assert f"{NASTY} → {NASTY}" in said and f"{NASTY}, 10 labels" in said
    assert any("名" in text for text in texts(output / "verdicts-x.svg"))


def test_many_cells_are_split_over_files_that_fit_a_page(comparison):
    cells = [
        replace(comparison.cells[k % 15], source=f"s{k // 2}", strategy=f"{'x' * (k % 60)}_{k}")
        for k in range(90)
    ]
    (target,) = layout.build(cells, [])
    pieces = paper_figures._pieces(target.views, paper_figures.fits)
    assert 3 <= len(pieces) <= 5 and [view for piece in pieces for view in piece] == target.views
    assert max(map(len, pieces)) <= 40
    for piece in pieces:
        figure = paper_figures.forest(target, piece, comparison.settings)
        assert figure.get_figheight() < 9.5 and figure.get_figwidth() == 6.9


@pytest.mark.parametrize("choice", [{"margin": "relative:0.1"}, {"metric": "nll"}, {"items": "fixed"}])
def test_other_choices_of_compare_are_told(bare, choice):
    comparison = compare(bare, **choice)
    (target,) = layout.build(comparison.cells, [])
    figure = paper_figures.forest(target, target.views, comparison.settings)
    said = {"margin": "of the baseline's risk", "metric": "Δ of nll in nats", "items": "this test set only"}
    told = " ".join(text.get_text() for text in figure.findobj(Text))
    assert said[next(iter(choice))] in " ".join(told.split())


@pytest.mark.parametrize("place", ["taken", "taken/below"])
def test_a_file_in_the_folders_place_is_refused_before_anything_is_written(bare, tmp_path, capsys, place):
    (tmp_path / "taken").write_text("mine")
    output = tmp_path / "page.html"
    request = ["report", str(bare), "-o", str(output), "--figures", str(tmp_path / place)]
    assert main.main(request) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"--figures {tmp_path / place}: " in said
    assert not output.exists() and (tmp_path / "taken").read_text() == "mine"
