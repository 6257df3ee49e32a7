"""A folder that `save_to_disk` of Hugging Face's `datasets` wrote: pictures, or features as columns. Needs
that package."""

import io
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from transferscope.data import tables
from transferscope.data.arrays import class_of, refuse_odd_split
from transferscope.data.domain import Domain
from transferscope.data.image_folders import decoded_once, require_two_classes
from transferscope.data.picture_files import normal
from transferscope.errors import RequestError, nearest

if TYPE_CHECKING:
    from datasets import Dataset

PART = "part of the DatasetDict"  # a column beside those of the user


def load(
    name: str,
    path: str,
    *,
    label: str = "label",
    picture: str | None = None,
    size: int | None = None,
    channels: int = 3,
    train: list[str] | None = None,
    test: list[str] | None = None,
    split: str | None = None,
    groups: str | None = None,
    leave_out: list[str] | None = None,
    test_fraction: float = 0.5,
    unlabelled: str | float | None = None,
    categorical: tables.Categorical | None = None,
    missing: tables.Missing | None = None,
) -> Domain:
    """Pictures where a column holds them: inputs uint8 [N, channels, size, size], made as in image_folders.
    Else float32 [N, d], see `from_frame` of tables. classes: the labels as text, or their names where the
    column is a ClassLabel. ids: FOLDER-00042 by row, train before test.

    picture: the column, where several hold pictures. size: see `image_folders.load`.
    categorical, missing: of features, see `tables.from_frame`.
    train, test: the parts of a DatasetDict that are its split, ["train"] and ["test"] where it has these two
    alone. split, groups, leave_out, unlabelled: see `tables.from_frame`; split is not for a DatasetDict.
    Raises RequestError for a missing package, a folder of another kind, a missing part or column, pictures
    without `size`, the first picture that cannot be decoded, and whatever `from_frame` refuses."""
    dataset = _read(path, train, test)
    if PART in dataset.column_names:
        if split is not None:
            raise RequestError(f"split={split}: {path} has parts, which are its split; leave the key out")
        split = PART
    columns, kinds = dataset.column_names, dataset.features
    for absent in [
        c for c in (label, picture, split, groups, *(leave_out or [])) if c is not None and c not in columns
    ]:
        raise RequestError(
            f"no column '{absent}' in {path}; there are: {', '.join(columns)}{nearest(absent, columns)}"
        )
    pictures = [c for c in columns if type(kinds[c]).__name__ == "Image" and c not in (leave_out or [])]
    others = dataset.remove_columns(pictures).to_pandas()
    if type(kinds[label]).__name__ == "ClassLabel":  # -1 is its way to say that there is none
        others[label] = [
            kinds[label].int2str(number) if number >= 0 else str(number)
            for number in others[label].fillna(-1).astype(int)
        ]
    if not pictures:
        return tables.from_frame(
            name,
            others,
            label=label,
            split=split,
            groups=groups,
            leave_out=leave_out,
            test_fraction=test_fraction,
            unlabelled=unlabelled,
            categorical=categorical,
            missing=missing,
            path=path,
        )
    if picture not in pictures and (picture or len(pictures) > 1):
        raise RequestError(
            f"picture={picture}; allowed: {', '.join(pictures)}, the columns of {path} that hold pictures"
        )
    if size is None:
        raise RequestError(
            f"size=None; {path} holds pictures: give the number of pixels of the squares they become"
        )
    texts = tables.texts_of(path, others, label, None, split, groups)
    classes = class_of(path, label, texts[label], unlabelled)
    parts = texts[split] if split else [""] * len(others)
    refuse_odd_split(path, parts, classes)
    require_two_classes(set(classes) - {None}, path)
    encoded = _encoded(dataset, picture or pictures[0], f"{normal(Path(path).stem)}-")
    base = Path(path).expanduser()
    part = " ".join([picture or pictures[0], *(train or []), *(test or [])])
    decoded = decoded_once(base, sorted(base.rglob("*.arrow")), size, channels, lambda: encoded, part)
    return Domain.build(
        name,
        decoded.squares,
        classes,
        decoded.names,
        parts,
        test_fraction,
        groups=texts.get(groups),
        white=decoded.white,
    )


def _read(path: str, train: list[str] | None, test: list[str] | None) -> "Dataset":
    """All rows that count, with a column PART, "train" or "test", where they come from a DatasetDict."""
    try:
        from datasets import DatasetDict, concatenate_datasets, load_from_disk
    except ImportError as error:
        raise RequestError(
            f"{path}: a package is missing that reads it; pip install 'transferscope[datasets]'"
        ) from error
    try:
        found = load_from_disk(str(Path(path).expanduser()))
    except FileNotFoundError as error:
        raise RequestError(
            f"path={path} is no folder that save_to_disk wrote; "
            "datasets.load_dataset(...).save_to_disk(FOLDER) makes one"
        ) from error
    except Exception as error:  # readers of foreign bytes raise anything
        raise RequestError(f"{path} cannot be read ({' '.join(str(error).split())})") from error
    if not isinstance(found, DatasetDict):
        if train or test:
            raise RequestError(
                f"train={train}, test={test}: {path} has no parts; name the column of its split, or leave "
                "the keys out"
            )
        return found
    if not (train and test) and set(found) != {"train", "test"}:
        raise RequestError(
            f"{path} has the parts {', '.join(found)}; say which are which, such as train: [train], test: "
            "[validation]"
        )
    sides = [
        (part, side)
        for side, names in (("train", train or ["train"]), ("test", test or ["test"]))
        for part in names
    ]
    if odd := [part for part, _ in sides if part not in found]:
        raise RequestError(
            f"no part '{odd[0]}' in {path}; there are: {', '.join(found)}{nearest(odd[0], list(found))}"
        )
    if len(dict(sides)) < len(sides):
        raise RequestError(f"train={train}, test={test}: a part of {path} is named twice")
    try:
        return concatenate_datasets(
            [found[part].add_column(PART, [side] * len(found[part])) for part, side in sides]
        )
    except ValueError as error:
        raise RequestError(
            f"{path}: its parts have other columns ({' '.join(str(error).split())[:200]})"
        ) from error


def _encoded(dataset: "Dataset", picture: str, stem: str) -> "dict[str, partial[BinaryIO]]":
    """By id, what opens the bytes of each picture, as they are in the folder."""
    from datasets import Image

    cells = dataset.select_columns(picture).cast_column(picture, Image(decode=False))

    def opened(row: int) -> BinaryIO:
        cell = cells[row][picture]
        if cell is None:
            raise ValueError("nothing in the cell")
        return io.BytesIO(cell["bytes"]) if cell["bytes"] is not None else open(cell["path"], "rb")

    return {f"{stem}{row:05d}": partial(opened, row) for row in range(len(cells))}
