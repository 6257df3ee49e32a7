"""mnist.py, usps.py, mnist_m.py against the files, and against torchvision's reading of the same files."""

import bz2
import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from transferscope.data import mnist, mnist_m, usps
from transferscope.data.domain import Domain
from transferscope.errors import RequestError


def test_mnist_is_what_torchvision_reads(data_root: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in (data_root / "mnist").glob("*.gz"):
        (raw / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    domain = mnist.load("mnist", str(data_root))
    assert domain.inputs.shape == (70000, 1, 28, 28)
    for part, train, count in (("train", True, 60000), ("test", False, 10000)):
        theirs, ours = datasets.MNIST(tmp_path, train=train), domain.split == part
        assert ours.sum() == count
        assert (domain.inputs[ours][:, 0] == theirs.data).all() and (
            domain.labels[ours] == theirs.targets
        ).all()
    assert mnist.load("mnist", str(tmp_path)).digest == domain.digest  # torchvision's own folder


@pytest.fixture(scope="module")
def whole_usps(data_root: Path) -> Domain:
    return usps.load("usps", str(data_root))


def test_usps_is_what_torchvision_reads(data_root: Path, whole_usps: Domain) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    domain = whole_usps
    assert domain.inputs.shape == (9298, 1, 16, 16)
    for part, train, count in (("train", True, 7291), ("test", False, 2007)):
        theirs, ours = datasets.USPS(data_root / "usps", train=train), domain.split == part
        assert ours.sum() == count
        assert (domain.inputs[ours][:, 0].numpy() == theirs.data).all()
        assert domain.labels[ours].tolist() == theirs.targets


def test_usps_as_some_benchmarks_have_it(data_root: Path, whole_usps: Domain) -> None:
    whole = whole_usps
    domain = usps.load("usps", str(data_root), pad=6, parts="train", test_fraction=0.2)
    assert domain.inputs.shape == (7291, 1, 28, 28) and set(domain.split) == {""}
    assert (
        torch.equal(domain.inputs[:, :, 6:-6, 6:-6], whole.inputs[whole.split == "train"])
        and not domain.inputs[:, :, :6].any()
    )
    assert domain.ids.tolist() == whole.ids[whole.split == "train"].tolist()
    with pytest.raises(RequestError, match="pad=-1: a whole number"):
        usps.load("usps", str(data_root), pad=-1)
    with pytest.raises(RequestError, match="parts=test; allowed: both, train"):
        usps.load("usps", str(data_root), parts="test")


@pytest.mark.slow
def test_mnist_m_shows_the_digits_of_mnist_in_colour(data_root: Path) -> None:
    domain = mnist_m.load("mnist_m", str(data_root))
    assert domain.inputs.shape == (19001, 3, 32, 32)
    assert (domain.split == "train").sum() == 10000 and (domain.split == "test").sum() == 9001
    assert (domain.inputs[:, 0] != domain.inputs[:, 2]).any()
    with tarfile.open(data_root / mnist_m.ARCHIVES[1]) as archive:
        lines = archive.extractfile("mnist_m/mnist_m_test_labels.txt").read().decode().split("\n")
        file, digit = lines[0].split()
        picture = np.asarray(Image.open(archive.extractfile(f"mnist_m/mnist_m_test/{file}")).convert("RGB"))
    item = domain.ids.tolist().index(f"test-{file.removesuffix('.png')}")
    assert domain.classes[domain.labels[item]] == digit
    assert (domain.inputs[item].permute(1, 2, 0).numpy() == picture).all()


@pytest.mark.parametrize(
    ("module", "file"),
    [
        (mnist, "mnist/train-images-idx3-ubyte.gz"),
        (usps, "usps/usps.bz2"),
        (mnist_m, "mnist_m/mnist_m.tar.gz"),
    ],
)
def test_missing_files_are_refused_with_the_way_out(module, file: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError) as refusal:
        module.load("x", str(tmp_path))
    message = str(refusal.value)
    assert "\n" not in message
    assert all(part in message for part in (str(tmp_path), file, "http", "data_root=", "download=true"))


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def small_files(root: Path) -> None:
    """The three sets in their formats, with two pictures a split: a 7 and a 3."""
    (root / "mnist").mkdir(parents=True)
    for prefix in ("train", "t10k"):
        images = bytes((0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28)) + bytes(range(256)) * 6 + bytes(32)
        (root / "mnist" / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (root / "mnist" / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(
            gzip.compress(bytes((0, 0, 8, 1, 0, 0, 0, 2, 7, 3)))
        )
    (root / "usps").mkdir()
    for file in ("usps.bz2", "usps.t.bz2"):
        rows = "".join(
            f"{label} " + " ".join(f"{i}:{i / 128 - 1:.3f}" for i in range(1, 257)) + " \n"
            for label in (8, 4)
        )
        (root / "usps" / file).write_bytes(bz2.compress(rows.encode()))
    (root / "mnist_m").mkdir()
    png = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(png, "png")
    with tarfile.open(root / "mnist_m" / "mnist_m.tar.gz", "w:gz") as archive:
        for part in ("train", "test"):
            add(archive, f"mnist_m/mnist_m_{part}/00000000.png", png.getvalue())
            add(archive, f"mnist_m/mnist_m_{part}/00000001.png", png.getvalue())
            add(archive, f"mnist_m/mnist_m_{part}_labels.txt", b"00000000.png 7\n00000001.png 3\n")


@pytest.mark.parametrize("module", [mnist, usps, mnist_m])
def test_a_file_of_each_format_is_read(module, tmp_path: Path) -> None:
    small_files(tmp_path)
    domain = module.load("x", str(tmp_path))
    for part in ("train", "test"):
        assert [domain.classes[i] for i in domain.labels[domain.split == part]] == ["7", "3"]


@pytest.mark.parametrize(("module", "folder"), [(mnist, "mnist"), (usps, "usps"), (mnist_m, "mnist_m")])
def test_a_truncated_file_is_refused_by_name(module, folder: str, tmp_path: Path) -> None:
    small_files(tmp_path)
    file = max((tmp_path / folder).iterdir(), key=lambda f: f.stat().st_size)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(RequestError, match=file.name) as refusal:
        module.load("x", str(tmp_path))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("module", "folder"), [(mnist, "mnist"), (usps, "usps"), (mnist_m, "mnist_m")])
def test_a_file_with_a_wrong_byte_is_refused_by_name(module, folder: str, tmp_path: Path) -> None:
    small_files(tmp_path)
    file = max((tmp_path / folder).iterdir(), key=lambda f: f.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(RequestError, match=file.name):
        module.load("x", str(tmp_path))


def test_mnist_m_refuses_labels_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "mnist_m").mkdir()
    with tarfile.open(tmp_path / "mnist_m" / "mnist_m.tar.gz", "w:gz") as archive:
        add(archive, "mnist_m/mnist_m_test_labels.txt", b"00000000.png 7\n")
    with pytest.raises(RequestError, match="0 pictures and 1 labels"):
        mnist_m.load("x", str(tmp_path))


def test_download_fetches_once_and_reads_what_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []

    def fetch(folder: Path) -> None:
        fetched.append(folder)
        small_files(folder)

    monkeypatch.setattr(usps, "_fetch", fetch)
    first = usps.load("usps", str(tmp_path / "new"), download=True)
    assert usps.load("usps", str(tmp_path / "new"), download=True).digest == first.digest
    assert usps.load("usps", str(tmp_path / "new")).digest == first.digest
    assert len(fetched) == 1


def test_a_broken_download_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(folder: Path) -> None:
        (folder / "usps").mkdir()
        (folder / "usps" / "usps.bz2").write_bytes(b"half")
        raise OSError("connection lost")

    monkeypatch.setattr(usps, "_fetch", fetch)
    with pytest.raises(RequestError, match=r"connection lost.*data_root="):
        usps.load("usps", str(tmp_path), download=True)
    assert list(tmp_path.rglob("*")) == []
