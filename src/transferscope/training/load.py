"""A run folder as an object: its record, its evaluations, and the model it kept, ready to predict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from hydra.utils import get_class
from safetensors.torch import load_file
from torch import Tensor

from transferscope.backbones.base import Backbone
from transferscope.catalog import yamls
from transferscope.data.texts import Item, Reader, Texts, as_inputs
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier, in_chunks
from transferscope.store import record
from transferscope.store.evaluations import NAME, Evaluations
from transferscope.store.printable import printable
from transferscope.store.schema import RunRecord
from transferscope.strategies.base import COMMON_KEYS, Strategy
from transferscope.tasks.base import Task
from transferscope.tasks.classification import Classification, class_names
from transferscope.tasks.multi_label import MultiLabel
from transferscope.tasks.regression import Regression
from transferscope.training.build_backbone import takes_columns
from transferscope.training.checks import check_constructor

T = TypeVar("T")


@dataclass(frozen=True)
class LoadedRun:
    """One finished run.

    record: record.json. strategy: the LightningModule with the kept weights, in evaluation mode on the CPU;
    None where no model was kept. classes: of the target, in the order of the probabilities' columns; none
    where numbers or several labels are predicted, which task names. input_shape: (C, H, W) or (d,), what the
    model takes; of texts that of the rows that the reader makes of them. Both are empty where the run
    failed."""

    folder: Path
    record: RunRecord
    strategy: Strategy | None
    classes: tuple[str, ...]
    input_shape: tuple[int, ...]
    task: Task

    @property
    def reader(self) -> Reader | None:
        """What makes rows of texts; None where the model takes none, or was not kept."""
        return None if self.strategy is None else cast(Reader | None, self.strategy.network.reader)

    @property
    def texts(self) -> int:
        """How many texts an item is, 0 where it is none."""
        return 0 if self.reader is None else int(self.record["result"]["own_shape"][0])

    def predict(self, inputs: Tensor | Texts | Sequence[str | Item]) -> Tensor:
        """Inputs [N, *input_shape], uint8 images or float32 arrays, or N texts → class probabilities [N, C],
        numbers [N, T], or the probability of each label [N, L], those that a record would hold. Where an item
        is two texts, a tuple of two each."""
        if self.strategy is None:
            raise RequestError(f"{self.folder}: this run kept no model; run it again with keep=selected")
        if self.reader is not None:
            inputs = self._rows(self.reader, inputs)
        elif not isinstance(inputs, Tensor):
            raise RequestError(
                f"inputs: the model takes a tensor [N, {', '.join(map(str, self.input_shape))}], no texts"
            )
        if tuple(inputs.shape[1:]) != self.input_shape:
            raise RequestError(
                f"inputs of shape {list(inputs.shape)}: the model takes [N, "
                f"{', '.join(map(str, self.input_shape))}]"
            )
        with torch.no_grad():
            prepared = self.strategy.precompute(inputs)
        return in_chunks(self.strategy.predictions, prepared, "cpu")

    def _rows(self, reader: Reader, inputs: Tensor | Texts | Sequence[str | Item]) -> Tensor:
        """Raises RequestError for what is no list of as many texts as an item of the target is."""
        if isinstance(inputs, str | Tensor):
            raise RequestError(f"inputs: the model takes texts: a list, not one {type(inputs).__name__}")
        given = inputs.items() if isinstance(inputs, Texts) else inputs
        items = [tuple(item) if isinstance(item, tuple | list) else (item,) for item in given]
        if not items:
            raise RequestError("inputs: no text; the model takes a list of at least one")
        for number, item in enumerate(items):
            if len(item) != self.texts or not all(isinstance(text, str) for text in item):
                what = "a text" if self.texts == 1 else f"{self.texts} texts"
                raise RequestError(
                    f"inputs: item {number} is {str(item)[:60]}; the model takes {what} an item"
                )
            if any(text.encode(errors="replace").decode() != text for text in item):
                raise RequestError(f"inputs: item {number} has half a surrogate pair, which no text has")
        return cast(Tensor, as_inputs(reader.read(items), np.arange(len(items))))

    @cached_property
    def evaluations(self) -> Mapping[str, np.ndarray]:
        """The members of evaluations.npz by their names in schema 2 (store/evaluations.py), each read when
        asked for; empty where the run failed."""
        path = self.folder / NAME
        return Evaluations(path) if path.exists() else {}

    @cached_property
    def history(self) -> list[dict[str, float]]:
        """One row an evaluation."""
        return record.read_history(self.folder) if (self.folder / "history.csv").exists() else []


def load_run(folder: str | Path, config_dir: str | Path | None = None) -> LoadedRun:
    """Load a run folder.

    A record is data, not code: backbone and strategy are built only where a yaml of their config group names
    the same `_target_`, from plain arguments, and the weights are read as safetensors. config_dir: a folder
    with config groups of your own, as for `transferscope run --config-dir`. Raises RequestError for a folder
    that holds no run, and for a model that cannot be built from what is installed here."""
    folder = Path(folder)
    entry = record.read_record(folder)
    path = folder / NAME
    if not path.exists() or "imported" in entry:  # failed, or made elsewhere
        return LoadedRun(folder, entry, None, (), (), Classification(()))
    try:
        task = _task(entry, path)
        classes = class_names(task) if isinstance(task, Classification) else ()
        input_shape = tuple(entry["result"]["input_shape"])
    except Exception as error:  # a damaged archive fails in many ways
        raise RequestError(
            f"{folder}: damaged, its classes or the shape of its inputs cannot be read "
            f"({type(error).__name__}); run it again"
        ) from error
    kept = folder / "model.safetensors"
    strategy = None
    if kept.exists():
        try:
            strategy = _strategy(entry, folder, input_shape, task, config_dir)
            strategy.load_state_dict(load_file(kept))
            if (learnt := strategy.network.backbone.kept_reader()) is not None:
                strategy.network.reader = learnt
        except RequestError:
            raise
        except Exception as error:  # of another shape, or no safetensors file
            line = " ".join(str(error).split())[:200]
            raise RequestError(
                f"{kept}: does not fit the {entry['cell']['strategy']} of this transferscope ({line})"
            ) from error
        strategy.eval()
    return LoadedRun(folder, entry, strategy, classes, input_shape, task)


def _task(entry: RunRecord, path: Path) -> Task:
    """What the run predicts, without what only its training needs."""
    told = entry["result"].get("task")
    if told and told["name"] == "multi_label":
        return MultiLabel(tuple(told["labels"]))
    if told and told["name"] == "regression":
        return Regression(
            tuple(told["quantities"]),
            told["unit"],
            told["error"],
            *(tuple(told[key]) for key in ("spread", "center", "scale")),
        )
    with Evaluations(path) as members:
        names = members[f"{entry['cell']['target']}/test/classes"].tolist()
    return Classification(tuple(cast(list[str], printable(names))))


def _strategy(
    entry: RunRecord,
    folder: Path,
    input_shape: tuple[int, ...],
    task: Task,
    config_dir: str | Path | None,
) -> Strategy:
    if (own := entry["consumed"].get("task")) is not None:
        raise RequestError(
            f"{folder}: predicts by a task of your own ({own.get('class')}), which a record cannot name as "
            "code; predict in Python, with the strategy and the weights of model.safetensors"
        )
    given = {"input_shape", "columns"}
    backbone_class, backbone = _checked(entry, folder, "backbone", Backbone, given, config_dir)
    if "weights" in backbone:
        backbone["weights"] = "random"  # the kept ones replace them: where they came from need not be at hand
    strategy_class, arguments = _checked(entry, folder, "strategy", Strategy, {"network"}, config_dir)
    if takes_columns(backbone_class):
        backbone["columns"] = entry["result"].get("columns")
    reader = None if entry["result"].get("texts") is None else backbone_class.reader(**backbone)
    network = Classifier(backbone_class(input_shape, **backbone), task.outputs)
    network.reader = reader
    network.columns = entry["result"].get("columns")
    if entry["cell"]["initialisation"] != "random":
        network.backbone.freeze_trunk()
    strategy = strategy_class(network, **arguments)
    strategy.task = task
    return strategy


def _checked(
    entry: RunRecord, folder: Path, group: str, base: type[T], given: set[str], config_dir: str | Path | None
) -> tuple[type[T], dict[str, Any]]:
    """(class, arguments) of a section of the record's config, where a yaml of the config group names that
    class."""
    section = cast(dict[str, Any], entry["config"]).get(group, {})
    target = section.get("_target_")
    named = yamls.targets(group, *([Path(config_dir)] if config_dir else []))
    for one in (target, *yamls.targets_of(section)):
        if not isinstance(one, str) or one not in named:
            remedy = f"no yaml of config group {group} names it; for one of your own give --config-dir"
            raise RequestError(f"{folder}/record.json: {group} {one}: {remedy}")
    assert isinstance(target, str)
    try:
        kind = get_class(target)
    except Exception as error:  # Hydra says with several types that an import failed
        raise RequestError(f"{folder}/record.json: {group} {target}: cannot be imported here") from error
    if not issubclass(kind, base):
        raise RequestError(f"{folder}/record.json: {group} {target}: is no {base.__name__}")
    arguments = {
        key: value for key, value in section.items() if not key.startswith("_") and key not in COMMON_KEYS
    }
    check_constructor(group, kind, arguments, given=given)
    return kind, arguments
