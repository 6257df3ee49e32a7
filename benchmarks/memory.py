"""P11, P12, P15 to P17: what much data, many records and large outputs cost. `python -m benchmarks memory`
alone: it writes some 25 GB and takes a quarter of an hour."""

import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np
from PIL import Image

from benchmarks.bars import Bar, seconds
from benchmarks.runs import scratch_folder
from benchmarks.startup import write_run
from transferscope.store import digests, evaluations
from transferscope.store.damage import damage

# of encoded pictures; of which so many are different; pixels a side as they are trained on
GIGABYTES, KINDS, SIZE = (10, 64, 224)
RECORDS = 10_000
STRATEGIES = ("scratch", "fine_tuning", "dann", "linear_probe", "joint")
CLASSES, PER_CLASS = 1000, 100  # half of the items are tested
ARRAY, WIDTH = (4.0, 500)  # gigabytes, and features of an item
FINISHED, OCTETS = 100, 20_000_000  # runs, and bytes of the outputs of each
# what a run imports; what it takes above is its own
IMPORTS = (
    "import transferscope.cli.main, transferscope.training.side_by_side, sklearn.linear_model, scipy.stats"
)


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


def large_outputs() -> Iterator[Bar]:
    """A linear network of 1,000 classes on 50,000 test items, evaluated 11 times."""
    with scratch_folder() as folder:
        choices = folder / "conf" / "domain"
        choices.mkdir(parents=True)
        (choices / "many.yaml").write_text(
            "# many classes\n_target_: transferscope.data.shifted_blobs.load\nfeatures: 8\n"
            f"classes: {CLASSES}\nper_class: {PER_CLASS}\n"
        )
        command = [
            "-m", "transferscope.cli", "run", "--config-dir", str(folder / "conf"), "target=many",
            "strategy=scratch", "backbone=identity", "label_budget=10", "trainer.steps=100",
            "trainer.evaluations=10", "trainer.accelerator=cpu", "tracking=off", f"store={folder / 'store'}",
        ]  # fmt: skip
        with watched(folder / "store" / ".running") as largest:
            taken = used(*command)
        [run] = [path.parent for path in folder.glob("store/*/record.json")]
        size = (run / "evaluations.npz").stat().st_size / 1e6
        what = f"{CLASSES * PER_CLASS // 2} items of {CLASSES} classes, 11 evaluations"
        yield Bar("P15a", size, "<=", 260, note=f"MB of a record, {what}; {taken.seconds:.0f} s")
        one = CLASSES * PER_CLASS // 2 * CLASSES * 4 / 1e6
        yield Bar("P15b", size + one, "<=", 460, note="the same with one evaluation more, which was selected")
        above = 1000 * (taken.gigabytes - used("-c", IMPORTS).gigabytes)
        yield Bar("P15c", above, "<=", 400, note="MB resident above the imports, the same")
        yield Bar("P15d", largest[0] / 1e6, "<=", 1, note="MB of its checkpoint, at most")


@contextmanager
def watched(running: Path) -> Iterator[list[int]]:
    """The bytes of the largest checkpoint that is seen there meanwhile."""
    largest, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            for path in running.glob("*/checkpoint.ckpt"):
                with suppress(OSError):
                    largest[0] = max(largest[0], path.stat().st_size)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield largest
    finally:
        over.set()
        thread.join()


def finished_runs() -> Iterator[Bar]:
    """What it takes to find that runs are whole, of which each has OCTETS of outputs."""
    with scratch_folder() as store:
        first = store / write_run(store, "scratch", 0, skill=1)["fingerprint"]
        outputs = np.zeros((OCTETS // 4000, 1000), np.float32)
        evaluations.write(first / "evaluations.npz", {"handwritten/test/outputs/000300": outputs})
        content = json.loads((first / "record.json").read_text())
        folders = [first, *(store / f"{number:016x}" for number in range(1, FINISHED))]
        for folder in folders[1:]:
            shutil.copytree(first, folder)
        for folder in folders:
            files = digests.of_files(folder, ("evaluations.npz", "history.csv"))
            (folder / "record.json").write_text(json.dumps(content | {"schema": 2, "files": files}))
        began = time.perf_counter()
        assert not any(damage(folder) for folder in folders)
        looked = time.perf_counter() - began
        read = seconds(lambda: damage(first, verify=True))
    what = f"{FINISHED} finished runs of {OCTETS // 10**6} MB"
    yield Bar("P16a", looked, "<=", 1, note=f"seconds to find that {what} are whole")
    yield Bar("P16b", read * FINISHED, "", None, note="the same where every file is read, from one of them")


def large_array() -> Iterator[Bar]:
    """A .npy file of ARRAY gigabytes: fine-tuning on it."""
    with scratch_folder() as folder:
        choices = folder / "conf" / "domain"
        choices.mkdir(parents=True)
        rows = int(ARRAY * 1e9 / 4 / WIDTH)
        draw = np.random.default_rng(0)
        header = {"descr": "<f4", "fortran_order": False, "shape": (rows, WIDTH)}
        with open(
            folder / "x.npy", "wb"
        ) as file:  # a mapped one would count as this process's, and its children's
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, rows, 10_000):
                file.write(draw.random((min(10_000, rows - start), WIDTH), np.float32).data)
        is_test = np.arange(rows) % 50 == 0
        np.savez(folder / "y.npz", labels=np.arange(rows) % 2, split=np.where(is_test, "test", "train"))
        (choices / "wide.yaml").write_text(
            f"# wide\n_target_: transferscope.data.arrays.load\npath: {folder / 'x.npy'}\n"
            f"labels_path: {folder / 'y.npz'}\nsplit: split\n"
        )
        command = [
            "-m", "transferscope.cli", "run", "--config-dir", str(folder / "conf"), "target=wide",
            "strategy=scratch", "backbone=mlp", "label_budget=full", "trainer.steps=300",
            "trainer.accelerator=cpu", "tracking=off", f"store={folder / 'store'}",
        ]  # fmt: skip
        taken = used(*command)
        above = taken.gigabytes - used("-c", IMPORTS).gigabytes
        note = f"GB resident above the imports, an array of {ARRAY:g} GB on disk; {taken.seconds:.0f} s"
        yield Bar("P17", above, "<=", ARRAY / 4, note=note)


def bars() -> Iterator[Bar]:
    yield from large_array()
    yield from large_outputs()
    yield from finished_runs()
    yield from many_records()
    yield from large_folder()
