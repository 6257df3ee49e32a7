"""Several labels an item by hand: losses, strata, what counts as collapsed, and scores as they are judged."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from transferscope.statistics import label_ranking
from transferscope.statistics.influence import Undefined
from transferscope.store.record import CHANCE_LEVEL, CONSTANT
from transferscope.tasks.classification import Classification
from transferscope.tasks.metrics import HEADLINES, METRICS, judged_metrics
from transferscope.tasks.multi_label import MultiLabel

TASK = MultiLabel(("a", "b"))


def drawn(n: int, shares: list[float], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities float32 [n, L], many of them equal, that know a little of the labels [n, L]."""
    rng = np.random.default_rng(seed)
    has = rng.random((n, len(shares))) < shares
    return np.round(rng.random(has.shape) * 0.7 + 0.3 * has, 1).astype(np.float32), has


def test_losses_by_hand():
    outputs, targets = torch.tensor([[0.0, 2.0], [-1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    p = outputs.sigmoid()
    by_hand = -(targets * p.log() + (1 - targets) * (1 - p).log()).mean(1)
    assert TASK.loss(outputs, targets, "none").tolist() == pytest.approx(by_hand.tolist())
    assert float(TASK.loss(outputs, targets)) == pytest.approx(float(by_hand.mean()))
    assert TASK.validation_loss(p, targets).tolist() == pytest.approx(by_hand.tolist())
    matrix = TASK.loss_matrix(outputs, targets)  # [targets, outputs]
    assert matrix.diagonal().tolist() == pytest.approx(by_hand.tolist())
    assert float(matrix[1, 0]) == pytest.approx(float(TASK.loss(outputs[:1], targets[1:])))
    assert TASK.risk(outputs, targets).tolist() == pytest.approx((p - targets).square().mean(1).tolist())


def test_what_two_tasks_have_in_common():
    assert TASK.has_outputs_of(MultiLabel(("a", "b")))
    assert MultiLabel(("a", "c")).difference(TASK) == "c only in the source; b only in the target"
    assert Classification(("a", "b")).difference(TASK) == "classification against multi_label"


def test_strata_are_the_rarest_label_of_an_item():
    has = np.array([[1, 1], [1, 0], [1, 0], [0, 0], [0, 1], [np.nan, np.nan]])
    strata = TASK.strata(has)
    assert strata.of.tolist() == [1, 0, 0, 2, 1, -1] and strata.names == ("a", "b", "")


def test_collapsed_is_one_set_of_labels_or_no_skill():
    rng = np.random.default_rng(0)
    has = torch.from_numpy(rng.random((200, 2)) < [0.5, 0.2]).float()
    noise = torch.from_numpy(rng.random((200, 2))).float()
    assert TASK.degenerate(torch.tensor([[0.9, 0.1]]).expand(200, 2), has).startswith(CONSTANT)
    assert TASK.degenerate(noise, has).startswith(CHANCE_LEVEL)
    assert TASK.degenerate(noise / 2 + has / 2, has) == ""
    assert TASK.degenerate(noise / 2 + (1 - has) / 2, has) == ""  # the other way round: harm
    assert TASK.degenerate(noise / 4, torch.zeros(200, 2)) == ""  # no label varies: nothing to be told


def test_scores_are_those_of_scikit_learn():
    p, has = drawn(80, [0.5, 0.3, 0.1])
    found = MultiLabel(("a", "b", "c")).scores(torch.from_numpy(p), torch.from_numpy(has).float())
    f1 = f1_score(has, p > 0.5, average="samples", zero_division=1)
    assert found == pytest.approx(
        {"item_f1": f1, "macro_auroc": roc_auc_score(has, p), "map": average_precision_score(has, p)}
    )


def test_item_f1_by_hand():
    has = np.array([[1, 1, 0], [0, 0, 0], [0, 0, 0], [1, 0, 0]])
    said = np.array([[1, 0, 0], [0, 0, 0], [0, 1, 0], [0.5, 0.5, 0.5]])  # one half is not more than that
    assert METRICS["item_f1"].per_item(said, has, None).tolist() == pytest.approx([2 / 3, 1, 0, 0])


def test_what_coins_score_is_the_mean_over_all_answers():
    has = np.array([[1, 1, 0], [0, 0, 0]], float)
    answers = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T
    by_hand = np.mean(
        [METRICS["item_f1"].per_item(np.tile(answer, (2, 1)), has, None).mean() for answer in answers]
    )
    assert METRICS["item_f1"].chance(has, 0) == pytest.approx(by_hand)


def test_auroc_is_the_mean_of_its_influence_values_and_a_label_that_does_not_vary_is_left_out():
    p, has = drawn(60, [0.5, 0.2, 0.0, 1.0])
    psi = METRICS["macro_auroc"].per_item(p, has.astype(float), None)
    assert psi.mean() == pytest.approx(roc_auc_score(has[:, :2], p[:, :2]))
    found = MultiLabel(tuple("abcd")).scores(torch.from_numpy(p), torch.from_numpy(has).float())
    assert found["map"] == pytest.approx(average_precision_score(has[:, :2], p[:, :2]))
    for name in ("macro_auroc", "map"):
        with pytest.raises(Undefined):
            METRICS[name].per_item(p[:, 2:], has[:, 2:].astype(float), None)


@pytest.mark.parametrize("shares", [[0.5, 0.3], [0.12, 0.9]])
def test_average_precision_is_judged_by_the_pseudo_values_of_the_jackknife(shares):
    p, has = drawn(40, shares, seed=5)
    assert has.sum(0).min() > 1
    n, whole = len(p), average_precision_score(has, p)
    without = [average_precision_score(np.delete(has, i, 0), np.delete(p, i, 0)) for i in range(n)]
    by_hand = n * whole - (n - 1) * np.array(without)
    assert METRICS["map"].per_item(p, has.astype(float), None) == pytest.approx(by_hand)


def test_a_label_that_one_item_has_keeps_its_precision_without_it():
    has = np.array([[True], [False], [False]])
    found = label_ranking.mean_average_precision(np.array([[0.5], [0.9], [0.1]]), has)
    assert found.tolist() == pytest.approx([0.5, 3 * 0.5 - 2 * 1.0, 0.5])


@pytest.mark.parametrize("name", ["macro_auroc", "map"])
def test_of_groups_the_mean_of_their_means_is_the_metric(name):
    p, has = drawn(40, [0.4, 0.3])
    groups = np.random.default_rng(1).integers(0, 9, 40)
    alone = METRICS[name].per_item(p, has.astype(float), None)
    grouped = METRICS[name].per_item(p, has.astype(float), groups)
    means = [grouped[groups == g].mean() for g in np.unique(groups)]
    assert np.mean(means) == pytest.approx(alone.mean())


def test_one_item_changes_a_ranking_by_twice_what_is_told_at_most():
    p, has = drawn(50, [0.5, 0.2, 0.1])
    scale = label_ranking.of_one_item(has)
    rarest = np.where(has, 1 / has.mean(0), 1 / (1 - has.mean(0))).mean(1)
    assert scale == pytest.approx(rarest.max() / 2)
    assert label_ranking.smallest(has) == min(has.sum(0).min(), (~has).sum(0).min())


def test_names_are_those_of_no_other_task():
    assert judged_metrics("multi_label") == ("item_f1", "macro_auroc", "map")
    assert HEADLINES["multi_label"] == MultiLabel.headline == "item_f1"
