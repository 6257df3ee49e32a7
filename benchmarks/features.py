"""P6: what a head on a frozen backbone costs: resnet18 (random weights) at 64 pixels, 2,000 images, 20 passes
in batches of 128."""

from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from benchmarks.bars import Bar, ratio, rounds
from benchmarks.runs import scratch_folder
from transferscope.backbones.timm import Timm
from transferscope.data.splits import LabelledData, Pools
from transferscope.networks.classifier import Classifier
from transferscope.strategies.feature_extraction import FeatureExtraction
from transferscope.training.feature_cache import FrozenFeatures
from transferscope.training.fit import fit
from transferscope.training.settings import FitSettings

ITEMS, CLASSES, BATCH, PASSES, ROUNDS = 2000, 10, 128, 20, 3
STEPS = PASSES * -(-ITEMS // BATCH)
ADAMW = partial(torch.optim.AdamW, lr=0.002, weight_decay=0.01)


def recomputed(network: Classifier, pool: LabelledData) -> None:
    """One pass of the textbook loop, whose every step asks the frozen backbone anew."""
    backbone, optimizer = network.backbone.eval(), ADAMW(network.head.parameters())
    for items in torch.randperm(ITEMS).split(BATCH):
        with torch.no_grad():
            features = backbone(pool.inputs[items])
        loss = cross_entropy(network.head(features), pool.labels[items])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def ours(network: Classifier, pool: LabelledData, store: Path) -> None:
    """All passes of the strategy, as a process does that is new to the store."""
    strategy = FeatureExtraction(network)
    strategy.frozen_features = FrozenFeatures(store)
    fit(
        strategy,
        Pools(target=pool),
        {},
        FitSettings(STEPS, BATCH, 1, ADAMW, "cosine", "cpu", "32-true"),
        (0, "bench"),
    )


def bars() -> Iterator[Bar]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = Classifier(Timm((3, 64, 64), "resnet18"), CLASSES).to(memory_format=torch.channels_last)
    pool = LabelledData(
        torch.randint(0, 256, (ITEMS, 3, 64, 64), dtype=torch.uint8),
        torch.arange(ITEMS) % CLASSES,
        torch.zeros(ITEMS),
    )
    with scratch_folder() as folder:
        ours(network, pool, folder / "warm")
        turn = count()
        arms = {
            "recomputed": lambda: recomputed(network, pool),
            "first": lambda: ours(network, pool, folder / str(next(turn))),
            "second": lambda: ours(network, pool, folder / "warm"),
        }
        times = rounds(arms, ROUNDS)
    times = [{**row, "recomputed": PASSES * row["recomputed"]} for row in times]
    what = f"{PASSES} passes over {ITEMS} images that ask the backbone each time ({PASSES} x one pass)"
    yield ratio("P6a", ">=", 14, times, "recomputed", "first", f"{what} / our first strategy")
    yield ratio("P6b", ">=", 300, times, "recomputed", "second", f"{what} / our second on the same features")
