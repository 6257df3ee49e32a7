"""P7 and P10: a sweep costs its distinct work and little more."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bars import Bar, seconds
from benchmarks.runs import scratch_folder

RUNS, STEPS = 40, 250
COMMAND = [sys.executable, "-m", "transferscope.cli", "run", "-m", "target=handwritten_digits",
    "source=printed_digits", "image_size=16",
           f"trainer.steps={STEPS}", f"trainer.source_steps={STEPS}", "label_budget=10"]  # fmt: skip


def sweep(store: Path, *words: str) -> float:
    return seconds(
        lambda: subprocess.run([*COMMAND, f"store={store}", *words], check=True, stderr=subprocess.DEVNULL)
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
