"""A user's own pictures: one folder a class."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import torch
from PIL import __version__ as pillow
from torch import Tensor

from transferscope.data import files as data_files
from transferscope.data import on_disk
from transferscope.data.class_folders import read_layout
from transferscope.data.decoding import DECODING, DEEPEST, decode_squares, white_of
from transferscope.data.domain import Domain
from transferscope.data.picture_files import item_ids, printable_name, tell, tell_left_out
from transferscope.errors import RequestError

IN_MEMORY = 2**28  # bytes: a domain of more decoded pixels stays on disk
PIECE = 2**23  # bytes of decoded pixels that are in memory at once while a folder is decoded


class Decoded(NamedTuple):
    names: list[str]
    squares: Tensor | on_disk.OnDisk  # uint8 [N, C, size, size]
    white: int | None  # of the 16-bit greys among them, see `white_of`


def load(
    name: str,
    root: str,
    size: int,
    *,
    channels: int = 3,
    test_fraction: float = 0.5,
    unlabelled: str = "unlabelled",
    nested: bool = False,
) -> Domain:
    """inputs uint8 [N, channels, size, size]; classes the names of the folders; ids the paths below `root`.

    root: holds `CLASS/*.jpg` …, or `train/CLASS/*` and `test/CLASS/*`; folders below a class folder belong to
        that class, links are followed. Hidden files and folders and what is no picture (picture_files.py) do
        not count; one line on stderr says how many.
    size: every picture is scaled so that its shorter side has this many pixels, then cropped to the square in
    the middle.
    test_fraction: share of the labelled items that goes to test; not used where there are `train/` and
    `test/`.
    unlabelled: folder of `root` whose pictures have no label; they belong to the training side.
    nested: see `class_folders.read_layout`. Raises RequestError for a missing folder, a layout that is none
    of these, fewer than two classes, a class without pictures, and the first picture that cannot be
    decoded."""
    base = Path(root).expanduser()
    if not base.is_dir():
        raise RequestError(f"root={root} is no folder; give the folder that holds one folder a class")
    items, left_out = read_layout(base, unlabelled, nested)
    require_two_classes({item.class_name for item in items if item.class_name is not None}, str(base))
    files = dict(
        zip(item_ids(base, [item.file for item in items]), [item.file for item in items], strict=True)
    )
    decoded = decoded_once(
        base,
        list(files.values()),
        size,
        channels,
        lambda: {i: partial(open, f, "rb") for i, f in files.items()},
    )
    tell_left_out(base, left_out)
    return Domain.build(
        name,
        decoded.squares,
        [item.class_name for item in items],
        decoded.names,
        [item.split for item in items],
        test_fraction=test_fraction,
        white=decoded.white,
    )


def decoded_once(
    origin: Path,
    files: Iterable[Path],
    size: int,
    channels: int,
    pictures: Callable[[], dict[str, Callable[[], BinaryIO]]],
    part: str = "",
) -> Decoded:
    """Pictures, decoded by the first process that asks and found by all others, until one of the files is
    another.

    origin: the folder or archive that `files` are, or are in; told by their paths, sizes and times. pictures:
    by name, what opens the encoded bytes; called only if they have to be decoded. part: which of the
    archive's pictures. One file of the user's cache, at most, is kept of each origin, part, size and number
    of channels. Squares of IN_MEMORY bytes or fewer are a tensor, more stay in that file. Where the cache
    cannot be written, the former are decoded each time, the latter refused."""
    h = hashlib.blake2b(repr((str(origin.resolve()), part, size, channels)).encode(), digest_size=16)
    path = data_files.decoded_pictures() / f"{h.hexdigest()}.safetensors"
    stats = [(str(f), s.st_size, s.st_mtime_ns) for f in files for s in [f.stat()]]
    state = hashlib.blake2b(repr((stats, DECODING, pillow)).encode(), digest_size=16).hexdigest()

    def kept() -> Decoded | None:
        images, facts = on_disk.open_file(path, IN_MEMORY) or (None, {"state": None})
        return (
            Decoded(json.loads(facts["names"]), images, json.loads(facts["white"]))
            if facts["state"] == state
            else None
        )

    with contextlib.suppress(OSError):
        if found := kept():
            return _told(origin, found)
    encoded = pictures()
    white = white_of((str(origin / part / name), opened) for name, opened in encoded.items())
    octets = len(encoded) * channels * size * size

    def pieces() -> Iterator[Tensor]:
        labelled = [(str(origin / part / name), opened) for name, opened in encoded.items()]
        step = max(1, PIECE // max(1, channels * size * size))
        return (
            decode_squares(labelled[start : start + step], size, channels, white or DEEPEST)
            for start in range(0, len(labelled), step)
        )

    try:
        facts = {"origin": printable_name(str(origin.resolve())), "state": state, "white": json.dumps(white)}
        on_disk.write(path, list(encoded), pieces(), (channels, size, size), facts)
        if found := kept():
            return _told(origin, found)
        raise OSError("another process replaced it")
    except OSError as error:
        if octets > IN_MEMORY:
            why = (
                f"{path.parent}: {error.strerror or error}; {octets / 1e9:.1f} GB of decoded pictures are "
                "kept there"
            )
            raise RequestError(f"{why}; make room, or name another folder in XDG_CACHE_HOME") from error
    return _told(origin, Decoded(list(encoded), torch.cat(list(pieces())), white))


def _told(origin: Path, decoded: Decoded) -> Decoded:
    if decoded.white is not None:
        tell(f"{origin}: 16-bit greys: 0 to {decoded.white} became 0 to 255")
    return decoded


def require_two_classes(classes: Iterable[str], where: str) -> None:
    classes = sorted(classes)
    if len(classes) < 2:
        found = f"only class '{classes[0]}'" if classes else "no class"
        raise RequestError(f"{found} in {where}; at least two classes are needed")
