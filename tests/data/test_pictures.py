"""image_folders.py and office_caltech.py"""

import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transferscope.data import files, image_folders, office_caltech
from transferscope.errors import RequestError


def picture(path: Path, colour=(200, 30, 30), size=(20, 12), **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, **options)
    return path


def two_classes(root: Path) -> Path:
    for i in range(3):
        picture(root / "cat" / f"{i}.png", (200, 10 * i, 30))
        picture(root / "dog" / f"{i}.jpg", (30, 10 * i, 200))
    return root


def test_one_folder_a_class(tmp_path: Path) -> None:
    domain = image_folders.load("mine", str(two_classes(tmp_path)), size=8)
    assert domain.inputs.shape == (6, 3, 8, 8) and domain.is_images
    assert domain.classes == ("cat", "dog")
    assert domain.ids.tolist() == [
        "cat/0.png",
        "cat/1.png",
        "cat/2.png",
        "dog/0.jpg",
        "dog/1.jpg",
        "dog/2.jpg",
    ]
    assert set(domain.split) == {""}
    assert domain.inputs[1, :, 4, 4].tolist() == [200, 10, 30]


def test_official_split_and_unlabelled(tmp_path: Path) -> None:
    two_classes(tmp_path / "train")
    picture(tmp_path / "test" / "dog" / "x.png")
    for i in range(5):
        picture(tmp_path / "pool" / f"{i}.png")
    domain = image_folders.load("mine", str(tmp_path), size=8, channels=1, unlabelled="pool")
    assert domain.inputs.shape == (12, 1, 8, 8)
    assert (domain.split == "test").sum() == 1 and (domain.split == "train").sum() == 11
    assert (domain.labels == -1).sum() == 5 and (domain.split[domain.labels == -1] == "train").all()


def test_unlabelled_beside_class_folders(tmp_path: Path) -> None:
    two_classes(tmp_path)
    picture(tmp_path / "unlabelled" / "deep" / "x.png")
    domain = image_folders.load("mine", str(tmp_path), size=8)
    assert domain.classes == ("cat", "dog")
    assert domain.labels[domain.ids == "unlabelled/deep/x.png"].tolist() == [-1]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "1.png")
    picture(tmp_path / "plane" / "1.png")
    assert image_folders.load("mine", str(tmp_path), size=8).classes == ("plane", "train")


def test_square_is_the_upright_middle(tmp_path: Path) -> None:
    two_classes(tmp_path)
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255  # the middle third
    Image.fromarray(wide).save(tmp_path / "cat" / "wide.png")
    turned = np.zeros((10, 20, 3), np.uint8)
    turned[:, :10] = 255  # the left half, which EXIF orientation 6 turns to the top
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(turned).save(tmp_path / "cat" / "turned.png", exif=exif)
    domain = image_folders.load("mine", str(tmp_path), size=10)
    by_id = dict(zip(domain.ids, domain.inputs, strict=True))
    assert by_id["cat/wide.png"].min() == 255
    assert by_id["cat/turned.png"][:, :4].min() == 255 and by_id["cat/turned.png"][:, 6:].max() == 0


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "CMYK", "L", "1"])
def test_every_colour_mode_is_read(mode: str, tmp_path: Path) -> None:
    two_classes(tmp_path)
    file = tmp_path / "cat" / ("x.tif" if mode == "CMYK" else "x.png")
    Image.new("RGB", (9, 9), (255, 255, 255)).convert(mode).save(file)
    domain = image_folders.load("mine", str(tmp_path), size=8)
    assert domain.inputs[domain.ids == f"cat/{file.name}"].min() == 255


def test_sixteen_bit_grey_keeps_its_greys(tmp_path: Path) -> None:
    two_classes(tmp_path)
    Image.fromarray(np.full((9, 9), 128 * 257, np.uint16)).save(tmp_path / "cat" / "x.png")
    domain = image_folders.load("mine", str(tmp_path), size=8)
    assert set(domain.inputs[domain.ids == "cat/x.png"].flatten().tolist()) == {128}


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _text(file: Path) -> None:
    file.write_text("<html>not found</html>")


def _truncated(file: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _bomb(file: Path) -> None:
    Image.new("1", (20000, 20000)).save(file)


def _float(file: Path) -> None:
    Image.fromarray(np.full((9, 9), 0.5, np.float32)).save(file)


@pytest.mark.parametrize(
    ("damage", "suffix"),
    [
        (_empty, "jpg"),
        (_text, "jpg"),
        (_truncated, "jpg"),
        (_truncated, "png"),
        (_truncated, "webp"),
        (_bomb, "png"),
        (_float, "tif"),
    ],
)
def test_a_picture_that_cannot_be_decoded_is_named(damage, suffix: str, tmp_path: Path) -> None:
    file = two_classes(tmp_path) / "dog" / f"broken.{suffix}"
    damage(file)
    with pytest.raises(RequestError) as refusal:
        image_folders.load("mine", str(tmp_path), size=8)
    assert str(file) in str(refusal.value)
    assert "\n" not in str(refusal.value) and "0x" not in str(refusal.value)


def test_what_is_no_picture_does_not_count(tmp_path: Path) -> None:
    two_classes(tmp_path)
    for stray in ("cat/.DS_Store", "cat/._0.png", "cat/Thumbs.db", "notes.txt", ".cache/x.png"):
        (tmp_path / stray).parent.mkdir(exist_ok=True)
        (tmp_path / stray).write_bytes(b"x")
    assert len(image_folders.load("mine", str(tmp_path), size=8)) == 6


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda root: None, "no class in"),
        (lambda root: picture(root / "cat" / "1.png"), "only class 'cat'"),
        (lambda root: (two_classes(root) / "bird").mkdir(), "bird"),
        (lambda root: picture(two_classes(root) / "loose.png"), "loose.png"),
        (lambda root: picture(two_classes(root / "train") / "loose.png"), "loose.png|train; allowed"),
        (
            lambda root: (two_classes(root / "train"), two_classes(root / "test"), two_classes(root / "val")),
            "test, train, val; allowed",
        ),
        (lambda root: two_classes(root / "train"), "has train; allowed: train and test"),
    ],
)
def test_layouts_that_make_no_domain_are_refused(spoil, says: str, tmp_path: Path) -> None:
    spoil(tmp_path)
    with pytest.raises(RequestError, match=says):
        image_folders.load("mine", str(tmp_path), size=8)


def test_missing_folder_and_senseless_size(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="root=/no/such"):
        image_folders.load("mine", "/no/such", size=8)
    with pytest.raises(RequestError, match="size=0"):
        image_folders.load("mine", str(two_classes(tmp_path)), size=0)
    with pytest.raises(RequestError, match="channels=2"):
        image_folders.load("mine", str(tmp_path), size=8, channels=2)


@pytest.fixture
def decodings(monkeypatch) -> list[str]:
    """Names of the pictures that were decoded, in order."""
    seen, decode = [], image_folders.decode_squares

    def noted(pictures, *how: int):
        seen.extend(name for name, _ in pictures)
        return decode(pictures, *how)

    monkeypatch.setattr(image_folders, "decode_squares", noted)
    return seen


def test_a_folder_is_decoded_once_and_again_when_a_picture_changes(
    tmp_path: Path, decodings: list[str]
) -> None:
    root = str(two_classes(tmp_path))
    first = image_folders.load("mine", root, size=8)
    assert len(decodings) == 6
    second = image_folders.load("other", root, size=8)
    assert len(decodings) == 6 and second.digest == first.digest and second.ids.tolist() == first.ids.tolist()
    picture(tmp_path / "cat" / "0.png", (1, 2, 3))
    assert image_folders.load("mine", root, size=8).inputs[0, :, 4, 4].tolist() == [1, 2, 3]
    picture(tmp_path / "dog" / "9.png", (4, 5, 6))
    assert len(image_folders.load("mine", root, size=8)) == 7


def test_other_sizes_and_channels_are_other_pictures(tmp_path: Path) -> None:
    root = str(two_classes(tmp_path))
    shapes = [
        image_folders.load("mine", root, size=size, channels=c).inputs.shape[1:]
        for size, c in ((8, 3), (6, 3), (8, 1), (8, 3))
    ]
    assert shapes == [(3, 8, 8), (3, 6, 6), (1, 8, 8), (3, 8, 8)]


@pytest.mark.parametrize(
    "damage", [_empty, _text, lambda file: file.write_bytes(file.read_bytes()[:-1] + b"?")]
)
def test_damaged_decoded_pictures_are_made_again(
    damage, tmp_path: Path, decoded_pictures: Path, decodings: list[str], capsys
) -> None:
    root, before = str(two_classes(tmp_path)), set(decoded_pictures.iterdir())
    digest = image_folders.load("mine", root, size=8).digest
    [kept] = set(decoded_pictures.iterdir()) - before
    damage(kept)
    assert image_folders.load("mine", root, size=8).digest == digest
    assert len(decodings) == 12
    assert capsys.readouterr().err.count("\n") == 1


def test_what_a_reader_writes_into_its_pictures_stays_with_it(tmp_path: Path, decodings: list[str]) -> None:
    root = str(two_classes(tmp_path))
    image_folders.load("mine", root, size=8).inputs.zero_()
    assert image_folders.load("mine", root, size=8).inputs.max() > 0 and len(decodings) == 6


def test_a_cache_that_cannot_be_written_is_none(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(files, "decoded_pictures", lambda: tmp_path / "file" / "pictures")
    assert len(image_folders.load("mine", str(two_classes(tmp_path / "root")), size=8)) == 6


@pytest.mark.slow
def test_office_caltech_is_the_same_packed_and_unpacked(data_root: Path, tmp_path: Path) -> None:
    packed = office_caltech.load("dslr", str(data_root), "dslr", size=16)
    # now from what was kept
    assert office_caltech.load("dslr", str(data_root), "dslr", size=16).digest == packed.digest
    assert packed.inputs.shape == (157, 3, 16, 16)
    assert packed.labels.bincount().tolist() == [12, 21, 12, 13, 10, 24, 22, 12, 8, 23]
    with tarfile.open(data_root / office_caltech.ARCHIVE) as archive:
        archive.extractall(
            tmp_path / office_caltech.FOLDER, [m for m in archive if "/dslr/" in m.name], filter="data"
        )
    assert office_caltech.load("dslr", str(tmp_path), "dslr", size=16).digest == packed.digest


def test_office_caltech_refusals(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="office_caltech10_images.tar.gz.*data_root="):
        office_caltech.load("x", str(tmp_path), "dslr")
    with pytest.raises(RequestError, match="did you mean 'webcam'"):
        office_caltech.load("x", str(tmp_path), "webcams")
