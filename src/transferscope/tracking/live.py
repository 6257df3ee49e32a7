"""One training run in W&B: written whole from its record at the end, live while it trains where the mode is
online."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from transferscope.errors import RequestError
from transferscope.store.record import read_history, read_record, read_reverse_validation
from transferscope.tracking.aliases import delta, with_aliases
from transferscope.tracking.artifacts import log_artifacts
from transferscope.tracking.charts import log_evaluation
from transferscope.tracking.place import Images, WandbDestination, effective_mode, finish, staging, warn

# of a record, in the config of its W&B run
OF_HEAD = ("fingerprint", "cell", "seed", "role", "versions", "git", "host")


def log_run(
    folder: Path,
    *,
    mode: str,
    project: str,
    entity: str | None,
    group: str | None,
    tags: list[str],
    directory: Path,
    artifacts: bool = True,
    system_metrics: bool = False,
    images: Images | None = None,
    baseline: Path | None = None,
) -> str | None:
    """Writes the finished run in the record folder `folder` as one whole W&B run below `directory`/wandb.

    `images(ids)` gives uint8 arrays [H, W] or [H, W, 3] of test items; `baseline` is the record folder its
    negative flips are held against. Returns the id of the W&B run; None where nothing was written: mode off,
    or W&B failed (one line on stderr says why)."""
    try:
        head = read_record(folder)
    except RequestError as error:
        return warn(error)
    with LiveRun(
        head,
        mode=mode,
        project=project,
        entity=entity,
        group=group,
        tags=tags,
        directory=directory,
        artifacts=artifacts,
        system_metrics=system_metrics,
    ) as run:
        return run.finish(folder, images, baseline)


class LiveRun:
    """One W&B run: live while training where the mode is online, or W&B samples the machine beside it
    (`system_metrics`); otherwise written whole by `finish`.

    `head` holds what the record says before training: fingerprint, cell, seed, role, config, and the
    versions, git revision and host where it knows them. The W&B id is the fingerprint, so a run tracked again
    after a retry replaces its first try. As a context manager it closes the W&B run whatever happens inside.
    """

    def __init__(
        self,
        head: Mapping[str, Any],
        *,
        mode: str,
        project: str,
        entity: str | None,
        group: str | None,
        tags: list[str],
        directory: Path,
        artifacts: bool = True,
        system_metrics: bool = False,
    ) -> None:
        cell = head["cell"]
        role = "" if head["role"] == "run" else head["role"]
        self._labels = [cell["strategy"], cell["target"], *(cell["source"] or "").split("+"), role, *tags]
        self._place = WandbDestination(mode, project, entity, group, directory, system_metrics)
        self._head, self._artifacts = head, artifacts
        self._run = None
        self._logged: set[int] = set()
        self._exit_code = 1

    def __enter__(self) -> "LiveRun":
        try:
            self._place.mode = effective_mode(self._place.mode)
            if self._place.mode == "online" or self._place.system_metrics and self._place.mode != "off":
                self._run = self._open()
        except Exception as error:
            warn(error, "; writing it offline")
            self._place.mode = "offline"
        return self

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Metrics by path at optimiser step `step`; nothing happens unless the run is live."""
        if self._run is None:
            return
        try:
            self._run.log({"step": step, **with_aliases(metrics, self._head["cell"])})
            self._logged.add(step)
        except Exception as error:
            warn(error)

    def finish(self, folder: Path, images: Images | None = None, baseline: Path | None = None) -> str | None:
        """Completes the run from its record folder and closes it; arguments and result as for `log_run`."""
        if self._place.mode == "off":
            return None
        try:
            record = read_record(folder)
            self._exit_code = int(record["status"] in ("failed", "crashed"))
            self._run = run = self._run or self._open()
            run.tags = _tags([record["status"], *self._labels])
            # none: failed before its first evaluation
            rows = read_history(folder) if (folder / "history.csv").exists() else []
            for row in rows:
                if int(row["step"]) not in self._logged:
                    run.log({**with_aliases(row, record["cell"]), "step": int(row["step"])})
            run.summary.update(_summary(record, baseline))
            if (reverse_value := read_reverse_validation(folder)) is not None:
                run.summary["reverse_validation"] = reverse_value
            with staging(self._place.directory):
                log_evaluation(run, folder, record, images, baseline)
                if self._artifacts:
                    log_artifacts(run, folder, record, self._place.group)
            self._close(self._exit_code)
            return run.id
        except Exception as error:
            return warn(error)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # 255: W&B shows the run as killed
            self._close({None: self._exit_code, KeyboardInterrupt: 255}.get(kind, 1))
        except Exception as error:
            warn(error)

    def _open(self):
        config = {
            **self._head["config"],
            **{key: self._head[key] for key in OF_HEAD if key in self._head},
        }
        return self._place.open(
            self._head["fingerprint"], _name(self._head), self._head["cell"]["strategy"], config
        )

    def _close(self, exit_code: int) -> None:
        run, self._run = self._run, None
        if run is not None:
            finish(run, exit_code)


def _name(head: Mapping[str, Any]) -> str:
    cell, budget = head["cell"], head["cell"]["label_budget"]
    path = f"{cell['source']}→{cell['target']}" if cell["source"] else cell["target"]
    task = head.get("task") or (head.get("result") or {}).get("task")
    labels = {None: [], "full": ["all labels"]}.get(
        budget, [f"{budget} labels" if task else f"{budget}/class"]
    )
    return " ".join([cell["strategy"], path, *labels, f"seed {head['seed']}"])


def _tags(labels: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(label[:64] for label in labels if label))  # 64: the longest tag W&B takes


def _summary(record: Mapping[str, Any], baseline: Path | None) -> dict[str, Any]:
    """baseline: the folder of the seed's scratch run."""
    reason = {"reason": record["reason"]} if record["reason"] else {}
    metrics, cell = record["result"].get("metrics", {}), record["cell"]
    found = {"status": record["status"], **reason, **with_aliases(metrics, cell)}
    if baseline is None:
        return found
    return found | delta(metrics, read_record(baseline)["result"].get("metrics", {}), cell)
