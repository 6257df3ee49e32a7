"""Does amazon help a network for webcam that has three labels a class? With the Trainer of transformers.

pip install torch transformers[torch]==5.23.0 scipy
python with_trainer.py FOLDER same_items.npz

FOLDER holds office_caltech10_surf; same_items.py writes the rows."""

import copy
import sys
from collections import defaultdict

import numpy as np
from scipy.io import loadmat
from scipy.stats import ttest_rel
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import Trainer, TrainingArguments, set_seed

folder, same_items = sys.argv[1:]


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm1d(800, affine=False),
            nn.Hardtanh(-5, 5),
            nn.Linear(800, 256),
            nn.ReLU(),
            nn.Linear(256, 256),
            nn.ReLU(),
            nn.Linear(256, 10),
        )

    def forward(self, inputs, labels=None):
        logits = self.layers(inputs)
        return {"loss": cross_entropy(logits, labels), "logits": logits}


def load(domain):
    file = loadmat(f"{folder}/office_caltech10_surf/{domain}_SURF_L10.mat")
    inputs = (file["fts"] / file["fts"].sum(axis=1, keepdims=True)).astype(np.float32)
    labels = file["labels"].ravel().astype(int) - 1
    return [{"inputs": row, "labels": label} for row, label in zip(inputs, labels, strict=True)]


def fit(network, dataset, seed, learning_rate=2e-3):
    arguments = TrainingArguments(
        output_dir="trainer_output",
        max_steps=300,
        per_device_train_batch_size=32,
        learning_rate=learning_rate,
        weight_decay=0.01,
        lr_scheduler_type="cosine",
        seed=seed,
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = Trainer(
        network,
        arguments,
        train_dataset=dataset,
        eval_dataset=[target[row] for row in items["test"]],
        compute_metrics=lambda found: {"accuracy": np.mean(found.predictions.argmax(1) == found.label_ids)},
    )
    trainer.train()
    return trainer.evaluate()["eval_accuracy"]


source, target = load("amazon"), load("webcam")
items = np.load(same_items)
accuracy = defaultdict(list)

for seed, labelled in enumerate(items["labelled"]):
    known = [target[row] for row in labelled]
    set_seed(seed)
    fresh = Network()
    accuracy["scratch"].append(fit(copy.deepcopy(fresh), known, seed))
    of_source = copy.deepcopy(fresh)
    accuracy["source_only"].append(fit(of_source, source, seed))
    accuracy["fine_tuning"].append(fit(of_source, known, seed, learning_rate=2e-4))
    accuracy["joint"].append(fit(copy.deepcopy(fresh), source + known, seed))

for arm, values in accuracy.items():
    print(f"{arm:12} {100 * np.mean(values):.1f} ± {100 * np.std(values, ddof=1):.1f}", end="")
    if arm != "scratch":
        low, high = ttest_rel(values, accuracy["scratch"]).confidence_interval()
        gain = np.mean(values) - np.mean(accuracy["scratch"])
        print(f"   against scratch {100 * gain:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]", end="")
    print()
