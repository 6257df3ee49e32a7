"""What a run shows in W&B of its last evaluation: confusion matrix, accuracy by class, the items lost to the
baseline."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transferscope.store.evaluations import NAME, Evaluations
from transferscope.store.excerpts import read_excerpts
from transferscope.tracking.place import Images

if TYPE_CHECKING:
    from PIL import Image

MOST_IMAGES = 32
LEAST_SIDE = 128  # pixels of the longer side of a picture of an item


@dataclass
class _Predictions:
    """Of the target's test items at one evaluation: ids [n], labels [n], classes [C], probabilities [n,
    C]."""

    ids: np.ndarray
    labels: np.ndarray
    classes: list[str]
    probabilities: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        return self.probabilities.argmax(1)


def _last_predictions(folder: Path, target: str) -> _Predictions | None:
    """At the last evaluation whose outputs are all finite, and were kept; None where there is none."""
    path, items = folder / NAME, f"{target}/test"
    if not path.exists():
        return None
    with Evaluations(path) as evaluations:
        classes = evaluations.get(f"{items}/classes")
        if classes is None:
            return None
        for step in reversed(evaluations.steps(items)):
            outputs = evaluations.outputs(items, step)
            if outputs is not None and np.isfinite(outputs).all():
                ids, targets = evaluations[f"{items}/ids"], evaluations[f"{items}/targets"]
                return _Predictions(ids, targets, classes.tolist(), outputs)
    return None


def log_evaluation(
    run, folder: Path, record: Mapping[str, Any], images: Images | None, baseline: Path | None
) -> None:
    """The confusion matrix, and precision, recall and F1 by class, of the target's test set; the items lost
    to the baseline."""
    import wandb

    target = record["cell"]["target"]
    last = _last_predictions(folder, target)
    if last is None:
        if record.get("outputs", {}).get("kept") == "none":
            print(
                f"W&B: {folder.name} has no chart of its classes: it kept no outputs (outputs=none)",
                file=sys.stderr,
            )
        return
    classes = wandb.Table(columns=["class", "items", "precision", "recall", "f1"])
    for index, name in enumerate(last.classes):
        classes.add_data(name, *_of_class(last.labels == index, last.predicted == index))
    matrix = wandb.plot.confusion_matrix(
        y_true=last.labels.tolist(),
        preds=last.predicted.tolist(),
        class_names=last.classes,
        title=f"{target}, test",
    )
    run.log({f"{target}/test/confusion_matrix": matrix, f"{target}/test/classes": classes})
    before = _last_predictions(baseline, target) if baseline is not None else None
    if before is None:
        return
    flips = _negative_flips(last, before)
    run.summary[f"{target}/test/negative_flips"] = len(flips)
    # of two equal runs as many: chance is in both
    run.summary[f"{target}/test/positive_flips"] = len(_negative_flips(before, last))
    shown = list(flips)[:MOST_IMAGES]
    if images is not None and shown:
        from PIL import Image

        pictures = [
            wandb.Image(
                enlarged(Image.fromarray(array)),
                caption="{}: true {}, baseline {}, this run {}".format(i, *flips[i]),
            )
            for i, array in zip(shown, images(shown), strict=True)
        ]
        run.log({f"{target}/test/negative_flip_images": pictures})
    texts = read_excerpts(folder.parent, record["consumed"]["target"]["digest"]) if shown else {}
    if of_flips := [[i, " | ".join(texts[i]), *flips[i]] for i in shown if i in texts]:
        columns: list[str | int] = ["item", "text", "true", "baseline", "this run"]
        run.log({f"{target}/test/negative_flip_texts": wandb.Table(columns=columns, data=of_flips)})


def _of_class(true: np.ndarray, predicted: np.ndarray) -> tuple[int, float, float | None, float | None]:
    """(items, precision, recall, F1) of which items [n] are of a class and which are predicted to be; a class
    without an item has neither of the last two."""
    right, support = int((true & predicted).sum()), int(true.sum())
    precision = right / max(int(predicted.sum()), 1)
    if not support:
        return 0, precision, None, None
    return support, precision, right / support, 2 * right / int(true.sum() + predicted.sum())


def enlarged(picture: "Image.Image") -> "Image.Image":
    """A small picture as many times as large as it takes to be looked at; its pixels stay squares."""
    times = -(-LEAST_SIDE // max(picture.size))
    if times <= 1:
        return picture
    return picture.resize((picture.width * times, picture.height * times), resample=0)


def _negative_flips(last: _Predictions, before: _Predictions) -> dict[str, tuple[str, str, str]]:
    """By id of the items the baseline gets right and this run wrong their class, and what both say; those it
    is most sure of come first."""
    prediction_before = dict(zip(before.ids.tolist(), before.predicted.tolist(), strict=True))
    flips = {}
    for row in np.argsort(-last.probabilities.max(1), kind="stable"):
        item, true, mine = str(last.ids[row]), int(last.labels[row]), int(last.predicted[row])
        if mine != true and prediction_before.get(item) == true:
            flips[item] = last.classes[true], before.classes[true], last.classes[mine]
    return flips
