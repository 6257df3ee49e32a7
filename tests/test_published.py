"""experiments/published: what is committed is what its scripts make of the committed data."""

import csv
import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from transferscope import compare
from transferscope.external.results import Results

FOLDER = Path(__file__).parents[1] / "experiments" / "published"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    monkeypatch.syspath_prepend(str(FOLDER))
    return {name: importlib.import_module(name) for name in ("bounds", "ucr", "judge")}


def committed(name: str) -> list[dict[str, str]]:
    with open(FOLDER / "results" / f"{name}.csv", newline="") as file:
        return list(csv.DictReader(file))


def as_written(lines: list[dict[str, object]]) -> list[dict[str, str]]:
    return [{key: str(value) for key, value in line.items()} for line in lines]


def test_what_is_quick_is_made_again(scripts: dict[str, ModuleType]) -> None:
    ucr = scripts["ucr"].Ucr()
    assert as_written(scripts["judge"].peft()) == committed("peft")
    assert as_written(scripts["judge"].flamby()) == committed("flamby")
    assert as_written(ucr.matrix()) == committed("ucr_matrix")
    assert as_written(ucr.over()) == committed("ucr_over")
    assert as_written(ucr.summary(committed("ucr_targets"))) == committed("ucr_summary")


@pytest.mark.slow
def test_all_is_made_again(scripts: dict[str, ModuleType]) -> None:
    for name, lines in scripts["judge"].tables().items():
        assert as_written(lines) == committed(name)


def test_test_sets_have_the_sizes_of_the_archive(scripts: dict[str, ModuleType]) -> None:
    ucr = scripts["ucr"].Ucr()
    sizes = dict(zip(ucr.names, ucr.items.tolist(), strict=True))
    known = {"ArrowHead": 175, "OSULeaf": 242, "Gun_Point": 150, "ItalyPowerDemand": 1029, "OliveOil": 30}
    assert {name: sizes[name] for name in known} == known
    assert [name for name, size in sizes.items() if size == 1] == ["Trace", "Coffee", "Plane"]


def test_the_cases_have_the_difference_and_the_disagreement_that_they_say(
    scripts: dict[str, ModuleType],
) -> None:
    """400 and 500 of 1,000 right: at least 100 answers differ; if independent 0.4 · 0.5 and 0.6 · 0.5 of them
    are right in one model alone."""
    bounds = scripts["bounds"]
    paired, independent = (bounds.of_items(400, 500, 1000, case) for case in bounds.CASES)
    assert paired.delta == independent.delta == pytest.approx(-0.1)
    # two pseudo-items of ±1 in a table of 1,002
    for effect, differing in ((paired, 100), (independent, 500)):
        squares = (differing + 2 - 100**2 / 1002) / 1001
        assert effect.item_variance == pytest.approx(squares / 1002)
    won = round((bounds.most_disagreement(-40, 1000, 0.05) * 1000 - 40) / 2)
    told, not_told = (bounds.disagreeing(k, -40, 1000) for k in (won, won + 1))
    assert told.p_value() <= 0.05 < not_told.p_value()


def test_the_matrix_is_one_that_compare_reads(scripts: dict[str, ModuleType], tmp_path: Path) -> None:
    """Of seven targets, as all of them take minutes."""
    names = ["Adiac", "ArrowHead", "Beef", "CBF", "Ham", "Wine", "yoga"]
    lines = [line for line in committed("ucr_matrix") if line["source"] in ("scratch", *names)]
    with open(tmp_path / "matrix.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["source", *names], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(lines)
    comparison = compare(Results(tmp_path / "matrix.csv", matrix=True))
    ucr = scripts["ucr"].Ucr()
    places = [ucr.names.index(name) for name in names]
    delta = ucr.delta[np.ix_(places, places)]
    found = {(cell.source, cell.target): cell.delta for cell in comparison}
    assert len(found) == 42 and all(cell.verdict == "undecided" for cell in comparison)
    for (source, target), value in found.items():
        assert value == pytest.approx(delta[names.index(source), names.index(target)], abs=2e-6)
    [claim] = comparison.over("pairs")
    assert claim.delta == pytest.approx(np.nanmean(delta), abs=2e-6)
    # leaving out a domain with its row and column, by hand
    without = [np.nanmean(np.delete(np.delete(delta, k, 0), k, 1)) for k in range(7)]
    variance = 6 / 7 * np.sum((without - np.mean(without)) ** 2)
    assert (claim.ci[1] - claim.ci[0]) / 2 == pytest.approx(2.446912 * variance**0.5, rel=1e-4)
