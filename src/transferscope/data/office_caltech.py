"""Office-Caltech10 (Gong et al. 2012): the ten classes that Office-31 and Caltech-256 share, as pictures, in
four domains.

The SURF features of the same pictures are plain arrays: see conf/domain/office_caltech_surf_*.yaml.
"""

import io
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal

from transferscope.data.domain import Domain
from transferscope.data.image_folders import decoded_once
from transferscope.data.image_folders import load as load_folders
from transferscope.errors import RequestError, nearest

DOMAINS = ("amazon", "caltech10", "dslr", "webcam")
FOLDER = "office_caltech10_images"
ARCHIVE = f"{FOLDER}/office_caltech10_images.tar.gz"
ORIGIN = (
    "https://github.com/jindongwang/transferlearning/blob/master/data/dataset.md (Office+Caltech, "
    "original images)"
)


def load(
    name: str,
    data_root: str,
    domain: Literal["amazon", "caltech10", "dslr", "webcam"],
    size: int = 64,
    channels: int = 3,
    test_fraction: float = 0.5,
) -> Domain:
    """inputs uint8 [N, channels, size, size], N = 958, 1123, 157, 295; ten classes; ids such as
    "bike/frame_0001.jpg".

    Reads `data_root/office_caltech10_images/images/DOMAIN/CLASS/*.jpg`, or the archive
    office_caltech10_images.tar.gz in that folder; it need not be unpacked. Pictures are made square as in
    image_folders. Raises RequestError where neither is there or a picture is damaged."""
    if domain not in DOMAINS:
        raise RequestError(f"domain={domain}; allowed: {', '.join(DOMAINS)}{nearest(domain, DOMAINS)}")
    root = Path(data_root).expanduser()
    unpacked = root / FOLDER / "images" / domain
    if unpacked.is_dir():
        return load_folders(name, str(unpacked), size=size, channels=channels, test_fraction=test_fraction)
    archive = root / ARCHIVE
    if not archive.is_file():
        raise RequestError(
            f"data_root={data_root}: neither {ARCHIVE} nor {FOLDER}/images/{domain}/CLASS/*.jpg there; "
            f"they come from {ORIGIN}; pass data_root=FOLDER that holds them"
        )
    items, squares, _ = decoded_once(
        archive, [archive], size, channels, lambda: _read(archive, domain), f"images/{domain}"
    )
    return Domain.build(
        name, squares, [item.split("/")[0] for item in items], items, test_fraction=test_fraction
    )


def _read(path: Path, domain: str) -> dict[str, Callable[[], BinaryIO]]:
    """What opens the encoded pictures of one domain, by "class/file", sorted."""
    pictures = {}
    try:
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                inner = PurePosixPath(member.name)  # images/amazon/bike/frame_0001.jpg
                if member.isfile() and inner.suffix == ".jpg" and inner.parts[-3] == domain:
                    pictures["/".join(inner.parts[-2:])] = archive.extractfile(member).read()
    except (OSError, EOFError, tarfile.TarError) as error:
        raise RequestError(f"{path}: damaged ({error}); copy it anew") from error
    return {item: partial(io.BytesIO, pictures[item]) for item in sorted(pictures)}
