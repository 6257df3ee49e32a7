import contextlib
import shutil
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from transferscope.cli.main import main
from transferscope.store.record import read_record

SMALL = [
    "trainer.steps=20",
    "trainer.source_steps=20",
    "trainer.evaluations=2",
    "trainer.accelerator=cpu",
    "tracking=off",
]
BLOBS = ["target=blobs", "source=blobs_shifted", "backbone=mlp", *SMALL]
DIGITS = ["target=handwritten_digits", "source=printed_digits", "image_size=16", *SMALL]


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """A store with the sweep `small` (three runs, of one more the reason why there is none) and two runs
    outside it that kept a model."""
    folder = tmp_path_factory.mktemp("verbs")
    with contextlib.chdir(folder), patch.object(sys, "argv"):
        assert main(["run", "-m", *BLOBS, "strategy=scratch,dann", "label_budget=0,2", "sweep=small"]) == 0
        assert main(["run", *BLOBS, "strategy=fine_tuning", "keep=selected"]) == 0
        assert main(["run", *DIGITS, "strategy=feature_extraction", "keep=selected"]) == 0
    return folder / "runs"


@pytest.fixture
def store(trained, tmp_path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(trained, tmp_path / "runs")


@pytest.fixture
def blobs_run(trained) -> Path:
    return kept(trained, "blobs")


@pytest.fixture
def digits_run(trained) -> Path:
    return kept(trained, "handwritten_digits")


def kept(store: Path, target: str) -> Path:
    folders = [path.parent for path in store.glob("*/model.safetensors")]
    return next(folder for folder in folders if read_record(folder)["cell"]["target"] == target)
