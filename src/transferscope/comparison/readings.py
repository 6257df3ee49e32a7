"""The log of a store's readings: which cells were judged, with which seeds, and what was claimed of them.
Imports no torch.

Whoever looks at a verdict and then adds seeds has two chances of a false one, so a cell that was read pays
where it is judged with more seeds (`verdict.Pair.readings`). The log knows what was read: files of JSON lines
in the store's folder `readings`, one a family that had anything new, written beside and renamed, never
written again. It travels with the store."""

import contextlib
import errno
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from transferscope.store.record import fingerprint, now, write_atomically
from transferscope.store.schema import Json, Reading, mismatch

FOLDER = "readings"
MOST = 20  # readings that count: after so many no p-value is small enough
ONCE_MORE = "every cell is judged as if it had been read once more"


def times(seeds: Iterable[int], earlier: Iterable[Iterable[int]]) -> int:
    """How often a cell was read before its seeds grew to `seeds`.

    earlier: of every reading the seeds it had and those that were planned then. One that lacks none of
    today's came before no growth; equal ones are one."""
    return min(MOST, len({frozenset(reading) for reading in earlier if not set(seeds) <= set(reading)}))


@dataclass
class Log:
    """What a store's log holds. began: when it was begun, '' where it was not; what was read before is not in
    it. read: of every cell, the seeds of each reading with those planned then. claims: of every cell what was
    told, the oldest first. trouble: why the log cannot be relied on, else ''."""

    folder: Path
    began: str = ""
    read: dict[str, set[frozenset[int]]] = field(default_factory=lambda: defaultdict(set))
    claims: dict[str, list[Json]] = field(default_factory=lambda: defaultdict(list))
    trouble: str = ""
    known: set[str] = field(default_factory=set, repr=False)

    def before(self, cell: str, seeds: Iterable[int], presumed: Iterable[Iterable[int]] = ()) -> int:
        """How often a cell was read before its seeds grew; once more where the log has trouble. presumed:
        readings older than the log."""
        return times(seeds, [*self.read[cell], *presumed]) + bool(self.trouble)

    def note(self, lines: Iterable[Json], otherwise: str = ONCE_MORE) -> None:
        """Write down what is not there yet. Where it cannot be written that is `trouble`, and what comes of
        it `otherwise`."""
        new = [line for line in lines if _content(line) not in self.known]
        for line in new:
            self._take(line)
        try:
            _write(self.folder, new)
        except OSError as error:
            self.trouble = self.trouble or f"{self.folder}: cannot be written ({error.strerror}): {otherwise}"

    def _take(self, line: Json) -> None:
        self.known.add(_content(line))
        if "began" in line:
            self.began = min(self.began or line["began"], line["began"])
        elif "read" in line:
            self.read[line["read"]].add(frozenset(line["seeds"]) | frozenset(line["planned"]))
        else:
            self.claims[line["told"]].append(line)


def begin(store: Path) -> None:
    """The log of a store without plans, so that nothing is presumed of those that come."""
    if not any(Path(store).glob("sweeps/*/plan.json")) and not (Path(store) / FOLDER).exists():
        with contextlib.suppress(OSError):  # `compare` says so
            _write(Path(store) / FOLDER, [{"began": now()}])


def open_log(store: Path) -> Log:
    """The log of a store, begun where there is none; what is left of one that is damaged or cannot be
    written, with its `trouble`."""
    log = Log(Path(store) / FOLDER)
    try:
        _check_own(log.folder)
        for path, line in _lines(log.folder):
            if line is None:
                log.trouble = log.trouble or f"{path}: damaged: {ONCE_MORE}"
            else:
                log._take(line)
        _check_writable(log.folder)
    except OSError as error:
        log.trouble = log.trouble or f"{log.folder}: cannot be written ({error.strerror}): {ONCE_MORE}"
    if not log.began:
        log.note([{"began": now()}])
    return log


def _lines(folder: Path) -> Iterator[tuple[Path, Json | None]]:
    """Every line of a log with its file, None where it is none."""
    for path in sorted(folder.glob("*.jsonl")):
        for line in (path.read_bytes().splitlines() if path.is_file() and not path.is_symlink() else []) or [
            b""
        ]:
            yield path, _parsed(line)


def _parsed(line: bytes) -> Json | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if mismatch(found, Reading) is None else None


def _write(folder: Path, lines: list[Json]) -> None:
    """One new file, none without lines. Raises OSError."""
    when = now()
    dated = [{**line, "when": when} for line in lines]
    if dated:
        _check_own(folder)
        name = f"{when[:19].replace(':', '')}-{fingerprint({'lines': dated})}.jsonl"
        write_atomically(folder / name, "".join(json.dumps(line) + "\n" for line in dated))


def _check_writable(folder: Path) -> None:
    """Raises OSError."""
    folder.mkdir(exist_ok=True)
    if not os.access(folder, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))


def _check_own(folder: Path) -> None:
    """A link would lead out of the store. Raises OSError."""
    if folder.is_symlink():
        raise OSError(0, "a symbolic link")


def _content(line: Json) -> str:
    """Equal for the same reading, or claim, at whatever time."""
    return json.dumps({key: value for key, value in line.items() if key != "when"}, sort_keys=True)
