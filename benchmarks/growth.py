"""G1-G4: how time grows. `python -m benchmarks growth` alone: it also draws docs/explanation/growth.svg.

Seconds of this process on the processor, which a busy machine stretches less than those on the clock. The
slope is that of the line through the last two sizes on logarithmic axes: 1 is in proportion, 0 is no growth.
"""

import math
import os
import textwrap
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from unittest.mock import patch

import matplotlib
import numpy as np
import torch
from matplotlib import pyplot
from matplotlib.ticker import NullFormatter, NullLocator
from PIL import Image

from benchmarks.bars import Bar
from benchmarks.runs import config, scratch_folder
from benchmarks.startup import write_run
from transferscope.backbones.small_cnn import SmallCNN
from transferscope.comparison.compare import compare
from transferscope.data import image_folders, splits
from transferscope.networks.classifier import Classifier
from transferscope.strategies.target_only import TargetOnly
from transferscope.training.fit import fit
from transferscope.training.run import run
from transferscope.training.settings import FitSettings

FIGURE = Path(__file__).parents[1] / "docs" / "explanation" / "growth.svg"
RUNS = (250, 500, 1000, 2000, 4000)
ITEMS = (100, 1000, 10_000, 100_000)
PICTURES = (500, 1000, 2000, 4000, 8000)
STRATEGIES = (1, 2, 4, 8)
SHARING = (
    "fine_tuning",
    "l2_sp",
    "bss",
    "bias_only",
    "norm_only",
    "last_groups",
    "discriminative",
    "gradual_unfreezing",
)  # a source model
SIDE, TESTED = 32, 100  # pixels; test items of every folder of pictures

Line = dict[int, float]  # seconds by size


def processor_seconds(function: Callable[[], object], times: int = 1) -> float:
    """The least of several times: what else the machine does only adds."""
    found = []
    for _ in range(times):
        began = time.process_time()
        function()
        found.append(time.process_time() - began)
    return min(found)


def plant(store: Path, runs: int, items: int) -> None:
    for number in range(runs):
        arm, seed = divmod(number, 5)
        write_run(
            store,
            ("scratch", "fine_tuning", "dann", "joint")[arm % 4],
            seed,
            skill=1.0,
            label_budget=1 + arm // 4,
            n=items,
        )


def of_runs() -> dict[str, Line]:
    found = {}
    for count in RUNS:
        with scratch_folder() as store:
            plant(store, count, 100)
            found[count] = processor_seconds(lambda store=store: compare(store), times=3)
    return {"compare, 100 test items": found}


def of_test_items() -> dict[str, Line]:
    found = {}
    for count in ITEMS:
        with scratch_folder() as store:
            plant(store, 40, count)
            found[count] = processor_seconds(lambda store=store: compare(store), times=3)
    return {"compare, 40 runs": found}


def of_strategies() -> dict[str, Line]:
    """One after another, as a worker of a sweep takes them: the source is trained once."""
    found, words = {}, ["target=handwritten_digits", "source=printed_digits", "image_size=16",
        "trainer.steps=50", "trainer.source_steps=400",
                        "trainer.evaluations=1", "tracking=off"]  # fmt: skip
    for count in (1, *STRATEGIES):  # the first is what only a process's first run pays
        with scratch_folder() as store:
            found[count] = processor_seconds(
                lambda count=count, store=store: [
                    run(config(*words, f"strategy={name}", f"store={store}")) for name in SHARING[:count]
                ]
            )
    return {"a sweep, one source of 400 steps, 50 steps each": found}


def of_pictures() -> dict[str, Line]:
    """A folder as the first process finds it, as the next one does, and a training of fixed length."""
    found: dict[str, Line] = {"decoded, written": {}, "found again": {}, "50 steps": {}}
    for count in PICTURES:
        with scratch_folder() as folder, patch.dict(os.environ, XDG_CACHE_HOME=str(folder / "cache")):
            draw = np.random.default_rng(0)
            for number in range(count):
                path = folder / "pictures" / f"class{number % 10}" / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(draw.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(
                    path, compress_level=1
                )
            load = partial(
                image_folders.load,
                f"pictures{count}",
                str(folder / "pictures"),
                SIDE,
                test_fraction=TESTED / count,
            )
            for name, times in (("decoded, written", 1), ("found again", 3)):
                found[name][count] = processor_seconds(lambda load=load: load().digest, times)
            found["50 steps"][count] = processor_seconds(lambda load=load: train(load()))
    return found


def train(domain) -> None:
    task = splits.prepare(domain, (), TargetOnly.sees, "full", seed=0, split_seed=0)
    optimizer = partial(torch.optim.AdamW, lr=0.002)
    strategy = TargetOnly(Classifier(SmallCNN(task.input_shape), len(domain.classes)))
    fit(
        strategy,
        task.pools,
        task.evaluated,
        FitSettings(50, 32, 1, optimizer, "cosine", "cpu", "32-true"),
        (0, "growth"),
    )


def slope(line: Line) -> float:
    (few, little), (many, much) = sorted(line.items())[-2:]
    return math.log(much / little) / math.log(many / few)


def draw(panels: dict[str, dict[str, Line]]) -> None:
    matplotlib.rcParams.update({"svg.hashsalt": "transferscope", "font.size": 9})
    figure, axes = pyplot.subplots(1, len(panels), figsize=(13, 3.4), layout="constrained")
    for axis, (sizes, lines) in zip(axes, panels.items(), strict=True):
        for name, line in lines.items():
            label = textwrap.fill(f"{name}: slope {slope(line):.2f}", 30)
            axis.loglog(line.keys(), line.values(), marker="o", markersize=4, label=label)
        axis.set_xticks(list(line), [f"{size:,}" for size in line])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.set_xlabel(sizes)
        axis.legend(frameon=False, fontsize=8)
        low, high = axis.get_ylim()
        axis.set_ylim(low / 1.3, high * 5)  # room for the legend
    axes[0].set_ylabel("seconds on the processor")
    figure.savefig(FIGURE, metadata={"Date": None})


def bars() -> Iterator[Bar]:
    torch.set_num_threads(1)
    panels = {
        "runs": of_runs(),
        "strategies a source": of_strategies(),
        "images": of_pictures(),
        "test items": of_test_items(),
    }
    draw(panels)
    for number, (sizes, lines) in enumerate(panels.items(), start=1):
        for name, line in lines.items():
            took = ", ".join(f"{size}: {seconds:.2g}" for size, seconds in sorted(line.items()))
            yield Bar(
                f"G{number}",
                slope(line),
                "<=",
                1.15,
                note=f"slope in {sizes}, {name}; seconds by size {took}",
            )
