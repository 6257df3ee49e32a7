"""The frame of the shallow methods: scaling, classifiers, labelled target items, what is kept."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler, normalize
from sklearn.svm import SVC

from tiny_shallow import accuracy, circle, fitted, labelled, predicted
from transferscope.backbones.identity import Identity
from transferscope.data.splits import Pools
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.source_classifier import SourceClassifier
from transferscope.strategies.tca import TCA
from transferscope.training import request
from transferscope.training.load import load_run

NAMES = [
    "coral", "gfk", "jda", "kmm", "linear_optimal_transport", "optimal_transport", "pca",
    "source_nearest_neighbour", "source_svm", "subspace_alignment", "tca",
]  # fmt: skip


def blobs(size: int, draw: int, is_target: bool, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """The target's features have another origin and other scales."""
    random, labels = np.random.default_rng(draw), np.arange(size) % classes
    inputs = random.normal(size=(size, 5)) + 1.5 * np.random.default_rng(9).normal(size=(classes, 5))[labels]
    return inputs * [1, 5, 0.2, 3, 1] + [0, 4, 1, -5, 2] if is_target else inputs, labels


def single(inputs: np.ndarray) -> np.ndarray:
    """As float32, in which features come, holds it."""
    return inputs.astype(np.float32).astype(np.float64)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("classifier", ["nearest_neighbour", "svm", "logistic"])
def test_the_classifiers_are_scikit_learns(classifier, classes):
    (source, labels), (target, _) = blobs(60, 0, False, classes), blobs(60, 1, True, classes)
    models = {
        "nearest_neighbour": KNeighborsClassifier(1),
        "svm": SVC(C=0.3, kernel="linear"),
        "logistic": LogisticRegression(C=0.3),
    }
    reference = models[classifier].fit(StandardScaler().fit_transform(single(source)), labels)
    scaled = StandardScaler().fit_transform(single(target))
    found = predicted(
        fitted(SourceClassifier, (source, labels), target, scaling="domain", classifier=classifier, C=0.3),
        target,
    )
    np.testing.assert_array_equal(found.argmax(1), reference.predict(scaled))
    assert found.shape == (60, classes) and np.allclose(found.sum(1), 1)
    if classifier == "logistic":
        np.testing.assert_allclose(found, reference.predict_proba(scaled), atol=1e-4)


@pytest.mark.parametrize("scaling", ["domain", "source", "none"])
@pytest.mark.parametrize("unit_length", ["none", "inputs", "outputs", "both"])
def test_items_are_scaled_and_brought_to_length_one(scaling, unit_length):
    (source, labels), (target, _) = blobs(60, 0, False), blobs(60, 1, True)
    strategy = fitted(SourceClassifier, (source, labels), target, scaling=scaling, unit_length=unit_length)
    scalers = {"domain": StandardScaler().fit(single(target)), "source": StandardScaler().fit(single(source))}
    train, test = single(source), single(target)
    if scaling != "none":
        train, test = StandardScaler().fit_transform(train), scalers[scaling].transform(test)
    if unit_length != "none":
        train, test = normalize(train), normalize(test)
    np.testing.assert_allclose(strategy.memory.items, train)
    np.testing.assert_array_equal(
        predicted(strategy, target).argmax(1), KNeighborsClassifier(1).fit(train, labels).predict(test)
    )


def test_scaling_by_domain_undoes_another_origin_and_other_scales():
    by_domain, by_source = (
        accuracy(SourceClassifier, blobs, scaling=scaling) for scaling in ("domain", "source")
    )
    assert by_source < 0.75 and by_domain > by_source + 0.2


@pytest.mark.parametrize("name", ["source_nearest_neighbour", "source_svm"])
def test_a_baseline_takes_nothing_of_the_target(train, config, name):
    """By default: as many more of its inputs as transductive has change no prediction."""
    inductive, transductive = (
        train(f"strategy={name}", "label_budget=0", f"protocol={protocol}")
        for protocol in ("inductive", "transductive")
    )
    np.testing.assert_array_equal(inductive.on_test(), transductive.on_test())
    by_default, by_source, by_domain = (
        request.resolve(config(f"strategy={name}", *keys))
        for keys in ([], ["strategy.scaling=source"], ["strategy.scaling=domain"])
    )
    assert by_default.fingerprint == by_source.fingerprint != by_domain.fingerprint


def test_each_of_several_sources_is_scaled_by_its_own_moments():
    (one, labels), (other, _), (target, _) = blobs(30, 0, False), blobs(30, 1, True), blobs(30, 2, False)
    strategy = SourceClassifier(Classifier(Identity((5,)), 3), scaling="domain")
    pool = [
        torch.cat(columns)
        for columns in zip(labelled(one, labels), labelled(other, labels, domain=1), strict=True)
    ]
    strategy.fit_features(
        Pools(type(labelled(one, labels))(*pool), None, torch.from_numpy(target.astype(np.float32)))
    )
    expected = np.r_[
        StandardScaler().fit_transform(single(one)), StandardScaler().fit_transform(single(other))
    ]
    np.testing.assert_allclose(strategy.memory.items, expected, atol=1e-12)


@pytest.mark.parametrize("make", [SourceClassifier, TCA])
def test_labelled_target_items_join_the_training_set(make):
    source, _, random = circle(60, 0)
    target, labels, _ = circle(60, 1)
    wrong = (source, random.permutation(np.arange(60) % 3))  # the source tells nothing
    alone = predicted(fitted(make, wrong, target), target).argmax(1)
    compared_rows = predicted(fitted(make, wrong, target, known=(target, labels)), target).argmax(1)
    assert (alone == labels).mean() < 0.7 and (compared_rows == labels).mean() > 0.95


def test_a_constant_feature_is_no_trouble():
    (source, labels), (target, _) = blobs(30, 0, False), blobs(30, 1, True)
    source[:, 0] = target[:, 0] = 7
    assert np.isfinite(predicted(fitted(SourceClassifier, (source, labels), target), target)).all()


@pytest.mark.parametrize(
    ("name", "budget"),
    [(name, 0) for name in NAMES]
    + [pytest.param(name, 5, marks=[] if name == "tca" else pytest.mark.slow) for name in NAMES],
)
def test_a_kept_model_predicts_what_its_record_holds(train, name, budget):
    run = train(f"strategy={name}", "keep=selected", f"label_budget={budget}")
    loaded = load_run(run.folder)
    domain = request.load_domain("target", "blobs", "data")
    items = [list(domain.ids).index(item) for item in run.members["blobs/test/ids"]]
    np.testing.assert_allclose(loaded.predict(domain.inputs[items]).numpy(), run.on_test(), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_transductive_sees_the_test_inputs_as_well(train, name):
    keys = (f"strategy={name}", "label_budget=0")
    inductive, transductive = train(*keys), train(*keys, "protocol=transductive")
    assert (
        transductive.record["result"]["samples"]["target_unlabelled"]
        == 300
        == 2 * inductive.record["result"]["samples"]["target_unlabelled"]
    )
    assert transductive.record["cell"]["protocol"] == "transductive"


def test_a_classifier_that_is_none_is_refused(config):
    with pytest.raises(RequestError, match="strategy.classifier=knn"):
        request.resolve(config("strategy=coral", "strategy.classifier=knn"))
    with pytest.raises(RequestError, match="strategy.C=0"):
        request.resolve(config("strategy=coral", "strategy.C=0.0"))
