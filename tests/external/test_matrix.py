"""A transfer matrix is read: its cells, and that nothing is claimed of one."""

from pathlib import Path

import pytest

from transferscope import compare
from transferscope.cli.main import main
from transferscope.errors import RequestError
from transferscope.external.results import Results

MATRIX = """,A,B,C
scratch,0.5,0.6,0.7
A,0,0.65,0.6
B,0.25,0.9,
D,0.75,nan,1.0
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "matrix.csv"
    path.write_text(MATRIX)
    return path


def test_every_cell_is_held_against_its_target_and_nothing_is_claimed(path: Path) -> None:
    cells = {(cell.source, cell.target): cell for cell in compare(Results(path, matrix=True))}
    assert {pair: round(cell.delta, 3) for pair, cell in cells.items()} == {
        ("A", "B"): 0.05, ("A", "C"): -0.1, ("B", "A"): -0.25, ("D", "A"): 0.25, ("D", "C"): 0.3,
    }  # fmt: skip
    for cell in cells.values():
        assert cell.verdict == "undecided" and cell.ci is None and cell.ci_simultaneous is None
        assert cell.reason == "no items: one score of one run, nothing can be claimed of this cell"
        assert not any(flag.startswith("one seed") for flag in cell.flags)
        assert not cell.no_harm and not cell.no_gain


def test_percent_are_scores_of_another_range(path: Path) -> None:
    path.write_text(",A,B\nscratch,50,60\nA,0,65\nB,25,0\n")
    with pytest.raises(RequestError, match="outside of 0 to 1.*--score-range"):
        compare(Results(path, matrix=True))
    cells = list(compare(Results(path, matrix=True, score_range=(0, 100)), margin=1))
    assert [cell.delta for cell in cells] == [-25, 5]


def test_the_command(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(path), "--matrix"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "undecided in 5: 5 of which one score of one run tells nothing" in said


@pytest.mark.parametrize(
    "was, now, said",
    [
        ("scratch,", "none,", "a row 'scratch' is needed"),
        ("\nB,", "\nA,", "two rows are named 'A'"),
        (",A,B,C", ",A,B,B", "two columns are named 'B'"),
        (",0.65,", ",x,", "row 'A', column 'B': 'x' is no finite number"),
        (",0.65,", ",inf,", "row 'A', column 'B': 'inf' is no finite number"),
    ],
)
def test_what_is_no_matrix_is_refused(was: str, now: str, said: str, path: Path) -> None:
    path.write_text(MATRIX.replace(was, now))
    with pytest.raises(RequestError, match=said):
        Results(path, matrix=True).runs()


def test_a_matrix_that_is_turned_is_recognised(path: Path) -> None:
    path.write_text(",scratch,A\nA,0.5,0.6\nB,0.5,0.6\n")
    with pytest.raises(RequestError, match="rows are sources, columns targets; a row 'scratch' is needed"):
        Results(path, matrix=True).runs()
