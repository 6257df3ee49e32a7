"""Tables out of .csv and Parquet files, one below the other, as they stand there. Needs pandas."""

import io
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transferscope.data.array_files import existing
from transferscope.data.files import fetch_whole
from transferscope.errors import RequestError

if TYPE_CHECKING:
    from pandas import DataFrame

TEXT = (".csv", ".tsv", ".txt", ".data", ".test")
Place = tuple[str, int]  # of a row: its file, and its number there


def read(
    paths: list[str],
    names: list[str] | None = None,
    header: bool | None = None,
    separator: str = ",",
    comment: str | None = None,
    *,
    origin: str | None = None,
    download: bool = False,
) -> "tuple[DataFrame, list[Place]]":
    """All rows and where each is from. A file that lies there as NAME.gz is read too.

    names: of the columns, for files without a header. header: whether the first line is one all the same,
    which the names replace; where that is not said, it is one if none of its cells is a number and one of the
    next line is. separator: of the cells; blanks after it are none of them where it ends in one. comment:
    what a line that does not count begins with. origin: the folder of the web that the files come from, or
    a .zip archive there, for the message and for download. Raises RequestError for a missing file or package,
    a file that cannot be read or has no row, and files of other columns."""
    if not paths:
        raise RequestError("path=[]: at least one file is needed")
    if header is False and names is None:
        raise RequestError("header=False: without a first line that names the columns, names is needed")
    options: dict[str, Any] = {} if separator == "," else {"sep": separator}
    if separator.rstrip(" ") and separator.endswith(" "):
        options = {"sep": separator.rstrip(" "), "skipinitialspace": True}
    options |= {} if comment is None else {"comment": comment}
    try:
        import pandas

        frames = [
            _read(existing_or_fetched(path, origin, download), path, names, header, options) for path in paths
        ]
    except ImportError as error:
        raise RequestError(
            f"{paths[0]}: a package is missing that reads it; pip install 'transferscope[tables]'"
        ) from error
    for path, frame in zip(paths, frames, strict=True):
        if list(frame.columns) != list(frames[0].columns):
            raise RequestError(f"{path} has other columns than {paths[0]}; files of one table are needed")
    places = [(path, row) for path, frame in zip(paths, frames, strict=True) for row in range(len(frame))]
    return frames[0] if len(frames) == 1 else pandas.concat(frames, ignore_index=True), places


def existing_or_fetched(path: str, origin: str | None, download: bool) -> Path:
    """The file or NAME.gz, fetched from `origin` where it is missing and that was asked for."""
    file = Path(path).expanduser()
    found = next((f for f in (file, file.with_name(f"{file.name}.gz")) if f.is_file()), None)
    if found is None and origin is not None:
        address = origin if origin.endswith(".zip") else f"{origin.rstrip('/')}/{file.name}"
        if not download:
            raise RequestError(
                f"no file {path}; it comes from {address}; pass data_root=FOLDER that holds it or "
                "download=true"
            )
        fetch_whole(file.parent, lambda folder: _fetch(address, folder, file.name), address)
    return found or existing(path, origin)


def _fetch(address: str, folder: Path, name: str) -> None:
    """A file of that name; of an archive the member that has it, in whatever folder."""
    from urllib.request import urlopen

    with urlopen(address) as answer, open(folder / name, "wb") as file:
        if not address.endswith(".zip"):
            shutil.copyfileobj(answer, file)
            return
        try:
            with zipfile.ZipFile(io.BytesIO(answer.read())) as archive:
                member = next((m for m in archive.namelist() if m.rpartition("/")[2] == name), None)
                if member is None:
                    raise OSError(f"the archive has no {name}")
                file.write(archive.read(member))
        except zipfile.BadZipFile as error:
            raise OSError(f"no whole archive ({error})") from error


def _read(
    file: Path, path: str, names: list[str] | None, header: bool | None, options: dict[str, Any]
) -> "DataFrame":
    import pandas

    suffix = Path(file.name.removesuffix(".gz")).suffix.lower()
    if suffix not in (*TEXT, ".parquet") and names is None:
        raise RequestError(f"path={path}; allowed: a .csv or .parquet file, or another with `names`")
    try:
        if suffix == ".parquet":
            frame = pandas.read_parquet(file)
        elif names is None:
            frame = pandas.read_csv(file, **options)
        else:
            head = pandas.read_csv(file, header=None, nrows=2, dtype=str, **options)
            if head.shape[1] != len(names):
                raise RequestError(f"names: {len(names)} are given, and {path} has {head.shape[1]} columns")
            has_header = header if header is not None else _is_header(head.to_numpy().tolist())
            frame = pandas.read_csv(file, header=0 if has_header else None, names=names, **options)
    except (RequestError, ImportError):
        raise
    except Exception as error:  # readers of foreign bytes raise anything
        raise RequestError(f"{path} cannot be read ({' '.join(str(error).split())})") from error
    if not len(frame):
        raise RequestError(f"{path} has no row")
    return frame


def _is_header(first_lines: list[list[object]]) -> bool:
    numbers = [any(map(_is_number, cells)) for cells in first_lines]
    return len(numbers) == 2 and numbers == [False, True]


def _is_number(cell: object) -> bool:
    with suppress(ValueError):
        return float(str(cell)) == float(str(cell))  # an empty cell is read as nan
    return False
