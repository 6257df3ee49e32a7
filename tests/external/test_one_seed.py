"""What one run an arm can claim, and that it says so."""

import numpy as np
import pytest

import transferscope as ts
from tables_of_results import score_rows, scores, write
from transferscope.cli.main import main


def test_one_seed_of_foreign_results_is_a_claim_about_these_models(tmp_path, capsys):
    found = scores(seeds=1, items=1000, scratch=0.6, fine_tuning=0.8)
    path = write(
        tmp_path / "a.csv", [{k: v for k, v in row.items() if k != "seed"} for row in score_rows(found)]
    )
    (cell,) = ts.compare(path, baseline="scratch")
    assert cell.verdict == "positive" and cell.seeds == 1
    assert "models" in cell.conditional_on
    assert cell.ci == ts.verdict(found["fine_tuning"][0], found["scratch"][0]).ci
    assert main(["compare", str(path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "one seed: a claim about these two models on other items" in said


def test_its_interval_is_that_of_paired_items_with_two_more():
    """By hand: items' differences and ±1 beside them, t with about as many degrees of freedom as differ."""
    from scipy import stats

    a, b = np.array([1] * 60 + [0] * 10 + [1] * 30), np.array([0] * 60 + [1] * 10 + [1] * 30)
    judged = ts.verdict(a, b)
    d = np.concatenate([a - b, [1, -1]])
    c = d[:-2]
    nu = min(101, (2 + (c**2).sum()) ** 2 / (2 + (c**4).sum()))
    half = stats.t.ppf(0.975, nu) * d.std(ddof=1) / np.sqrt(102)
    low, high = judged.ci
    assert judged.delta == 0.5
    assert (high - low) / 2 == pytest.approx(half)


def test_strategies_of_one_seed_are_told_apart_by_their_items(tmp_path):
    found = scores(seeds=1, items=1000, scratch=0.7, probe=0.65, fine_tuning=0.3)
    (best,) = ts.compare(write(tmp_path / "a.csv", score_rows(found))).best
    assert [cell.strategy for cell in best.cells] == ["probe"]
