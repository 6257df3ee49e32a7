"""Where W&B runs go: the mode that holds, and how a run is opened and closed."""

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transferscope.errors import RequestError, nearest

MODES = ("offline", "online", "off")
Images = Callable[[list[str]], Iterable[np.ndarray]]


def effective_mode(mode: str) -> str:
    """The mode that holds: the key's, unless WANDB_MODE in the environment asks for less (disabled, or
    offline where the key says online).

    Raises RequestError for an unknown mode, and for `online` where no API key is found (W&B would stop to ask
    for one)."""
    if mode not in MODES:
        raise RequestError(f"tracking.mode={mode} is none of {', '.join(MODES)}{nearest(mode, MODES)}")
    asked = os.environ.get("WANDB_MODE", "")
    if mode == "off" or asked == "disabled":
        return "off"
    if mode == "offline" or asked in ("offline", "dryrun"):
        return "offline"
    import wandb

    if not wandb.login(prompt=False):
        raise RequestError(
            "tracking.mode=online needs an API key: run `wandb login`, set WANDB_API_KEY, or use "
            "tracking=offline"
        )
    return "online"


def serves_an_agent() -> bool:
    """Whether `wandb agent` started this process, for one run of a W&B sweep."""
    return bool(os.environ.get("WANDB_SWEEP_ID"))


@dataclass
class WandbDestination:
    """Of a run: its mode, project, entity (None: the user's own), group, and the folder whose `wandb` it is
    written to."""

    mode: str
    project: str
    entity: str | None
    group: str | None
    directory: Path
    system_metrics: bool = False  # W&B samples processor, memory and GPU while the run is open

    def open(self, key: str, name: str, job_type: str, config: dict):
        if self.mode == "offline":
            # W&B reports its own usage over the network even from offline runs
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        give_a_cache(self.directory)
        import wandb

        # W&B would otherwise write to the system's temporary folder
        self.directory.mkdir(parents=True, exist_ok=True)
        folder = self.directory / "wandb"
        if not folder.is_dir() and os.path.lexists(folder):
            print(f"{folder}: no folder; set aside as {folder.name}.damaged and made again", file=sys.stderr)
            folder.rename(folder.with_name("wandb.damaged"))
        run = wandb.init(
            mode=self.mode,
            project=self.project,
            entity=self.entity,
            group=self.group,
            dir=self.directory,
            id=key,
            name=name,
            job_type=job_type,
            config=config,
            reinit="create_new",  # never join a run that is open in this process
            settings=wandb.Settings(
                silent=True,
                console="off",
                disable_git=True,
                save_code=False,
                init_timeout=30,
                finish_timeout=120,
                finish_timeout_raises=True,
                x_save_requirements=False,
                x_disable_stats=not self.system_metrics,
                x_stats_sampling_interval=5.0,  # seconds: many runs take less than the usual 15
                x_disable_meta=True,
                x_disable_machine_info=not self.system_metrics,
            ),
        )
        run.define_metric("*", step_metric="step")
        return run


def give_a_cache(store: Path) -> None:
    """W&B's own process fills stderr with its log where the user has no cache folder to write it to: without
    a home, or with one that is read-only. It is then given one in the store."""
    named = os.environ.get("XDG_CACHE_HOME") or (os.environ.get("HOME") and f"{os.environ['HOME']}/.cache")
    try:
        Path(named or os.devnull).mkdir(parents=True, exist_ok=True)
        is_usable = os.access(named, os.W_OK | os.X_OK)
    except OSError:
        is_usable = False
    if not is_usable:
        os.environ["XDG_CACHE_HOME"] = str((store / ".cache" / "wandb").resolve())
        os.environ.setdefault("WANDB_CONFIG_DIR", str((store / ".cache" / "wandb").resolve()))


def finish(run, exit_code: int) -> None:
    """Closes the run. Offline it replaces earlier folders of its id: `wandb sync` would merge a retried run
    with its first try."""
    run.finish(exit_code=exit_code)
    if not run.offline:
        return
    folder = Path(run.settings.sync_dir)
    for earlier in folder.parent.glob(f"offline-run-*-{run.id}*"):
        if earlier.name < folder.name:
            shutil.rmtree(earlier, ignore_errors=True)


@contextmanager
def staging(directory: Path) -> Iterator[None]:
    """Until it is synced W&B keeps a copy of each table outside the run: by default in the home directory,
    here beside the runs."""
    if "WANDB_DATA_DIR" in os.environ:
        yield
        return
    os.environ["WANDB_DATA_DIR"] = str((directory / "wandb" / "staging").resolve())
    try:
        yield
    finally:
        del os.environ["WANDB_DATA_DIR"]


def warn(error: Exception, remedy: str = "") -> None:
    print(f"W&B failed, the record does not depend on it: {first_line(error)}{remedy}", file=sys.stderr)


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__
