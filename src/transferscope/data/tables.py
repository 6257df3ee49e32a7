"""Features as columns of a table, numbers and categories: .csv or Parquet files, or a pandas DataFrame at
hand. Needs pandas."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from transferscope.data import arrays
from transferscope.data.array_files import as_column, as_matrix
from transferscope.data.domain import Domain
from transferscope.data.picture_files import normal
from transferscope.data.table_files import Place, read
from transferscope.errors import RequestError, nearest

if TYPE_CHECKING:
    from pandas import DataFrame, Series

EVERY = "*"  # column, of `missing`
Cell = bool | int | float | str
Categorical = list[str] | dict[str, list[Cell]]
Missing = list[Cell] | dict[str, list[Cell]]


def load(
    name: str,
    path: str | list[str],
    *,
    label: str | list[str] = "label",
    ids: str | None = None,
    split: str | None = None,
    groups: str | None = None,
    leave_out: list[str] | None = None,
    test_fraction: float = 0.5,
    unlabelled: str | float | None = None,
    categorical: Categorical | None = None,
    missing: Missing | None = None,
    classes: dict[Cell, str] | None = None,
    where: str | None = None,
    names: list[str] | None = None,
    header: bool | None = None,
    separator: str = ",",
    comment: str | None = None,
    origin: str | None = None,
    download: bool = False,
    task: str = "classification",
    unit: str = "",
    counts: dict[Cell, int] | None = None,
) -> Domain:
    """`from_frame` of a .csv file whose first line names the columns, or of a .parquet file; of several, one
    below the other. ids: FILE-00042 by row of its file.

    counts: how many items there are of each class, or of each number that is predicted. A file of others is
    refused: copies of public data are often altered.
    names, header, separator, comment, origin, download: see `table_files.read`. Raises RequestError for a
    missing file, one that cannot be read, a missing package, and whatever `from_frame` refuses."""
    paths = [path] if isinstance(path, str) else path
    frame, places = read(paths, names, header, separator, comment, origin=origin, download=download)
    domain = from_frame(
        name,
        frame,
        label=label,
        ids=ids,
        split=split,
        groups=groups,
        leave_out=leave_out,
        test_fraction=test_fraction,
        unlabelled=unlabelled,
        categorical=categorical,
        missing=missing,
        classes=classes,
        where=where,
        path=", ".join(paths),
        places=places,
        task=task,
        unit=unit,
    )
    if counts is not None:
        check_counts(domain, counts, ", ".join(paths))
    return domain


def check_counts(domain: Domain, counts: Mapping[Cell, int], source: str) -> None:
    labels = domain.labels.numpy()[domain.is_labelled]
    if domain.tags:
        named = np.concatenate(
            [[tag] * int(has.sum()) for tag, has in zip(domain.tags, labels.T, strict=True)]
        )
    elif domain.has_classes:
        named = np.asarray(domain.classes, dtype=str)[labels]
    else:
        named = np.array([as_text(value) for value in labels[:, 0].tolist()], dtype=str)
    values, found = np.unique(named, return_counts=True)
    there = dict(zip(values.tolist(), found.tolist(), strict=True))
    wanted = {as_text(name): number for name, number in counts.items()}
    if differing := [name for name in [*wanted, *there] if there.get(name, 0) != wanted.get(name, 0)]:
        name = differing[0]
        raise RequestError(
            f"{source} has {there.get(name, 0)} items of {name}, and counts says {wanted.get(name, 0)}: an "
            "altered copy? mend the file, or leave counts out to take it as it is"
        )


def from_frame(
    name: str,
    frame: "DataFrame",
    *,
    label: str | list[str] = "label",
    ids: str | None = None,
    split: str | None = None,
    groups: str | None = None,
    leave_out: list[str] | None = None,
    test_fraction: float = 0.5,
    unlabelled: str | float | None = None,
    categorical: Categorical | None = None,
    missing: Missing | None = None,
    classes: dict[Cell, str] | None = None,
    where: str | None = None,
    path: str | None = None,
    places: Sequence[Place] | None = None,
    task: str = "classification",
    unit: str = "",
) -> Domain:
    """inputs float32 [N, d], all columns that are named for nothing else, in their order; classes the labels
    as text. Where each cell of a column is a list of k numbers, these are k features.

    task: `regression` where the label is a number that is to be predicted, or several columns of such
    numbers; unit: theirs, as tables tell it. `multi_label` where label is several columns of 1 and 0, whether
    an item has that label. Or the class of a task of one's own.
    label, ids, split, groups: columns, see `arrays.load`; ids are NAME-00042 by row without one. leave_out:
    columns that are no features. unlabelled: see `arrays.load`. where: a condition in the syntax of
    DataFrame.query, asked of the table as it is read; the rows of which it holds are the domain.

    categorical: the features that are categories, each with all that there are, or by name alone: then they
    are those that the table has, in order. An input is the place of the category in that list.
    missing: what stands for a missing value, of all features or by column ("*": of all). Given, were it [],
    empty cells are missing values too; else they are refused. Their input is NaN.
    classes: the class that each label becomes. path: where the frame is from, for messages. places: of each
    row.

    Raises RequestError for a missing column, a condition that cannot be asked or of which nothing holds, a
    number that is none or not finite, a category or label that is not among those named, a class without an
    item, and whatever `arrays.load` refuses."""
    source = path or f"the frame of {name}"
    known = [str(column) for column in frame.columns]
    own_task = arrays.own_task(task, unit)
    predicted = [label] if isinstance(label, str) else list(label)
    has_columns = task in ("regression", "multi_label")
    if len(predicted) != 1 and not has_columns:
        raise RequestError(
            f"label={label}: one column of classes is needed, or task: regression or multi_label"
        )
    taken = [*predicted, *(column for column in (ids, split, groups) if column is not None)]
    left_out = {*taken, *(leave_out or [])}
    require_columns([*taken, *(leave_out or [])], known, source)
    frame = frame.set_axis(known, axis=1).reset_index(drop=True)  # rows keep their numbers from here on
    places = places or [(path or name, row) for row in range(len(frame))]
    if where is not None:
        frame = frame[_asked(frame, where, source)]
    features = [column for column in known if column not in left_out]
    values, columns = features_of(source, frame[features], categorical, missing, places)
    texts = texts_of(source, frame, None if has_columns else predicted[0], ids, split, groups)
    numbers, class_of = None, []
    if has_columns:
        if classes is not None:
            raise RequestError(f"classes: renames labels, and of a {task} there are none; leave it out")
        numbers = _predicted(source, frame, predicted, unlabelled, places)
        if task == "multi_label":
            _refuse_no_tags(source, frame, predicted, numbers, places)
    else:
        if classes is not None:
            texts[predicted[0]] = renamed(source, predicted[0], texts[predicted[0]], classes, unlabelled)
        class_of = arrays.class_of(source, predicted[0], texts[predicted[0]], unlabelled)
    gaps = np.isnan(values)
    inputs = as_matrix(source, "the features", np.where(gaps, 0, values))
    inputs[gaps] = np.nan
    domain = arrays.build(
        name,
        source,
        inputs,
        class_of,
        test_fraction=test_fraction,
        ids=item_ids([places[row] for row in frame.index]) if ids is None else texts[ids],
        split="" if split is None else texts[split],
        groups=None if groups is None else texts[groups],
        numbers=numbers,
        quantities=predicted,
        has_tags=task == "multi_label",
        unit=unit,
        own_task=own_task,
    )
    return replace(domain, columns=columns)


def _predicted(
    source: str,
    frame: "DataFrame",
    columns: list[str],
    unlabelled: str | float | None,
    places: Sequence[Place],
) -> np.ndarray:
    """float64 [N, T], NaN where `unlabelled` stands."""
    found = []
    for column in columns:
        cells = frame[column] if unlabelled is None else _without(frame[column], [unlabelled])
        if unlabelled is None and (gaps := cells.isna().to_numpy()).any():
            raise RequestError(
                f"column {column} of {source} has nothing in {_row(cells, gaps, places)}; say unlabelled: "
                "nan if such an item has no number"
            )
        values = _numbers(source, cells, places)
        if values.shape[1] != 1:
            raise RequestError(f"column {column} of {source} holds lists; give a column for each number")
        found.append(values[:, 0])
    return np.stack(found, axis=1)


def _refuse_no_tags(
    source: str, frame: "DataFrame", columns: list[str], has: np.ndarray, places: Sequence[Place]
) -> None:
    gaps = np.isnan(has)
    for column, values in zip(columns, has.T, strict=True):
        odd = ~np.isnan(values) & (values != 0) & (values != 1)
        if odd.any():
            raise RequestError(
                f"column {column} of {source} has {values[odd][0]:g} in "
                f"{_row(frame[column], odd, places)}; 1 or 0 is needed, whether the item has this label"
            )
        odd = np.isnan(values) & ~gaps.all(axis=1)
        if odd.any():
            raise RequestError(
                f"column {column} of {source} has nothing in {_row(frame[column], odd, places)}, of which "
                "other labels are known; give all labels of an item, or none"
            )


def features_of(
    source: str,
    frame: "DataFrame",
    categorical: Sequence[str] | Mapping[str, Sequence[Cell]] | None,
    missing: Missing | None,
    places: Sequence[Place] = (),
) -> tuple[np.ndarray, dict[str, tuple[str, ...]]]:
    """float64 [N, d] of a frame of features alone, NaN where a value is missing, and the columns as Domain
    has them. See `from_frame`; places: of the row of each number of the index."""
    known = list(frame.columns)
    listed: Mapping[str, Sequence[Cell]] = (
        categorical if isinstance(categorical, Mapping) else dict.fromkeys(categorical or [], ())
    )
    markers = missing if isinstance(missing, dict) else {EVERY: missing or []}
    for key, named in (("categorical", listed), ("missing", markers)):
        require_columns(
            [column for column in named if column != EVERY], known, f"the features of {source}", key
        )
    parts: list[np.ndarray] = [np.empty((len(frame), 0))]
    columns: dict[str, tuple[str, ...]] = {}
    for name in known:
        cells = _without(frame[name], [*markers.get(EVERY, []), *markers.get(name, [])])
        gaps = cells.isna().to_numpy()
        if missing is None and gaps.any():
            raise RequestError(
                f"column {name} of {source} has nothing in {_row(cells, gaps, places)}; say missing: [] if "
                "an empty cell is a missing value"
            )
        if name in listed:
            values, columns[name] = _codes(source, cells, [as_text(c) for c in listed[name]], places)
        else:
            values = _numbers(source, cells, places)
            width = values.shape[1]
            columns |= {name if width == 1 else f"{name}[{k}]": () for k in range(width)}
        parts.append(values)
    return np.hstack(parts), columns


def require_columns(columns: Sequence[str], known: list[str], source: str, key: str = "") -> None:
    """Raises RequestError for one that is not there, and for two of one name."""
    for column in columns:
        if column not in known:
            raise RequestError(
                f"{key}{': ' if key else ''}no column '{column}' in {source}; there are: "
                f"{', '.join(known[:20])}{nearest(column, known)}"
            )
    if len(set(known)) < len(known):
        twice, count = Counter(known).most_common(1)[0]
        raise RequestError(f"{source} has {count} columns named {twice}; give each a name of its own")


def _asked(frame: "DataFrame", where: str, source: str) -> np.ndarray:
    """bool [N]: of which rows a condition holds."""
    try:
        held = np.asarray(frame.eval(where))
        if held.shape != (len(frame),) or held.dtype != bool:
            raise ValueError("it is no condition")
    except Exception as error:  # the parser raises whatever Python's does
        line = " ".join(str(error).split()) or type(error).__name__
        raise RequestError(
            f"where={where}: cannot be asked of {source} ({line}); allowed: a condition on its columns, such "
            "as age > 60 and sex == 'female'"
        ) from error
    if not held.any():
        raise RequestError(f"where={where}: holds of none of the {len(frame)} rows of {source}")
    return held


def _without(series: "Series", markers: Sequence[Cell]) -> "Series":
    """With nothing in the cells that hold one of the markers."""
    texts = {as_text(marker) for marker in markers}
    if not texts or not len(series):
        return series
    if getattr(series.dtype, "kind", "O") in "biuf":
        numbers = series.astype(float)
        return numbers.where(~numbers.isin([float(text) for text in texts if _is_float(text)]))
    return series.where([as_text(cell) not in texts for cell in series])


def _codes(
    source: str, cells: "Series", categories: Sequence[str], places: Sequence[Place]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """float64 [N, 1], the place of each cell among the categories, those listed or else those found; NaN of
    one that has nothing."""
    gaps = cells.isna().to_numpy()
    texts = [None if gap else as_text(cell) for cell, gap in zip(cells, gaps, strict=True)]
    if not categories:
        found = {text for text in texts if text is not None}
        are_numbers = all(map(_is_float, found))
        categories = sorted(found, key=lambda text: (float(text) if are_numbers else 0.0, text))
    shown = f"{', '.join(categories[:12])}{', …' if len(categories) > 12 else ''}"
    if not categories or len(set(categories)) < len(categories):
        what = f"{shown}: one is there twice" if categories else "it has no value"
        raise RequestError(f"column {cells.name} of {source}: {what}; list each of its categories once")
    code = {text: float(number) for number, text in enumerate(categories)}
    odd = np.array([text is not None and text not in code for text in texts])
    if odd.any():
        text = texts[int(np.flatnonzero(odd)[0])]
        raise RequestError(
            f"column {cells.name} of {source} has {text} in {_row(cells, odd, places)}; its categories are "
            f"{shown}{nearest(text, categories)}; list it, or name it in missing"
        )
    codes = [np.nan if text is None else code[text] for text in texts]
    return np.array(codes).reshape(-1, 1), tuple(categories)


def _numbers(source: str, series: "Series", places: Sequence[Place]) -> np.ndarray:
    """float64 [N, 1], or [N, k] where every cell is a list of k numbers."""
    values = None
    if getattr(series.dtype, "kind", "O") in "biuf":
        values = np.asarray(series.to_numpy(np.float64, na_value=np.nan)).reshape(-1, 1)
    elif len(series) and (series.dtype == object or str(series.dtype).startswith("str")):
        values = _of_lists(series)
        values = _of_texts(source, series, places) if values is None else values
    if values is None:
        raise RequestError(
            f"column {series.name} of {source} holds {series.dtype}, no numbers; turn it into numbers, or "
            "name it in categorical or leave_out"
        )
    odd = np.isinf(values).any(axis=1)
    if odd.any():
        raise RequestError(
            f"column {series.name} of {source} is infinite in {_row(series, odd, places)}; mend it, or name "
            "what stands there in missing"
        )
    return values


def _of_lists(series: "Series") -> np.ndarray | None:
    with suppress(ValueError, TypeError):
        if (rows := np.array(series.tolist())).ndim == 2 and rows.dtype.kind in "biuf":
            return rows.astype(np.float64)
    return None


def _of_texts(source: str, series: "Series", places: Sequence[Place]) -> np.ndarray | None:
    """float64 [N, 1], or None where no cell is a number."""
    gaps = series.isna().to_numpy()
    texts = ["nan" if gap else str(cell) for cell, gap in zip(series, gaps, strict=True)]
    odd = np.array([not _is_float(text) for text in texts])
    if odd.any() and odd[~gaps].all():
        return None
    if odd.any():
        raise RequestError(
            f"column {series.name} of {source} has {texts[int(np.flatnonzero(odd)[0])]!r} in "
            f"{_row(series, odd, places)}, which is no number; name it in missing, or the column in "
            "categorical or leave_out"
        )
    return np.array([float(text) for text in texts]).reshape(-1, 1)


def _row(series: "Series", odd: np.ndarray, places: Sequence[Place]) -> str:
    """The first of the rows where `odd` holds, and its file where there are several."""
    row = int(series.index[np.flatnonzero(odd)[0]])
    if not places:
        return f"row {row}"
    path, number = places[row]
    return f"row {number}{f' of {path}' if places[0][0] != places[-1][0] else ''}"


def as_text(cell: object) -> str:
    """1, 1.0, "1.0" and " 1" are one."""
    return _plain(str(cell))


@lru_cache(maxsize=4096)
def _plain(text: str) -> str:
    return re.sub(r"(?<=\d)\.0*$", "", text.strip())


def _is_float(text: str) -> bool:
    with suppress(ValueError):
        float(text)
        return True
    return False


def renamed(
    source: str, label: str, labels: list[str], classes: Mapping[Cell, str], unlabelled: str | float | None
) -> list[str]:
    """The class of each label; one that stands for none stays as it is."""
    by_label = {as_text(key): name for key, name in classes.items()}
    apart = {"nan"} if unlabelled is None else {"nan", as_text(unlabelled)}
    for text in dict.fromkeys(labels):
        if as_text(text) not in by_label and text not in apart:
            raise RequestError(
                f"{label} in {source} has {text}; classes says what becomes of {', '.join(by_label)}"
                f"{nearest(text, by_label)}"
            )
    become = [by_label.get(as_text(text), text) for text in labels]
    for lacking in [name for name in dict.fromkeys(classes.values()) if name not in become]:
        raise RequestError(f"classes: no row of {source} is of class '{lacking}'")
    return become


def item_ids(places: Sequence[Place]) -> list[str]:
    """FILE-00042; with its suffix where two files differ in that alone."""
    files = dict.fromkeys(path for path, _ in places)
    stems = {path: normal(Path(path).stem) for path in files}
    if len(set(stems.values())) < len(stems):
        stems = {path: normal(Path(path).name) for path in files}
    return [f"{stems[path]}-{row:05d}" for path, row in places]


def texts_of(
    where: str, frame: "DataFrame", label: str | None, ids: str | None, split: str | None, groups: str | None
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
        raise RequestError(f"column {column} of {where} has nothing in {_row(series, gaps, ())}")
    if getattr(series.dtype, "kind", "O") not in "biuf":
        return ["nan" if gap else str(value) for value, gap in zip(series, gaps, strict=True)]
    numbers = series.to_numpy(np.float64, na_value=np.nan) if gaps.any() else series.to_numpy()
    return as_column(where, column, numbers, len(series), missing)
