"""The figures that a paper needs, as files: SVG whose text stays text, PDF with TrueType fonts. Nothing is
computed here; the same comparison gives the same bytes."""

import io
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from transferscope.comparison.comparison import Comparison
from transferscope.errors import RequestError
from transferscope.report.layout import Target
from transferscope.report.paper_forest import fits, forest
from transferscope.report.paper_panels import budgets, curves
from transferscope.report.paper_style import style

MOST_BUDGETS, MOST_CURVES = 12, 24  # strategies, cells of one file
NO_DATE = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


def ready(folder: Path) -> None:
    """Makes the folder where it is missing. RequestError where it is a file or cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except FileExistsError as error:
        raise RequestError(f"--figures {folder}: is a file, a folder is needed") from error
    except OSError as error:
        raise RequestError(f"--figures {folder}: cannot be written: {error.strerror}") from error


@style()
def write(folder: Path, comparison: Comparison, targets: Sequence[Target]) -> int:
    """Every figure as SVG and PDF, each file whole or not at all, none before all could be drawn. Returns how
    many figures."""
    found = drawn(comparison, targets)
    contents = {f"{name}.{kind}": _bytes(figure, kind) for name, figure in found.items() for kind in NO_DATE}
    for name, content in contents.items():
        _replace(folder / name, content)
    return len(found)


@style()
def drawn(comparison: Comparison, targets: Sequence[Target]) -> dict[str, Figure]:
    """Each figure by its file's name without an ending. targets: of `page.targets_of`."""
    found: dict[str, Figure] = {}
    for target in targets:
        for names, draw, pieces in _planned(target, comparison.settings):
            for number, piece in enumerate(pieces, start=1):
                of = [f"{number}of{len(pieces)}"] * (len(pieces) > 1)
                found[_free_name([*names, *of], found)] = draw(piece)
    return found


def _planned(target: Target, settings: dict) -> Iterator[tuple[list[str], Callable, list]]:
    """(words of the file's name, what draws a piece, pieces) of each figure of a target."""
    if target.views:
        pieces = _pieces(target.views, fits)
        yield ["verdicts", target.name], partial(forest, target, settings=settings), pieces
    for source in (source for source in target.sources if source.views):
        place = [target.name, source.name or "no-source"]
        if len({view.cell.label_budget for view in target.views}) > 1:
            pieces = _pieces(
                [line for line in source.lines if line.views], lambda some: len(some) <= MOST_BUDGETS
            )
            yield ["budgets", *place], partial(budgets, target, source, settings=settings), pieces
        if views := [view for view in source.views if view.curves]:
            pieces = _pieces(views, lambda some: len(some) <= MOST_CURVES)
            yield ["curves", *place], partial(curves, target, source, settings=settings), pieces


def _pieces(items: Sequence, fits: Callable[[Sequence], bool]) -> list[Sequence]:
    """In as few as fit, of about equal length."""
    for count in range(1, len(items) + 1):
        size = math.ceil(len(items) / count)
        pieces = [items[start : start + size] for start in range(0, len(items), size)]
        if all(map(fits, pieces)):
            break
    return pieces


def _free_name(names: Sequence[str], taken: Iterable[str]) -> str:
    """Letters and digits of the names alone, and unlike every name that is taken, also where A is a."""
    wanted = "-".join(re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-")[:60] or "x" for name in names)
    others = {name.lower() for name in taken}
    number, free = 1, wanted
    while free.lower() in others:
        number += 1
        free = f"{wanted}-{number}"
    return free


def _bytes(figure: Figure, kind: str) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format=kind, metadata=NO_DATE[kind])
    return content.getvalue()


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
