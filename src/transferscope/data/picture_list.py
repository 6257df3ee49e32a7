"""A user's own pictures that lie anywhere: a .csv file of paths and labels."""

import csv
from functools import partial
from pathlib import Path

from transferscope.data.array_files import existing
from transferscope.data.arrays import class_of, refuse_odd_split
from transferscope.data.domain import Domain
from transferscope.data.image_folders import decoded_once, require_two_classes
from transferscope.data.picture_files import item_ids
from transferscope.errors import RequestError, nearest


def load(
    name: str,
    path: str,
    size: int,
    *,
    channels: int = 3,
    test_fraction: float = 0.5,
    root: str | None = None,
    picture: str = "path",
    label: str = "label",
    split: str | None = None,
    groups: str | None = None,
    unlabelled: str | float | None = None,
) -> Domain:
    """inputs uint8 [N, channels, size, size], made as in image_folders; classes the labels; ids the pictures'
    paths as the folder has them.

    path: a .csv file whose first line names its columns. picture, label, split, groups: the columns with each
        picture's path, label, "train", "test" or "", and unit of the statistics. root: what the paths are
        relative to; the file's own folder where it is not given.
    unlabelled: see `arrays.load`. Raises RequestError for a missing file, column or picture, a picture that
    is listed twice, fewer than two classes, and the first picture that cannot be decoded."""
    table = existing(path, None)
    columns = _read(table, [column for column in (picture, label, split, groups) if column is not None])
    base = Path(root).expanduser() if root else table.parent
    files = [base / text for text in columns[picture]]
    for row, file in enumerate(files):
        if not file.is_file():
            raise RequestError(
                f"{path}: line of picture {row + 1}: no file {file}; mend it, or root= that the paths are "
                "relative to"
            )
    classes = class_of(path, label, columns[label], unlabelled)
    parts = columns[split] if split else [""] * len(files)
    refuse_odd_split(path, parts, classes)
    require_two_classes(set(classes) - {None}, path)
    encoded = dict(
        zip(
            item_ids(Path(), [Path(text) for text in columns[picture]]),
            [partial(open, f, "rb") for f in files],
            strict=True,
        )
    )
    decoded = decoded_once(table, files, size, channels, lambda: encoded)
    return Domain.build(
        name,
        decoded.squares,
        classes,
        decoded.names,
        parts,
        test_fraction,
        groups=columns[groups] if groups else None,
        white=decoded.white,
    )


def _read(file: Path, wanted: list[str]) -> dict[str, list[str]]:
    """The columns of a .csv file by their names, spaces around texts cut off."""
    try:
        with open(file, encoding="utf-8-sig", newline="") as stream:
            lines = [
                [cell.strip() for cell in line]
                for line in csv.reader(stream)
                if any(cell.strip() for cell in line)
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise RequestError(f"{file} cannot be read ({error}); save it as CSV in UTF-8") from error
    header, rows = (lines[0], lines[1:]) if lines else ([], [])
    for missing in [column for column in wanted if column not in header]:
        raise RequestError(
            f"no column '{missing}' in {file}; its first line names: "
            f"{', '.join(header)[:200]}{nearest(missing, header)}"
        )
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise RequestError(
                f"{file}: item {number} has {len(row)} cells, the first line names {len(header)} columns"
            )
    return {column: [row[header.index(column)] for row in rows] for column in wanted}
