"""P11 and P12: what much data and many records cost. `python -m benchmarks memory` alone: it writes some 20
GB and takes a quarter of an hour."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np
from PIL import Image

from benchmarks.bars import Bar, seconds
from benchmarks.runs import scratch_folder
from benchmarks.startup import write_run

# of encoded pictures; of which so many are different; pixels a side as they are trained on
GIGABYTES, KINDS, SIZE = (10, 64, 224)
RECORDS = 10_000
STRATEGIES = ("scratch", "fine_tuning", "dann", "linear_probe", "joint")


class Used(NamedTuple):
    seconds: float
    gigabytes: float  # the most that the process had resident at once, mapped files included


def used(*words: str, **environment: str) -> Used:
    """What a process of its own takes."""
    peak = []

    def run() -> None:
        process = subprocess.Popen(
            [sys.executable, *words], stdout=subprocess.DEVNULL, env={**os.environ, **environment}
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, process.args)
        peak.append(usage.ru_maxrss * 1024 / 1e9)

    return Used(seconds(run), *peak)


def write_pictures(root: Path, octets: float) -> int:
    """PNGs of noise, some 200 kB each, in ten class folders, no two files alike: each carries its number as
    text. How many there are."""
    draw, encodings = np.random.default_rng(0), []
    for _ in range(KINDS):
        stream = io.BytesIO()
        Image.fromarray(draw.integers(0, 256, (256, 256, 3), dtype=np.uint8)).save(
            stream, "PNG", compress_level=0
        )
        encodings.append(stream.getvalue())
    count = int(octets / np.mean([len(encoding) for encoding in encodings]))

    def write(number: int) -> None:
        encoding, text = encodings[number % KINDS], b"tEXtnumber\0%06d" % number
        chunk = (len(text) - 4).to_bytes(4, "big") + text + crc32(text).to_bytes(4, "big")
        (root / f"class{number % 10}" / f"{number:06d}.png").write_bytes(
            encoding[:33] + chunk + encoding[33:]
        )  # 33: behind the header

    for number in range(10):
        (root / f"class{number}").mkdir(parents=True)
    with ThreadPoolExecutor() as pool:
        list(pool.map(write, range(count)))
    return count


def large_folder(gigabytes: float = GIGABYTES) -> Iterator[Bar]:
    """A folder that is decoded, then one that was: both runs train on all of its pictures but a hundredth."""
    with scratch_folder() as folder:
        count = write_pictures(folder / "pictures", gigabytes * 1e9)
        choices = folder / "conf" / "domain"
        choices.mkdir(parents=True)
        (choices / "large.yaml").write_text("# a large folder\n_target_: "
            f"transferscope.data.image_folders.load\nroot: {folder / 'pictures'}\n"
                                          f"size: {SIZE}\ntest_fraction: 0.01\n")  # fmt: skip
        command = ["-m", "transferscope.cli", "run", "--config-dir", str(folder / "conf"), "target=large",
            "strategy=scratch", "label_budget=full",
                   "trainer.steps=20", "trainer.evaluations=1", "tracking=off",
                   f"store={folder / 'store'}"]  # fmt: skip
        runs = [used(*command, f"seed={seed}", XDG_CACHE_HOME=str(folder / "cache")) for seed in (0, 1)]
    what = (
        f"GB resident, a run over {count} PNGs, {gigabytes:g} GB, {count * 3 * SIZE**2 / 1e9:.1f} GB decoded"
    )
    yield Bar(
        "P11a", runs[0].gigabytes, "<=", 2, note=f"{what}; decoded in this run, {runs[0].seconds:.0f} s"
    )
    yield Bar("P11b", runs[1].gigabytes, "<=", 2, note=f"{what}; decoded before, {runs[1].seconds:.0f} s")


def many_records(records: int = RECORDS) -> Iterator[Bar]:
    with scratch_folder() as store:
        for number in range(records):
            arm, seed = divmod(number, 5)
            kind, place = arm % len(STRATEGIES), arm // len(STRATEGIES)
            write_run(
                store,
                STRATEGIES[kind],
                seed,
                skill=1 + kind / 10,
                target=f"target{place // 20}",
                label_budget=1 + place % 20,
            )
        compared = used("-m", "transferscope.cli", "compare", str(store))
    yield Bar(
        "P12a", compared.seconds, "<=", 30, note=f"seconds, compare of {records} records of 300 test items"
    )
    yield Bar("P12b", compared.gigabytes, "<=", 1, note="GB resident, the same")


def bars() -> Iterator[Bar]:
    yield from many_records()
    yield from large_folder()
