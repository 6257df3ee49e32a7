"""What the record says of a training that came to an end."""

from functools import cache
from importlib.metadata import version
from typing import Any

from transferscope.data.splits import RunData
from transferscope.strategies.base import Diagnosis
from transferscope.tasks.classification import by_class
from transferscope.training import evaluate, reading
from transferscope.training.request import Request
from transferscope.training.settings import FitResult

PACKAGES = (
    "transferscope",
    "torch",
    "torchvision",
    "timm",
    "pytorch-lightning",
    "hydra-core",
    "wandb",
    "torchmetrics",
    "numpy",
    "scikit-learn",
)


@cache
def versions() -> dict[str, str]:
    return {name: version(name) for name in PACKAGES}


def finished(request: Request, run_data: RunData, outcome: FitResult, diagnosis: Diagnosis) -> dict[str, Any]:
    """Status and result of a fit that came to an end."""
    target = run_data.target
    test = f"{target.name}/test"
    status, reason = outcome.status, outcome.reason
    if status == "done":
        reason = (
            evaluate.collapse(outcome, test, run_data.evaluated[test].labels, run_data.task)
            or diagnosis.collapse
        )
        status = "collapsed" if reason else "done"
    # which the seed draws: neither splits nor all there is to label are fixed
    has_folds = request.asked.fold is not None
    conditional_on = ["target_pool", *([] if has_folds else ["splits"]), "hyper_parameters"]
    conditional_on += ["labelled_subset"] if request.asked.label_budget == "full" and not has_folds else []
    conditional_on += (
        ["pretrained_weights"] if request.consumed["backbone"].get("weights", "random") != "random" else []
    )
    trainer = request.consumed["trainer"]
    may_end_early = trainer.keys() & {"patience", "callbacks"} and "steps" in trainer
    taken = outcome.history[-1]["step"] if may_end_early else trainer.get("steps", 0)
    return {
        "status": status,
        "reason": reason,
        "traceback": None,
        "subset": run_data.subset,
        "conditional_on": conditional_on,
        "result": {
            "metrics": evaluate.metrics(outcome, run_data.evaluated, run_data.task),
            **({"task": told} if (told := run_data.task.told()) else {}),
            **({"centers": run_data.centers} if run_data.centers else {}),
            "by_class": classes_of(outcome, run_data),
            "samples": run_data.samples,
            "class_counts": run_data.class_counts,
            "copies": request.copies._asdict(),
            "input_shape": list(run_data.input_shape),
            "own_shape": list(run_data.target.inputs.shape[1:]),  # of an input as the target domain holds it
            "own_white": request.target.white,
            **({"texts": texts} if (texts := texts_of(request, run_data)) else {}),
            **({"columns": target.columns} if target.categorical or target.gaps else {}),
            "steps": {
                "target": taken * (1 + request.strategy.beside_scratch),
                "source": trainer.get("source_steps", 0),
            },
            "evaluations": [row["step"] for row in outcome.history],
            "flags": list(diagnosis.flags),
            **({} if outcome.learning_rate is None else {"learning_rate": outcome.learning_rate}),
        },
    }


def texts_of(request: Request, run_data: RunData) -> dict[str, dict[str, int]]:
    """By domain, how many texts there are and how many are longer than the backbone takes."""
    if run_data.reader is None:
        return {}
    return {
        domain.name: reading.cut_texts(domain, run_data.reader, request.store)
        for domain in (run_data.target, *run_data.sources)
    }


def classes_of(outcome: FitResult, run_data: RunData) -> dict[str, dict[str, Any]]:
    """`by_class` of the target's test set at its last finite evaluation, with the classes' names."""
    name = f"{run_data.target.name}/test"
    items, last = run_data.evaluated[name], evaluate.last_finite(outcome.predictions[name])
    if last is None or not items.classes:
        return {}
    return {name: {"classes": list(items.classes), **by_class(last, items.labels)}}
