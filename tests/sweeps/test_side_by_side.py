"""Heads that train side by side: each record is that of the run trained alone, whatever diverges, breaks or
is killed beside it."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest
import timm
import torch
from hydra import compose, initialize_config_dir

from deadly_jobs import results
from transferscope.cli.main import main
from transferscope.store import record
from transferscope.sweeps.groups import groups
from transferscope.training.request import resolve
from transferscope.training.side_by_side import can_join

CONF = Path(__file__).parents[2] / "conf"
TINY = ["target=handwritten_digits", "image_size=32", "backbone=test_resnet", "strategy=feature_extraction",
    "trainer.steps=120",
        "trainer.evaluations=2", "trainer.accelerator=cpu", "tracking=off"]  # fmt: skip
SWEPT = {"label_budget": "2,5", "seed": "0,1", "trainer.optimizer.lr": "0.003,0.1"}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As runs have it: processes are forked here, and how many threads there are may show in the last
    bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A run on pretrained weights: those of a file."""
    torch.manual_seed(0)
    weights = tmp_path_factory.mktemp("weights") / "weights.pth"
    torch.save(timm.create_model("test_resnet", num_classes=0).state_dict(), weights)
    return [*TINY, f"backbone.weights={weights}"]


def sweep(store: Path, common: list[str], swept: dict[str, str] = SWEPT, *words: str) -> int:
    return main(
        [
            "run",
            "-m",
            *common,
            *(f"{key}={values}" for key, values in swept.items()),
            f"store={store}",
            *words,
        ]
    )


def alone(store: Path, common: list[str], swept: dict[str, str] = SWEPT) -> dict[str, tuple]:
    for values in product(*(words.split(",") for words in swept.values())):
        main(
            [
                "run",
                *common,
                *(f"{key}={value}" for key, value in zip(swept, values, strict=True)),
                f"store={store}",
            ]
        )
    return results(store)


@pytest.fixture(scope="module")
def twins(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple]:
    """The runs of `SWEPT`, each trained by itself."""
    return alone(tmp_path_factory.mktemp("alone"), tiny)


def test_each_head_is_its_sequential_twin_bit_by_bit(
    tiny: list[str], twins: dict[str, tuple], tmp_path: Path
) -> None:
    assert sweep(tmp_path, tiny) == 0
    assert len(twins) == 8 and results(tmp_path) == twins
    rows = next(iter(twins.values()))[1]
    # the history is compared with these
    assert any(key.startswith("validator/") for key in rows[-1]) and "loss/target" in rows[-1]
    assert {
        record.read_record(folder)["config"].get("beside") for folder in record.run_folders(tmp_path)
    } == {None}


def test_one_that_diverges_hurts_nobody(tiny: list[str], tmp_path: Path) -> None:
    common = [
        *tiny,
        "label_budget=5",
        "trainer.optimizer._target_=torch.optim.SGD",
        "+trainer.optimizer.momentum=0.9",
    ]
    swept = {"trainer.optimizer.lr": "0.01,1e38", "trainer.label_smoothing": "0.0,0.1"}
    assert sweep(tmp_path / "group", common, swept) == 0
    found = results(tmp_path / "group")
    assert found == alone(tmp_path / "alone", common, swept)
    assert [status for _, _, status, _ in found.values()].count("diverged") == 2
    reasons = [record.read_record(folder)["reason"] for folder in record.run_folders(tmp_path / "group")]
    assert reasons.count("loss/target is not finite at step 50") == 2


def asked(common: list[str], *words: str):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        from transferscope.sweeps.job import Job

        return Job(list(words), resolve(compose("config", overrides=[*common, *words])))


def test_only_what_differs_in_seed_labels_or_optimiser_is_a_group(tiny: list[str]) -> None:
    def sizes(*points: list[str]) -> list[int]:
        return [len(group) for group in groups([asked(tiny, *point) for point in points])]

    first = ["label_budget=5", "seed=0", "trainer.optimizer.lr=0.1"]
    assert sizes(first, ["label_budget=2", "seed=1", "trainer.optimizer.lr=0.2"]) == [2]
    # asked for in other keys
    assert sizes(first, ["label_budget=5", "seed=0", "trainer.optimizer.weight_decay=0.1"]) == [1, 1]
    for word in (
        "trainer.steps=60",
        "trainer.batch_size=8",
        "image_size=16",
        "twin=true",
        "trainer.schedule=constant",
    ):
        assert sizes(first, [*first, word]) == [1, 1], word
    assert [len(group) for group in groups([asked(tiny, *first)] * 70)] == [64, 6]


@pytest.mark.parametrize(
    "words",
    [
        ["strategy=fine_tuning"],
        ["strategy=nearest_mean"],
        ["source=printed_digits", "initialisation=source"],
        ["keep=selected"],
        ["trainer.patience=1", "selection=snd"],
        ["trainer.precision=bf16-mixed"],
        ["trainer.optimizer._target_=torch.optim.Adagrad", "~trainer.optimizer.weight_decay"],
    ],
)
def test_what_trains_otherwise_trains_by_itself(words: list[str], tiny: list[str]) -> None:
    assert can_join(asked(tiny).request) and not can_join(asked(tiny, *words).request)


def forked(work: Callable[[], int]) -> multiprocessing.Process:
    """A process with a group of its own, so that its workers can be ended with it."""

    def begin() -> None:
        os.setsid()
        os._exit(work())

    process = multiprocessing.get_context("fork").Process(target=begin)
    process.start()
    return process


def test_a_killed_group_keeps_what_it_finished_and_ends_where_it_would_have(
    tiny: list[str], twins: dict[str, tuple], tmp_path: Path
) -> None:
    for begun in (".running/*/claim.json", "*/record.json"):  # killed while it trains, then while it writes
        process = forked(lambda: sweep(tmp_path, tiny, SWEPT, "hydra.launcher.n_jobs=1"))
        while not list(tmp_path.glob(begun)):
            assert process.is_alive()
            time.sleep(0.001)
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/record.json")}
    assert kept and sweep(tmp_path, tiny) == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert results(tmp_path) == twins and list((tmp_path / ".running").iterdir()) == []


@pytest.mark.slow
def test_two_sweeps_on_one_store_share_the_work(
    tiny: list[str], twins: dict[str, tuple], tmp_path: Path
) -> None:
    processes = [forked(lambda: sweep(tmp_path, tiny, SWEPT, "hydra.launcher.n_jobs=1")) for _ in range(2)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert results(tmp_path) == twins and list((tmp_path / ".running").iterdir()) == []


def test_a_group_that_breaks_is_run_one_by_one(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "brittle.py").write_text(
        "from transferscope.strategies.feature_extraction import FeatureExtraction\n"
        "class Brittle(FeatureExtraction):\n    trains_head_alone = True\n"
        "    def losses(self, batch):\n"
        "        if self.optimizer.keywords['lr'] > 1:\n            raise ArithmeticError('planted')\n"
        "        return super().losses(batch)\n"
    )
    (tmp_path / "conf" / "strategy").mkdir(parents=True)
    (tmp_path / "conf" / "strategy" / "brittle.yaml").write_text(
        "_target_: brittle.Brittle\nname: brittle\nstarts_from: source\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    words = [
        *(word for word in tiny if not word.startswith("strategy")),
        "strategy=brittle",
        f"--config-dir={tmp_path / 'conf'}",
    ]
    assert sweep(tmp_path / "runs", words, {"trainer.optimizer.lr": "0.1,2,0.2"}) == 1
    assert "3 runs side by side: planted; each is run by itself" in capsys.readouterr().err
    statuses = [record.read_record(folder)["status"] for folder in record.run_folders(tmp_path / "runs")]
    assert sorted(statuses) == ["done", "done", "failed"]
