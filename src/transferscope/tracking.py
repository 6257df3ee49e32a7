"""Runs and comparisons in Weights & Biases. The only file that imports wandb, and only when something is written.

W&B shows what the store holds and nothing reads from it: a failure here is a line on stderr, never a lost record.
"""

import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from transferscope.errors import Refused, nearest
from transferscope.record import read_history, read_record, read_reverse_validation

if TYPE_CHECKING:
    from transferscope.compare import Comparison

MODES = ("offline", "online", "off")
MOST_IMAGES = 32
Images = Callable[[list[str]], Iterable[np.ndarray]]


def effective_mode(mode: str) -> str:
    """The mode that holds: the key's, unless WANDB_MODE in the environment asks for less (disabled, or offline where the key says online).

    Raises Refused for an unknown mode, and for `online` where no API key is found (W&B would stop to ask for one).
    """
    if mode not in MODES:
        raise Refused(f"tracking.mode={mode} is none of {', '.join(MODES)}{nearest(mode, MODES)}")
    asked = os.environ.get("WANDB_MODE", "")
    if mode == "off" or asked == "disabled":
        return "off"
    if mode == "offline" or asked in ("offline", "dryrun"):
        return "offline"
    import wandb

    if not wandb.login(prompt=False):
        raise Refused("tracking.mode=online needs an API key: run `wandb login`, set WANDB_API_KEY, or use tracking=offline")
    return "online"


def serves_an_agent() -> bool:
    """Whether `wandb agent` started this process, for one run of a W&B sweep."""
    return bool(os.environ.get("WANDB_SWEEP_ID"))


def log_run(
    folder: Path,
    *,
    mode: str,
    project: str,
    entity: str | None,
    group: str | None,
    tags: list[str],
    directory: Path,
    images: Images | None = None,
    baseline: Path | None = None,
) -> str | None:
    """Writes the finished run in the record folder `folder` as one whole W&B run below `directory`/wandb.

    `images(ids)` gives uint8 arrays [H, W] or [H, W, 3] of test items; `baseline` is the record folder its negative flips are held against.
    Returns the id of the W&B run; None where nothing was written: mode off, or W&B failed (one line on stderr says why).
    """
    try:
        head = read_record(folder)
    except Refused as error:
        return _warn(error)
    with LiveRun(head, mode=mode, project=project, entity=entity, group=group, tags=tags, directory=directory) as run:
        return run.finish(folder, images, baseline)


class LiveRun:
    """One W&B run: live while training where the mode is online, otherwise written whole by `finish`.

    `head` holds what the record says before training: fingerprint, cell, seed, role, config. The W&B id is the fingerprint, so a run
    tracked again after a retry replaces its first try. As a context manager it closes the W&B run whatever happens inside.
    """

    def __init__(
        self, head: dict, *, mode: str, project: str, entity: str | None, group: str | None, tags: list[str], directory: Path
    ) -> None:
        cell = head["cell"]
        role = "" if head["role"] == "run" else head["role"]
        self._labels = [cell["strategy"], cell["target"], *(cell["source"] or "").split("+"), role, *tags]
        self._place = _Place(mode, project, entity, group, directory)
        self._head = head
        self._run = None
        self._logged: set[int] = set()
        self._exit_code = 1

    def __enter__(self) -> "LiveRun":
        try:
            self._place.mode = effective_mode(self._place.mode)
            if self._place.mode == "online":
                self._run = self._open()
        except Exception as error:
            _warn(error, "; writing it offline")
            self._place.mode = "offline"
        return self

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Metrics by path at optimiser step `step`; nothing happens unless the run is live."""
        if self._run is None:
            return
        try:
            self._run.log({"step": step, **metrics})
            self._logged.add(step)
        except Exception as error:
            _warn(error)

    def finish(self, folder: Path, images: Images | None = None, baseline: Path | None = None) -> str | None:
        """Completes the run from its record folder and closes it; arguments and result as for `log_run`."""
        if self._place.mode == "off":
            return None
        try:
            record = read_record(folder)
            self._exit_code = int(record["status"] in ("failed", "crashed"))
            self._run = run = self._run or self._open()
            run.tags = _tags([record["status"], *self._labels])
            for row in read_history(folder) if (folder / "history.csv").exists() else []:  # none: failed before its first evaluation
                if int(row["step"]) not in self._logged:
                    run.log({**row, "step": int(row["step"])})
            run.summary.update(_summary(record))
            if (backwards := read_reverse_validation(folder)) is not None:
                run.summary["reverse_validation"] = backwards
            with _staging(self._place.directory):
                _log_evaluation(run, folder, record, images, baseline)
            self._close(self._exit_code)
            return run.id
        except Exception as error:
            return _warn(error)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._close({None: self._exit_code, KeyboardInterrupt: 255}.get(kind, 1))  # 255: W&B shows the run as killed
        except Exception as error:
            _warn(error)

    def _open(self):
        config = {**self._head["config"], **{k: self._head[k] for k in ("fingerprint", "cell", "seed", "role")}}
        return self._place.open(self._head["fingerprint"], _name(self._head), self._head["cell"]["strategy"], config)

    def _close(self, exit_code: int) -> None:
        run, self._run = self._run, None
        if run is not None:
            _finish(run, exit_code)


def track_comparison(
    comparison: "Comparison",
    store: Path,
    tables: dict[str, list[dict]],
    report: str,
    mode: str = "offline",
    project: str = "transferscope",
    entity: str | None = None,
) -> str | None:
    """Writes a comparison as one W&B run below `store`/wandb: settings, the verdicts, further `tables` (rows by name; those without a row are
    left out), count of each verdict, the report's HTML.

    Its id is a hash of its content, so the same verdicts are the same W&B run. Returns the id, None where the mode is off.
    Raises Refused where W&B fails.
    """
    mode = effective_mode(mode)
    if mode == "off":
        return None
    text = comparison.to_json()
    answer = json.loads(text)
    key = blake2b((text + repr(comparison.settings)).encode(), digest_size=8).hexdigest()
    counts = Counter(f"verdict/{cell['verdict']}" for cell in answer["cells"])
    try:
        run = _Place(mode, project, entity, None, store).open(key, "comparison", "comparison", comparison.settings)
        try:
            with _staging(store):
                import wandb

                run.log({"verdicts": _verdict_table(answer["cells"]), **{name: _table(rows) for name, rows in tables.items() if rows}})
                run.log({"report": wandb.Html(report, inject=False)})
            run.summary.update({**counts, "missing": len(answer["missing"]), "failed": len(answer["failed"])})
        finally:
            _finish(run, 0 if sys.exc_info()[0] is None else 1)
    except Exception as error:
        raise Refused(f"--track: W&B did not take the comparison: {_first_line(error)}") from error
    return run.id


@dataclass
class _Place:
    """Where W&B runs go."""

    mode: str
    project: str
    entity: str | None
    group: str | None
    directory: Path

    def open(self, key: str, name: str, job_type: str, config: dict):
        if self.mode == "offline":
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # W&B reports its own usage over the network even from offline runs
        import wandb

        self.directory.mkdir(parents=True, exist_ok=True)  # W&B would otherwise write to the system's temporary folder
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
                x_disable_stats=True,
                x_disable_meta=True,
                x_disable_machine_info=True,
            ),
        )
        run.define_metric("*", step_metric="step")
        return run


def _finish(run, exit_code: int) -> None:
    """Closes the run. Offline it replaces earlier folders of its id: `wandb sync` would merge a retried run with its first try."""
    run.finish(exit_code=exit_code)
    if not run.offline:
        return
    folder = Path(run.settings.sync_dir)
    for earlier in folder.parent.glob(f"offline-run-*-{run.id}*"):
        if earlier.name < folder.name:
            shutil.rmtree(earlier, ignore_errors=True)


@contextmanager
def _staging(directory: Path) -> Iterator[None]:
    """Until it is synced W&B keeps a copy of each table outside the run: by default in the home directory, here beside the runs."""
    if "WANDB_DATA_DIR" in os.environ:
        yield
        return
    os.environ["WANDB_DATA_DIR"] = str((directory / "wandb" / "staging").resolve())
    try:
        yield
    finally:
        del os.environ["WANDB_DATA_DIR"]


def _warn(error: Exception, remedy: str = "") -> None:
    print(f"W&B failed, the record does not depend on it: {_first_line(error)}{remedy}", file=sys.stderr)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__


def _name(head: dict) -> str:
    cell, budget = head["cell"], head["cell"]["label_budget"]
    path = f"{cell['source']}→{cell['target']}" if cell["source"] else cell["target"]
    labels = {None: [], "full": ["all labels"]}.get(budget, [f"{budget}/class"])
    return " ".join([cell["strategy"], path, *labels, f"seed {head['seed']}"])


def _tags(labels: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(label[:64] for label in labels if label))  # 64: the longest tag W&B takes


def _summary(record: dict) -> dict:
    reason = {"reason": record["reason"]} if record["reason"] else {}
    return {"status": record["status"], **reason, **record["result"].get("metrics", {})}


@dataclass
class _Predictions:
    """Of the target's test items at one evaluation: ids [n], labels [n], classes [C], probabilities [n, C]."""

    ids: np.ndarray
    labels: np.ndarray
    classes: list[str]
    probabilities: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        return self.probabilities.argmax(1)


def _last_predictions(folder: Path, target: str) -> _Predictions | None:
    """At the last evaluation whose probabilities are all finite; None where there is none."""
    path, prefix = folder / "evaluations.npz", f"{target}/test"
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as npz:
        for member in sorted((m for m in npz.files if m.startswith(f"{prefix}/probabilities/")), reverse=True):
            probabilities = npz[member]
            if np.isfinite(probabilities).all():
                return _Predictions(npz[f"{prefix}/ids"], npz[f"{prefix}/labels"], npz[f"{prefix}/classes"].tolist(), probabilities)
    return None


def _log_evaluation(run, folder: Path, record: dict, images: Images | None, baseline: Path | None) -> None:
    """The confusion matrix and per-class accuracies of the target's test set, and the items lost to the baseline."""
    import wandb

    target = record["cell"]["target"]
    last = _last_predictions(folder, target)
    if last is None:
        return
    classes = wandb.Table(columns=["class", "items", "accuracy"])
    for index, name in enumerate(last.classes):
        mine = last.labels == index
        classes.add_data(name, int(mine.sum()), float((last.predicted[mine] == index).mean()) if mine.any() else None)
    matrix = wandb.plot.confusion_matrix(
        y_true=last.labels.tolist(), preds=last.predicted.tolist(), class_names=last.classes, title=f"{target}, test"
    )
    run.log({f"{target}/test/confusion_matrix": matrix, f"{target}/test/classes": classes})
    before = _last_predictions(baseline, target) if baseline is not None else None
    if before is None:
        return
    flips = _negative_flips(last, before)
    run.summary[f"{target}/test/negative_flips"] = len(flips)
    shown = list(flips)[:MOST_IMAGES]
    if images is not None and shown:
        from PIL import Image

        pictures = [wandb.Image(Image.fromarray(array), caption=flips[i]) for i, array in zip(shown, images(shown), strict=True)]
        run.log({f"{target}/test/negative_flip_images": pictures})


def _negative_flips(last: _Predictions, before: _Predictions) -> dict[str, str]:
    """Captions by id of the items the baseline gets right and this run wrong; those it is most sure of come first."""
    prediction_before = dict(zip(before.ids.tolist(), before.predicted.tolist(), strict=True))
    flips = {}
    for row in np.argsort(-last.probabilities.max(1), kind="stable"):
        item, true, mine = str(last.ids[row]), int(last.labels[row]), int(last.predicted[row])
        if mine != true and prediction_before.get(item) == true:
            flips[item] = f"{item}: true {last.classes[true]}, baseline {before.classes[true]}, this run {last.classes[mine]}"
    return flips


def _verdict_table(cells: list[dict]):
    """One row a cell, one plain value a column: W&B can filter and plot those."""
    rows = []
    for cell in cells:
        row = {}
        for key, value in cell.items():
            if key in ("ci", "ci_simultaneous"):
                row[f"{key}_low"], row[f"{key}_high"] = value or (None, None)
            else:
                row[key] = json.dumps(value) if isinstance(value, (list, dict)) else value
        rows.append(row)
    return _table(rows)


def _table(rows: list[dict]):
    import wandb

    columns = list(dict.fromkeys(key for row in rows for key in row))
    data = [[row.get(column) for column in columns] for row in rows]
    return wandb.Table(columns=columns, data=data, allow_mixed_types=True)  # mixed: a label budget is a number or "full"
