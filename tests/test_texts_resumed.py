"""A run on texts, with dropout, that is stopped between evaluations and taken up again ends with the bits of
one that was never stopped."""

from pathlib import Path

import pytest

from tiny_encoders import encoder
from tiny_texts import pair, trained
from transferscope.store.lease import Lease
from transferscope.store.record import read_history, read_record

SMALL = ["backbone=small_transformer", "backbone.layers=1", "backbone.width=64", "backbone.buckets=64"]


def bits(folder: Path) -> tuple:
    """evaluations.npz, the history less its time columns, the result."""
    history = [{k: v for k, v in row.items() if not k.endswith("seconds")} for row in read_history(folder)]
    return (folder / "evaluations.npz").read_bytes(), history, read_record(folder)["result"]


@pytest.mark.parametrize("backbone", ["small_transformer", "transformer"])
def test_a_resumed_run_ends_with_the_same_bits(backbone, tmp_path, monkeypatch):
    folder = encoder(tmp_path / "bert")
    words = SMALL if backbone == "small_transformer" else ["backbone=transformer", f"backbone.model={folder}"]
    words = [*words, "backbone.max_tokens=8", "strategy=fine_tuning", "label_budget=3", "trainer.steps=12",
        "trainer.evaluations=3", "trainer.batch_size=4"]  # fmt: skip
    whole = bits(trained(*words, store=tmp_path / "whole", domains=pair()))
    claim, steps = Lease.claim, []

    def stopped(lease: Lease, step: int) -> None:
        steps.append(step)
        claim(lease, step)
        if steps == [0, 4, 8]:
            raise KeyboardInterrupt

    monkeypatch.setattr(Lease, "claim", stopped)
    with pytest.raises(KeyboardInterrupt):
        trained(*words, store=tmp_path / "stopped", domains=pair())
    again = trained(*words, store=tmp_path / "stopped", domains=pair())
    assert steps == [0, 4, 8, 0, 12]  # what was done is not done again
    assert bits(again) == whole
