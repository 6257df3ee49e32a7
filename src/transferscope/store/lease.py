"""Who works on a run, and how far it is: its state, its lease, the locks of what runs share."""

import contextlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from transferscope.errors import RequestError
from transferscope.store import schema
from transferscope.store.printable import printable
from transferscope.store.record import ANSWERS, now, read_record, remove, running, write_atomically
from transferscope.store.schema import Claim

if TYPE_CHECKING:
    from filelock import FileLock


def state(store: Path, name: str) -> tuple[str, str]:
    """(status, detail) of one fingerprint: a record's status, or `running`, `crashed` (begun, nobody holds
    it), `missing`."""
    folder = Path(store) / name
    if (folder / "record.json").exists():
        try:
            record = read_record(folder)
        except RequestError as refusal:
            return "failed", str(refusal)
        if record["status"] in ANSWERS:
            return record["status"], record["reason"]
        status = record["status"], record["reason"]
    else:
        status = "missing", ""
    if owner := claim(store, name):
        if Lease.is_held(store, name):
            return (
                "running",
                (
                    f"on {owner['host']} (process {owner['pid']}) since {owner['since']}, step "
                    f"{owner['step']} of {owner['steps']}"
                ),
            )
        if status[0] == "missing":
            how = str(owner.get("ended", "stopped"))
            return (
                "crashed",
                f"{how} at step {owner['step']} of {owner['steps']} on {owner['host']}; resumes there",
            )
    return status


def claim(store: Path, name: str) -> Claim | None:
    """Who began a run and how far it is, where it is work in progress: cell, seed, host, pid, since, step,
    steps."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        found = printable(json.loads((running(store) / name / "claim.json").read_text("utf-8")))
        return cast(Claim, found) if schema.mismatch(found, Claim) is None else None
    return None


def note_death(store: Path, name: str, how: str) -> None:
    """Leave with a run in progress how its process ended; only its launcher knows."""
    if owner := claim(store, name):
        write_atomically(running(store) / name / "claim.json", json.dumps({**owner, "ended": how}))


class Lease:
    """Who works on a run. Held through the operating system's file lock, which dies with its process; it only
    saves waste: that two workers cannot corrupt a run rests on renaming alone.

    `with Lease(store, fingerprint, cell, seed, steps) as lease:` waits while another process works on the
    same run."""

    def __init__(self, store: Path, name: str, cell: Mapping[str, Any], seed: int, steps: int):
        self.folder = running(store) / name
        self.lock_path = running(store) / f"{name}.lock"
        self.claimed = {
            "cell": cell,
            "seed": seed,
            "steps": steps,
            "host": socket.gethostname(),
            "pid": os.getpid(),
        }

    def __enter__(self) -> "Lease":
        self.lock_path.parent.mkdir(parents=True, exist_ok=True)
        self.lock = _lock(self.lock_path)
        self.lock.acquire()
        if self.folder.is_symlink():  # what is made here stays in the store
            self.folder.unlink()
        return self

    def claim(self, step: int) -> None:
        """Tell those who watch where this run stands."""
        self.folder.mkdir(exist_ok=True)
        if step == 0:
            self.claimed["since"] = now()
            # where another process left it
            step = (claim(self.folder.parents[1], self.folder.name) or {"step": 0})["step"]
        write_atomically(self.folder / "claim.json", json.dumps({**self.claimed, "step": step}))

    def finish(self) -> None:
        """The record is written: nothing of the work in progress is needed any more."""
        for path in (self.folder, *self.folder.parent.glob(f"{self.folder.name}.draft-*")):
            remove(path)

    def __exit__(self, *_: object) -> None:
        self.lock_path.unlink(missing_ok=True)
        self.lock.release()

    @staticmethod
    def is_held(store: Path, name: str) -> bool:
        from filelock import Timeout

        path = running(store) / f"{name}.lock"
        if not path.exists():
            return False
        lock = _lock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
        return False


def clear_finished(store: Path) -> None:
    """Remove what killed processes left of runs that have their answer; what they left of others is resumed,
    or `prune` removes it."""
    from filelock import Timeout

    for name in {
        path.name.partition(".")[0] for path in running(store).glob("[0-9a-f]*") if path.suffix != ".damaged"
    }:
        if state(store, name)[0] in ANSWERS:
            lease = Lease(store, name, {}, 0, 0)
            with contextlib.suppress(Timeout), _lock(lease.lock_path).acquire(timeout=0):
                lease.finish()
                lease.lock_path.unlink(missing_ok=True)


def _lock(path: Path) -> "FileLock":
    """A lock file is emptied when it is opened: never what a link leads to."""
    from filelock import FileLock

    if path.is_symlink():
        path.unlink()
    return FileLock(path)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time computes what is shared (training/source_models.py); the lock dies with its
    process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _lock(path):
        yield
