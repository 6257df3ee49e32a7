"""What people know from Lightning: callbacks, loggers, clipped gradients, accumulation, schedules of torch's,
and what they log themselves; and labels that count by the size of their class."""

import csv
import multiprocessing
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from transferscope.backbones.identity import Identity
from transferscope.data.splits import LabelledData, Pools
from transferscope.errors import NotApplicable, RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.target_only import TargetOnly
from transferscope.training import evaluations
from transferscope.training import fit as fitting
from transferscope.training.fit import fit
from transferscope.training.lr_range_test import suggested
from transferscope.training.request import resolve
from transferscope.training.settings import FitSettings, Monitoring
from transferscope.training.side_by_side import can_join
from transferscope.training.source_models import source_model_key

IDENTITY = (
    "backbone._target_=transferscope.backbones.identity.Identity", "~backbone.hidden", "~backbone.weights",
)  # fmt: skip
LOSS = "loss/target"
EARLY = (
    "{_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: loss/target, patience: 1, min_delta: 9}"
)
EMA = "{_target_: pytorch_lightning.callbacks.EMAWeightAveraging, decay: 0.5}"
NORMS = "{_target_: watchers_of_steps.Norms}"
WATCHER = "{_target_: watchers_of_steps.Norms, only_watches: true}"
ONE_CYCLE = "{_target_: torch.optim.lr_scheduler.OneCycleLR, max_lr: 0.02, total_steps: 13}"
SWA = "pytorch_lightning.callbacks.StochasticWeightAveraging"
SEQUENTIAL = "torch.optim.lr_scheduler.SequentialLR"
WARM_UP = (
    f"{{_target_: {SEQUENTIAL}, milestones: [4], schedulers: ["
    "{_target_: torch.optim.lr_scheduler.LinearLR, start_factor: 0.25, total_iters: 4}, "
    "{_target_: torch.optim.lr_scheduler.CosineAnnealingLR, T_max: 8}]}"
)
CHANGES = {
    "clipped": "trainer.gradient_clip_val=0.05",
    "penalised": "trainer.l1_penalty=0.01",
    "accumulated": "trainer.accumulate_grad_batches=3",
    "one cycle": f"trainer.schedule={ONE_CYCLE}",
    "warm-up": f"trainer.schedule={WARM_UP}",
    "class weights": "trainer.class_weights=balanced",
    "balanced sampler": "trainer.sampler=balanced",
    "averaged weights": f"trainer.callbacks=[{EMA}]",
    "range test": "trainer.lr_range_test=20",
    "two devices": "trainer.devices=2",
    "stopped early": f"trainer.callbacks=[{EARLY}]",
    "a callback of one's own": f"trainer.callbacks=[{NORMS}]",
}


# --- what each of them is to a run


@pytest.mark.parametrize("change", CHANGES)
def test_it_makes_another_run_and_a_resumed_one_ends_with_the_same_bits(
    config, finished, stopped_and_resumed, change
):
    words = ("strategy=fine_tuning", CHANGES[change])
    assert resolve(config(*words)).fingerprint != resolve(config(words[0])).fingerprint
    never_stopped = finished(*words)
    resumed, steps = stopped_and_resumed(*words)
    assert resumed.bits == never_stopped.bits
    # stopped early, it had come to its end: only the record was missing
    assert steps == [0, 4, 8, 0] + ([] if change == "stopped early" else [12])


def test_what_only_watches_leaves_the_run_what_it_is(config, finished, train, capsys):
    fitting._say_slower.cache_clear()
    watched = train("strategy=fine_tuning", f"trainer.callbacks=[{WATCHER}]")
    plain = finished("strategy=fine_tuning")
    assert watched.folder.name == plain.folder.name
    assert watched.probabilities == plain.probabilities
    assert capsys.readouterr().err.splitlines() == [
        "trainer.callbacks: Norms is called at every step, and so is Lightning, which takes 50 at once "
        "otherwise: training is slower"
    ]


def test_a_callback_is_one_of_the_runs_own_training(config):
    one, other = (
        resolve(config("strategy=fine_tuning", *more)) for more in ((), (CHANGES["averaged weights"],))
    )
    keys = {source_model_key(request, request.run_data()) for request in (one, other)}
    assert one.fingerprint != other.fingerprint and len(keys) == 1


@pytest.mark.parametrize(
    "change", [name for name in CHANGES if name not in ("class weights", "balanced sampler")]
)
def test_a_head_that_is_trained_so_is_trained_by_itself(config, change):
    words = ("strategy=feature_extraction", *IDENTITY)
    request = resolve(config(*words))
    pretrained = replace(request, initialisation="pretrained")
    assert can_join(pretrained)
    assert not can_join(replace(resolve(config(*words, CHANGES[change])), initialisation="pretrained"))


# --- what each of them does


def toy(labels: torch.Tensor) -> LabelledData:
    inputs = torch.randn(len(labels), 3, generator=torch.Generator().manual_seed(0))
    return LabelledData(inputs, labels, torch.zeros(len(labels), dtype=torch.int64))


class Watched(TargetOnly):
    """Tells its weights before and after, its learning rates, and the labels of its batches."""

    def __init__(self, network: Classifier):
        super().__init__(network)
        self.rates: list[float] = []
        self.drawn: list[np.ndarray] = []

    def losses(self, batch):
        self.rates.append(self.named_optimizers["all"].param_groups[0]["lr"])
        self.drawn.append(batch.target.labels.numpy())
        self.log("drawn", float(len(batch.target.labels)))
        return super().losses(batch)


def trained(
    labels: torch.Tensor, steps: int, batch: int, callbacks=(), rate: float = 1.0, **settings
) -> Watched:
    """A linear model by gradient descent."""
    torch.manual_seed(0)
    strategy = Watched(Classifier(Identity((3,)), int(labels.max()) + 1))
    given = FitSettings(
        steps, batch, 1, partial(torch.optim.SGD, lr=rate), "constant", "cpu", "32-true", **settings
    )
    monitoring = Monitoring(callbacks=callbacks)
    strategy.outcome = fit(strategy, Pools(target=toy(labels)), {}, given, (0, "toy"), monitoring)
    return strategy


def weights(strategy: Watched) -> torch.Tensor:
    return nn.utils.parameters_to_vector(strategy.network.head.parameters()).detach()


LABELS = torch.arange(12) % 3


def test_the_gradient_is_no_longer_than_it_is_clipped_to():
    before = weights(trained(LABELS, 1, 12, gradient_clip_val=1e-9))
    moved = (weights(trained(LABELS, 1, 12)) - before).norm()
    assert moved > 0.1
    torch.testing.assert_close(
        (weights(trained(LABELS, 1, 12, gradient_clip_val=0.1)) - before).norm(), torch.tensor(0.1)
    )


def test_the_rate_suggested_is_a_tenth_of_that_at_which_the_loss_is_lowest():
    rates = np.geomspace(1e-6, 1.0, 601)
    # falls by 2 around a rate of 0.001, and explodes at 0.1
    losses = 1 + 2 / (1 + (rates / 1e-3) ** 2) + (rates / 0.1) ** 4
    lowest = rates[losses.argmin()]
    assert suggested(rates, losses) == pytest.approx(lowest / 10, rel=0.3)  # smoothing lags behind
    assert suggested(rates, np.append(losses[:400], np.nan)) == suggested(rates, losses[:400])
    assert suggested(rates, np.linspace(1, 2, 601)) is None
    assert suggested(rates, np.array([1.0, np.inf])) is None


def test_training_begins_anew_at_the_rate_of_the_range_test(capsys):
    found = trained(LABELS, 2, 12, lr_range_test=50)
    rate = found.outcome.learning_rate
    assert found.rates[:50] == pytest.approx(np.geomspace(1e-6, 1, 50))
    assert found.rates[50:] == [rate, rate] and 1e-7 < rate <= 0.1
    torch.manual_seed(0)
    by_hand = trained(LABELS, 2, 12, rate=rate)
    torch.testing.assert_close(weights(found), weights(by_hand))
    assert by_hand.outcome.learning_rate is None and capsys.readouterr().err == ""


@pytest.mark.parametrize("batch", [12, 5])
def test_two_processes_take_the_steps_that_one_takes(batch):
    """Their parts of a batch may be of unequal size."""
    one, two = (trained(LABELS, 8, batch, rate=0.3, devices=devices) for devices in (1, 2))
    assert [len(labels) for labels in two.drawn] == [(batch + 1) // 2] * 8  # of the first process
    torch.testing.assert_close(weights(two), weights(one), atol=1e-6, rtol=0)
    rows = [strategy.outcome.history[-1] for strategy in (one, two)]
    assert rows[1][LOSS] == pytest.approx(rows[0][LOSS])
    assert rows[1]["gradient_norm"] == pytest.approx(rows[0]["gradient_norm"])
    assert not multiprocessing.active_children() and not torch.distributed.is_initialized()


def test_the_penalty_moves_every_weight_by_its_sign():
    before = weights(trained(LABELS, 1, 12, gradient_clip_val=1e-9))
    usual, penalised = (weights(trained(LABELS, 1, 12, l1_penalty=penalty)) for penalty in (0.0, 0.1))
    torch.testing.assert_close(penalised, usual - 0.1 * before.sign())


def test_batches_that_are_accumulated_are_one_batch_of_all():
    """Three batches of four are the pool."""
    together = trained(LABELS, 1, 12)
    apart = trained(LABELS, 1, 4, accumulate_grad_batches=3)
    assert [len(labels) for labels in apart.drawn] == [4, 4, 4]
    torch.testing.assert_close(weights(apart), weights(together))
    rows = [strategy.outcome.history[-1][LOSS] for strategy in (apart, together)]
    assert rows[0] == pytest.approx(rows[1])


def test_a_schedule_of_torchs_gives_its_own_learning_rates():
    schedule = {
        "_target_": "torch.optim.lr_scheduler.SequentialLR",
        "milestones": [3],
        "schedulers": [
            {"_target_": "torch.optim.lr_scheduler.ConstantLR", "factor": 0.5, "total_iters": 10},
            {"_target_": "torch.optim.lr_scheduler.ExponentialLR", "gamma": 0.1},
        ],
    }
    strategy = trained(LABELS, 5, 12)
    assert strategy.rates == [1.0] * 5
    strategy = trained(LABELS, 5, 12)
    settings = FitSettings(5, 12, 1, partial(torch.optim.SGD, lr=1.0), schedule, "cpu", "32-true")
    strategy = Watched(Classifier(Identity((3,)), 3))
    fit(strategy, Pools(target=toy(LABELS)), {}, settings, (0, "toy"))
    np.testing.assert_allclose(strategy.rates, [0.5, 0.5, 0.5, 1.0, 0.1])


def test_a_balanced_sampler_draws_every_class_equally_often_and_its_items_in_turn():
    labels = torch.tensor([0] * 20 + [1] * 6 + [2] * 4)
    drawn = np.concatenate(trained(labels, 40, 30, sampler="balanced").drawn)
    assert np.bincount(drawn).tolist() == [400, 400, 400]
    assert np.bincount(np.concatenate(trained(labels, 40, 30).drawn)).tolist() == [800, 240, 160]


def test_class_weights_are_those_of_scikit_learn():
    labels = np.repeat([0, 1, 3], [20, 6, 4])
    found = evaluations.balanced_weights(torch.from_numpy(labels), 4).numpy()
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=labels)
    np.testing.assert_allclose(found, [*expected[:2], 0, expected[2]], rtol=1e-6)


def test_class_weights_reach_the_loss_of_the_labels_of_a_pool():
    labels = torch.tensor([0] * 20 + [1] * 6 + [2] * 4)
    strategy = trained(labels, 1, 30, class_weights="balanced")
    assert strategy.pool_class_weights["target"].tolist() == pytest.approx([0.5, 5 / 3, 2.5])
    logits = torch.randn(30, 3)
    expected = torch.stack(
        [nn.functional.cross_entropy(logits[labels == c], labels[labels == c]) for c in range(3)]
    )
    torch.testing.assert_close(strategy.task_loss(logits, labels), expected.mean())


# --- callbacks, loggers, self.log


def test_the_history_has_the_sum_of_the_losses_the_learning_rate_and_the_norm_of_the_gradient():
    before, strategy = weights(trained(LABELS, 1, 12, gradient_clip_val=1e-9)), trained(LABELS, 1, 12)
    row = strategy.outcome.history[-1]
    assert row["loss"] == row[LOSS] and row["learning_rate"] == 1.0
    # descent at rate 1 moves the weights by the gradient
    assert row["gradient_norm"] == pytest.approx(float((weights(strategy) - before).norm()), rel=1e-5)


def test_what_a_strategy_logs_is_a_mean_over_the_interval_in_the_history():
    strategy = trained(LABELS, 3, 8)
    assert strategy.outcome.history[-1]["drawn"] == 8


@pytest.mark.parametrize("name", ["step", "seconds", "loss/mine"])
def test_it_takes_no_column_of_the_historys_own(name):
    with pytest.raises(ValueError, match=f"self.log\\('{name}'\\): the history has a column of this name"):
        Watched(Classifier(Identity((3,)), 3)).log(name, 1.0)


def test_averaged_weights_are_those_that_are_evaluated(finished):
    """At a decay near 1 the average stays what the network started from."""
    slow = finished(
        "strategy=scratch",
        "trainer.callbacks=[{_target_: pytorch_lightning.callbacks.EMAWeightAveraging, decay: 0.999}]",
    )
    start = slow.on_test(0)
    assert (
        np.abs(slow.on_test() - start).max()
        < 0.05
        < np.abs(finished("strategy=scratch").on_test() - start).max()
    )


def test_a_callback_of_lightnings_that_stops_a_training_stops_it(finished):
    run = finished("strategy=fine_tuning", CHANGES["stopped early"])
    assert run.record["result"]["evaluations"] == [0, 4, 8]
    assert run.record["result"]["steps"]["target"] == 8


def test_a_logger_of_lightnings_has_a_row_an_evaluation_at_its_step(train, tmp_path):
    train(
        "strategy=scratch",
        f"trainer.loggers=[{{_target_: pytorch_lightning.loggers.CSVLogger, save_dir: {tmp_path}}}]",
    )
    [path] = tmp_path.rglob("metrics.csv")
    with open(path) as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["3", "7", "11"] and all(float(row[LOSS]) > 0 for row in rows)
    assert "label_budget" in path.with_name("hparams.yaml").read_text()


# --- refusals


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("trainer.callbacks=[1]", "trainer.callbacks[0]=1: a _target_ and its arguments are needed"),
        (
            "trainer.callbacks=[{_target_: pytorch_lightning.callbacks.EarlyStopping, monitr: x}]",
            "trainer.callbacks[0].monitr=x: EarlyStopping takes monitor, ",
        ),
        (
            "trainer.callbacks=[{_target_: torch.nn.Linear}]",
            "trainer.callbacks[0]._target_=torch.nn.Linear: a subclass of ",
        ),
        (
            "trainer.callbacks=[{_target_: watchers_of_steps.Norms, only_watches: 1}]",
            "trainer.callbacks[0].only_watches=1: true or false is needed",
        ),
        (
            f"trainer.callbacks=[{{_target_: {SWA}, swa_lrs: 1}}]",
            f"trainer.callbacks[0]._target_={SWA}: goes by Lightning's own optimisation",
        ),
        (
            "trainer.loggers=[{_target_: mine.Logger}]",
            "trainer.loggers[0]._target_=mine.Logger: cannot be imported",
        ),
        (
            "trainer.schedule=linear",
            "trainer.schedule=linear: not one of cosine, constant, a schedule's _target_",
        ),
        (
            "trainer.schedule={_target_: torch.optim.lr_scheduler.ReduceLROnPlateau}",
            "trainer.schedule._target_=torch.optim.lr_scheduler.ReduceLROnPlateau: waits for a metric",
        ),
        (
            f"trainer.schedule={{_target_: {SEQUENTIAL}, milestones: [1], schedulers: [1]}}",
            "trainer.schedule.schedulers[0]._target_=: cannot be imported",
        ),
        (
            "trainer.schedule={_target_: torch.optim.lr_scheduler.StepLR}",
            "trainer.schedule.step_size: a value is needed",
        ),
        ("trainer.gradient_clip_val=0", "trainer.gradient_clip_val=0: a number above 0 or null is needed"),
        ("trainer.l1_penalty=-1", "trainer.l1_penalty=-1: a number of at least 0 is needed"),
        ("trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches=0: an integer of at least 1"),
        ("trainer.lr_range_test=3", "trainer.lr_range_test=3: an integer of at least 10, its steps, or null"),
        ("trainer.devices=0", "trainer.devices=0: an integer of at least 1 is needed"),
        ("trainer.sampler=weighted", "trainer.sampler=weighted: not one of shuffle, balanced"),
    ],
)
def test_a_wrong_value_is_refused_in_one_line(config, capsys, word, told):
    with pytest.raises(RequestError) as refusal:
        resolve(config("strategy=fine_tuning", word))
    assert str(refusal.value).startswith(told) and "\n" not in str(refusal.value)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("strategy", "word", "told"),
    [
        ("coral", "trainer.gradient_clip_val=1", "strategy coral is solved in closed form and takes no step"),
        ("coral", "trainer.accumulate_grad_batches=2", "strategy coral is solved in closed form"),
        ("coral", "trainer.sampler=balanced", "strategy coral is solved in closed form"),
        ("coral", "trainer.lr_range_test=20", "strategy coral is solved in closed form"),
        ("dann", "trainer.devices=2", "strategy dann learns from several pools, and one can be dealt out"),
        ("safe_choice", "trainer.lr_range_test=20", "trains two networks at one rate"),
        (
            "multi_task_pcgrad",
            "trainer.accumulate_grad_batches=2",
            "makes the gradients of a step from one batch",
        ),
    ],
)
def test_what_takes_no_such_step_is_not_for_it(config, strategy, word, told):
    with pytest.raises(NotApplicable, match=told):
        resolve(config(f"strategy={strategy}", *IDENTITY, word))
