"""class_folders.py: what the folders below a root are taken for."""

from pathlib import Path

import pytest
from PIL import Image

from transferscope.data import image_folders
from transferscope.data.domain import Domain
from transferscope.errors import RequestError

UNDERSTOOD, REFUSED = "understood", "refused"


def pictures(root: Path, *folders: str, grey: int = 0) -> None:
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), grey).save(root / folder / f"{grey}.png")


def load(root: Path, **options) -> Domain:
    return image_folders.load("mine", str(root), size=4, **options)


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        (("train", "test"), UNDERSTOOD),
        (("Train", "Test"), UNDERSTOOD),
        (("TRAIN", "TEST"), UNDERSTOOD),
        (("Training", "Testing"), UNDERSTOOD),
        (("training", "test"), UNDERSTOOD),
        (("train_set", "test_set"), UNDERSTOOD),
        (("training_set", "testing_set"), UNDERSTOOD),
        (("trainset", "testset"), UNDERSTOOD),
        (("seg_train", "seg_test"), UNDERSTOOD),
        (("seg_train/seg_train", "seg_test/seg_test"), UNDERSTOOD),
        (("train-images", "test-images"), UNDERSTOOD),
        # which of the two are chosen by and which tested on is not for us to say
        (("train", "val"), REFUSED),
        (("train", "Valid"), REFUSED),
        (("train", "validation"), REFUSED),
        (("train", "dev"), REFUSED),
        (("train2017", "val2017"), REFUSED),
        (("train", "val", "test"), REFUSED),
        (("training", "Validation", "testing"), REFUSED),
        (("train", "Training", "test"), REFUSED),
        (("train", "cat"), REFUSED),
        (("train",), REFUSED),
        (("val", "test"), REFUSED),
        (("seg_train/seg_test", "seg_test/seg_train"), REFUSED),
        (("train/train", "train/test", "test/train"), REFUSED),
    ],
)
def test_a_folder_named_like_a_part_of_a_split_is_no_class(
    parts: tuple[str, ...], what: str, tmp_path: Path
) -> None:
    for number, part in enumerate(parts):
        pictures(tmp_path / part, "cat", "dog", grey=number)
    if what == REFUSED:
        with pytest.raises(RequestError, match="allowed") as refusal:
            load(tmp_path)
        assert "\n" not in str(refusal.value)
        return
    domain = load(tmp_path)
    assert domain.classes == ("cat", "dog")
    assert {
        i.split("/")[0].lower()[:7].replace("seg_", "")[:2] + s[:2]
        for i, s in zip(domain.ids, domain.split, strict=True)
    } == {"trtr", "tete"}


@pytest.mark.parametrize("parts", [("train", "test"), ("Training", "Testing"), ("train", "val", "test")])
def test_parts_of_a_split_without_class_folders_are_no_classes(
    parts: tuple[str, ...], tmp_path: Path
) -> None:
    pictures(tmp_path, *parts)
    with pytest.raises(RequestError, match="lies in no class folder|allowed"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("folders", "what"),
    [
        (("amazon/bike", "amazon/mug", "webcam/bike", "webcam/mug"), "root=.*nested=true"),
        (
            (
                "amazon/images/bike",
                "amazon/images/mug",
                "webcam/images/bike",
                "webcam/images/mug",
                "webcam/images/cup",
            ),
            "give root=.*amazon/images",
        ),
        (("archive/cat", "archive/dog"), "cat, dog are in archive; give root=.*archive"),
        (
            ("a/train/cat", "a/train/dog", "a/test/cat", "a/test/dog", "b/cat"),
            "test, train are in a; give root=",
        ),
    ],
)
def test_a_root_one_level_too_high_is_refused(folders: tuple[str, ...], what: str, tmp_path: Path) -> None:
    pictures(tmp_path, *folders)
    with pytest.raises(RequestError, match=what) as refusal:
        load(tmp_path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "folders",
    [
        ("cat/images", "dog/images"),
        ("cat/2019", "cat/2020", "dog/2020", "dog/2021"),
        ("cat/a", "cat/b", "dog"),
        ("train", "cat", "dog"),
        ("valid", "invalid"),
        ("dog/deep/deeper", "cat/deep/deeper"),
    ],
)
def test_folders_inside_class_folders_belong_to_the_class(folders: tuple[str, ...], tmp_path: Path) -> None:
    pictures(tmp_path, *folders)
    assert load(tmp_path).classes == tuple(sorted({folder.split("/")[0] for folder in folders}))


@pytest.mark.parametrize(
    "folders",
    [
        ("cat/2019", "cat/2020", "dog/2019", "dog/2020"),
        ("valid/2019", "invalid/2019"),
        ("cat/train", "cat/test", "dog"),
    ],
)
def test_nested_says_that_the_outer_folders_are_the_classes(folders: tuple[str, ...], tmp_path: Path) -> None:
    pictures(tmp_path, *folders)
    with pytest.raises(RequestError):
        load(tmp_path)
    assert load(tmp_path, nested=True).classes == tuple(sorted({folder.split("/")[0] for folder in folders}))


def test_the_classes_of_a_split_may_be_nested(tmp_path: Path) -> None:
    pictures(
        tmp_path,
        *(
            f"{part}/{c}/{year}"
            for part in ("train", "test")
            for c in ("cat", "dog")
            for year in (2019, 2020)
        ),
    )
    with pytest.raises(RequestError, match="nested=true"):
        load(tmp_path)
    domain = load(tmp_path, nested=True)
    assert domain.classes == ("cat", "dog") and set(domain.split) == {"train", "test"}
