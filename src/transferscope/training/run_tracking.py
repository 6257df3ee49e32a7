"""What of a request goes to W&B: written whole from the record at the end, live while `tracking=online`."""

import platform
from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from transferscope import tracking
from transferscope.catalog import yamls
from transferscope.data.texts import Texts
from transferscope.errors import NotApplicable
from transferscope.store import record
from transferscope.training.request import Request, checked
from transferscope.training.results import versions


def live_run(request: Request) -> tracking.LiveRun:
    head = {
        "fingerprint": request.fingerprint, "cell": request.cell, "config": request.config,
        "seed": request.asked.seed, "role": request.asked.role, "versions": versions(),
        "git": record.git_revision(), "host": platform.node(), "task": request.target.task.told(),
    }  # fmt: skip
    settings = request.asked.tracking
    return tracking.LiveRun(
        head, mode=settings.mode, project=settings.project, entity=settings.entity,
        group=settings.group or request.asked.sweep, tags=settings.tags, directory=request.store,
        artifacts=settings.artifacts, system_metrics=settings.system_metrics,
    )  # fmt: skip


def test_images(request: Request) -> tracking.Images | None:
    """Pictures of target items by id, for the flipped ones."""
    inputs = request.target.inputs
    if isinstance(inputs, Texts) or not request.target.is_images:
        return None
    position = {item: number for number, item in enumerate(request.target.ids)}
    return lambda ids: (inputs[position[item]].permute(1, 2, 0).squeeze(-1).numpy() for item in ids)


def test_texts(request: Request, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Texts of target items by id."""
    inputs = request.target.inputs
    if not isinstance(inputs, Texts):
        return {}
    position = {item: number for number, item in enumerate(request.target.ids.tolist())}
    return dict(zip(ids, inputs[[position[item] for item in ids]].items(), strict=True))


def scratch_twin(request: Request) -> Path | None:
    """The record of `scratch` with the same labels, seed and trainer, where this store has it: flips are held
    against it."""
    if (
        "target_labels" not in request.sees
        or request.cell["strategy"] == "scratch"
        or request.asked.tracking.mode == "off"
    ):
        return None
    path = yamls.find("strategy", "scratch")
    assert path is not None, "conf/strategy has a scratch.yaml"
    scratch = OmegaConf.to_container(OmegaConf.load(path))
    # of scratch not all of it can be asked
    config = request.config | {
        "strategy": scratch,
        "initialisation": "auto",
        "keep": "none",
        "keep_features": False,
        "reverse_validation": False,
    }
    try:
        folder = request.store / checked(config).fingerprint
    except NotApplicable:  # stopped early by what scratch does not see
        return None
    return folder if (folder / record.RESULTS[0]).exists() else None
