"""Tables as they come: CSV, JSON lines, Parquet, or what a notebook holds. Each gives the columns that are
asked for, as text or as numbers."""

import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from transferscope.errors import RequestError
from transferscope.external import lm_eval
from transferscope.external.columns import Choice
from transferscope.external.formats import JSON_LINES, SUFFIXES, suffix_of
from transferscope.store.printable import printable

if TYPE_CHECKING:
    import pandas

    Frame: TypeAlias = pa.Table | pandas.DataFrame | Mapping[str, Any]

LONGEST_LINE = 2**25  # bytes


@dataclass(frozen=True)
class Table:
    """name: for what is said of it. digest: of its content. header: names of its columns. content: all of
    them; None for a CSV, whose columns are read with their types."""

    name: str
    digest: str
    header: Sequence[str]
    content: pa.Table | None = None
    path: Path | None = None

    def columns(self, texts: Iterable[str], numbers: Iterable[str]) -> pa.Table:
        """Of the columns that are text (an empty one is ''), and of those that are numbers, float64 without a
        gap. Raises RequestError, which names column and row."""
        texts, numbers = list(texts), list(numbers)
        found = (
            self.content.select(texts + numbers) if self.content is not None else self._csv(texts, numbers)
        )
        if not found.num_rows:
            raise RequestError(f"{self.name}: holds no rows")
        if self.content is None and self.path is not None:
            _refuse_swallowed(self.path, self.name, found.num_rows)
        made = [self._text(found[name], name) for name in texts]
        made += [self._number(found[name], name) for name in numbers]
        return pa.table(made, names=texts + numbers)

    def _csv(self, texts: list[str], numbers: list[str]) -> pa.Table:
        from pyarrow import csv

        types = {**dict.fromkeys(texts, pa.string()), **dict.fromkeys(numbers, pa.float64())}

        def read(types: dict[str, pa.DataType]) -> pa.Table:
            options = csv.ConvertOptions(column_types=types, include_columns=list(types), null_values=[""])
            return csv.read_csv(self.path, parse_options=_parse_options(self.path), convert_options=options)

        try:
            return read(types)
        except pa.ArrowInvalid as error:
            if "conversion error to double" not in str(error):
                raise RequestError(f"{self.name}: {_line(error)}") from error
        try:  # which number is none is found where it is made one
            return read(dict.fromkeys(types, pa.string()))
        except pa.ArrowInvalid as error:
            raise RequestError(f"{self.name}: {_line(error)}") from error

    def _text(self, column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
        kind = column.type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if pa.types.is_nested(kind) or pa.types.is_binary(kind):
            raise RequestError(
                f"{self.name}: column '{printable(name)}' holds {kind}; text or numbers are needed"
            )
        if pa.types.is_floating(kind):
            column = pc.if_else(pc.is_nan(column), None, column)
            is_whole = pc.and_(pc.is_finite(column), pc.equal(column, pc.floor(column)))
            if pc.all(is_whole).as_py():
                column = column.cast(pa.int64(), safe=False)
        try:
            return pc.fill_null(column.cast(pa.string()), "")
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise RequestError(f"{self.name}: column '{printable(name)}': {_line(error)}") from error

    def _number(self, column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
        if pa.types.is_nested(column.type):
            raise RequestError(
                f"{self.name}: column '{printable(name)}' holds {column.type}; numbers are needed"
            )
        try:
            found = column.cast(pa.float64())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            for row, text in enumerate(column.to_pylist()):
                if not _is_number(text):
                    said = f"'{printable(str(text))[:40]}' is no number" if text else "empty"
                    raise RequestError(self._in_row(name, row, said)) from error
            raise RequestError(f"{self.name}: column '{printable(name)}': {_line(error)}") from error
        is_finite = pc.fill_null(pc.is_finite(found), False)
        if not pc.all(is_finite).as_py():
            row = pc.index(is_finite, False).as_py()
            value = found[row].as_py()
            raise RequestError(
                self._in_row(name, row, "empty" if value is None else f"{value}, no finite number")
            )
        return found

    def _in_row(self, name: str, row: int, what: str) -> str:
        """row: from 0; said from 1, the header not counted."""
        return f"{self.name}: column '{printable(name)}', row {row + 1}: {what}"


def from_file(path: Path, choice: Choice | None = None) -> Table:
    """choice: what a file with many more columns is asked for. Raises RequestError for a file that is none of
    SUFFIXES, cannot be read or has no rows."""
    name = printable(str(path))
    suffix = suffix_of(path)
    if suffix is None:
        raise RequestError(f"{name}: a file of results ends in one of {', '.join(SUFFIXES)}")
    if not path.is_file():  # a pipe would be waited for
        raise RequestError(f"{name}: {'not a file' if path.exists() else 'no such file'}")
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        begin = _begin(path)
        if not begin.strip():
            raise RequestError(f"{name}: holds no rows")
        if suffix in JSON_LINES:
            if begin.lstrip()[:1] == b"[":
                raise RequestError(f"{name}: one list; JSON lines are needed, an object a line")
            if lm_eval.is_samples(path, begin):
                content = lm_eval.read(path, name, choice or Choice())
            else:
                content = _json_lines(path)
        elif suffix == ".parquet":
            from pyarrow import parquet

            content = parquet.read_table(path)
        else:
            from pyarrow import csv

            with csv.open_csv(path, parse_options=_parse_options(path)) as reader:
                return Table(name, digest, reader.schema.names, path=path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise RequestError(f"{name}: {_line(error)}") from error
    except OSError as error:
        raise RequestError(f"{name}: cannot be read: {error.strerror or _line(error)}") from error
    return Table(name, digest, content.column_names, content)


def from_frame(frame: "Frame") -> Table:
    """A pandas DataFrame, a pyarrow Table, or a dict of columns. Raises RequestError."""
    try:
        if isinstance(frame, pa.Table):
            content = frame
        elif isinstance(frame, Mapping):
            content = pa.table(dict(frame))
        else:
            content = pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, AttributeError, ValueError) as error:
        raise RequestError(f"a table with a row an item and run is needed: {_line(error)}") from error
    digest = hashlib.blake2b(digest_size=16)
    for name in content.column_names:
        digest.update(repr((name, content[name].type)).encode())
        for chunk in content[name].chunks:
            for buffer in chunk.buffers():
                digest.update(b"" if buffer is None else memoryview(buffer))
    return Table("the table", digest.hexdigest(), content.column_names, content)


def _begin(path: Path) -> bytes:
    with pa.input_stream(str(path), compression="detect") as stream:
        found: bytes = stream.read(4096)
    return found


def _json_lines(path: Path) -> pa.Table:
    from pyarrow import json

    def read(schema: pa.Schema | None = None) -> pa.Table:
        with pa.input_stream(str(path), compression="detect") as stream:
            return json.read_json(
                stream,
                read_options=json.ReadOptions(block_size=LONGEST_LINE),
                parse_options=json.ParseOptions(explicit_schema=schema),
            )

    found = read()
    dated = [column.name for column in found.schema if pa.types.is_temporal(column.type)]
    return read(pa.schema([(name, pa.string()) for name in dated])) if dated else found  # JSON has no dates


def _parse_options(path: Path | None) -> Any:
    from pyarrow import csv

    is_tabbed = path is not None and suffix_of(path) == ".tsv"
    return csv.ParseOptions(delimiter="\t" if is_tabbed else ",", newlines_in_values=True)


def _refuse_swallowed(path: Path, name: str, rows: int) -> None:
    """A quote that nothing closes takes the rows up to the next one for its text."""
    with pa.input_stream(str(path), compression="detect") as stream:
        lines = sum(1 for line in io.BufferedReader(stream) if line.strip())
    if lines - 1 > rows:
        raise RequestError(
            f"{name}: {lines - 1} lines below its header make {rows} rows: a quote that nothing closes, or "
            "texts of several lines; leave such columns out of the file, or write Parquet or JSON lines"
        )


def _is_number(text: str | None) -> bool:
    try:
        float(text or "")
    except ValueError:
        return False
    return True


def _line(error: Exception) -> str:
    text: str = printable(str(error).splitlines()[0] if str(error) else type(error).__name__)
    return text[:300]
