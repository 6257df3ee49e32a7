"""Rows of .csv, .tsv and .jsonl files, cells by column, with the lines they stand in. Read by the standard
library alone."""

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from transferscope.data import tables
from transferscope.data.table_files import Place, existing_or_fetched
from transferscope.errors import RequestError

SEPARATED = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
LINES_OF_JSON = (".jsonl", ".ndjson")


@dataclass(frozen=True)
class Form:
    """How the rows of a file are written, see `load`; of lines of JSON all is told by the file."""

    names: Sequence[str] | None = None
    header: bool | None = None
    separator: str | None = None
    quoted: bool | None = None


class Rows(NamedTuple):
    """Cells by column, and of each row its file and line there. numbers: of the rows in their files."""

    columns: dict[str, list[object]]
    lines: list[Place]
    numbers: list[Place]


def read(
    paths: Sequence[str],
    columns: Sequence[str],
    form: Form,
    *,
    origin: str | None = None,
    download: bool = False,
) -> Rows:
    """These columns of files, one below the other. See `load`."""
    if not paths:
        raise RequestError("path=[]: at least one file is needed")
    rows = Rows({column: [] for column in columns}, [], [])
    for path in paths:
        known, of_file = rows_of(existing_or_fetched(path, origin, download), path, form)
        tables.require_columns(columns, known, path)
        if not of_file:
            raise RequestError(f"{path} has no row")
        for number, (line, cells) in enumerate(of_file):
            for column in rows.columns:
                rows.columns[column].append(cells.get(column))
            rows.lines.append((path, line))
            rows.numbers.append((path, number))
    return rows


def rows_of(file: Path, path: str, form: Form) -> tuple[list[str], list[tuple[int, Mapping[str, object]]]]:
    """(the columns that there are, (line, cells by column) of every row)"""
    suffix = suffix_of(file)
    if suffix in LINES_OF_JSON:
        for key, value in vars(form).items():
            if value is not None:
                raise RequestError(f"{key}={value}: {path} holds lines of JSON; leave the key out")
        objects: list[tuple[int, Mapping[str, object]]] = list(_objects(content_of(file, path), path))
        return list(dict.fromkeys(key for _, cells in objects for key in cells)), objects
    if suffix not in SEPARATED and form.names is None and form.separator is None:
        raise RequestError(
            f"path={path}; allowed: a {', '.join((*SEPARATED, *LINES_OF_JSON))} file, each also as .gz, "
            "another with `names` or `separator`, or a folder of CLASS/*.txt"
        )
    return _cells_by_name(list(cells_of(content_of(file, path), path, form, suffix)), path, form)


def _cells_by_name(
    lines: list[tuple[int, list[str]]], path: str, form: Form
) -> tuple[list[str], list[tuple[int, Mapping[str, object]]]]:
    if form.header is False and form.names is None:
        raise RequestError("header=False: without a first line that names the columns, names is needed")
    first = [cell.strip() for cell in lines[0][1]] if lines else []
    known = first if form.names is None else list(form.names)
    names_them = form.header if form.header is not None else form.names is None or first == known
    rows: list[tuple[int, Mapping[str, object]]] = []
    for line, cells in lines[1:] if names_them else lines:
        if len(cells) != len(known):
            told = "its first line names" if form.names is None else "names has"
            raise RequestError(
                f"{path}, line {line}: {len(cells)} cell{'' if len(cells) == 1 else 's'}, and {told} "
                f"{len(known)} columns; mend it (quoted: false where quotation marks are part of the text)"
            )
        rows.append((line, dict(zip(known, cells, strict=True))))
    return known, rows


def cells_of(content: str, path: str, form: Form, suffix: str) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of all rows but empty ones."""
    separator = form.separator or SEPARATED.get(suffix, ",")
    if len(separator) != 1 or separator in '"\r\n':
        raise RequestError(f"separator={separator!r}; allowed: one character, such as a tab")
    if form.quoted is False:
        for number, line in enumerate(content.split("\n"), 1):
            if line.strip("\r"):
                yield number, line.removesuffix("\r").split(separator)
        return
    limit = csv.field_size_limit(sys.maxsize)  # a text may be a book
    try:
        reader = csv.reader(io.StringIO(content, newline=""), delimiter=separator, strict=True)
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        raise RequestError(
            f"{path}, line {reader.line_num}: {error}; mend it, or say quoted: false where quotation marks "
            "are part of the text"
        ) from error
    finally:
        csv.field_size_limit(limit)


def _objects(content: str, path: str) -> Iterator[tuple[int, dict[str, object]]]:
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RequestError(f"{path}, line {number}: no JSON ({error}); a JSON object a line") from error
        if not isinstance(found, dict):
            raise RequestError(f"{path}, line {number}: {line.strip()[:40]!r} is no JSON object")
        yield number, found


def suffix_of(file: Path) -> str:
    """Of NAME.csv and NAME.csv.gz alike."""
    return Path(file.name.removesuffix(".gz")).suffix.lower()


def content_of(file: Path, path: str) -> str:
    """All of a file, without a byte-order mark. Raises RequestError for what is no text in UTF-8."""
    try:
        octets = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise RequestError(f"{path} cannot be read ({error})") from error
    try:
        content = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise RequestError(
            f"{path}, line {line}: the byte 0x{error.object[error.start]:02x} is no UTF-8; save the file as "
            "UTF-8"
        ) from error
    if "\0" in content:
        line = content[: content.index("\0")].count("\n") + 1
        raise RequestError(f"{path}, line {line}: a NUL character, which no text has; remove it")
    return content
