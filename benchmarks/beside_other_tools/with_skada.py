"""Does amazon help a classifier of webcam that has three labels a class? With skada and scikit-learn.

pip install skada==0.6.0
python with_skada.py FOLDER same_items.npz

FOLDER holds office_caltech10_surf; same_items.py writes the rows."""

import sys
from collections import defaultdict

import numpy as np
from scipy.io import loadmat
from scipy.stats import ttest_rel
from skada import CORALAdapter, PerDomain, make_da_pipeline
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

folder, same_items = sys.argv[1:]


def load(domain):
    file = loadmat(f"{folder}/office_caltech10_surf/{domain}_SURF_L10.mat")
    return file["fts"] / file["fts"].sum(axis=1, keepdims=True), file["labels"].ravel().astype(int)


source, source_labels = load("amazon")
target, target_labels = load("webcam")
items = np.load(same_items)
train, test = items["train"], items["test"]
accuracy = defaultdict(list)

for labelled in items["labelled"]:
    known, known_labels = target[labelled], target_labels[labelled]
    for arm, inputs, labels in [
        ("scratch", known, known_labels),
        ("source_only", source, source_labels),
        ("joint", np.concatenate([source, known]), np.concatenate([source_labels, known_labels])),
    ]:
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(inputs, labels)
        accuracy[arm].append(model.score(target[test], target_labels[test]))

    # CORAL sees all training items of webcam, and the labels of the labelled ones; -1 is "no label"
    masked = np.where(np.isin(train, labelled), target_labels[train], -1)
    coral = make_da_pipeline(
        PerDomain(StandardScaler(), mask_target_labels=False),
        CORALAdapter(),
        LogisticRegression(max_iter=1000),
        mask_target_labels=False,
    )
    coral.fit(
        np.concatenate([source, target[train]]),
        np.concatenate([source_labels, masked]),
        sample_domain=np.repeat([1, -2], [len(source), len(train)]),
    )
    accuracy["coral"].append(
        coral.score(target[test], target_labels[test], sample_domain=np.full(len(test), -2))
    )

for arm, values in accuracy.items():
    print(f"{arm:12} {100 * np.mean(values):.1f} ± {100 * np.std(values, ddof=1):.1f}", end="")
    if arm != "scratch":
        low, high = ttest_rel(values, accuracy["scratch"]).confidence_interval()
        gain = np.mean(values) - np.mean(accuracy["scratch"])
        print(f"   against scratch {100 * gain:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]", end="")
    print()
