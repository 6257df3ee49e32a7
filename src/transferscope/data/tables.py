"""Features as columns of a table: a .csv or Parquet file, or a pandas DataFrame at hand. Needs pandas, and
pyarrow for Parquet."""

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from transferscope.data import arrays
from transferscope.data.array_files import as_column, as_matrix, existing
from transferscope.data.domain import Domain
from transferscope.errors import RequestError, nearest

if TYPE_CHECKING:
    from pandas import DataFrame, Series

SUFFIXES = (".csv", ".parquet")


def load(
    name: str,
    path: str,
    *,
    label: str = "label",
    ids: str | None = None,
    split: str | None = None,
    groups: str | None = None,
    leave_out: list[str] | None = None,
    test_fraction: float = 0.5,
    unlabelled: str | float | None = None,
) -> Domain:
    """`from_frame` of a .csv file whose first line names the columns, or of a .parquet file.

    Raises RequestError for a missing file, one that cannot be read, a missing package, and whatever
    `from_frame` refuses."""
    file = existing(path, None)
    if file.suffix.lower() not in SUFFIXES:
        raise RequestError(f"path={path}; allowed: a {' or '.join(SUFFIXES)} file")
    try:
        import pandas

        frame = pandas.read_csv(file) if file.suffix.lower() == ".csv" else pandas.read_parquet(file)
    except ImportError as error:
        raise RequestError(
            f"{path}: a package is missing that reads it; pip install 'transferscope[tables]'"
        ) from error
    except Exception as error:  # readers of foreign bytes raise anything
        raise RequestError(f"{path} cannot be read ({' '.join(str(error).split())})") from error
    return from_frame(
        name,
        frame,
        label=label,
        ids=ids,
        split=split,
        groups=groups,
        leave_out=leave_out,
        test_fraction=test_fraction,
        unlabelled=unlabelled,
        path=path,
    )


def from_frame(
    name: str,
    frame: "DataFrame",
    *,
    label: str = "label",
    ids: str | None = None,
    split: str | None = None,
    groups: str | None = None,
    leave_out: list[str] | None = None,
    test_fraction: float = 0.5,
    unlabelled: str | float | None = None,
    path: str | None = None,
) -> Domain:
    """inputs float32 [N, d], all columns that are named for nothing else, in their order; classes the labels
    as text. Where each cell of a column is a list of k numbers, these are k features.

    label, ids, split, groups: columns, see `arrays.load`; ids are NAME-00042 by row without one. leave_out:
    columns that are no features. unlabelled: see `arrays.load`. path: where the frame is from, for messages.
    Raises RequestError for a missing column, a feature that is no number or not finite, and whatever
    `arrays.load` refuses."""
    where = path or f"the frame of {name}"
    taken = [column for column in (label, ids, split, groups) if column is not None]
    known = [str(column) for column in frame.columns]
    for missing in [column for column in [*taken, *(leave_out or [])] if column not in known]:
        raise RequestError(
            f"no column '{missing}' in {where}; there are: {', '.join(known[:20])}{nearest(missing, known)}"
        )
    features = [column for column in frame.columns if str(column) not in {*taken, *(leave_out or [])}]
    values = as_matrix(
        where,
        "the features",
        np.hstack([np.empty((len(frame), 0)), *(_numbers(where, frame[column]) for column in features)]),
    )
    columns = texts_of(where, frame, label, ids, split, groups)
    return arrays.build(
        name,
        path or name,
        values,
        arrays.class_of(where, label, columns[label], unlabelled),
        test_fraction=test_fraction,
        ids=None if ids is None else columns[ids],
        split="" if split is None else columns[split],
        groups=None if groups is None else columns[groups],
    )


def _numbers(where: str, series: "Series") -> np.ndarray:
    """float64 [N, 1], or [N, k] where every cell is a list of k numbers."""
    if getattr(series.dtype, "kind", "O") in "biuf":
        return series.to_numpy(np.float64, na_value=np.nan).reshape(-1, 1)
    with suppress(ValueError, TypeError):
        if (
            series.dtype == object
            and len(series)
            and (rows := np.array(series.tolist())).ndim == 2
            and rows.dtype.kind in "biuf"
        ):
            return rows.astype(np.float64)
    raise RequestError(
        f"column {series.name} of {where} holds {series.dtype}, no numbers; turn it into numbers, or name "
        "it in leave_out"
    )


def texts_of(
    where: str, frame: "DataFrame", label: str, ids: str | None, split: str | None, groups: str | None
) -> dict[str, list[str]]:
    """By column, one text an item; of the label "nan" and of the split "" where there is none."""
    named = [column for column in (label, ids, split, groups) if column is not None]
    columns = {
        column: _texts(where, column, frame[column], missing=column in (label, split)) for column in named
    }
    if split is not None:
        columns[split] = ["" if part == "nan" else part for part in columns[split]]
    return columns


def _texts(where: str, column: str, series: "Series", missing: bool) -> list[str]:
    """One text an item; a missing one is "nan" where that is allowed."""
    gaps = series.isna().to_numpy()
    if gaps.any() and not missing:
        raise RequestError(f"column {column} of {where} has nothing in row {int(np.flatnonzero(gaps)[0])}")
    if getattr(series.dtype, "kind", "O") not in "biuf":
        return ["nan" if gap else str(value) for value, gap in zip(series, gaps, strict=True)]
    numbers = series.to_numpy(np.float64, na_value=np.nan) if gaps.any() else series.to_numpy()
    return as_column(where, column, numbers, len(series), missing)
