"""The experiment on Amazon reviews, the plain network of one task: it runs, and is near what was
published."""

import json

import pytest

from transferscope.cli import reproduce
from transferscope.cli.main import main

TASK = "amazon_kitchen_whole,amazon_electronics_whole"


@pytest.mark.slow
def test_the_plain_network_learns_from_kitchens_what_is_said_of_electronics(
    data_root, tmp_path, monkeypatch, capsys
):
    lines = reproduce.table_of("amazon_reviews").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(TASK) and line.split(",")[5] == "source_only"]
    (tmp_path / "published.csv").write_text(f"{lines[0]}\n{line}")
    monkeypatch.setattr(reproduce, "table_of", lambda name: tmp_path / "published.csv")
    source, target = TASK.split(",")
    row = f"source:{source},target:{target},strategy:source_only,backbone.hidden:'[100]',seed:'0'"
    grid = f"hydra.sweeper.grids=[{{{row}}}]"
    keys = (
        "hydra.sweeper.params.seed=0",
        "hydra.launcher.n_jobs=1",
        f"data_root={data_root}",
        f"store={tmp_path / 'runs'}",
    )
    assert main(["reproduce", "amazon_reviews", grid, *keys, "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["inside"] and abs(row["ours"] - 0.84) < 0.03
