"""A user's own texts, one or two an item: .csv, .tsv and .jsonl files, or folders of .txt files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from transferscope.data import arrays, tables
from transferscope.data.class_folders import read_layout
from transferscope.data.domain import Domain
from transferscope.data.picture_files import TEXTS, find_files, item_ids, kinds, tell, tell_left_out
from transferscope.data.tables import Cell
from transferscope.data.text_rows import Form, Rows, cells_of, content_of, read, suffix_of
from transferscope.data.texts import Item, Texts
from transferscope.errors import RequestError

NOTHING = "nan"  # a label that is not there, as tables have it


def load(
    name: str,
    path: str | list[str],
    *,
    text: str = "text",
    text_b: str | None = None,
    label: str | list[str] = "label",
    ids: str | None = None,
    split: str | None = None,
    groups: str | None = None,
    test_fraction: float = 0.5,
    unlabelled: str | float | None = None,
    whole: bool = False,
    classes: dict[Cell, str] | None = None,
    counts: dict[Cell, int] | None = None,
    names: list[str] | None = None,
    header: bool | None = None,
    separator: str | None = None,
    quoted: bool | None = None,
    nested: bool = False,
    origin: str | None = None,
    download: bool = False,
    task: str = "classification",
    unit: str = "",
) -> Domain:
    """inputs Texts [N], each as it stands in the file; classes the labels; ids FILE-00042 by row of its file.

    path: one file or several, .csv, .tsv, .jsonl or .ndjson, all in UTF-8, each also as .gz; any other file
        with `names` or `separator`. Or a folder that holds `CLASS/*.txt`, or `train/CLASS/*.txt` and
        `test/CLASS/*.txt`, as image_folders.py has them: a text a file, ids the paths below it.
    text, text_b: the columns of the texts, the second where an item has two. label, ids, split, groups:
        columns, see `tables.from_frame`, which says too what task, unit, classes and several labels are.
    unlabelled: the label of items that have none, "nan" for empty cells and null; of a folder the folder in
        it whose texts have no label, "unlabelled" without the key.
    names: of the columns, for a file whose first line does not name them; where it is those names, or header
        says so, it is no item. separator: of the cells; without the key a tab in .tsv files, else a comma.
        quoted: false where quotation marks are part of the text and each line is one row.
    whole: see Domain. counts: see `tables.load`. nested: see `class_folders.read_layout`. origin, download:
        see `table_files.read`.

    An empty text is one, and a line on stderr counts them. Raises RequestError for a missing file or column,
    bytes that are no UTF-8, NUL, half a surrogate pair, a row with too many or too few cells, a line that is
    no JSON object, a label that is not there, and whatever `arrays.load` refuses."""
    paths = [path] if isinstance(path, str) else list(path)
    form = Form(names, header, separator, quoted)
    named = {"text": text, "label": label, "text_b": text_b, "ids": ids, "split": split, "groups": groups}
    if len(paths) == 1 and Path(paths[0]).expanduser().is_dir():
        _refuse_columns(paths[0], named | vars(form), task)
        domain = _of_folders(
            name, paths[0], "unlabelled" if unlabelled is None else str(unlabelled), nested, classes,
            test_fraction=test_fraction, whole=whole, task=task, unit=unit,
        )  # fmt: skip
    else:
        predicted = [label] if isinstance(label, str) else list(label)
        texts = [text, *([] if text_b is None else [text_b])]
        others = [column for column in (ids, split, groups) if column is not None]
        if nested:
            raise RequestError(f"nested=true: {paths[0]} is no folder; leave the key out")
        rows = read(paths, [*texts, *predicted, *others], form, origin=origin, download=download)
        domain = _of_rows(
            name, ", ".join(paths), rows, texts, predicted, ids, split, groups, unlabelled, classes,
            test_fraction=test_fraction, whole=whole, task=task, unit=unit,
        )  # fmt: skip
    if counts is not None:
        tables.check_counts(domain, counts, ", ".join(paths))
    return domain


def _of_rows(
    name: str,
    source: str,
    rows: Rows,
    texts: Sequence[str],
    predicted: Sequence[str],
    ids: str | None,
    split: str | None,
    groups: str | None,
    unlabelled: str | float | None,
    classes: Mapping[Cell, str] | None,
    *,
    test_fraction: float,
    whole: bool,
    task: str,
    unit: str,
) -> Domain:
    own_task = arrays.own_task(task, unit)
    has_columns = task in ("regression", "multi_label")
    if len(predicted) != 1 and not has_columns:
        raise RequestError(
            f"label={predicted}: one column of classes is needed, or task: regression or multi_label"
        )
    if classes is not None and has_columns:
        raise RequestError(f"classes: renames labels, and of a {task} there are none; leave it out")
    items = items_of(source, rows, texts)
    unlabelled = NOTHING if unlabelled == "" else unlabelled
    numbers, class_of = None, []
    if has_columns:
        numbers = np.stack([_numbers(source, rows, column, unlabelled) for column in predicted], axis=1)
    else:
        labels = _labels(source, rows, predicted[0], unlabelled)
        if classes is not None:
            labels = tables.renamed(source, predicted[0], labels, classes, unlabelled)
        class_of = arrays.class_of(source, predicted[0], labels, unlabelled)
    tell_empty(name, items)
    return arrays.build(
        name,
        source,
        Texts.of(items),
        class_of,
        test_fraction=test_fraction,
        ids=tables.item_ids(rows.numbers) if ids is None else _words(source, rows, ids),
        split="" if split is None else _words(source, rows, split, may_lack=True),
        groups=None if groups is None else _words(source, rows, groups),
        whole=whole,
        numbers=numbers,
        quantities=predicted,
        unit=unit,
        has_tags=task == "multi_label",
        own_task=own_task,
    )


def _of_folders(
    name: str,
    root: str,
    unlabelled: str,
    nested: bool,
    classes: Mapping[Cell, str] | None,
    *,
    test_fraction: float,
    whole: bool,
    task: str,
    unit: str,
) -> Domain:
    own_task, base = arrays.own_task(task, unit), Path(root).expanduser()
    found, left_out = read_layout(base, unlabelled, nested, TEXTS)
    items = [(text_of(item.file),) for item in found]
    class_of = [item.class_name for item in found]
    if classes is not None:
        names = [one for one in class_of if one is not None]
        become = iter(tables.renamed(root, "a folder", names, classes, None))
        class_of = [None if one is None else next(become) for one in class_of]
    tell_left_out(base, left_out)
    tell_empty(name, items)
    return arrays.build(
        name,
        root,
        Texts.of(items),
        class_of,
        test_fraction=test_fraction,
        ids=item_ids(base, [item.file for item in found]),
        split=[item.split for item in found],
        whole=whole,
        own_task=own_task,
    )


def _refuse_columns(root: str, options: Mapping[str, object], task: str) -> None:
    for key, value in options.items():
        if value is not None and value != key:  # text and label are so without the key
            raise RequestError(f"{key}={value}: {root} is a folder, which has no columns; leave the key out")
    if task in arrays.TASKS[1:]:
        raise RequestError(f"task={task}: the folders in {root} are classes; give a file with a column of it")


def text_of(file: Path) -> str:
    """Of a .txt file, less the ends of lines behind it."""
    return content_of(file, str(file)).rstrip("\r\n")


def items_of(source: str, rows: Rows, columns: Sequence[str]) -> list[Item]:
    return list(zip(*(list(_texts(source, rows, column)) for column in columns), strict=True))


def _texts(source: str, rows: Rows, column: str) -> Iterator[str]:
    for row, cell in enumerate(rows.columns[column]):
        if not isinstance(cell, str):
            what = "nothing" if cell is None else f"a {type(cell).__name__}"
            raise RequestError(
                f"column {column} of {source} has {what} in {_line(rows, row)}; a text is needed"
            )
        if "\0" in cell or not _is_writable(cell):
            what = "a NUL character" if "\0" in cell else "half a surrogate pair"
            raise RequestError(f"column {column} of {source} has {what} in {_line(rows, row)}; remove it")
        yield cell


def _words(source: str, rows: Rows, column: str, may_lack: bool = False) -> list[str]:
    """What tells items apart, "" where there is nothing and that may be."""
    found = []
    for row, cell in enumerate(rows.columns[column]):
        if cell is not None and not isinstance(cell, str | int | float):
            raise RequestError(
                f"column {column} of {source} has a {type(cell).__name__} in {_line(rows, row)}; a text or a "
                "number is needed"
            )
        word = "" if cell is None else tables.as_text(cell) if isinstance(cell, float) else str(cell).strip()
        if not word and not may_lack:
            raise RequestError(f"column {column} of {source} has nothing in {_line(rows, row)}")
        found.append(word)
    return found


def _labels(source: str, rows: Rows, column: str, unlabelled: str | float | None) -> list[str]:
    labels = _words(source, rows, column, may_lack=True)
    if "" in labels and (unlabelled is None or str(unlabelled) != NOTHING):
        raise RequestError(
            f"column {column} of {source} has nothing in {_line(rows, labels.index(''))}; say unlabelled: "
            "nan if such an item has no label"
        )
    return [label or NOTHING for label in labels]


def _numbers(source: str, rows: Rows, column: str, unlabelled: str | float | None) -> np.ndarray:
    """float64 [N], NaN where `unlabelled` stands."""
    words = _words(source, rows, column, may_lack=True)
    apart = set() if unlabelled is None else {"", NOTHING, tables.as_text(unlabelled)}
    found = np.full(len(words), np.nan)
    for row, word in enumerate(words):
        if tables.as_text(word) in apart:
            continue
        with suppress(ValueError):
            found[row] = word == "True" if word in ("True", "False") else float(word)
        if np.isnan(found[row]):
            what = repr(word) if word else "nothing"
            raise RequestError(
                f"column {column} of {source} has {what} in {_line(rows, row)}, which is no number; mend it, "
                "or say unlabelled: what stands where an item has none"
            )
    return found


def _line(rows: Rows, row: int) -> str:
    path, line = rows.lines[row]
    return f"line {line}{f' of {path}' if rows.lines[0][0] != rows.lines[-1][0] else ''}"


def _is_writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def tell_empty(name: str, items: Iterable[Item]) -> None:
    empty = [not all(text.strip() for text in item) for item in items]
    if any(empty):
        tell(f"domain {name}: {sum(empty)} of {len(empty)} items have an empty text")


def read_unlabelled(file: Path, loader: Mapping[str, Any], texts: int) -> tuple[list[str], list[Item]]:
    """(what each is called, its texts): of a file with the columns that the target's yaml names, whatever
    others there are; of one .txt file; or of all that lie in a folder, at any depth.

    loader: the target domain's yaml. texts: an item's, one or two. Raises RequestError for what `load`
    refuses and where each item needs two texts and .txt files are given."""
    own = loader if loader.get("_target_") == f"{__name__}.load" else {}
    keys = [own.get("text") or "text", own.get("text_b") or "text_b"][:texts]
    paths = own.get("path") or ""
    is_like_own = suffix_of(Path(paths if isinstance(paths, str) else paths[0])) == suffix_of(file)
    if (
        file.is_dir()
        or file.suffix.lower() == ".txt"
        and not (is_like_own and {"names", "separator"} & own.keys())
    ):
        if texts > 1:
            raise RequestError(
                f"{file}: the model takes {texts} texts an item; give a .csv or .jsonl file with columns "
                f"{', '.join(keys)}"
            )
        files, left_out = find_files(file, TEXTS) if file.is_dir() else ([file], None)
        if left_out is not None and not files:
            raise RequestError(f"{file}: no .txt file in it{f' ({kinds(left_out)})' if left_out else ''}")
        if left_out:
            tell_left_out(file, left_out)
        base = file if file.is_dir() else file.parent
        return item_ids(base, files), [(text_of(one),) for one in files]
    form = (
        Form(*(own.get(key) for key in ("names", "header", "separator", "quoted"))) if is_like_own else Form()
    )
    label = own.get("label") or "label"
    form = _without_label(file, form, keys, [label] if isinstance(label, str) else label)
    rows = read([str(file)], keys, form)
    return tables.item_ids(rows.numbers), items_of(str(file), rows, keys)


def _without_label(file: Path, form: Form, texts: Sequence[str], labels: Sequence[str]) -> Form:
    """Of a file whose columns are those of `names`, or these less the labels, or named by its first line."""
    if form.names is None:
        return form
    lines = cells_of(content_of(file, str(file)), str(file), form, suffix_of(file))
    first = [cell.strip() for cell in next(lines, (0, []))[1]]
    unlabelled = [name for name in form.names if name not in labels]
    if set(texts) <= set(first):
        return Form(None, None, form.separator, form.quoted)
    return Form(unlabelled, False, form.separator, form.quoted) if len(first) == len(unlabelled) else form
