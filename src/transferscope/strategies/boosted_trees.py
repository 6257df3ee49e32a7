"""Gradient-boosted trees on the inputs as they are, of the target alone or of the source alone: what is usual
for tables."""

from typing import Any, TypeAlias

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits
from torch import Tensor

from transferscope.data.on_disk import OnDisk
from transferscope.data.splits import LabelledData, Pools
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.networks.sized_on_load import SizedOnLoad
from transferscope.strategies.base import Diverged
from transferscope.strategies.feature_extraction import FittedHead
from transferscope.tasks.classification import Classification
from transferscope.tasks.multi_label import MultiLabel

Model: TypeAlias = HistGradientBoostingClassifier | HistGradientBoostingRegressor | float
MOST = 255  # categories that scikit-learn's trees can tell apart


class Memory(SizedOnLoad):
    """The items that trees were fitted to: inputs float32 [n, d], labels int64 [n], or values or
    labels of several float32 [n, T]."""

    inputs: Tensor
    labels: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("inputs", torch.zeros(0, 0))
        self.register_buffer("labels", torch.zeros(0, dtype=torch.int64))


class BoostedTrees(FittedHead):
    """min over trees h_1 … h_M of Σ_T -log softmax(Σ_m ν h_m(x))_y, one after the other, each the regression
    tree that fits the loss's gradient   (Friedman 2001)

    x is the input as it is: no backbone takes part, so none is transferred. Solved by scikit-learn's
    HistGradientBoostingClassifier, of several labels one model each, where numbers are predicted by its
    regressor of squared errors; a category
    is one, and a missing value goes to the side of a split where it lowers the loss more. A category that no
    labelled item had is taken for a missing one. ν = rate; M = trees for each class, of two classes for both.

    scikit-learn's smallest leaf of 20 items would leave 39 items in one, so here it is 5. The model is kept
    as the items that it is fitted to, and fitted to them again where it is loaded: nothing in it is
    drawn."""

    takes_tables = True

    def __init__(
        self,
        network: Classifier,
        trees: int = 100,
        rate: float = 0.1,
        leaves: int = 31,
        smallest_leaf: int = 5,
    ):
        super().__init__(network)
        for key, value, least in (
            ("trees", trees, 1),
            ("leaves", leaves, 2),
            ("smallest_leaf", smallest_leaf, 1),
        ):
            if value < least:
                raise RequestError(f"strategy.{key}={value}: at least {least} is needed")
        if not 0 < rate <= 1:
            raise RequestError(f"strategy.rate={rate}: a number above 0, at most 1, is needed")
        sizes = [len(categories) for categories in (network.columns or {}).values()]
        self.is_category = [2 <= size <= MOST for size in sizes]
        self.settings: dict[str, Any] = {
            "learning_rate": rate, "max_iter": trees, "max_leaf_nodes": leaves,
            "min_samples_leaf": smallest_leaf, "early_stopping": False, "random_state": 0,
            "categorical_features": np.array(self.is_category) if any(self.is_category) else None,
        }  # fmt: skip
        self.fitted: list[Model] = []
        self.memory = Memory()

    def precompute(self, inputs: Tensor | OnDisk) -> Tensor:
        return torch.cat([chunk.flatten(1).float().cpu() for chunk in inputs.split(512)])  # [N, d]

    def learnt_from(self, pools: Pools) -> LabelledData | None:
        return pools.target

    def fit_features(self, pools: Pools) -> None:
        items = self.learnt_from(pools)
        assert items is not None
        inputs = items.inputs if isinstance(items.inputs, Tensor) else self.precompute(items.inputs)
        if inputs.isinf().any() or self.network.columns is None and inputs.isnan().any():
            raise Diverged("an input of the labelled items is not finite")
        self.memory.inputs, self.memory.labels, self.fitted = inputs.clone(), items.labels.clone(), []

    def predictions(self, features: Tensor) -> Tensor:
        if not len(self.memory.labels):  # before the fit: all classes alike, or what is in the middle
            return self.task.predict(features.new_zeros(len(features), self.network.head.out_features))
        with threadpool_limits(1, "openmp"):  # trees of a small table cost less than threads that wait
            self.fitted = self.fitted or self._fit()
            found = self._of_trees(features.cpu().numpy())
        return found.to(features.device)

    def _fit(self) -> list[Model]:
        """Of classes one model, of numbers one for each quantity, of labels one for each that varies, else
        its share."""
        x, y = self.memory.inputs.cpu().numpy().copy(), self.memory.labels.cpu().numpy()
        x[:, np.isnan(x).all(axis=0)] = 0  # of which scikit-learn makes no bins; nothing splits by it
        if y.ndim == 1:
            return [HistGradientBoostingClassifier(**self.settings).fit(x, y)]
        if isinstance(self.task, MultiLabel):
            return [
                HistGradientBoostingClassifier(**self.settings).fit(x, has)
                if has.min() < has.max()
                else float(has[0])
                for has in y.T
            ]
        return [HistGradientBoostingRegressor(**self.settings).fit(x, quantity) for quantity in y.T]

    def _of_trees(self, features: np.ndarray) -> Tensor:
        if not isinstance(self.task, Classification):
            values = np.stack([_answers(model, features) for model in self.fitted], axis=1)
            return torch.from_numpy(values).float()
        p = torch.zeros(len(features), self.network.head.out_features)
        (model,) = self.fitted
        assert not isinstance(model, float)
        p[:, model.classes_] = torch.from_numpy(model.predict_proba(features)).float()
        return p


def _answers(model: Model, features: np.ndarray) -> np.ndarray:
    """[N]: numbers, or the probability of a label."""
    if isinstance(model, float):
        return np.full(len(features), model)
    found: np.ndarray = (
        model.predict(features)
        if isinstance(model, HistGradientBoostingRegressor)
        else model.predict_proba(features)[:, 1]
    )
    return found


class SourceBoostedTrees(BoostedTrees):
    """min over trees h_1 … h_M of Σ_S -log softmax(Σ_m ν h_m(x))_y: those of `BoostedTrees`, of the source's
    items alone

    Several sources are one. No label of the target is used, whatever the budget."""

    sees = frozenset({"source_inputs", "source_labels"})
    needs_target_labels = False
    shares_classes = True

    def learnt_from(self, pools: Pools) -> LabelledData | None:
        return pools.source
