"""What the folders below a root of pictures or texts are: classes, or the parts of a split that hold them."""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from transferscope.data.picture_files import PICTURES, Kind, Level, find_files, kinds, look_into, normal
from transferscope.errors import RequestError

PART = re.compile(  # Training, test_set, seg_train, val2017 ...
    r"(seg|images?|data|dataset)?(?P<part>train|training|test|testing|val|valid|validation|dev|eval|evaluation|pred)(s|set|data|images?|split)?(\d{4})?"
)
SIDES = {"train": "train", "training": "train", "test": "test", "testing": "test"}


class Item(NamedTuple):
    file: Path
    class_name: str | None  # None: no label
    split: str


def read_layout(
    base: Path, unlabelled: str, nested: bool, kind: Kind = PICTURES
) -> tuple[list[Item], Counter[str]]:
    """(items in the order of split, class and file, those without label last; how many files of which kind
    were left out).

    base: holds CLASS/…, or two folders whose names say train and test, such as Training/CLASS/… and
    Testing/CLASS/…
    unlabelled: folder of `base` whose files have no label. nested: every folder of `base`, or of its two
    parts, is a class, whatever the folders inside are called. Raises RequestError for a split of which a part
    is missing, doubled or neither train nor test; for classes whose folders are named like parts of a split,
    or are the same ones, as where the root is one level too high; for pictures in no class folder and class
    folders without a file of the kind."""
    level = look_into(base, kind)
    _set_loose_aside(level, kind)
    left_out, items, without_label = level.left_out, [], []
    if pool := _pop(level.folders, unlabelled):
        files, more = find_files(pool, kind)
        without_label, left_out = [Item(f, None, "train") for f in files], left_out + more
    for split, part in _parts(base, level, nested, kind):
        _set_loose_aside(part, kind)
        left_out += part.left_out if split else Counter()
        if not nested and (len(part.folders) > 1 or not split):
            _refuse_domains(base, part.folders, kind)
        for folder in part.folders:
            files, more = find_files(folder, kind)
            if not files:
                found = f" (left out: {kinds(more)})" if more else ""
                raise RequestError(
                    f"no {kind.word} in class folder {folder}{found}; add some or remove the folder"
                )
            items += [Item(f, normal(folder.name), split) for f in files]
            left_out += more
    return items + without_label, left_out


def _pop(folders: list[Path], name: str) -> Path | None:
    found = next((f for f in folders if normal(f.name) == normal(name)), None)
    if found:
        folders.remove(found)
    return found


def _part(folder: Path) -> str | None:
    """The word that names a part of a split, such as "train", "testing" or "val"."""
    match = PART.fullmatch(re.sub(r"[\W_]", "", folder.name.lower()))
    return match["part"] if match else None


def _parts(base: Path, level: Level, nested: bool, kind: Kind) -> list[tuple[str, Level]]:
    """("train" or "test", what is in that folder) by their names, or ("", what is in `base`) where there is
    no split."""
    named = [f for f in level.folders if _part(f)]
    if (
        not named
        or len(named) < len(level.folders)
        and (nested or not any(look_into(f, kind).folders for f in named))
    ):
        return [("", level)]
    sides = [SIDES.get(_part(f)) for f in level.folders]
    if sorted(map(str, sides)) != ["test", "train"]:
        odd = next(
            (f for f, side in zip(level.folders, sides, strict=True) if _part(f) and side is None), None
        )
        rename = f"; name {odd.name} train or test, or set it aside" if odd else ""
        found = ", ".join(sorted(f.name for f in level.folders))
        raise RequestError(f"{base} has {found}; allowed: train and test, or class folders alone{rename}")
    return [
        (side, _innermost(folder, kind)) for side, folder in sorted(zip(sides, level.folders, strict=True))
    ]


def _innermost(folder: Path, kind: Kind) -> Level:
    """What is in train, or in train/train, as archives are unpacked. Raises RequestError where the folders
    inside are parts of a split again."""
    level = look_into(folder, kind)
    parts = [_part(f) for f in level.folders]
    if level.folders and all(parts):
        if len(parts) > 1 or level.files or SIDES.get(parts[0]) != SIDES.get(_part(folder)):
            raise RequestError(
                f"{folder} has {', '.join(f.name for f in level.folders)}; allowed: class folders"
            )
        inner = _innermost(level.folders[0], kind)
        inner.left_out += level.left_out
        return inner
    return level


def _set_loose_aside(level: Level, kind: Kind) -> None:
    """What lies in no class folder: refused, or one more that is left out."""
    if level.files and not kind.loose:
        level.left_out[f"{kind.word} in no class folder"] += len(level.files)
        level.files = []
    if level.files:
        raise RequestError(
            f"{level.files[0]} lies in no class folder; move it into one, or into the folder of "
            "unlabelled pictures"
        )


def _refuse_domains(base: Path, folders: list[Path], kind: Kind) -> None:
    """Where the root is one level too high, its folders are domains, or data sets, and the classes are
    inside."""
    inside = {folder: _where_it_forks(folder, kind) for folder in folders}
    names = {folder: [normal(f.name) for f in level.folders] for folder, level in inside.items()}
    split = next(
        (
            f
            for f, level in inside.items()
            if level.folders and not level.files and all(map(_part, level.folders))
        ),
        None,
    )
    is_flat = any(level.files or not level.folders for level in inside.values())
    shared = [] if is_flat or not names else sorted(set.intersection(*map(set, names.values())))
    if split or len(shared) > 1:
        one = split or folders[0]
        held, below = _some(names[one] if split else shared), inside[one].folders[0].parent
        others = "" if split or len(folders) == 1 else f" and in {_some([f.name for f in folders[1:]])}"
        way = (
            f"nested=true if {_some([f.name for f in folders])} are the classes"
            if len(folders) > 1
            else "two classes are needed"
        )
        raise RequestError(
            f"root={base}: {held} are in {one.name}{others}; give root={below} to read what is in there, or "
            f"{way}"
        )


def _where_it_forks(folder: Path, kind: Kind) -> Level:
    """What is in the folder, or in the one folder that is all it has: amazon/images/CLASS."""
    level = look_into(folder, kind)
    while len(level.folders) == 1 and not level.files and level.folders[0] not in level.links:
        level = look_into(level.folders[0], kind)
    return level


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + ("…" if len(names) > 4 else "")
