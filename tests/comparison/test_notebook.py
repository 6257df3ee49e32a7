"""A comparison in a notebook and in a paper: its lines, its HTML, its DataFrame, its LaTeX."""

import csv
import io
import re
import shutil
import subprocess
import sys

import pytest

import transferscope
from store_fixture import write_store
from transferscope.comparison.comparison import Comparison
from transferscope.errors import RequestError


@pytest.fixture(scope="module")
def comparison(tmp_path_factory) -> Comparison:
    store = tmp_path_factory.mktemp("notebook") / "runs"
    write_store(store)
    return transferscope.compare(store)


def test_it_shows_itself_in_ten_lines_with_what_is_decided_first(comparison):
    lines = repr(comparison).splitlines()
    assert len(lines) == 10 and lines[0].startswith("baseline scratch") and lines[-1].startswith("… ")
    verdicts = [line.split()[0] for line in lines[2:-1]]
    assert verdicts == sorted(verdicts, key=["negative", "positive", "equivalent", "undecided"].index)
    assert int(lines[-1].split()[1]) == len(comparison) - len(verdicts)


def test_the_html_has_a_row_a_cell_and_lets_nothing_through(comparison):
    page = comparison._repr_html_()
    assert page.count("<tr>") == len(comparison) + 1
    assert re.findall(r'<td style="color: [#\w]+">(\w+)', page) == [cell.verdict for cell in comparison]
    assert not re.search(r"<(?!/?(div|table|thead|tbody|tr|th|td|p)\b)", page)


def test_the_frame_has_the_numbers_of_the_csv(comparison):
    frame = comparison.to_frame()
    rows = list(csv.DictReader(io.StringIO(comparison.to_csv())))
    assert list(frame.columns) == list(rows[0]) and len(frame) == len(rows)
    assert frame["delta"].dtype == float and frame["delta"].tolist() == [float(row["delta"]) for row in rows]


def test_without_pandas_the_frame_is_refused_in_one_line(comparison, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(RequestError, match="pandas is not installed; pip install"):
        comparison.to_frame()


def test_latex_escapes_and_has_an_arrow_a_cell(comparison):
    text = comparison.to_latex()
    body = text.partition(r"\midrule")[2].partition(r"\bottomrule")[0]
    rows = body.strip().splitlines()
    arrows = {
        "positive": r"$\uparrow$",
        "negative": r"$\downarrow$",
        "equivalent": r"$\approx$",
        "undecided": "?",
    }
    assert [row.split(" & ")[-2] for row in rows] == [arrows[cell.verdict] for cell in comparison]
    assert not re.search(r"(?<!\\)[_%#]", text) and text.isascii()
    assert "points [95 \\%]" in text and r"\toprule" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
def test_latex_is_set(comparison, tmp_path):
    (tmp_path / "table.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}"
        + comparison.to_latex()
        + "\\end{document}"
    )
    subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )


def test_what_a_notebook_imports_is_listed():
    assert {"compare", "load_run"} <= set(dir(transferscope))
