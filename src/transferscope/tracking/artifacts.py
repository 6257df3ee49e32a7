"""The artifacts of a W&B run, with lineage: what it read (datasets, source model, its sweep's plan) and what
it leaves (predictions, models).

Their files are linked into the run's own W&B folder, `artifacts/NAME/FILE`: nothing is copied, what is
replaced in the store stays there as it was, and rebuild.py makes a store of such folders alone."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transferscope.store.manifest import MANIFEST, manifest_path
from transferscope.store.record import plan_path

RESULTS = ("record.json", "evaluations.npz", "history.csv", "reverse_validation.json")


def log_artifacts(run, folder: Path, record: Mapping[str, Any], group: str | None) -> None:
    """Those of the finished run in the record folder `folder`. What its store no longer has is left out."""
    consumed, store = record["consumed"], folder.parent
    for domain in (consumed["target"], *consumed["sources"]):
        files = _only(manifest_path(store, domain["digest"]), *MANIFEST)
        log_artifact(
            run, f"dataset-{domain['name']}", "dataset", files, {"digest": domain["digest"]}, is_input=True
        )
    sweep = record["config"].get("sweep")
    if isinstance(sweep, str) and Path(sweep).name == sweep:
        log_plan(run, plan_path(store, sweep), group)
    if made_from := record.get("source_model"):
        name = f"{made_from['key']}.safetensors"
        files = _only(store / ".cache" / "source_models", name)
        log_artifact(
            run, f"source_model-{made_from['key']}", "source_model", files, {}, is_input=not made_from["made"]
        )
    log_predictions(run, folder, record, group)
    log_artifact(
        run,
        f"model-{record['fingerprint']}",
        "model",
        _only(folder, "model.safetensors"),
        {"fingerprint": record["fingerprint"]},
    )


def log_plan(run, path: Path, group: str | None) -> None:
    """The plan of the sweep a run is of: it makes the family of the verdicts."""
    log_artifact(
        run,
        f"sweep-{path.parent.name}",
        "sweep",
        _only(path.parent, path.name),
        {"group": group},
        is_input=True,
    )


def log_predictions(
    run, folder: Path, record: Mapping[str, Any], group: str | None = None, is_input: bool = False
) -> None:
    """The run folder but for its model: what a comparison is made of."""
    files = _only(folder, *RESULTS) | {
        f"features/{path.name}": path for path in folder.glob("features/[0-9]*.npz")
    }
    facts = {key: record[key] for key in ("fingerprint", "cell", "seed", "role", "status")}
    log_artifact(
        run, f"predictions-{record['fingerprint']}", "predictions", files, {**facts, "group": group}, is_input
    )


def log_artifact(
    run, name: str, kind: str, files: dict[str, Path], metadata: dict, is_input: bool = False
) -> None:
    """One artifact of files by their names in it, nothing where there are none. As an input it is made where
    W&B does not have its content yet."""
    if not files:
        return
    import wandb

    name = re.sub(r"[^\w.-]", "-", name, flags=re.ASCII)[:128]  # what W&B takes
    artifact = wandb.Artifact(name, kind, metadata=metadata)
    for inner, path in files.items():
        place = Path(run.settings.sync_dir).resolve() / "artifacts" / name / inner
        link(path, place)
        artifact.add_file(str(place), name=inner, policy="immutable", skip_cache=True)
    if is_input:  # W&B's own use_artifact refuses offline and waits online; this is what it calls
        run._log_artifact(artifact, is_user_created=True, use_after_commit=True)
    else:
        run.log_artifact(artifact)


def link(path: Path, place: Path) -> None:
    """The file `path` at `place` as well, where it replaces what is there; a copy on another file system."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    try:
        os.link(path, place, follow_symlinks=False)
    except OSError:
        shutil.copy2(path, place, follow_symlinks=False)


def _only(folder: Path, *names: str) -> dict[str, Path]:
    return {name: path for name in names if (path := folder / name).is_file() and not path.is_symlink()}
