"""Which file of a run is what was written: size, time of change and digest of each."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from transferscope.store.schema import KeptFile

BYTES = 16  # of a digest


def of_files(folder: Path, names: Iterable[str]) -> dict[str, KeptFile]:
    """Of files and folders of these names, as far as they are there; of a folder its archives."""
    found: dict[str, KeptFile] = {}
    for path in (folder / name for name in names):
        inside = sorted(path.glob("[0-9]*.npz")) if path.is_dir() else [path]
        found |= {one.relative_to(folder).as_posix(): of_file(one) for one in inside if one.exists()}
    return found


def of_file(path: Path) -> KeptFile:
    stat = path.stat()
    return {"size": stat.st_size, "mtime": stat.st_mtime_ns, "digest": digest(path)}


def digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=BYTES)).hexdigest()


def difference(path: Path, kept: KeptFile, *, verify: bool = False) -> str:
    """In what a file differs from what was written, '' where in nothing. It is read where size or time of
    change differ, or with `verify`. Raises OSError where it is not there."""
    stat = path.stat()
    if stat.st_size != kept["size"]:
        return "its size"
    if not verify and stat.st_mtime_ns == kept["mtime"]:
        return ""
    return "" if digest(path) == kept["digest"] else "its content"
