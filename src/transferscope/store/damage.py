"""Which files of a finished run are not what was written any more."""

import json
import os
import sys
import zipfile
from pathlib import Path

from transferscope.errors import RequestError
from transferscope.store import digests, evaluations
from transferscope.store.printable import printable
from transferscope.store.record import RESULTS, read_history, read_record, remove, running


def damage(folder: Path, *, verify: bool = False) -> str:
    """Which file of a run that has its answer is damaged, and how; nothing where all are whole.

    A file is read where its size or time of change is not the one of the record, with `verify` always; so is
    every file of a record that has no digests (schema 1)."""
    path = folder / "record.json"
    try:
        entry = read_record(folder)
        if not entry["result"]:
            return ""
        kept = entry.get("files", {})
        if not kept.keys() >= set(RESULTS):
            return _without_digests(folder)
        for name, file in kept.items():
            path = folder / name
            if name not in RESULTS and not path.exists():
                continue  # what is kept beside them may be taken away
            if differs := digests.difference(path, file, verify=verify):
                return f"{path}: damaged ({differs})"
    except RequestError as refusal:
        return str(refusal)
    except Exception as error:  # a damaged file fails in many ways
        return f"{path}: damaged ({type(error).__name__})"
    return ""


def _without_digests(folder: Path) -> str:
    """Read in full: an archive has a checksum of each member, a model its size."""
    read_history(folder)
    for path in [folder / evaluations.NAME, *sorted(folder.glob("features/*.npz"))]:
        try:
            with zipfile.ZipFile(path) as archive:
                if broken := archive.testzip():
                    return f"{path}: damaged ({printable(broken)})"
        except Exception as error:  # a damaged archive fails in many ways
            return f"{path}: damaged ({type(error).__name__})"
    path = folder / "model.safetensors"
    try:
        if path.exists() and path.stat().st_size != _safetensors_size(path):
            return f"{path}: damaged (its size)"
    except Exception as error:  # so does a damaged header
        return f"{path}: damaged ({type(error).__name__})"
    return ""


def _safetensors_size(path: Path) -> int:
    """What a safetensors file says its size is: 8 bytes, a header of that length, the tensors."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    ends = [int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"]
    return 8 + length + max(ends)


def quarantine(store: Path, name: str) -> None:
    """Move a damaged run folder out of the way of the run that is made again, and say so; `prune` removes
    it."""
    if (Path(store) / name / "record.json").exists() and (wrong := damage(Path(store) / name)):
        damaged = running(store) / f"{name}.damaged"
        remove(damaged)
        os.rename(Path(store) / name, damaged)
        print(f"{wrong}; set aside as {damaged} and made again", file=sys.stderr)
