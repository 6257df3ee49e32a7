"""Arrays out of .npz, .mat and .csv files, checked before anything is made of them."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import scipy.io
import scipy.sparse

from transferscope.data.picture_files import tell
from transferscope.errors import RequestError, nearest

EXACT = 2**24  # float32 holds every whole number up to here
SPARSE = {"format", "shape", "data"}  # members of what scipy.sparse.save_npz writes


def existing(path: str, origin: str | None) -> Path:
    file = Path(path).expanduser()
    if not file.is_file():
        whence = f"it comes from {origin}; " if origin else ""
        raise RequestError(
            f"no file {path}; {whence}mend `path` in the domain's yaml or pass data_root=FOLDER that holds it"
        )
    return file


def read_members(file: Path, keys: list[str]) -> Mapping[str, np.ndarray]:
    """The arrays under these keys of a .npz or .mat file; sparse ones as dense ones.

    A file of scipy.sparse.save_npz holds one matrix and no name of it: the first key is taken for that.
    Raises RequestError for a file of another kind, one that cannot be read, and a missing key.
    """
    readers = {
        ".npz": lambda: np.load(file, allow_pickle=False),
        ".mat": lambda: nullcontext(scipy.io.loadmat(file)),
    }
    if file.suffix not in readers:
        raise RequestError(f"path={file}; allowed: a .npz or .mat file")
    try:
        with readers[file.suffix]() as content:
            known = [key for key in content if not key.startswith("__")]
            arrays = {key: _dense(content[key]) for key in keys if key in known}
            if file.suffix == ".npz" and set(known) >= SPARSE and keys[0] not in known:
                arrays[keys[0]] = scipy.sparse.load_npz(file).toarray()
    except NotImplementedError as error:
        raise RequestError(f"{file} is a MATLAB 7.3 file; save it with `save -v7`") from error
    except Exception as error:  # readers of foreign bytes raise anything, from BadZipFile to TypeError
        reason = " ".join(str(error).split())
        raise RequestError(
            f"{file} cannot be read ({reason}); save plain arrays of numbers and text"
        ) from error
    for missing in [key for key in keys if key not in arrays]:
        raise RequestError(
            f"no key '{missing}' in {file}; there are: {', '.join(known)}{nearest(missing, known)}"
        )
    return arrays


def read_csv(file: Path, header: bool | None = None) -> np.ndarray:
    """float64 [N, columns]: numbers between commas. Lines that begin with # are comments.

    header: whether the first line names the columns. Where that is not said, names that are no numbers, and
    the numbers 0, 1, 2 … that pandas writes, are refused. Raises RequestError for whatever else is no number
    and for rows of other lengths."""
    try:
        text = file.read_text(encoding="utf-8-sig")
        lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        if header is None and _names_columns(lines):
            raise RequestError(
                f"{file}: the first line, {lines[0][:40]!r}, names columns; say header: true, or header: "
                "false if it is an item"
            )
        rows = lines[1:] if header else lines
        if not rows:
            raise ValueError("no row of numbers")
        return np.loadtxt(rows, delimiter=",", ndmin=2, comments=None)
    except RequestError:
        raise
    except ValueError as error:
        raise RequestError(
            f"{file}: {' '.join(str(error).split())}; allowed: numbers between commas, no header"
        ) from error


def as_matrix(path: str, key: str, array: np.ndarray) -> np.ndarray:
    """float32 [N, d], finite. A line on stderr says where whole numbers are rounded."""
    if array.ndim != 2 or not array.size or array.dtype.kind not in "biuf":
        raise RequestError(
            f"{key} in {path} is {array.dtype} of shape {array.shape}; allowed: numbers [items, features]"
        )
    with np.errstate(over="ignore"):  # told below, with its place
        values = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise RequestError(
            f"{key} in {path} has {values[row, column]} in row {row}, column {column}; all values must be "
            "finite"
        )
    _tell_rounded(path, key, array, values)
    return values


def as_column(path: str, key: str, array: np.ndarray, items: int, missing: bool = False) -> list[str]:
    """One text an item; 3.0 becomes "3". missing: whether NaN may be among them, which becomes "nan"."""
    flat = array.ravel()
    if len(flat) != items or max(array.shape, default=0) != items or array.dtype.kind not in "biufU":
        raise RequestError(
            f"{key} in {path} is {array.dtype} of shape {array.shape}; allowed: a number or text an item, "
            f"{items}"
        )
    if flat.dtype.kind != "f":
        return [str(value) for value in flat.tolist()]
    odd = flat[np.isinf(flat) | np.isfinite(flat) & (flat != np.round(flat)) | np.isnan(flat) & (not missing)]
    if len(odd):
        raise RequestError(
            f"{key} in {path} has {odd[0]}; allowed: whole numbers or text, or task: regression where "
            "numbers are to be predicted"
        )
    return ["nan" if np.isnan(value) else str(int(value)) for value in flat.tolist()]


def _dense(array: np.ndarray) -> np.ndarray:
    return array.toarray() if scipy.sparse.issparse(array) else array


def _names_columns(lines: list[str]) -> bool:
    """Whether the first line has a cell that is no number where the second has none, or is 0, 1, 2 …"""
    cells = [cell.strip() for cell in lines[0].split(",")] if lines else []
    if cells == [str(number) for number in range(len(cells))] and len(cells) > 2:
        return True
    return len(lines) > 1 and not all(map(_is_number, cells)) and all(map(_is_number, lines[1].split(",")))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _tell_rounded(path: str, key: str, array: np.ndarray, values: np.ndarray) -> None:
    """Ids and times lose their last digits in float32; of measured numbers these do not matter, so it is not
    refused."""
    large = np.abs(values) >= EXACT
    was, became = array[large].astype(np.longdouble), values[large]
    # larger floats are whole by nature
    rounded = (was == np.trunc(was)) & (was != became) & ((array.dtype.kind != "f") | (np.abs(was) < 2**53))
    if rounded.any():
        (row, column), first = np.argwhere(large)[rounded][0], np.flatnonzero(rounded)[0]
        where = f"the first {int(was[first])} to {int(became[first])} in row {row}, column {column}"
        tell(f"{path}: {key}: {rounded.sum()} whole numbers beyond 2**24 are rounded to float32, {where}")
