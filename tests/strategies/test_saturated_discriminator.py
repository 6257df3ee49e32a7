"""A discriminator that has won: the run is no success of adaptation, whatever it scores."""

from dataclasses import replace

import pytest

from transferscope.comparison.compare import compare
from transferscope.store.record import run_folders

LONG = ("trainer.steps=100", "trainer.batch_size=64", "trainer.optimizer.lr=0.02")


@pytest.fixture
def far(pair):
    source = pair["blobs_shifted"]
    return pair | {source.name: replace(source, inputs=source.inputs + 20)}


def test_its_cell_is_neither_positive_nor_equivalent_and_says_why(train, far, tmp_path):
    for seed in range(3):
        train("strategy=scratch", f"seed={seed}", *LONG, store=tmp_path)
        record = train("strategy=dann", f"seed={seed}", *LONG, store=tmp_path, domains=far).record
        assert record["status"] == "collapsed" and record["reason"].startswith(
            "saturated discriminator: cross-entropy 0.0"
        )
        assert record["result"]["metrics"]["blobs/test/accuracy"] > 0.6  # no collapse of the predictor
    (cell,) = compare(tmp_path, margin=0.8)
    assert cell.verdict == "undecided" and cell.reason.startswith("collapse: 3 of 3 strategy runs")
    assert "saturated discriminator in 3 of 3 runs" in cell.flags
    for folder in run_folders(tmp_path):  # the same numbers without that status
        (folder / "record.json").write_text(
            (folder / "record.json").read_text().replace('"collapsed"', '"done"')
        )
    judged = compare(tmp_path, margin=0.8).cells[0]
    # that alone keeps it from equivalence
    assert judged.collapsed == 0 and judged.reason == "the strategy was still improving: train it longer"
