"""Pictures that stay on disk: whatever is made of them are the bits that pictures in memory give, and their
file is whole or remade."""

import json
import multiprocessing
import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from PIL import Image

from transferscope.data import copies, files, image_folders, splits
from transferscope.data.domain import Domain, fit_images
from transferscope.data.on_disk import OnDisk, joined
from transferscope.errors import RequestError
from transferscope.store.record import read_history, read_record
from transferscope.store.thumbnails import read_thumbnails
from transferscope.training import request, source_ranking
from transferscope.training.run import run

ROOT = Path(__file__).parents[2]
SHELF = sorted(path.stem for path in (ROOT / "conf" / "strategy").glob("*.yaml"))
SIZES = {"target": 12, "near": 10, "far": 12}  # pixels
OFTEN = ("dann", "feature_extraction", "shot")  # the others are slow together


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    """Three domains of three classes of noise, twelve pictures each and a few without a label."""
    draw, root = np.random.default_rng(0), tmp_path_factory.mktemp("folders")
    for name, number in ((name, number) for name in SIZES for number in range(40)):
        folder = root / name / ("unlabelled" if number >= 36 else f"class{number % 3}")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = draw.normal(90 + 60 * (number % 3), 40, (14, 17, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    return root


@pytest.fixture(scope="module")
def domains(folders: Path) -> Callable[[int], dict[str, Domain]]:
    def loaded(in_memory: int, *on_disk: str) -> dict[str, Domain]:
        """The domains, those of more bytes than `in_memory` left on disk; or, where they are named, these
        alone."""
        found = {}
        for name, size in SIZES.items():
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(
                    image_folders, "IN_MEMORY", in_memory if not on_disk or name in on_disk else 2**28
                )
                found[name] = image_folders.load(name, str(folders / name), size)
        return found

    return loaded


@contextmanager
def of(found: dict[str, Domain], *overrides: str) -> Iterator[DictConfig]:
    """A tiny run of these domains."""
    words = ["target=target", "source=near", "backbone=small_cnn", "image_size=16", "label_budget=5",
        "trainer.steps=4",
             "trainer.source_steps=2", "trainer.evaluations=2", "trainer.batch_size=8",
             "trainer.accelerator=cpu"]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch, initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        patch.setattr(request, "load_domain", lambda key, name, *_: found[name])
        yield compose("config", overrides=[*words, *overrides])


@pytest.fixture(scope="module")
def bits(domains, tmp_path_factory) -> Callable[..., tuple]:
    """What a run leaves of the same pictures: evaluations.npz, the history less its times, the result, what
    was kept beside it."""

    def left(found: dict[str, Domain], *overrides: str) -> tuple:
        store = tmp_path_factory.mktemp("store")
        with of(found, f"store={store}", "tracking=off", *overrides) as config:
            folder = run(config)
        entry = read_record(folder)
        assert entry["status"] in ("done", "collapsed"), entry["reason"]
        history = [
            {k: v for k, v in row.items() if not k.endswith("seconds")} for row in read_history(folder)
        ]
        compared_rows = [
            file.read_bytes()
            for file in sorted(folder.glob("features/*")) + sorted(folder.glob("reverse_validation.json"))
        ]
        small = {
            item: image.tobytes()
            for item, image in read_thumbnails(store, entry["consumed"]["target"]["digest"]).items()
        }
        return (folder / "evaluations.npz").read_bytes(), history, entry["result"], compared_rows, small

    return left


def test_a_slice_is_a_view_and_indices_read(domains):
    memory, disk = (domains(bound)["target"].inputs for bound in (2**28, 0))
    assert isinstance(memory, torch.Tensor) and isinstance(disk, OnDisk)
    assert disk.shape == memory.shape and disk.dtype == memory.dtype and len(disk) == 40
    for items in (7, [3, 1, 3], np.array([39, 0]), torch.tensor([5]), torch.zeros(0, dtype=torch.long)):
        assert torch.equal(disk[items], memory[items])
    assert isinstance(disk[5:9], OnDisk) and torch.equal(disk[5:30][3:][np.arange(22)], memory[8:30])
    assert torch.equal(torch.cat(list(disk.split(7))), memory)
    assert torch.equal(
        disk.mapped(lambda images: fit_images(images, 5, 1), (1, 5, 5))[[2, 9]],
        fit_images(memory, 5, 1)[[2, 9]],
    )


def test_pools_of_disk_and_memory_are_joined_in_order(domains):
    memory, mixed = domains(2**28), domains(0, "far")
    order = torch.randperm(80)
    for parts in (("target", "far"), ("far", "target"), ("far", "far")):
        whole = torch.cat([memory[name].inputs for name in parts])
        assert torch.equal(joined([mixed[name].inputs for name in parts])[order], whole[order])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in OFTEN else pytest.mark.slow) for name in SHELF]
)
def test_a_run_is_the_same_from_disk(domains, bits, name):
    words = [f"strategy={name}", "protocol=transductive"] + ["backbone=test_vit", "image_size=32"] * (
        name == "lora"
    )  # which adapts linear layers
    assert bits(domains(0), *words) == bits(domains(2**28), *words)


def test_so_are_augmentation_several_sources_stored_features_and_the_way_back(domains, bits):
    words = [
        "strategy=dann",
        "source=[near,far]",
        "label_budget=0",
        "trainer.augmentation=crop",
        "keep_features=true",
        "reverse_validation=true",
    ]
    whole = bits(domains(2**28), *words)
    # three evaluations' features and the way back; every test item's small picture
    assert len(whole[3]) == 4 and len(whole[4]) == 18
    assert bits(domains(0), *words) == whole and bits(domains(0, "far"), *words) == whole


@pytest.mark.parametrize("initialisation", ["rotation", pytest.param("simclr", marks=pytest.mark.slow)])
def test_so_is_what_a_source_teaches_without_labels(domains, bits, initialisation):
    words = ["strategy=fine_tuning", f"initialisation={initialisation}", "image_size=null"]
    assert bits(domains(0), *words) == bits(domains(2**28), *words)


@pytest.mark.slow
def test_so_is_what_predict_says(domains, tmp_path):
    said = []
    for number, in_memory in enumerate((2**28, 0)):
        with of(domains(in_memory), f"store={tmp_path / str(number)}") as config:
            said.append(source_ranking.predict([config])["sources"][0] | {"source_seconds": 0})
    assert said[0]["inputs"] and json.dumps(said[0]) == json.dumps(said[1])


def test_the_content_is_known_without_reading_it(folders, domains):
    first, again = domains(0)["target"], domains(0)["target"]
    assert first.digest == again.digest != domains(2**28)["target"].digest
    assert len({domain.digest for domain in domains(0).values()}) == 3
    assert first.inputs[2:].digest == "" == first.inputs.mapped(torch.clone, (3, 12, 12)).digest
    assert splits.fitted(first, np.arange(3), (3, 12, 12))[[1]].shape == (1, 3, 12, 12)


def test_copies_are_those_of_pictures_in_memory(folders, tmp_path, monkeypatch):
    for name in ("target", "near"):
        shutil.copytree(folders / name, tmp_path / name)
    for number in range(
        36
    ):  # every labelled picture of the target is in the source, and some twice in the target
        picture = tmp_path / f"target/class{number % 3}/{number:02d}.png"
        shutil.copy(picture, tmp_path / f"near/class{number % 3}/copy{number}.png")
        if number % 4 == 0:
            shutil.copy(picture, tmp_path / f"target/class{number % 3}/again{number}.png")
    found = []
    for in_memory in (2**28, 0):
        monkeypatch.setattr(image_folders, "IN_MEMORY", in_memory)
        target, source = (image_folders.load(name, str(tmp_path / name), 12) for name in ("target", "near"))
        left = copies.dropped(target, (source,), 0)
        found.append(
            (
                copies.count(target, (source,), 0, None),
                [domain.ids.tolist() for domain in (left[0], *left[1])],
            )
        )
        assert (
            left[0].digest != target.digest
            and left[0].digest == copies.dropped(target, (source,), 0)[0].digest
        )
        assert torch.equal(
            left[0].inputs[[0, 5]], target.inputs[np.flatnonzero(np.isin(target.ids, left[0].ids[[0, 5]]))]
        )
    assert (
        found[0] == found[1] and found[0][0].train > 0 and found[0][0].sources["near"] == found[0][0].tested
    )


@pytest.fixture
def cache(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr(files, "decoded_pictures", lambda: tmp_path / "pictures")
    return tmp_path / "pictures"


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(file.read_bytes()[:-1]),
        lambda file: file.write_bytes(file.read_bytes()[:-1] + b"?"),
        lambda file: file.write_bytes(file.read_bytes().replace(b"class1", b"class9")),
    ],
)
def test_a_damaged_file_is_set_aside_and_made_again(damage, domains, cache, capsys):
    before = domains(0)["target"]
    [kept] = [file for file in cache.iterdir() if before.inputs.digest.encode() in file.read_bytes()]
    damage(kept)
    after = domains(0)["target"]
    assert (
        torch.equal(after.inputs[np.arange(40)], domains(2**28)["target"].inputs)
        and after.ids.tolist() == before.ids.tolist()
    )
    assert capsys.readouterr().err.splitlines() == [
        f"{kept}: damaged; set aside as {kept.stem}.damaged and made again"
    ]


def test_a_file_that_only_looks_touched_is_read_once_and_kept(domains, cache, capsys):
    first = domains(0)["target"]
    written = {file: file.stat().st_mtime_ns for file in cache.iterdir()}
    for file in written:
        os.utime(file)
    assert domains(0)["target"].digest == first.digest and capsys.readouterr().err == ""
    assert {file: file.stat().st_mtime_ns for file in cache.iterdir()} == written


def test_a_file_that_is_cut_off_while_it_is_read_ends_the_run_in_words(domains, cache):
    inputs = domains(0)["target"].inputs
    for file in cache.iterdir():
        os.truncate(file, 2000)
    with pytest.raises(OSError, match="ends before its item 39"):
        inputs[[39]]


def test_a_process_killed_while_it_decodes_leaves_no_file(folders, domains, cache, monkeypatch):
    decode, calls = image_folders.decode_squares, []

    def deadly(*arguments):
        calls.append(arguments)
        if len(calls) == 20:
            os.kill(os.getpid(), signal.SIGKILL)
        return decode(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(image_folders, "PIECE", 0)  # a piece a picture
        patch.setattr(image_folders, "decode_squares", deadly)
        process = multiprocessing.get_context("fork").Process(
            target=image_folders.load, args=("target", str(folders / "target"), 12)
        )
        process.start()
        process.join()
    assert process.exitcode == -signal.SIGKILL
    assert [file.suffix for file in cache.iterdir()] == [f".draft-{process.pid}"]  # which `prune` removes
    assert torch.equal(domains(0)["target"].inputs[np.arange(40)], domains(2**28)["target"].inputs)


def test_a_full_disk_is_one_line_and_leaves_nothing(folders, domains, cache):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # the same error from the same call, of another number
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        with pytest.raises(
            RequestError,
            match=r"pictures: File too large; 0\.0 GB of decoded pictures are kept there; make room, or",
        ) as refusal:
            domains(0)
        assert "\n" not in str(refusal.value) and list(cache.iterdir()) == []
        assert len(domains(2**28)["target"]) == 40  # what memory holds needs no file
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
