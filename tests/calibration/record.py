"""Makes recorded.npz: `PYTHONPATH=src python tests/calibration/record.py`, half a minute. Real runs that the
tests resample."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from transferscope.calibration.runs import SCRATCH, TrainedArm, matrix
from transferscope.strategies.fine_tuning import FineTuning

SEEDS, BUDGET = range(100), 5
ARMS = {"scratch": SCRATCH, "twin": replace(SCRATCH, twin=True), "letters": TrainedArm(FineTuning, "letters")}

if __name__ == "__main__":
    packed = {name: np.packbits(matrix(arm, BUDGET, SEEDS), axis=1) for name, arm in ARMS.items()}
    np.savez_compressed(
        Path(__file__).with_name("recorded.npz"), items=matrix(SCRATCH, BUDGET, SEEDS).shape[1], **packed
    )
