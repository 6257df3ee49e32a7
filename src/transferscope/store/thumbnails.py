"""Small pictures of test items, one file for each state of the data, shared by all runs of a store.

`.cache/thumbnails/{digest}.npz`: `ids` [n] str, `images` [n, h, w] or [n, h, w, 3] uint8, at most 32 pixels a
side."""

import io
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from transferscope.store.lease import locked

SIDE = 32


def path(store: Path, digest: str) -> Path:
    """digest: the data's content hash, `consumed.target.digest` of a record."""
    return Path(store) / ".cache" / "thumbnails" / f"{digest}.npz"


def write_thumbnails(
    store: Path, digest: str, ids: Sequence[str], images: Callable[[list[str]], Iterable[np.ndarray]]
) -> None:
    """Adds the pictures of `ids` that the store does not have yet; `images(ids)` gives uint8 arrays [H, W] or
    [H, W, 3]."""
    file = path(store, digest)
    if not _missing(store, digest, ids):
        return
    with locked(file.with_suffix(".lock")):
        missing = _missing(store, digest, ids)
        if file.exists() and len(missing) == len(ids) and not read_thumbnails(store, digest):
            print(f"{file}: damaged; made again", file=sys.stderr)
        if not missing:
            return
        added = {item: _small(image) for item, image in zip(missing, images(missing), strict=True)}
        shape = next(iter(added.values())).shape
        known = {
            item: image for item, image in read_thumbnails(store, digest).items() if image.shape == shape
        } | added
        temporary = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            with open(temporary, "wb") as stream:
                np.savez_compressed(stream, ids=np.array(list(known)), images=np.stack(list(known.values())))
            os.replace(temporary, file)
        finally:
            temporary.unlink(missing_ok=True)


def read_thumbnails(store: Path, digest: str) -> dict[str, np.ndarray]:
    """{id: uint8 picture}; empty where the store has none of this data that can be read."""
    try:
        with np.load(path(store, digest), allow_pickle=False) as members:
            ids, images = members["ids"].tolist(), members["images"]
        if images.dtype != np.uint8 or images.shape[3:] not in ((), (3,)) or max(images.shape[1:3]) > SIDE:
            raise ValueError("no pictures")
        return dict(zip(ids, images, strict=True))
    except Exception:  # none, or damaged, which fails in many ways: the next run writes them anew
        return {}


def png(image: np.ndarray) -> bytes:
    """A picture as the bytes of a PNG file."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _missing(store: Path, digest: str, ids: Sequence[str]) -> list[str]:
    file = path(store, digest)
    known = _known(store, digest, file.stat().st_mtime_ns) if file.exists() else ()
    return [item for item in map(str, ids) if item not in known]


@lru_cache(maxsize=4)
def _known(store: Path, digest: str, written: int) -> frozenset[str]:
    """The ids of a file as it was `written`, read once a process."""
    return frozenset(read_thumbnails(store, digest))


def _small(image: np.ndarray) -> np.ndarray:
    from PIL import Image

    height, width = image.shape[:2]
    scale = SIDE / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))
