"""P7 and P10: a sweep costs its distinct work and little more. P14: it tells how long it will take."""

import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bars import Bar, seconds
from benchmarks.runs import scratch_folder

RUNS, STEPS, MIXED_STEPS = 40, 250, 100
COMMAND = [sys.executable, "-m", "transferscope.cli", "run", "-m", "target=handwritten_digits",
    "source=printed_digits", "image_size=16"]  # fmt: skip
MIXED = ["strategy=scratch,fine_tuning,dann,mcd,nearest_mean", "label_budget=10,20", "seed=0,1,2,3"]


def steps(number: int) -> list[str]:
    return [f"trainer.steps={number}", f"trainer.source_steps={number}"]


def sweep(store: Path, *words: str) -> float:
    return seconds(
        lambda: subprocess.run(
            [*COMMAND, *steps(STEPS), "label_budget=10", f"store={store}", *words],
            check=True,
            stderr=subprocess.DEVNULL,
        )
    )


def timings(store: Path) -> list[dict]:
    return [json.loads(path.read_text())["timings"] for path in store.glob("*/record.json")]


def bars() -> Iterator[Bar]:
    with scratch_folder() as folder:
        start = seconds(
            lambda: subprocess.run([sys.executable, "-c", "import transferscope.training.run"], check=True)
        )
        grid = ["strategy=scratch", f"seed=range(0,{RUNS})"]
        wall = sweep(folder / "one", *grid, "hydra.launcher.n_jobs=1")
        trained = sum(row["fit_seconds"] for row in timings(folder / "one"))
        note = f"{RUNS} runs of {trained / RUNS:.2f} s in one worker, tracked: (wall - one import) / training"
        yield Bar("P7", (wall - start) / trained, "<=", 1.15, note=note)

        seeds, strategies = 2, ("source_only", "fine_tuning", "feature_extraction", "shot", "nearest_mean")
        sweep(folder / "shared", f"strategy={','.join(strategies)}", f"seed=range(0,{seeds})")
        models = len(list((folder / "shared" / ".cache" / "source_models").glob("*.safetensors")))
        # source_only trains its own
        trainings = sum(row["source_seconds"] > 0 for row in timings(folder / "shared")) + seeds
        note = f"{len(strategies)} strategies, {seeds} seeds, {models} source models: trainings of each"
        yield Bar("P10", trainings / models, "<=", 1, note=note)

        note = "strategies and labels mixed, two workers, the time left told from a third on: median error"
        errors = eta_errors(folder / "mixed")
        yield Bar("P14", statistics.median(errors), "<=", 0.25, (min(errors), max(errors)), note)


def eta_errors(store: Path) -> list[float]:
    """|told - true| / true of the time left, at every finished run from a third of the sweep on, but for the
    last tenth, where a second's rounding is much."""
    told, began = [], time.perf_counter()
    with subprocess.Popen(
        [*COMMAND, *steps(MIXED_STEPS), *MIXED, f"store={store}", "hydra.launcher.n_jobs=2"],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stderr:
            if found := re.search(r"ETA (\d+):(\d\d)$", line):
                told.append((time.perf_counter() - began, 60 * int(found[1]) + int(found[2])))
    end = time.perf_counter() - began
    return [abs(when + left - end) / (end - when) for when, left in told if end / 3 < when < 0.9 * end]
