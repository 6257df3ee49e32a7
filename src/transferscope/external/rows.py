"""The rows of foreign tables as arrays: what each says of which item and run, checked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transferscope.errors import RequestError
from transferscope.external.columns import KEYS, RUN, Block, Choice, Columns, resolve
from transferscope.external.files import Table
from transferscope.external.options import TOLD, Form
from transferscope.store.printable import printable

FORMS = "score; label and prediction; label and p_CLASS; or truth and prediction"
SUM_WITHIN = 0.02  # of one: probabilities are often rounded
TEST = "test"
_FILE = "file"


@dataclass(frozen=True)
class Texts:
    """Values [N] of a column, as indices of its names."""

    codes: np.ndarray
    names: np.ndarray

    def __getitem__(self, row: int) -> str:
        text: str = printable(str(self.names[self.codes[row]]))
        return text

    def of_rows(self, rows: np.ndarray) -> np.ndarray:
        """[M] str."""
        found: np.ndarray = self.names[self.codes[rows]]
        return found


@dataclass(frozen=True)
class Rows:
    """keys: of each row [N], by our names, those that the tables have. file: which of `tables` it comes from.
    number: its row there, from 1. labels, predictions: of `prediction`, labels of `probabilities` too.
    probabilities [N, C] float32, nan where a table has no such class; classes [C]. values [N]: scores, or
    predicted numbers, and truths then. quantity: what the numbers are called. cap [N] or None. metadata: by
    column."""

    form: Form
    keys: dict[str, Texts]
    file: np.ndarray
    number: np.ndarray
    tables: Sequence[Table]
    labels: Texts | None = None
    predictions: Texts | None = None
    probabilities: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    values: np.ndarray | None = None
    truths: np.ndarray | None = None
    quantity: str = ""
    cap: np.ndarray | None = None
    metadata: dict[str, Texts] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.file)

    def text(self, key: str, row: int) -> str:
        """Of one of `keys`, '' where the tables have no such column."""
        return self.keys[key][row] if key in self.keys else ""

    def is_named(self, key: str, value: str) -> np.ndarray:
        """bool [N]."""
        column = self.keys[key]
        found: np.ndarray = (column.names == value)[column.codes]
        return found

    def place(self, row: int) -> str:
        """Of a row, for what is said of it."""
        return f"{self.tables[self.file[row]].name}, row {self.number[row]}"


def read(tables: Sequence[Table], choice: Choice) -> Rows:
    """Raises RequestError for whatever makes them no rows of items and runs."""
    columns = [resolve(table.header, choice, table.name) for table in tables]
    forms = [_form(one, table) for one, table in zip(columns, tables, strict=True)]
    for table, form in zip(tables, forms, strict=True):
        if form != forms[0]:
            raise RequestError(f"{tables[0].name} tells {TOLD[forms[0]]}, {table.name} {TOLD[form]}")
    classes = tuple(dict.fromkeys(name for one in columns for block in one.blocks for name in block.classes))
    parts = [
        part
        for place, (table, one) in enumerate(zip(tables, columns, strict=True))
        for part in _parts(place, table, one, classes)
    ]
    given = dict.fromkeys(name for part in parts for name in part.column_names if name.startswith("key/"))
    parts = [_with_keys(part, given) for part in parts]
    whole = pa.concat_tables(parts, promote_options="default").unify_dictionaries()
    return _rows(whole, tables, forms[0], classes, columns[0])


def _with_keys(part: pa.Table, keys: Iterable[str]) -> pa.Table:
    """Those that another table has are empty here."""
    for key in keys:
        if key not in part.column_names:
            part = part.append_column(key, pc.dictionary_encode(pa.array([""] * part.num_rows, pa.string())))
    return part


def _form(columns: Columns, table: Table) -> Form:
    """Of all blocks."""
    forms = [_form_of(block, columns, table) for block in columns.blocks]
    if len(set(forms)) > 1:
        raise RequestError(f"{table.name}: some of its columns tell {TOLD[forms[0]]}, others do not")
    return forms[0]


def _form_of(block: Block, columns: Columns, table: Table) -> Form:
    has = set(block.columns) | ({"p"} if block.classes else set())
    found: list[tuple[Form, set[str]]] = [
        ("score", {"score"}),
        ("probabilities", {"label", "p"}),
        ("prediction", {"label", "prediction"}),
        ("number", {"truth", "prediction"}),
    ]
    fitting = [(form, needs) for form, needs in found if needs <= has]
    if not fitting:
        lacks = [key for key in ("label", "truth", "prediction") if key in has]
        of = "".join(f" of {key} {value}" for key, value in block.run.items())
        only = f"; it has {' and '.join(lacks)} alone{of}" if lacks else ""
        raise RequestError(
            f"{table.name}: tells no outcome of its items{only}; needed are {FORMS} (--map OUR=THEIRS)"
        )
    if len(fitting) > 1 or has - fitting[0][1] - {"cap"}:
        left = sorted(has - fitting[0][1] - {"cap"})
        which = ", ".join("p_CLASS" if key == "p" else key for key in left)
        raise RequestError(
            f"{table.name}: says more than one thing of an item: {' with '.join(sorted(fitting[0][1]))}, and "
            f"{which}; leave columns out with --ignore"
        )
    for key in ("item", "strategy"):
        if key not in columns.keys and not all(key in block.run for block in columns.blocks):
            raise RequestError(
                f"{table.name}: has no column '{key}'; say which it is with --map {key}=COLUMN"
            )
    return fitting[0][0]


def _parts(place: int, table: Table, columns: Columns, classes: tuple[str, ...]) -> list[pa.Table]:
    """One of each block: columns by our names."""
    content = table.columns(columns.texts, columns.numbers)
    rows = content.num_rows
    found = []
    for block in columns.blocks:
        made = {f"key/{ours}": content[theirs] for ours, theirs in columns.keys.items()}
        made |= {f"key/{ours}": pa.array([value] * rows, pa.string()) for ours, value in block.run.items()}
        made |= {f"metadata/{name}": content[name] for name in columns.metadata}
        made |= {ours: content[theirs] for ours, theirs in block.columns.items()}
        for name in classes:
            theirs = block.classes.get(name)
            made[f"p/{name}"] = pa.nulls(rows, pa.float64()) if theirs is None else content[theirs]
        made[_FILE] = pa.array(np.full(rows, place, np.int32))
        made["row"] = pa.array(np.arange(1, rows + 1, dtype=np.int32))
        texts = [name for name, column in made.items() if pa.types.is_string(column.type)]
        made |= {name: pc.dictionary_encode(made[name]) for name in texts}
        found.append(pa.table(made))
    return found


def _rows(
    whole: pa.Table, tables: Sequence[Table], form: Form, classes: tuple[str, ...], columns: Columns
) -> Rows:
    metadata = [name for name in whole.column_names if name.startswith("metadata/")]
    keys = {key: _texts(whole[f"key/{key}"]) for key in KEYS if f"key/{key}" in whole.column_names}

    def numbers(name: str) -> np.ndarray | None:
        return whole[name].to_numpy() if name in whole.column_names else None

    is_number = form == "number"
    probabilities = None
    if form == "probabilities":
        probabilities = np.stack([whole[f"p/{name}"].to_numpy() for name in classes], axis=1)
    rows = Rows(
        form=form,
        keys=keys,
        file=whole[_FILE].to_numpy(),
        number=whole["row"].to_numpy(),
        tables=tables,
        labels=_texts(whole["label"]) if "label" in whole.column_names else None,
        predictions=_texts(whole["prediction"]) if form == "prediction" else None,
        probabilities=probabilities,
        classes=classes,
        values=numbers("prediction" if is_number else "score") if is_number or form == "score" else None,
        truths=numbers("truth"),
        quantity=columns.blocks[0].columns.get("truth", ""),
        cap=numbers("cap"),
        metadata={name.removeprefix("metadata/"): _texts(whole[name]) for name in metadata},
    )
    _check(rows)
    return rows


def _texts(column: pa.ChunkedArray) -> Texts:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # of no rows or, in some releases, of many chunks
        array = array.combine_chunks() if array.num_chunks == 0 else pa.concat_arrays(array.chunks)
    names = np.array(array.dictionary.to_pylist(), dtype=str)
    return Texts(array.indices.to_numpy(), names)


def _check(rows: Rows) -> None:
    """Raises RequestError."""
    required = {
        key: column
        for key, column in rows.keys.items()
        if key in ("item", "strategy", "seed") or key in ("group", "split") and column.names.tolist() != [""]
    }
    named = {**required, "label": rows.labels, "prediction": rows.predictions}
    for key, column in named.items():
        if column is not None and "" in column.names:
            empty = np.flatnonzero(column.codes == int(np.flatnonzero(column.names == "")[0]))
            if len(empty):
                raise RequestError(f"{rows.place(int(empty[0]))}: {key} is empty")
    for key in ("seed", "label_budget"):
        for code, name in enumerate(rows.keys[key].names if key in rows.keys else ()):
            allowed = name.isdecimal() and len(name) < 10 or key == "label_budget" and name in ("", "full")
            if not allowed:
                row = int(np.flatnonzero(rows.keys[key].codes == code)[0])
                needed = "a whole number" + (", full or nothing" if key == "label_budget" else "")
                raise RequestError(f"{rows.place(row)}: {key} '{printable(name)[:40]}': {needed} is needed")
    if rows.probabilities is not None:
        _check_probabilities(rows, rows.probabilities)


def _check_probabilities(rows: Rows, p: np.ndarray) -> None:
    assert rows.labels is not None
    absent = sorted(set(rows.labels.names.tolist()) - set(rows.classes))
    if absent:
        code = int(np.flatnonzero(rows.labels.names == absent[0])[0])
        row = int(np.flatnonzero(rows.labels.codes == code)[0])
        raise RequestError(f"{rows.place(row)}: label '{printable(absent[0])[:40]}' has no column p_CLASS")
    wrong = (np.nan_to_num(p) < 0).any(1) | (np.nan_to_num(p) > 1).any(1)
    if wrong.any():
        row = int(wrong.argmax())
        raise RequestError(f"{rows.place(row)}: a probability of {p[row][(p[row] < 0) | (p[row] > 1)][0]:g}")
    total = np.nansum(p, axis=1)
    wrong = np.abs(total - 1) > SUM_WITHIN
    if wrong.any():
        row = int(wrong.argmax())
        raise RequestError(
            f"{rows.place(row)}: its probabilities sum to {total[row]:.4g}, not to 1 (in {int(wrong.sum())} "
            f"of {len(rows)} rows); for scores that are none give label and prediction"
        )


def of_test(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """bool [N] each: rows that are judged, those of the split `test` where the tables have splits; and rows
    of training items. Raises RequestError where none is judged."""
    if "split" not in rows.keys:
        return np.ones(len(rows), bool), np.zeros(len(rows), bool)
    for name in rows.keys["split"].names.tolist():
        if name != TEST and name.strip().casefold() == TEST:
            raise RequestError(
                f"{rows.tables[0].name}: split '{printable(name)}': '{TEST}' is what is judged"
            )
    judged = rows.is_named("split", TEST)
    if not judged.any():
        named = ", ".join(printable(str(name)) or "''" for name in rows.keys["split"].names[:6])
        raise RequestError(f"{rows.tables[0].name}: no row is of split '{TEST}', it has {named}")
    return judged, rows.is_named("split", "train")


def runs_of(rows: Rows, judged: np.ndarray, trained: np.ndarray) -> list[np.ndarray]:
    """Rows [n] of each run that are judged, in the tables' order; runs in the order of their first rows.
    Raises RequestError for a run that has no such rows, but not of training items alone."""
    code = np.zeros(len(rows), np.int64)
    for key in RUN:
        if key in rows.keys:
            code = code * len(rows.keys[key].names) + rows.keys[key].codes
            _, code = np.unique(code, return_inverse=True)
    if len(lost := np.setdiff1d(code[~judged & ~trained], code[judged])):
        row = int(np.flatnonzero(code == lost[0])[0])
        raise RequestError(
            f"{rows.place(row)}: {rows.text('strategy', row)}, seed {rows.text('seed', row) or 0}, has no "
            f"row of split '{TEST}', only of '{rows.text('split', row)}'"
        )
    at = np.flatnonzero(judged)
    order = at[np.argsort(code[at], kind="stable")]
    cuts = np.flatnonzero(np.diff(code[order])) + 1
    return sorted(np.split(order, cuts), key=lambda run: int(run[0]))
