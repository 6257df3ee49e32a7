"""RunRecord <-> files: the fingerprint, the store, the lease. Imports no torch: whatever compares reads through here."""

import contextlib
import csv
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np

from transferscope.errors import Refused

SCHEMA = 1
ANSWERS = ("done", "diverged", "collapsed", "not_applicable")  # the other states, failed and crashed, are tried again


def fingerprint(consumed: dict) -> str:
    """Hash of what a run consumes; key order does not matter."""
    return hashlib.blake2b(json.dumps(consumed, sort_keys=True).encode(), digest_size=8).hexdigest()


# --- reading ---------------------------------------------------------------------------------------------------------------------


def read_json(path: Path, what: str) -> dict:
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise Refused(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise Refused(f"{path}: not a {what}: {error}") from error
    if not isinstance(content, dict):
        raise Refused(f"{path}: not a {what}: an object was expected")
    if content.get("schema") != SCHEMA:
        raise Refused(f"{path}: schema version {content.get('schema')!r}; this transferscope reads version {SCHEMA}")
    return content


def read_record(folder: Path) -> dict:
    """record.json of a run folder. Refused for another schema version or an unreadable file, which it names."""
    return read_json(Path(folder) / "record.json", "run record")


def check_schema(folder: Path) -> None:
    """Refused where the record is another version's, which must not be written over; an unreadable one may be made again."""
    try:
        schema = json.loads((folder / "record.json").read_text())["schema"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if schema != SCHEMA:
        raise Refused(f"{folder}: a record of schema version {schema!r}; this transferscope writes version {SCHEMA}: give another store=FOLDER")


def run_folders(store: Path) -> list[Path]:
    """The run folders of a store, by name."""
    return sorted(path.parent for path in Path(store).glob("[0-9a-f]*/record.json"))


def plan_path(store: Path, name: str) -> Path:
    return Path(store) / "sweeps" / name / "plan.json"


def read_plans(store: Path) -> list[dict]:
    """Every planned sweep of a store, oldest first."""
    plans = [read_json(path, "sweep plan") for path in Path(store).glob("sweeps/*/plan.json")]
    return sorted(plans, key=lambda plan: (plan["created"], plan["name"]))


def read_history(folder: Path) -> list[dict[str, float]]:
    """history.csv: one row an evaluation; empty cells are left out."""
    with open(Path(folder) / "history.csv", newline="") as file:
        return [{key: float(value) for key, value in row.items() if value != ""} for row in csv.DictReader(file)]


# --- writing ---------------------------------------------------------------------------------------------------------------------


def check_writable(store: Path) -> None:
    """Refused, before any work, where a store cannot be written."""
    try:
        running(store).mkdir(parents=True, exist_ok=True)
        probe = running(store) / f".probe-{os.getpid()}"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise Refused(f"store={store}: cannot be written: {error.strerror}; give another folder with store=FOLDER") from error


def write_atomically(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_plan(store: Path, plan: dict) -> None:
    write_atomically(plan_path(store, plan["name"]), json.dumps({"schema": SCHEMA, **plan}, indent=1))


def write_record(store: Path, record: dict, evaluations: dict[str, np.ndarray], history: list[dict], model: Path | None = None) -> Path:
    """A whole run folder or none: written beside the store's runs, then renamed. A record that was no answer is replaced."""
    target = Path(store) / record["fingerprint"]
    draft = running(store) / f"{record['fingerprint']}.draft-{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir(parents=True)
        if evaluations:
            np.savez_compressed(draft / "evaluations.npz", **evaluations)
            columns = list(dict.fromkeys(key for row in history for key in row))
            with open(draft / "history.csv", "w", newline="") as file:
                writer = csv.DictWriter(file, columns, restval="")
                writer.writeheader()
                writer.writerows(history)
        if model is not None:
            shutil.move(model, draft / "model.safetensors")
        (draft / "record.json").write_text(json.dumps({"schema": SCHEMA, **record}, indent=1, default=_plain))
        if target.exists():
            if _is_answer(target) and (model is None or (target / "model.safetensors").exists()):
                return target  # another process was quicker; its record is the same
            os.rename(target, draft / "replaced")
        os.rename(draft, target)
        shutil.rmtree(target / "replaced", ignore_errors=True)
        return target
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    return str(value)


# --- state of a run --------------------------------------------------------------------------------------------------------------


def _is_answer(folder: Path) -> bool:
    with contextlib.suppress(Refused):
        return read_record(folder)["status"] in ANSWERS
    return False


def state(store: Path, name: str) -> tuple[str, str]:
    """(status, detail) of one fingerprint: a record's status, or `running`, `crashed` (begun, nobody holds it), `missing`."""
    folder = Path(store) / name
    if (folder / "record.json").exists():
        try:
            record = read_record(folder)
        except Refused as refusal:
            return "failed", str(refusal)
        if record["status"] in ANSWERS:
            return record["status"], record["reason"]
        status = record["status"], record["reason"]
    else:
        status = "missing", ""
    if owner := claim(store, name):
        if Lease.is_held(store, name):
            return "running", f"on {owner['host']} (process {owner['pid']}) since {owner['since']}, step {owner['step']} of {owner['steps']}"
        if status[0] == "missing":
            how = owner.get("ended", "stopped")
            return "crashed", f"{how} at step {owner['step']} of {owner['steps']} on {owner['host']}; resumes there"
    return status


def claim(store: Path, name: str) -> dict | None:
    """Who began a run and how far it is, where it is work in progress: cell, seed, host, pid, since, step, steps."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads((running(store) / name / "claim.json").read_text())
    return None


def note_death(store: Path, name: str, how: str) -> None:
    """Leave with a run in progress how its process ended; only its launcher knows."""
    if owner := claim(store, name):
        write_atomically(running(store) / name / "claim.json", json.dumps({**owner, "ended": how}))


def running(store: Path) -> Path:
    """Work in progress: a folder a run with its claim and checkpoint."""
    return Path(store) / ".running"


class Lease:
    """Who works on a run. Held through the operating system's file lock, which dies with its process; it only saves waste: that
    two workers cannot corrupt a run rests on renaming alone.

    `with Lease(store, fingerprint, cell, seed, steps) as lease:` waits while another process works on the same run.
    """

    def __init__(self, store: Path, name: str, cell: dict, seed: int, steps: int):
        self.folder = running(store) / name
        self.lock_path = running(store) / f"{name}.lock"
        self.claimed = {"cell": cell, "seed": seed, "steps": steps, "host": socket.gethostname(), "pid": os.getpid()}

    def __enter__(self) -> "Lease":
        from filelock import FileLock

        self.lock_path.parent.mkdir(parents=True, exist_ok=True)
        self.lock = FileLock(self.lock_path)
        self.lock.acquire()
        return self

    def claim(self, step: int) -> None:
        """Tell those who watch where this run stands."""
        self.folder.mkdir(exist_ok=True)
        if step == 0:
            self.claimed["since"] = now()
        write_atomically(self.folder / "claim.json", json.dumps({**self.claimed, "step": step}))

    def finish(self) -> None:
        """The record is written: nothing of the work in progress is needed any more."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def __exit__(self, *_: object) -> None:
        self.lock_path.unlink(missing_ok=True)
        self.lock.release()

    @staticmethod
    def is_held(store: Path, name: str) -> bool:
        from filelock import FileLock, Timeout

        path = running(store) / f"{name}.lock"
        if not path.exists():
            return False
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
        return False


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time computes what is shared (artifacts.py); the lock dies with its process."""
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path):
        yield


@cache
def git_revision() -> dict:
    """Revision of the code this process began with, where it is a checkout."""
    import subprocess

    here = Path(__file__).parent
    try:
        call = {"cwd": here, "capture_output": True, "text": True, "timeout": 5, "check": True}
        revision = subprocess.run(["git", "rev-parse", "HEAD"], **call).stdout.strip()
        dirty = bool(subprocess.run(["git", "status", "--porcelain", "--untracked-files=no"], **call).stdout.strip())
    except (OSError, subprocess.SubprocessError):
        return {"revision": None, "dirty": None}
    return {"revision": revision, "dirty": dirty}


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
