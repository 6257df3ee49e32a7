"""picture_files.py: which files count, under which name; the same for a domain and for `transferscope
predict`."""

import os
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
import torch
from PIL import Image

from transferscope.data import image_folders, unlabelled
from transferscope.data.domain import Domain
from transferscope.errors import RequestError


def picture(file: Path, grey: int = 0, kind: str = "PNG") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4), grey).save(file, format=kind)
    return file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("cat/1.png", "cat/deep/2.png", "dog/1.png"):
        picture(tmp_path / "root" / name)
    return tmp_path / "root"


OWN = ["cat/1.png", "cat/deep/2.png", "dog/1.png"]


def both(root: Path) -> list[str]:
    """The items of the domain, which are the pictures that `predict` would take."""
    ids = image_folders.load("mine", str(root), size=4).ids.tolist()
    assert ids == [f.relative_to(root).as_posix() for f in unlabelled.find_pictures(root)]
    return ids


@pytest.mark.parametrize(
    "name",
    [
        ".ipynb_checkpoints",
        ".thumbnails",
        ".git",
        "__MACOSX",
        "@eaDir",
        "$RECYCLE.BIN",
        "System Volume Information",
        "#recycle",
        "lost+found",
    ],
)
def test_hidden_and_service_folders_never_count(name: str, root: Path, capsys) -> None:
    for place in ("", "cat", "cat/deep", "dog/new"):
        picture(root / place / name / "objects" / "1.png")
    assert both(root) == OWN
    # the second reader has the same to say
    assert capsys.readouterr().err.splitlines() == [f"{root}: 4 files left out: 4 hidden"]


def test_one_line_says_what_was_left_out(root: Path, capsys) -> None:
    for number in range(4):
        (root / "dog" / f"{number}.txt").write_text("x")
    (root / "README").write_text("some words")
    (root / "cat" / ".DS_Store").write_text("x")
    (root / "cat" / "Thumbs.db").write_text("x")
    (root / "cat" / "gone.png").symlink_to(root / "nowhere.png")
    assert both(root) == OWN
    assert capsys.readouterr().err.splitlines() == [
        f"{root}: 8 files left out: 4 .txt, 2 hidden, 1 without suffix, 1 dangling link"
    ]


def test_nothing_is_said_where_nothing_was_left_out(root: Path, capsys) -> None:
    assert both(root) == OWN
    assert capsys.readouterr().err == ""


def test_a_class_without_a_picture_says_what_it_has_instead(root: Path) -> None:
    (root / "bird").mkdir()
    (root / "bird" / "1.heif2").write_text("x")
    with pytest.raises(RequestError, match=r"no picture in class folder .*bird \(left out: 1 \.heif2\)"):
        image_folders.load("mine", str(root), size=4)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("x.jfif", "JPEG"), ("x.JPE", "JPEG"), ("x.PNG", "PNG"), ("x", "PNG"), ("0123abcd", "JPEG")],
)
def test_pictures_by_other_suffixes_and_by_none(name: str, kind: str, root: Path) -> None:
    picture(root / "dog" / name, kind=kind)
    assert both(root) == sorted([*OWN, f"dog/{name}"])


def test_links_are_followed_and_loops_end(root: Path, tmp_path: Path, capsys) -> None:
    picture(tmp_path / "elsewhere" / "more" / "9.png")
    picture(tmp_path / "single.png").rename(tmp_path / "kept")
    (root / "cat" / "a_link").symlink_to(tmp_path / "elsewhere")
    (root / "cat" / "deep" / "up").symlink_to(root / "cat")
    (root / "cat" / "self").symlink_to(root / "cat" / "self")
    (root / "dog" / "2.png").symlink_to(tmp_path / "kept")
    (root / "fox").symlink_to(tmp_path / "elsewhere" / "more")
    assert image_folders.load("mine", str(root), size=4).ids.tolist() == sorted(
        [*OWN, "cat/a_link/more/9.png", "dog/2.png", "fox/9.png"]
    )
    assert (
        "1 link to a folder that was read" in (said := capsys.readouterr().err) and "1 dangling link" in said
    )


def test_a_folder_and_a_link_to_it_are_one(root: Path) -> None:
    (root / "cat" / "a").symlink_to(root / "cat" / "deep")  # sorts before what it points to
    assert both(root) == OWN


def test_a_folder_that_cannot_be_read_is_named(root: Path, monkeypatch) -> None:
    scandir = os.scandir

    def guarded(path):
        if Path(path).name == "deep":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(RequestError, match="deep: Permission denied"):
        image_folders.load("mine", str(root), size=4)


def test_names_are_compared_in_one_form_of_unicode(tmp_path: Path) -> None:
    composed, decomposed = normalize("NFC", "café"), normalize("NFD", "café")
    for form in (composed, decomposed):
        picture(tmp_path / form / form / f"{form}.png")
        picture(tmp_path / form / "dog" / "1.png")
    one, other = (image_folders.load("mine", str(tmp_path / form), size=4) for form in (composed, decomposed))
    assert one.classes == other.classes == (composed, "dog")
    assert one.ids.tolist() == other.ids.tolist() == [f"{composed}/{composed}.png", "dog/1.png"]
    picture(tmp_path / composed / decomposed / "2.png")
    assert image_folders.load("mine", str(tmp_path / composed), size=4).labels.tolist() == [0, 0, 1]
    picture(tmp_path / composed / decomposed / f"{composed}.png")
    with pytest.raises(RequestError, match="two forms of Unicode"):
        image_folders.load("mine", str(tmp_path / composed), size=4)


def test_labels_of_arrays_are_compared_in_that_form_too() -> None:
    domain = Domain.build(
        "mine", torch.zeros(3, 1), [normalize("NFD", "é"), normalize("NFC", "é"), "x"], ["0", "1", "2"]
    )
    assert domain.labels.tolist() == [1, 1, 0]


@pytest.mark.parametrize("twin", ["CAT", "cat "])
def test_classes_that_differ_in_case_or_space_alone_are_pointed_out(twin: str, root: Path, capsys) -> None:
    picture(root / twin / "1.png")
    assert len(image_folders.load("mine", str(root), size=4).classes) == 3  # a and A are two letters
    said = capsys.readouterr().err
    assert (
        said.count("\n") == 1
        and repr(twin) in said
        and "'cat'" in said
        and "differ in case or space alone" in said
    )


def test_a_name_that_is_no_utf8_is_an_id_like_others(root: Path, capsys) -> None:
    for name in (b"caf\xe9.png", b"caf\xe8.png"):
        picture(root / "dog" / "x.png").rename(root / "dog" / os.fsdecode(name))
    os.mkdir(os.path.join(os.fsencode(root), b"f\xfcchse"))
    picture(root / os.fsdecode(b"f\xfcchse") / "1.png")
    (root / os.fsdecode(b"f\xfcchse") / os.fsdecode(b"1.\xff")).write_text("x")
    domain = image_folders.load("mine", str(root), size=4)
    assert domain.ids.tolist()[3:] == [r"dog/caf\xe8.png", r"dog/caf\xe9.png", r"f\xfcchse/1.png"]
    assert domain.classes == ("cat", "dog", r"f\xfcchse")
    "".join([*domain.ids, *domain.classes, capsys.readouterr().err]).encode()


def test_other_loaders_names_are_refused_before_any_training() -> None:
    for ids, classes in ((["a\udce9", "b"], ["x", "y"]), (["a", "b"], ["x\udce9", "y"])):
        with pytest.raises(RequestError, match=r"udce9.*cannot be written as UTF-8"):
            Domain.build("mine", torch.zeros(2, 1), classes, np.array(ids))
