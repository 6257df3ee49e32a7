"""transferscope prune: what in store and cache nothing refers to."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open

from transferscope.cli.parser import Parser
from transferscope.data import files
from transferscope.errors import RequestError
from transferscope.store import lease, record

HELP = """
usage: transferscope prune [STORE] [--yes]

What nothing refers to in a store (default: runs), with its size; --yes removes
it.

  - work in progress of runs that are finished, and of killed runs that left no
    checkpoint and are in no sweep's plan
  - half-written files that a killed process left behind, and damaged ones that
    were made again
  - what `rank` left of domains whose data have changed since
  - source models and features of frozen backbones, once no planned run is
    unfinished and no killed run can be resumed (a later run makes its own again)
  - lists of items and small pictures of states of the data that no run is of
  - decoded pictures, in the user's cache, of folders that are gone
  - what W&B's client cached here, where the home folder could not be written

Records, plans, kept models and W&B runs are never touched, and a killed run's
checkpoint is kept: the same command resumes it. While a run is at work in the
store, nothing is removed, nor what lies behind a link that leads out of it.
"""
# plans, predictions and probes are written in a moment; one this old has lost its process
TEMPORARY_SECONDS = 3600


class Find(NamedTuple):
    paths: list[Path]
    what: str


def main(argv: list[str]) -> int:
    parser = Parser("prune")
    parser.add_argument("store", nargs="?", default="runs", type=Path)
    parser.add_argument("--yes", action="store_true")
    arguments = parser.parse_args(argv)
    store = arguments.store
    if not store.is_dir():
        raise RequestError(f"{store}: no such store; give the folder of a `store=` key")
    refuse_if_at_work(store)
    removable, kept = survey(store)
    for find in removable:
        print(f"{human(size(find.paths)):>9}  {find.what}")
    for find in kept:
        print(f"{human(size(find.paths)):>9}  kept: {find.what}")
    total = sum(size(find.paths) for find in removable)
    if not removable:
        print(f"{store}: nothing to remove")
    elif not arguments.yes:
        print(f"{store}: {human(total)} to free; add --yes to remove it")
    else:
        refuse_if_at_work(store)
        for path in (path for find in removable for path in find.paths):
            record.remove(path)
        print(f"{store}: {human(total)} freed")
    return 0


def refuse_if_at_work(store: Path) -> None:
    held = [
        path.stem for path in record.running(store).glob("*.lock") if lease.Lease.is_held(store, path.stem)
    ]
    if held:
        raise RequestError(
            f"{store}: {len(held)} at work ({', '.join(held)}); prune when it is finished (transferscope "
            f"status {store})"
        )


def survey(store: Path) -> tuple[list[Find], list[Find]]:
    """(what may go, what stays though nobody is at work on it)."""
    planned = {
        job["fingerprint"] for plan in record.read_plans(store) for job in plan["jobs"] if job["fingerprint"]
    }
    removable, kept = [], []
    for folder in sorted(
        path for path in record.running(store).glob("*") if path.is_dir() and "." not in path.name
    ):
        status, detail = lease.state(store, folder.name)
        lock = folder.with_name(f"{folder.name}.lock")
        find = Find([folder, *([lock] if lock.exists() else [])], f"work in progress of {folder.name[:8]}")
        if status in record.ANSWERS:
            removable.append(find._replace(what=f"{find.what}, which is {status}"))
        elif folder.name not in planned and not (folder / "checkpoint.ckpt").exists():
            removable.append(find._replace(what=f"{find.what}, of no plan and without a checkpoint"))
        else:
            kept.append(find._replace(what=f"{find.what}: {detail or status}"))
    if drafts := list(_left_behind(store)):
        removable.append(Find(drafts, f"{len(drafts)} half-written by killed processes, or damaged"))
    models = sorted((store / ".cache" / "source_models").glob("*.safetensors"))
    features = sorted(path for path in (store / ".cache" / "features").glob("*") if path.is_dir())
    tokens = sorted((store / ".cache" / "tokens").glob("*.safetensors"))
    if shared := [*models, *features, *tokens]:
        unfinished = sum(lease.state(store, name)[0] not in record.ANSWERS for name in planned)
        what = f"source models ({len(models)}) and features of frozen backbones ({len(features)})"
        what += f", tokens of texts ({len(tokens)})" if tokens else ""
        if unfinished or kept:
            kept.append(
                Find(
                    shared,
                    (
                        f"{what}: {unfinished} planned runs are unfinished, {len(kept)} killed runs can be "
                        "resumed"
                    ),
                )
            )
        else:
            locks = [lock for path in shared if (lock := path.with_suffix(".lock")).exists()]
            removable.append(Find([*shared, *locks], f"{what}: no planned run needs them any more"))
    consumed = [record.read_record(folder)["consumed"] for folder in record.run_folders(store)]
    if outdated := list(_outdated(store, consumed)):
        removable.append(
            Find(outdated, f"{len(outdated)} predictions of domains whose data have changed since")
        )
    targets = {one["target"]["digest"] for one in consumed}
    used = {
        "thumbnails": targets,
        "texts": targets,
        "datasets": targets | {source["digest"] for one in consumed for source in one["sources"]},
    }
    for kind, what in (
        ("thumbnails", "pictures"),
        ("texts", "texts"),
        ("datasets", "lists of items"),
    ):
        if unused := [
            path
            for path in sorted((store / ".cache" / kind).glob("*"))
            if path.name.split(".")[0] not in used[kind]
        ]:
            removable.append(Find(unused, f"{what} of {len(unused)} states of the data that no run is of"))
    if decoded := [
        path for path in sorted(files.decoded_pictures().glob("*.safetensors")) if not _origin(path).exists()
    ]:
        removable.append(
            Find(
                decoded,
                f"decoded pictures of {len(decoded)} folders that are gone, in {files.decoded_pictures()}",
            )
        )
    if (cached := store / ".cache" / "wandb").is_dir():
        removable.append(Find([cached], "cached by W&B's client"))
    owned = [folder.resolve() for folder in (store, files.decoded_pictures())]
    within = [
        [path for path in find.paths if any(path.parent.resolve().is_relative_to(own) for own in owned)]
        for find in removable
    ]
    return [find._replace(paths=paths) for find, paths in zip(removable, within, strict=True) if paths], kept


def _origin(decoded: Path) -> Path:
    """Where decoded pictures come from; nowhere, if that cannot be read."""
    with contextlib.suppress(OSError, SafetensorError), safe_open(decoded, "np") as file:
        return Path(file.metadata()["origin"])
    return decoded / "unknown"


def _outdated(store: Path, consumed: list[dict]) -> Iterator[Path]:
    """Predictions of a domain that the runs know by another content alone. One that no run knows yet may
    still be wanted."""

    def domains(one: dict) -> set[tuple[str, str]]:
        return {(domain["name"], domain["digest"]) for domain in (one["target"], *one["sources"])}

    known = {domain for one in consumed for domain in domains(one)}
    names = {name for name, _ in known}
    for path in sorted(store.glob("predictions/*.json")):
        if any(
            name in names for name, _ in domains(record.read_json(path, "prediction")["consumed"]) - known
        ):
            yield path


def _left_behind(store: Path) -> Iterator[Path]:
    """Drafts of records and source models are written under a lease, and none is held; the others are told by
    their age."""
    for pattern in ("*.draft-*", "*.damaged"):
        yield from sorted(record.running(store).glob(pattern))
    yield from (
        lock for lock in sorted(record.running(store).glob("*.lock")) if not lock.with_suffix("").exists()
    )
    for pattern in (
        "source_models/*.draft-*",
        "source_models/*.damaged",
        "features/*/*.draft-*",
        "features/*/*.damaged",
    ):
        yield from sorted((store / ".cache").glob(pattern))
    yield from (*sorted(store.glob("wandb.damaged")), *sorted(files.decoded_pictures().glob("*.damaged")))
    aged = [
        *files.decoded_pictures().glob("*.draft-*"),
        *record.running(store).glob(".probe-*"),
        *store.glob("sweeps/*/.plan.json.*"),
        *store.glob("predictions/.*.json.*"),
    ]
    for path in aged:
        if time.time() - path.stat().st_mtime > TEMPORARY_SECONDS:
            yield path


def size(paths: list[Path]) -> int:
    every = (file for path in paths for file in ([path] if path.is_file() else path.rglob("*")))
    return sum(file.stat().st_size for file in every if file.is_file())


def human(octets: int) -> str:
    for factor, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if octets >= factor:
            return f"{octets / factor:.1f} {unit}"
    return f"{octets} B"
