"""`compare --fail-on`, which other people's CI asks."""

import numpy as np

from tables_of_results import score_rows, write
from transferscope.cli.main import main


def arms(tmp_path, gain: int) -> str:
    """A strategy right on `gain` more of 400 items, or on fewer."""
    base = np.r_[np.ones(200, int), np.zeros(200, int)] * np.ones((5, 1), int)
    other = base.copy()
    if gain > 0:
        other[:, 200 : 200 + gain] = 1
    else:
        other[:, :-gain] = 0
    return str(write(tmp_path / "a.csv", score_rows({"scratch": base, "fine_tuning": other})))


def test_a_loss_fails(tmp_path, capsys):
    path = arms(tmp_path, -100)
    assert main(["compare", path, "--fail-on", "negative"]) == 3
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert "1 of 1 cells: fine_tuning on target" in said.err
    assert "negative" in said.out
    assert main(["compare", path, "--fail-on", "harm-not-excluded"]) == 3


def test_a_gain_passes(tmp_path, capsys):
    path = arms(tmp_path, 100)
    assert main(["compare", path, "--fail-on", "negative"]) == 0
    assert main(["compare", path, "--fail-on", "harm-not-excluded"]) == 0
    assert not capsys.readouterr().err


def test_what_is_undecided_is_no_loss_but_excludes_none(tmp_path, capsys):
    path = arms(tmp_path, -4)
    assert main(["compare", path, "--fail-on", "negative"]) == 0
    assert main(["compare", path, "--fail-on", "harm-not-excluded"]) == 3


def test_a_strategy_that_lacks_a_target_fails(tmp_path, capsys):
    rows = score_rows({"scratch": np.ones((5, 40), int), "fine_tuning": np.ones((5, 40), int)})
    rows = [row | {"target": target} for target in "pq" for row in rows]
    rows = [row for row in rows if (row["strategy"], row["target"]) != ("fine_tuning", "q")]
    path = str(write(tmp_path / "a.csv", rows))
    assert main(["compare", path, "--fail-on", "negative"]) == 3
    said = capsys.readouterr()
    assert "1 missing or failed" in said.err and "no run of it on this target" in said.out


def test_losses_are_counted_over_all_targets(tmp_path, capsys):
    """One loss that is told in its own family (p about 0.03), and eleven targets where nothing differs."""
    base = np.r_[np.ones(200, int), np.zeros(200, int)] * np.ones((5, 1), int)
    worse = base.copy()
    worse[:, :12] = 0
    rows = [
        row | {"target": f"t{target}"}
        for target in range(12)
        for row in score_rows({"scratch": base, "fine_tuning": worse if target == 0 else base})
    ]
    one = [row for row in rows if row["target"] == "t0"]
    path = str(write(tmp_path / "one.csv", one))
    assert main(["compare", path, "--fail-on", "negative"]) == 3
    assert main(["compare", str(write(tmp_path / "a.csv", rows)), "--fail-on", "negative"]) == 0
    assert "negative" in capsys.readouterr().out  # the table says what it says of that target


def test_nothing_to_compare_fails_and_an_unknown_gate_is_refused(tmp_path, capsys):
    alone = write(tmp_path / "alone.csv", score_rows({"scratch": np.ones((5, 40), int)}))
    assert main(["compare", str(alone), "--fail-on", "negative"]) == 3
    assert "nothing could be compared" in capsys.readouterr().err
    assert main(["compare", arms(tmp_path, 4), "--fail-on", "negativ"]) == 2
    assert "did you mean 'negative'?" in capsys.readouterr().err
