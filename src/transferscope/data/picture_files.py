"""Which files of a folder are pictures, or texts: one answer for training and for `transferscope predict`."""

import os
import sys
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

from PIL import Image, UnidentifiedImageError

from transferscope.errors import RequestError
from transferscope.store.printable import printable

# The last three are tried like the others: where Pillow cannot read them, that is said rather than the
# picture left out.
SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm",
    ".avif", ".heic", ".heif",
}  # fmt: skip
# What systems and programs leave in the folders they visit, beside all that begins with a dot.
SERVICE = {
    "__macosx", "@eadir", "@recycle", "#recycle", "#snapshot", "$recycle.bin", "system volume information",
    "lost+found", "__pycache__",
    "thumbs.db", "ehthumbs.db", "desktop.ini",
}  # fmt: skip
TOLD = 6  # kinds of files that the closing line names


def is_picture(file: Path) -> bool:
    """By its suffix; a file without one by its first bytes."""
    if file.suffix:
        return file.suffix.lower() in SUFFIXES
    try:
        with Image.open(file):
            return True
    except Image.DecompressionBombError:
        return True  # which decoding refuses with its name
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return False


class Kind(NamedTuple):
    """What is looked for in folders. word: for messages. is_one: whether a file is, by name or content.
    loose: whether one that lies in no class folder is refused; else it is left out, as a README.txt is."""

    word: str
    is_one: Callable[[Path], bool]
    loose: bool


PICTURES = Kind("picture", is_picture, loose=True)
TEXTS = Kind("text", lambda file: file.suffix.lower() == ".txt", loose=False)


@dataclass
class Level:
    """One folder, nothing below it; each list sorted by name. files: of the kind that is looked for.
    left_out: number of files by what they are."""

    folders: list[Path] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)  # those of `folders` that are links
    files: list[Path] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def look_into(folder: Path, kind: Kind = PICTURES) -> Level:
    """The folders and files of one kind in a folder. Hidden ones and those of services do not count, nor do
    links to nothing.

    Raises RequestError for a folder that cannot be read.
    """
    level = Level()
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: (normal(entry.name), entry.name))
    except OSError as error:
        raise RequestError(f"{folder}: {error.strerror}; let it be read, or remove it") from error
    for entry in entries:
        path, is_link = folder / entry.name, entry.is_symlink()
        if entry.name.startswith(".") or entry.name.casefold() in SERVICE:
            is_folder = entry.is_dir(follow_symlinks=False)
            level.left_out["hidden"] += sum(len(names) for _, _, names in os.walk(path)) if is_folder else 1
        elif os.path.isdir(path) if is_link else entry.is_dir():
            level.folders.append(path)
            level.links += [path] if is_link else []
        elif not (os.path.isfile(path) if is_link else entry.is_file()):
            level.left_out["dangling link" if is_link else "no plain file"] += 1
        elif kind.is_one(path):
            level.files.append(path)
        else:
            level.left_out[path.suffix.lower() or "without suffix"] += 1
    return level


def find_files(folder: Path, kind: Kind = PICTURES) -> tuple[list[Path], Counter[str]]:
    """(every file of one kind at any depth, sorted by name; how many files of which kind were left out).

    Links to folders are followed after all others, and a folder is read once: a file has the path without
    links, and a loop ends."""
    files, left_out, read = [], Counter(), set()
    waiting, links = deque([folder]), deque()
    while waiting or links:
        here = waiting.popleft() if waiting else links.popleft()
        status = here.stat()
        if (status.st_dev, status.st_ino) in read:
            left_out["link to a folder that was read"] += 1
            continue
        read.add((status.st_dev, status.st_ino))
        level = look_into(here, kind)
        files += level.files
        left_out += level.left_out
        waiting += [f for f in level.folders if f not in level.links]
        links += level.links
    return sorted(files, key=lambda f: ([normal(part) for part in f.relative_to(folder).parts], f)), left_out


def tell_left_out(where: Path, left_out: Counter[str]) -> None:
    """One line on stderr, such as "pictures: 16 files left out: 12 .txt, 3 hidden, 1 dangling link"."""
    if left_out:
        tell(
            f"{where}: {left_out.total()} file{'' if left_out.total() == 1 else 's'} left out: "
            f"{kinds(left_out)}"
        )


def kinds(left_out: Counter[str]) -> str:
    """Such as "12 .txt, 3 hidden", the most frequent first."""
    shown = left_out.most_common(TOLD)
    others = left_out.total() - sum(count for _, count in shown)
    return ", ".join(f"{count} {kind}" for kind, count in shown) + (
        f", {others} of other kinds" if others else ""
    )


@cache
def tell(line: str) -> None:
    """A line on stderr, once a process."""
    print(printable(printable_name(line)), file=sys.stderr)


def printable_name(name: str) -> str:
    r"""A file's name as text that every file and terminal can hold: bytes that are no UTF-8 become \xNN."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def normal(name: str) -> str:
    """`printable_name` in the one form of Unicode (NFC) in which names are compared: disks and archives of
    macOS write another."""
    return normalize("NFC", printable_name(name))


def item_ids(base: Path, files: list[Path]) -> list[str]:
    """The paths below `base` in normal form. Raises RequestError where two are one."""
    ids = [normal(f.relative_to(base).as_posix()) for f in files]
    if len(set(ids)) < len(ids):
        twice, _ = Counter(ids).most_common(1)[0]
        raise RequestError(
            f"{twice} in {base} is there twice, its name written in two forms of Unicode; rename or remove "
            "one"
        )
    return ids
