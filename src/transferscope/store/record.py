"""RunRecord <-> files: the fingerprint and the store. Imports no torch: whatever compares reads through
here."""

import contextlib
import csv
import errno
import hashlib
import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast, overload

import numpy as np

from transferscope.errors import RequestError
from transferscope.store import digests, evaluations
from transferscope.store.printable import printable
from transferscope.store.schema import Prediction, RunRecord, SweepPlan, mismatch

SCHEMA = 1  # of plans and predictions
RECORD_SCHEMAS = (1, 2)  # of records, those that are read; the last one is written
# what a run may keep that is no part of its results
BESIDE = ("model.safetensors", "features", "reverse_validation.json")
RESULTS = (evaluations.NAME, "history.csv")
FILES = ("record.json", *RESULTS, *BESIDE)
SHAPES = {"run record": RunRecord, "sweep plan": SweepPlan, "prediction": Prediction}
# begin of the reason why a run counts as collapsed
AT_CHANCE = CONSTANT, CHANCE_LEVEL = ("constant predictor", "chance-level predictor")
# the other states, failed and crashed, are tried again
ANSWERS = ("done", "diverged", "collapsed", "not_applicable")


def fingerprint(consumed: Mapping[str, Any]) -> str:
    """Hash of what a run consumes; key order does not matter."""
    return hashlib.blake2b(json.dumps(consumed, sort_keys=True).encode(), digest_size=8).hexdigest()


# --- reading


@overload
def read_json(path: Path, what: Literal["run record"]) -> RunRecord: ...
@overload
def read_json(path: Path, what: Literal["sweep plan"]) -> SweepPlan: ...
@overload
def read_json(path: Path, what: Literal["prediction"]) -> Prediction: ...
def read_json(
    path: Path, what: Literal["run record", "sweep plan", "prediction"]
) -> RunRecord | SweepPlan | Prediction:
    """A `run record`, `sweep plan` or `prediction`, of its shape and without characters that steer a
    terminal. Else raises RequestError, which names it."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise OSError(errno.EINVAL, "not a file")
        text = path.read_text("utf-8")
        content = json.loads(text)
    except OSError as error:
        raise RequestError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{path}: not a {what}: {error}") from error
    if not isinstance(content, dict):
        raise RequestError(f"{path}: not a {what}: an object was expected")
    versions = RECORD_SCHEMAS if what == "run record" else (SCHEMA,)
    if content.get("schema") not in versions:
        raise RequestError(
            f"{path}: schema version {printable(str(content.get('schema')))[:20]}; this transferscope reads "
            f"version {' and '.join(map(str, versions))}"
        )
    if "\\" in text or not text.replace("\n", "").isprintable():  # else there is nothing in it to replace
        content = printable(content)
    if (wrong := mismatch(content, SHAPES[what])) is not None:
        raise RequestError(f"{path}: not a {what}: '{wrong}' is missing or of another type")
    return cast(RunRecord | SweepPlan | Prediction, content)


def read_record(folder: Path) -> RunRecord:
    """record.json of a run folder. Raises RequestError for another schema version or an unreadable file,
    which it names, and for links: a store's runs lie in the store."""
    folder = Path(folder)
    if link := next(
        (path for path in (folder, *(folder / name for name in FILES)) if path.is_symlink()), None
    ):
        raise RequestError(f"{link}: a symbolic link; a run is read from its own folder alone")
    return read_json(folder / "record.json", "run record")


def check_schema(folder: Path) -> None:
    """Raises RequestError where the record is another version's, which must not be written over; an
    unreadable one may be made again."""
    try:
        schema = json.loads((folder / "record.json").read_text("utf-8"))["schema"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if schema not in RECORD_SCHEMAS:
        raise RequestError(
            f"{folder}: a record of schema version {schema!r}; this transferscope writes version "
            f"{RECORD_SCHEMAS[-1]}: give another store=FOLDER"
        )


def run_folders(store: Path) -> list[Path]:
    """The run folders of a store, by name."""
    return sorted(path.parent for path in Path(store).glob("[0-9a-f]*/record.json"))


def plan_path(store: Path, name: str) -> Path:
    return Path(store) / "sweeps" / name / "plan.json"


def read_plans(store: Path) -> list[SweepPlan]:
    """Every planned sweep of a store, oldest first."""
    plans = [read_json(path, "sweep plan") for path in Path(store).glob("sweeps/*/plan.json")]
    return sorted(plans, key=lambda plan: (plan["created"], plan["name"]))


def prediction_path(store: Path, name: str) -> Path:
    return Path(store) / "predictions" / f"{name}.json"


def read_predictions(store: Path) -> list[Prediction]:
    """What `rank` left in a store: {kind, created, consumed, values, reasons} each."""
    return [read_json(path, "prediction") for path in sorted(Path(store).glob("predictions/*.json"))]


def read_history(folder: Path) -> list[dict[str, float]]:
    """history.csv: one row an evaluation; empty cells are left out. Raises RequestError where it is no
    history."""
    path = Path(folder) / "history.csv"
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [
                {key: float(value) for key, value in row.items() if value != ""}
                for row in csv.DictReader(file)
            ]
    except (ValueError, TypeError, csv.Error) as error:
        raise RequestError(f"{path}: not a history: {printable(str(error))[:100]}") from error
    for row in rows:
        if not all(math.isfinite(row.get(key, math.nan)) for key in ("step", "seconds")):
            raise RequestError(f"{path}: not a history: a row without step or seconds")
        if wrong := [key for key, value in row.items() if key.endswith("/accuracy") and not 0 <= value <= 1]:
            raise RequestError(f"{path}: not a history: {printable(wrong[0])[:100]} is not between 0 and 1")
    return rows


def read_reverse_validation(folder: Path) -> float | None:
    """Accuracy of the run trained backwards, where `reverse_validation=true` asked for it."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return float(json.loads((Path(folder) / "reverse_validation.json").read_text("utf-8"))["accuracy"])
    return None


# --- writing


def running(store: Path) -> Path:
    """Work in progress: a folder a run with its claim and checkpoint."""
    return Path(store) / ".running"


def check_writable(store: Path) -> None:
    """Raises RequestError, before any work, where a store cannot be written."""
    try:
        running(store).mkdir(parents=True, exist_ok=True)
        probe = running(store) / f".probe-{os.getpid()}"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise RequestError(
            f"store={store}: cannot be written: {error.strerror}; give another folder with store=FOLDER"
        ) from error


def write_atomically(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # a store's text may hold what no encoding has
        temporary.write_text(text, encoding="utf-8", errors="replace")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_plan(store: Path, plan: Mapping[str, Any]) -> None:
    write_atomically(plan_path(store, plan["name"]), json.dumps({"schema": SCHEMA, **plan}, indent=1))


def write_record(
    store: Path,
    record: Mapping[str, Any],
    members: Mapping[str, np.ndarray],
    history: Sequence[Mapping[str, object]],
    extra_files: dict[str, Path] | None = None,
) -> Path:
    """A whole run folder or none: written beside the store's runs, then renamed. A record that was no answer
    is replaced.

    members: of evaluations.npz (store/evaluations.py). extra_files: files and folders that move into it, by
    their names there (`BESIDE`). An answer that lacks one of them, a domain of `test_also` or outputs that
    are asked for is replaced as well, by the same results, and what it had beside them stays. The record says
    of every file its size, its time of change and its digest."""
    extra_files = extra_files or {}
    target = Path(store) / str(record["fingerprint"])
    draft = running(store) / f"{record['fingerprint']}.draft-{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir(parents=True)
        if members:
            evaluations.write(draft / evaluations.NAME, members)
            columns = list(dict.fromkeys(key for row in history for key in row))
            with open(draft / "history.csv", "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, columns, restval="")
                writer.writeheader()
                writer.writerows(history)
        for name, path in extra_files.items():
            shutil.move(path, draft / name)
        carried: list[str] = []
        if is_answer(target):
            old = read_record(target)
            is_tested = all(one in old.get("test_also", []) for one in record.get("test_also", []))
            has_all = is_tested and has_extra_files(target, list(extra_files), record["config"])
            if has_all and keeps_outputs(old, record["config"]):
                return target  # another process was quicker; its record is the same
            carried = [name for name in BESIDE if (target / name).exists() and not (draft / name).exists()]
            if "model.safetensors" in carried:  # these tell which evaluation's model it is
                chosen = {key: old["config"].get(key) for key in ("keep", "selection")}
                record = {**record, "config": record["config"] | chosen}
        files = digests.of_files(draft, (*RESULTS, *BESIDE)) | digests.of_files(target, carried)
        content = {"schema": RECORD_SCHEMAS[-1], **record, "files": files}
        (draft / "record.json").write_text(json.dumps(content, indent=1, default=_plain))
        if target.exists() or target.is_symlink():
            os.rename(target, draft / "replaced")
            for name in carried:
                os.rename(draft / "replaced" / name, draft / name)
        os.rename(draft, target)
        remove(target / "replaced")
        return target
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    return str(value)


# --- what is kept


def has_extra_files(folder: Path, names: list[str], config: Mapping[str, Any]) -> bool:
    """Whether a run folder holds these of `BESIDE`; a model that was chosen by another `selection` is another
    model."""
    if "model.safetensors" in names and read_record(folder)["config"].get("selection") != config["selection"]:
        return False
    return all((folder / name).exists() for name in names)


def keeps_outputs(record: RunRecord, config: Mapping[str, Any]) -> bool:
    """Whether the outputs that a config asks for with `outputs` are among those that a run has kept. A record
    that says nothing of it keeps all (schema 1)."""
    asked, kept = config.get("outputs"), record.get("outputs", {"kept": "all", "selection": None})
    if asked is None or asked == "none" or kept["kept"] == "all":
        return True
    return asked == kept["kept"] == "last" and kept["selection"] == config.get("selection")


def remove(path: Path) -> None:
    """A folder, a file or a link, not what it leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def is_answer(folder: Path) -> bool:
    """Whether a folder holds a record that is one."""
    with contextlib.suppress(RequestError):
        return read_record(folder)["status"] in ANSWERS
    return False


@cache
def git_revision() -> dict[str, str | bool | None]:
    """Revision of the code this process began with, where it is a checkout."""
    import subprocess

    def git(*words: str) -> str:
        call = ["git", *words]
        here = Path(__file__).parent
        return subprocess.run(
            call, cwd=here, capture_output=True, text=True, timeout=5, check=True
        ).stdout.strip()

    try:
        revision = git("rev-parse", "HEAD")
        dirty = bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return {"revision": None, "dirty": None}
    return {"revision": revision, "dirty": dirty}


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
