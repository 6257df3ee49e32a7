"""P8: how long a whole process takes beside one that does nothing but import."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.bars import Bar, ratio, rounds
from benchmarks.runs import scratch_folder

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from store_fixture import write_run  # noqa: E402 - records as the tests write them

ROUNDS = 5


def process(*words: str) -> None:
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)


def bars() -> Iterator[Bar]:
    arms = {
        "help": partial(process, "-m", "transferscope.cli", "--help"),
        "numpy": partial(process, "-c", "import numpy"),
    }
    yield ratio(
        "P8a",
        "<=",
        5,
        rounds(arms, ROUNDS),
        "help",
        "numpy",
        "transferscope --help / python -c 'import numpy'",
    )
    with scratch_folder() as store:
        for number in range(200):  # 40 arms of 5 seeds, every fourth a baseline
            arm, seed = divmod(number, 5)
            strategy = ("scratch", "fine_tuning", "dann", "linear_probe")[arm % 4]
            write_run(store, strategy, seed, skill=1.0, label_budget=1 + arm // 4)
        arms = {
            "compare": partial(process, "-m", "transferscope.cli", "compare", str(store)),
            "scipy": partial(process, "-c", "import numpy, scipy.stats"),
        }
        yield ratio(
            "P8b",
            "<=",
            2.5,
            rounds(arms, ROUNDS),
            "compare",
            "scipy",
            "compare of 200 records / python -c 'import numpy, scipy.stats'",
        )
