"""P5: a grid of 8 seeds and 5 learning rates of a linear head on a frozen resnet18 (weights of a file, 64
pixels, 3,200 images of which half are for training), by the trainer's defaults: 300 steps of 32 items, 10
evaluations."""

import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import timm
import torch

from benchmarks.bars import Bar, ratio, rounds, seconds
from benchmarks.runs import scratch_folder
from transferscope.backbones.timm import Timm
from transferscope.data.domain import Domain
from transferscope.networks.frozen import frozen_features

ITEMS, CLASSES, ROUNDS = 3200, 10, 3
SEEDS, RATES, TWINS = range(8), (0.0005, 0.001, 0.002, 0.005, 0.01), ((0, 0.0005), (7, 0.01))
IMPORTS = "import hydra, rich.live, timm, transferscope.training.side_by_side, transferscope.backbones.timm"


def pictures(name: str) -> Domain:
    """Noise, a little lighter from class to class."""
    labels = np.arange(ITEMS) % CLASSES
    noise = np.random.default_rng(0).integers(0, 128, (ITEMS, 3, 64, 64), dtype=np.uint8)
    images = noise + 12 * labels[:, None, None, None].astype(np.uint8)
    return Domain.build(
        name,
        torch.from_numpy(images),
        [str(label) for label in labels],
        [f"{item:04d}" for item in range(ITEMS)],
    )


def python(*words: str) -> None:
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def bars() -> Iterator[Bar]:
    torch.set_num_threads(1)
    with scratch_folder() as folder:
        weights, choices = folder / "resnet18.pth", folder / "conf" / "domain"
        torch.save(timm.create_model("resnet18", num_classes=0).state_dict(), weights)
        choices.mkdir(parents=True)
        (choices / "pictures.yaml").write_text("# Noise\n_target_: benchmarks.heads.pictures\n")
        backbone = Timm((3, 64, 64), "resnet18", str(weights)).to(memory_format=torch.channels_last).eval()
        images = pictures("pictures").inputs

        def run(store: Path, tracking: str, seeds: str, rates: str, *more: str) -> None:
            python("-m", "transferscope.cli", "run", "--config-dir", str(choices.parent), "target=pictures",
                "strategy=feature_extraction",
                   "label_budget=full", "backbone=timm", "backbone.model=resnet18",
                   f"backbone.weights={weights}", f"store={store}", f"tracking={tracking}", f"seed={seeds}",
                   f"trainer.optimizer.lr={rates}", *more)  # fmt: skip

        def sweep(tracking: str) -> None:
            stores[tracking].append(folder / f"{tracking}{len(stores[tracking])}")
            run(
                stores[tracking][-1],
                tracking,
                ",".join(map(str, SEEDS)),
                ",".join(map(str, RATES)),
                "-m",
                "hydra.launcher.n_jobs=1",
            )

        stores: dict[str, list[Path]] = {"off": [], "offline": []}
        loading, loading_wandb = (
            seconds(lambda words=words: python("-c", words)) for words in (IMPORTS, f"{IMPORTS}, wandb")
        )
        times = rounds(
            {"pass": lambda: frozen_features(backbone, images, "cpu"), "sweep": lambda: sweep("off")}, ROUNDS
        )
        for row, store in zip(times, stores["off"], strict=True):
            row["heads"] = sum(
                json.loads(path.read_text())["timings"]["fit_seconds"] for path in store.glob("*/record.json")
            )  # each its share
            row["sweep"] -= loading
        tracked = (seconds(lambda: sweep("offline")) - loading_wandb) / statistics.median(
            row["pass"] for row in times
        )
        what = f"{len(SEEDS)} seeds x {len(RATES)} rates / one pass over {ITEMS} images"
        yield ratio(
            "P5a", "<=", 1.3, times, "heads", "pass", f"extraction, training and evaluation of {what}"
        )
        yield ratio(
            "P5b", "", None, times, "sweep", "pass", f"the whole command less one import, not tracked: {what}"
        )
        yield Bar(
            "P5c", tracked, "", None, note=f"the whole command less one import, tracked offline, once: {what}"
        )

        alone = folder / "alone"
        shutil.copytree(stores["off"][0] / ".cache", alone / ".cache")
        for seed, rate in TWINS:
            run(alone, "off", str(seed), str(rate))
        differences = [
            apart(path, stores["off"][0] / path.parent.name / path.name)
            for path in alone.glob("*/evaluations.npz")
        ]
        assert len(differences) == len(TWINS)
        yield Bar(
            "P5d",
            max(differences),
            "<=",
            0,
            note="largest difference of a probability from that of a run trained alone",
        )


def apart(one: Path, other: Path) -> float:
    with np.load(one) as a, np.load(other) as b:
        return max(float(np.abs(a[name] - b[name]).max()) for name in a.files if "/outputs/" in name)
