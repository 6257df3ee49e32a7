"""`make bench`: every bar, one line each, as it is measured; a table with spreads and versions at the end.
Exit status 1 where one is missed.

One thread; what is compared is timed side by side in this run. NAMES as arguments measure those parts alone,
and `memory` and `growth`, which take longer, only then."""

import importlib
import os
import platform
import sys
from importlib.metadata import version

# before torch is imported; the processes started from here inherit it
os.environ.setdefault("OMP_NUM_THREADS", "1")

PARTS = ("startup", "training", "data", "features", "heads", "sweeps", "shallow", "results", "text")
LONGER = ("memory", "growth")
PACKAGES = ("torch", "pytorch-lightning", "hydra-core", "wandb", "timm", "torchvision", "scikit-learn")


def main(names: list[str]) -> int:
    if unknown := [name for name in names if name not in PARTS + LONGER]:
        print(f"{unknown[0]}: no such part ({', '.join(PARTS + LONGER)})", file=sys.stderr)
        return 2
    found = []
    for part in names or PARTS:
        for bar in importlib.import_module(f"benchmarks.{part}").bars():
            print(bar, flush=True)
            found.append(bar)
    print()
    for bar in found:
        spread = f"{bar.spread[0]:.3g} to {bar.spread[1]:.3g}" if bar.spread else ""
        print(f"{bar.name:4} {bar.value:8.3g} {bar.verdict:15}  {spread:16}  {bar.note}")
    print((f"\n{platform.processor() or platform.machine()}, {len(os.sched_getaffinity(0))} cores, one "
        f"thread; Python {platform.python_version()}; ")
          + ", ".join(f"{name} {version(name)}" for name in PACKAGES))  # fmt: skip
    return int(not all(bar.holds for bar in found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
