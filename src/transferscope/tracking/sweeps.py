"""The plan of a sweep as a W&B run of its own, where no run of the sweep could carry its last state."""

import sys
from hashlib import blake2b
from pathlib import Path

from transferscope.store.record import plan_path
from transferscope.tracking.artifacts import log_plan
from transferscope.tracking.place import WandbDestination, effective_mode, finish, warn


def track_sweep(store: Path, name: str, settings: dict) -> None:
    """Below `store`/wandb; its id is a hash of the plan. settings: the config's `tracking`. Where W&B fails,
    a line on stderr says so."""
    mode, group = effective_mode(settings["mode"]), settings["group"] or name
    if not settings["artifacts"] or mode == "off":
        return
    path = plan_path(store, name)
    key = blake2b(path.read_bytes(), digest_size=8).hexdigest()
    if any((store / "wandb").glob(f"offline-run-*-{key}")):
        return
    try:
        run = WandbDestination(mode, settings["project"], settings["entity"], group, store).open(
            key, f"sweep {name}", "sweep", {"sweep": name}
        )
        try:
            run.tags = tuple(settings["tags"])
            log_plan(run, path, group)
        finally:
            finish(run, 0 if sys.exc_info()[0] is None else 1)
    except Exception as error:
        warn(error)
