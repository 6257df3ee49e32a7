"""A user's own pictures: one folder a class."""

import contextlib
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL import __version__ as pillow
from torch import Tensor

from transferscope.data import files as data_files
from transferscope.data import on_disk
from transferscope.data.domain import Domain
from transferscope.errors import Refused

# The last three are tried like the others: where Pillow cannot read them, that is said rather than the picture left out.
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".avif", ".heic", ".heif"}
CHANNELS = {1: "L", 3: "RGB"}
DECODING = 1  # raised when `decode_squares` gives other pixels
IN_MEMORY = 2**28  # bytes: a domain of more decoded pixels stays on disk
PIECE = 2**23  # bytes of decoded pixels that are in memory at once while a folder is decoded


def load(
    name: str,
    root: str,
    size: int,
    channels: int = 3,
    test_fraction: float = 0.5,
    unlabelled: str = "unlabelled",
) -> Domain:
    """inputs uint8 [N, channels, size, size]; classes the names of the folders; ids the paths below `root`.

    root: holds `CLASS/*.jpg` …, or `train/CLASS/*` and `test/CLASS/*`; folders below a class folder belong to that class.
        Files that begin with a dot or are no pictures by their suffix (SUFFIXES) do not count.
    size: every picture is scaled so that its shorter side has this many pixels, then cropped to the square in the middle.
    test_fraction: share of the labelled items that goes to test; not used where there are `train/` and `test/`.
    unlabelled: folder of `root` whose pictures have no label; they belong to the training side.
    Raises Refused for a missing folder, fewer than two classes, a class without pictures, and the first picture that cannot be decoded.
    """
    base = Path(root).expanduser()
    if not base.is_dir():
        raise Refused(f"root={root} is no folder; give the folder that holds one folder a class")
    folders = {f.name: f for f in _folders(base)}
    unlabelled_files = _pictures(folders.pop(unlabelled)) if unlabelled in folders else []
    _refuse_loose(base)
    if any(_folders(folders[split]) for split in ("train", "test") if split in folders):
        if set(folders) != {"train", "test"}:
            raise Refused(f"{base} has {', '.join(sorted(folders))}; allowed: train and test, or class folders alone")
        parts = {split: _classes(_folders(folder)) for split, folder in folders.items()}
        _refuse_loose(*folders.values())
    else:
        parts = {"": _classes(folders.values())}

    items = [(f, c, split) for split, classes in parts.items() for c, files in classes.items() for f in files]
    items += [(f, None, "train") for f in unlabelled_files]
    require_two_classes({c for _, c, _ in items if c is not None}, str(base))
    files = {f.relative_to(base).as_posix(): f for f, _, _ in items}
    ids, squares = decoded_once(base, list(files.values()), size, channels, lambda: {i: f.read_bytes for i, f in files.items()})
    return Domain.build(
        name,
        squares,
        [c for _, c, _ in items],
        ids,
        [split for _, _, split in items],
        test_fraction=test_fraction,
    )


def decoded_once(
    origin: Path, files: Iterable[Path], size: int, channels: int, pictures: Callable[[], dict[str, Callable[[], bytes]]], part: str = ""
) -> tuple[list[str], Tensor | on_disk.OnDisk]:
    """(names, squares) of pictures, decoded by the first process that asks and found by all others, until one of the files is another.

    origin: the folder or archive that `files` are, or are in; told by their paths, sizes and times. pictures: by name, what gives the encoded
    bytes; called only if they have to be decoded. part: which of the archive's pictures. One file of the user's cache, at most, is kept of each
    origin, part, size and number of channels. Squares of IN_MEMORY bytes or fewer are a tensor, more stay in that file. Where the cache cannot
    be written, the former are decoded each time, the latter Refused.
    """
    h = hashlib.blake2b(repr((str(origin.resolve()), part, size, channels)).encode(), digest_size=16)
    path = data_files.decoded_pictures() / f"{h.hexdigest()}.safetensors"
    stats = [(str(f), s.st_size, s.st_mtime_ns) for f in files for s in [f.stat()]]
    state = hashlib.blake2b(repr((stats, DECODING, pillow)).encode(), digest_size=16).hexdigest()

    def kept() -> tuple[list[str], Tensor] | None:
        found = on_disk.open_file(path, IN_MEMORY)
        return (json.loads(found[1]["names"]), found[0]) if found and found[1]["state"] == state else None

    with contextlib.suppress(OSError):
        if found := kept():
            return found
    encoded = pictures()
    octets = len(encoded) * channels * size * size

    def pieces() -> Iterator[Tensor]:
        labelled = [(str(origin / part / name), read) for name, read in encoded.items()]
        step = max(1, PIECE // max(1, channels * size * size))
        return (decode_squares(labelled[start : start + step], size, channels) for start in range(0, len(labelled), step))

    try:
        on_disk.write(path, list(encoded), pieces(), (channels, size, size), {"origin": str(origin.resolve()), "state": state})
        if found := kept():
            return found
        raise OSError("another process replaced it")
    except OSError as error:
        if octets > IN_MEMORY:
            why = f"{path.parent}: {error.strerror or error}; {octets / 1e9:.1f} GB of decoded pictures are kept there"
            raise Refused(f"{why}; make room, or name another folder in XDG_CACHE_HOME") from error
    return list(encoded), torch.cat(list(pieces()))


def decode_squares(pictures: Iterable[tuple[str, Callable[[], bytes]]], size: int, channels: int) -> Tensor:
    """Pictures as (name for messages, function that gives the encoded bytes) → uint8 [N, channels, size, size].

    Turned upright by EXIF, scaled so that the shorter side is `size`, cropped to the middle.
    Raises Refused naming the first picture that cannot be decoded.
    """
    if size < 1:
        raise Refused(f"size={size}; allowed: a whole number of pixels from 1")
    if channels not in CHANNELS:
        raise Refused(f"channels={channels}; allowed: 1 (grey) or 3 (colour)")

    def decode(picture: tuple[str, Callable[[], bytes]]) -> np.ndarray:
        label, read = picture
        try:
            encoded = read()
            if not encoded:
                raise ValueError("empty file")
            with Image.open(io.BytesIO(encoded)) as image:
                upright = _eight_bits(ImageOps.exif_transpose(image)).convert(CHANNELS[channels])
                square = ImageOps.fit(upright, (size, size), Image.Resampling.BILINEAR)
        except UnidentifiedImageError as error:
            raise Refused(f"{label}: cannot be decoded (of no known picture format); mend or remove the file") from error
        except Exception as error:  # decoders of foreign bytes raise anything, from OSError to SyntaxError
            raise Refused(f"{label}: cannot be decoded ({' '.join(str(error).split())}); mend or remove the file") from error
        return np.asarray(square).reshape(size, size, channels).transpose(2, 0, 1)

    with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter lock
        return torch.from_numpy(np.stack(list(pool.map(decode, pictures))))


def _eight_bits(image: Image.Image) -> Image.Image:
    """Pillow's own conversion cuts deeper greys off at 255."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("32 bits a pixel, where no value stands for white")
    return image


def require_two_classes(classes: Iterable[str], where: str) -> None:
    classes = sorted(classes)
    if len(classes) < 2:
        found = f"only class '{classes[0]}'" if classes else "no class"
        raise Refused(f"{found} in {where}; at least two classes are needed")


def _classes(folders: Iterable[Path]) -> dict[str, list[Path]]:
    """Files of each class folder."""
    classes = {folder: _pictures(folder) for folder in folders}
    for folder, files in classes.items():
        if not files:
            raise Refused(f"no picture in class folder {folder}; add some or remove the folder")
    return {folder.name: files for folder, files in classes.items()}


def _refuse_loose(*folders: Path) -> None:
    loose = [f for folder in folders for f in sorted(folder.iterdir()) if _is_picture(f)]
    if loose:
        raise Refused(f"{loose[0]} lies in no class folder; move it into one, or into the folder of unlabelled pictures")


def _folders(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))


def _pictures(folder: Path) -> list[Path]:
    return sorted(f for f in folder.rglob("*") if _is_picture(f))


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
