"""A store made of what runs left in W&B: the artifacts of a project, or those in a folder of offline runs.

What comes from there is foreign: of each artifact only files of known names, of bounded size and with their
own content are taken, and what is in them is checked where every store is (store/record.py)."""

import atexit
import json
import re
import shutil
import stat
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from transferscope.errors import RequestError
from transferscope.store.printable import printable
from transferscope.store.record import plan_path, read_json, run_folders
from transferscope.tracking.artifacts import RESULTS, link
from transferscope.tracking.place import first_line
from transferscope.tracking.project import PROJECT, Project, asking

GRAMMAR = "wandb:ENTITY/PROJECT or wandb:ENTITY/PROJECT/GROUP"
SYNC = "runs leave them there with tracking=online or by `wandb sync`, unless tracking.artifacts=false"
RUN, PLAN = re.compile(r"predictions-([0-9a-f]{1,64})"), re.compile(r"sweep-([\w.-]+)")
FILE = re.compile("|".join(map(re.escape, RESULTS)) + r"|features/\d{1,12}\.npz|plan\.json")
LARGEST = 2**30  # bytes of a file
AT_ONCE = 8  # artifacts


def is_tracked(runs: str | Path) -> bool:
    """Whether RUNS is a project of W&B, or a folder of W&B runs with their artifacts."""
    return str(runs).startswith(PROJECT) or any(Path(runs).glob("*run-*/artifacts"))


def rebuild(runs: str | Path) -> tuple[Path, str | None]:
    """(store, name of the sweep or None): a store in a temporary folder, gone when this process ends. Raises
    RequestError, and asks nothing."""
    store = Path(tempfile.mkdtemp(prefix="transferscope-"))
    atexit.register(shutil.rmtree, store, ignore_errors=True)
    try:
        name = (
            _from_project(str(runs), store)
            if str(runs).startswith(PROJECT)
            else _from_folder(Path(runs), store)
        )
    except OSError as error:
        raise RequestError(f"RUNS={runs}: {error.strerror or first_line(error)}") from error
    if not run_folders(store):
        raise RequestError(f"RUNS={runs}: holds no predictions of a run; {SYNC}")
    return store, name


# --- a folder of offline runs


def _from_folder(folder: Path, store: Path) -> None:
    """The last try of each run counts: names of W&B's folders begin with their time."""
    for artifact in sorted(
        folder.glob("*run-*/artifacts/*"), key=lambda path: path.parent.parent.name.partition("run-")[2]
    ):
        run = RUN.fullmatch(artifact.name)
        if not run and not PLAN.fullmatch(artifact.name):
            continue
        files = {
            path.relative_to(artifact).as_posix(): path
            for path in artifact.rglob("*")
            if path.is_symlink() or not path.is_dir()
        }
        for inner, path in files.items():
            is_linked = path.resolve() != folder.resolve() / path.relative_to(folder)
            _check(
                str(artifact),
                inner,
                path.lstat().st_size,
                not is_linked and stat.S_ISREG(path.lstat().st_mode),
            )
        if run:
            shutil.rmtree(store / run[1], ignore_errors=True)
            for inner, path in files.items():
                link(path, store / run[1] / inner)
        else:
            _take_plan(artifact / "plan.json", store)


# --- a project, through W&B's public API


def _from_project(runs: str, store: Path) -> str | None:
    if runs.count("/") > 2:
        raise RequestError(f"RUNS={runs}: {GRAMMAR} is needed")
    with asking(runs, GRAMMAR, store) as project:
        return _download(project, store)


def _download(project: Project, store: Path) -> str | None:
    api, path, group, runs = project.api, project.path, project.part, project.said
    try:
        kinds = {found.name for found in api.artifact_types(path)}
    except ValueError as error:  # how W&B says that it has none
        raise project.absent() from error
    collections = {
        kind: [one.name for one in api.artifact_collections(path, kind)]
        for kind in ("predictions", "sweep")
        if kind in kinds
    }
    groups = {}
    for name in filter(PLAN.fullmatch, collections.get("sweep", [])):
        for version in api.artifacts("sweep", f"{path}/{name}"):
            with tempfile.TemporaryDirectory() as folder:
                _fetch(version, Path(folder))
                groups.setdefault(_take_plan(Path(folder) / "plan.json", store), set()).add(_group(version))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        names = list(filter(RUN.fullmatch, collections.get("predictions", [])))
        latest = list(pool.map(lambda name: api.artifact(f"{path}/{name}:latest", type="predictions"), names))
        sweep = None
        if group is not None:
            sweep = _sweep_of(group, groups, runs)
            if sweep is None:  # runs by themselves
                latest = [artifact for artifact in latest if _group(artifact) == group]
                shutil.rmtree(store / "sweeps", ignore_errors=True)
            if not latest:
                raise RequestError(
                    f"RUNS={runs}: no such sweep or group there; its sweeps: "
                    f"{', '.join(sorted(groups)[:10]) or 'none'}"
                )
        list(pool.map(lambda artifact: _fetch(artifact, store / RUN.match(artifact.name)[1]), latest))
    return sweep


def _sweep_of(group: str, groups: dict[str, set], runs: str) -> str | None:
    """A sweep's name, or the group that one sweep was tracked in; None where none was."""
    found = [name for name, known in groups.items() if name == group] or sorted(
        name for name, known in groups.items() if group in known
    )
    if len(found) > 1:
        raise RequestError(
            f"RUNS={runs}: the group holds several sweeps; give one of {', '.join(found)} in its place"
        )
    return found[0] if found else None


def _group(artifact) -> str | None:
    group = artifact.metadata.get("group")
    return group if isinstance(group, str) else None


def _fetch(artifact, folder: Path) -> None:
    for inner, entry in artifact.manifest.entries.items():
        _check(artifact.name, inner, entry.size, entry.ref is None)
    artifact.download(root=str(folder))
    artifact.verify(root=str(folder))


# --- either


def _check(artifact: str, inner: str, size: int | None, is_own: bool) -> None:
    """Raises RequestError for a file that no run leaves, or whose content is elsewhere."""
    name = printable(f"{artifact}: {inner}")[:200]
    if not FILE.fullmatch(inner):
        raise RequestError(f"{name}: no file that a run leaves; remove the artifact")
    if not is_own:
        raise RequestError(f"{name}: no file of its own but a way to something else; remove the artifact")
    if size is None or size > LARGEST:
        raise RequestError(f"{name}: {size} bytes, more than the {LARGEST} that are taken")


def _take_plan(path: Path, store: Path) -> str:
    """Its name. Of several states of one plan the fullest is kept, which is the last: a plan is added to,
    never shortened."""
    plan = read_json(path, "sweep plan")
    name = plan["name"]
    if Path(name).name != name or name == "..":
        raise RequestError(f"{path}: not a sweep plan: '{name}' is no name of a folder")
    place = plan_path(store, name)
    if not place.exists() or _fullness(plan) >= _fullness(json.loads(place.read_text("utf-8"))):
        link(path, place)
    return name


def _fullness(plan: Mapping[str, Any]) -> tuple[int, int]:
    return len(plan["jobs"]), plan.get("sequential", {}).get("taken", 0)
