"""Reverse validation of a trained run: the same strategy trained from the target, labelled by its own
predictions, to the source."""

import copy
import json
from pathlib import Path

import numpy as np
from torch import Tensor, from_numpy, zeros_like

from transferscope.data.on_disk import OnDisk
from transferscope.data.splits import LabelledData, Pools, RunData
from transferscope.networks.classifier import in_chunks
from transferscope.strategies.base import Strategy
from transferscope.training.fit import fit
from transferscope.training.request import Request
from transferscope.validators.reverse_validation import Predict, reverse_validation


def validate(request: Request, run_data: RunData, strategy: Strategy, path: Path) -> None:
    """Leaves {"accuracy": ...} in `path`. The reverse training starts from the forward weights, as Ganin et
    al. have it, and takes as many steps; it sees no target label. One that diverges is right of nothing:
    0."""

    def fit_backwards(inputs: Tensor | OnDisk, labels: np.ndarray, unlabelled: Tensor | OnDisk) -> Predict:
        reverse = request.build_strategy(copy.deepcopy(strategy.network))
        guessed = from_numpy(labels)
        pools = Pools(source=LabelledData(inputs, guessed, zeros_like(guessed)), unlabelled=unlabelled)
        outcome = fit(reverse, pools, {}, request.settings(request.steps), (*request.stream(), "reverse"))
        return _predictor(reverse) if outcome.status == "done" else lambda items: np.full(len(items), -1)

    val, labels = run_data.held_out()
    target, source = run_data.pools.unlabelled, run_data.pools.source
    if target is None or source is None:
        raise ValueError("the strategy sees no source, or no inputs of the target")
    accuracy = reverse_validation(
        fit_backwards, target, _predictor(strategy)(target), source.inputs, val, labels.numpy()
    )
    path.write_text(json.dumps({"accuracy": accuracy}))


def _predictor(strategy: Strategy) -> Predict:
    strategy.eval()
    return lambda items: (
        in_chunks(strategy.predictions, strategy.precompute(items), strategy.device).argmax(1).numpy()
    )
