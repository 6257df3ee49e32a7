"""Boosted trees against scikit-learn called by hand, on a table with categories and gaps."""

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from transferscope.backbones.tabular import Tabular
from transferscope.data.splits import LabelledData, Pools
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Diverged
from transferscope.strategies.boosted_trees import BoostedTrees, SourceBoostedTrees

COLUMNS = {"age": (), "ward": ("a", "b", "c", "d")}


def network(columns=COLUMNS, classes: int = 3) -> Classifier:
    made = Classifier(Tabular((2,), columns=columns, hidden=[4]), classes)
    made.columns = columns
    return made


def items(count: int, seed: int) -> LabelledData:
    """Ward c alone has class 2; a fifth of the numbers are missing, and ward d is in none."""
    random = np.random.default_rng(seed)
    ward = random.integers(0, 3, count)
    labels = np.where(ward == 2, 2, random.integers(0, 2, count))
    age = np.where(random.random(count) < 0.2, np.nan, labels + random.normal(0, 0.3, count))
    inputs = torch.from_numpy(np.stack([age, ward], 1).astype(np.float32))
    return LabelledData(inputs, torch.from_numpy(labels), torch.zeros(count))


@pytest.mark.parametrize(("kind", "pool"), [(BoostedTrees, "target"), (SourceBoostedTrees, "source")])
def test_they_are_scikit_learns_with_categories_as_such(kind, pool):
    train, test = items(60, 0), items(40, 1)
    strategy = kind(network(), trees=10)
    assert torch.equal(strategy.predictions(test.inputs), torch.full((40, 3), 1 / 3))
    strategy.fit_features(Pools(**{pool: train}))
    reference = HistGradientBoostingClassifier(
        max_iter=10, min_samples_leaf=5, categorical_features=[1], early_stopping=False
    )
    with threadpool_limits(1, "openmp"):
        reference.fit(train.inputs.numpy(), train.labels.numpy())
        expected = reference.predict_proba(test.inputs.numpy())
    np.testing.assert_allclose(strategy.predictions(test.inputs).numpy(), expected, atol=1e-6)
    assert (expected.argmax(1) == test.labels.numpy()).mean() > 0.8
    unseen, missing = torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, torch.nan]])
    assert torch.equal(strategy.predictions(unseen), strategy.predictions(missing))


def test_a_class_without_an_item_has_no_probability():
    strategy, train = BoostedTrees(network(classes=5)), items(60, 0)
    strategy.fit_features(Pools(target=train._replace(labels=train.labels + 1)))
    p = strategy.predictions(train.inputs)
    assert p.shape == (60, 5) and not p[:, [0, 4]].any()
    torch.testing.assert_close(p.sum(1), torch.ones(60))


@pytest.mark.parametrize("value", [torch.nan, 1.0])
@pytest.mark.parametrize("column", [0, 1])
def test_a_column_without_values_or_with_one_tells_nothing(column, value):
    strategy, train = BoostedTrees(network()), items(60, 0)
    train.inputs[:, column] = value
    strategy.fit_features(Pools(target=train))
    changed = train.inputs.clone()
    changed[:, column] = 2
    assert torch.equal(strategy.predictions(train.inputs), strategy.predictions(changed))


def test_gaps_are_values_of_a_table_alone():
    with pytest.raises(Diverged, match="is not finite"):
        BoostedTrees(network(columns=None)).fit_features(Pools(target=items(20, 0)))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"trees": 0}, "strategy.trees=0: at least 1"),
        ({"leaves": 1}, "strategy.leaves=1: at least 2"),
        ({"rate": 0.0}, "strategy.rate=0.0: a number above 0, at most 1"),
    ],
)
def test_what_is_no_forest(arguments, says):
    with pytest.raises(RequestError, match=says):
        BoostedTrees(network(), **arguments)
