"""Which rows of webcam are tested on, and which are labelled in each of five seeds, by transferscope's own
rule, so that all three tools see the same.

    python same_items.py FOLDER same_items.npz

A user of the other tools would draw them with two calls of `train_test_split`."""

import sys
from pathlib import Path

import numpy as np

from transferscope.data import arrays
from transferscope.data.splits import labelled_subset, split

folder, written = sys.argv[1:]
path = Path(folder, "office_caltech10_surf", "webcam_SURF_L10.mat")
webcam = arrays.load("webcam", path=str(path), inputs="fts", labels="labels", scale="l1")
train, test = split(webcam, split_seed=0)
np.savez(
    written,
    train=train,
    test=test,
    labelled=[labelled_subset(webcam, train, 3, seed)[0] for seed in range(5)],
)
