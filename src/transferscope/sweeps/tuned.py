"""The values that a search has found, as yaml files of the config group experiment/ that say where they come
from."""

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from transferscope.store import record
from transferscope.sweeps import progress
from transferscope.sweeps.composition import Composer
from transferscope.sweeps.studies import Study

CHOICES = ("strategy", "backbone", "trainer")
NO_CHOICE = (  # of a place or a run
    "seed", "role", "store", "data_root", "download", "tracking", "sweep", "until_decided", "search",
    "settle", "keep", "outputs",
)  # fmt: skip


def folder(store: Path, name: str) -> Path:
    """A folder of its own, for --config-dir; the files are in its experiment/."""
    return record.plan_path(store, name).parent / "tuned"


def write(store: Path, name: str, found: list[Study], composer: Composer, provenance: str) -> None:
    """One file a study: `experiment=FILE` composes the run that was selected, but for its seed and where it
    is kept."""
    for study, file in zip(found, names(found), strict=True):
        text = written(study, composer, provenance)
        record.write_atomically(folder(store, name) / "experiment" / f"{file}.yaml", text)


def names(found: list[Study]) -> list[str]:
    """STRATEGY-SOURCE-TARGET-BUDGET; with what else was chosen where that leaves two alike."""
    cells = [
        [
            str(study.cell[key])
            for key in ("strategy", "source", "target", "label_budget")
            if study.cell[key] is not None
        ]
        for study in found
    ]
    if len(set(map(tuple, cells))) < len(found):
        more = ("backbone", "initialisation", "protocol", "source_label_noise")
        for cell, study in zip(cells, found, strict=True):
            cell += [value for key, _, value in (word.partition("=") for word in study.point) if key in more]
    return ["-".join(cell) for cell in cells]


def written(study: Study, composer: Composer, provenance: str) -> str:
    config = study.winners[0].request.config
    chosen = composer.job_config(study.winners[0].overrides, 0).hydra.runtime.choices
    choices = {group: chosen[group] for group in CHOICES}
    plain = OmegaConf.to_container(
        composer.task_config([f"{group}={name}" for group, name in choices.items()]), resolve=True
    )
    values = {
        "defaults": [{f"override /{group}": name} for group, name in choices.items()],
        **difference(plain, {key: value for key, value in config.items() if key not in NO_CHOICE}),
    }
    best = study.trials[study.best]
    space = ", ".join(f"{key}={text}" for key, (text, _) in study.space.items())
    head = [
        "# @package _global_",
        f"# Tuned by search: {progress.label(study.cell)}: {', '.join(best.overrides())}",
        (
            f"# {provenance}; trial {study.best + 1} of {len(study.trials)} with score {best.score:.6g}; "
            f"space {space}"
        ),
    ]
    return "\n".join([*head, OmegaConf.to_yaml(OmegaConf.create(values))])


def difference(plain: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """What of nested values is not as in `plain`."""
    found = {}
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(plain.get(key), dict):
            if inner := difference(plain[key], value):
                found[key] = inner
        elif key not in plain or plain[key] != value:
            found[key] = value
    return found
