"""Fitting: batches, evaluation intervals, blocks of steps, what is kept, stopping and resuming."""

import signal
from collections import Counter
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from transferscope.backbones.lenet import LeNet
from transferscope.backbones.mlp import MLP
from transferscope.data.splits import EvaluationSet, LabelledData, Pools
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Strategy
from transferscope.strategies.dann import DANN
from transferscope.strategies.target_only import TargetOnly
from transferscope.training import fit as training
from transferscope.training.fit import fit
from transferscope.training.settings import FitResult, FitSettings, Monitoring

SETTINGS = FitSettings(12, 4, 3, partial(torch.optim.AdamW, lr=0.01), "cosine", "cpu", "32-true")


def labelled(size: int, seed: int = 0) -> LabelledData:
    labels = torch.arange(size) % 3
    inputs = torch.randn(size, 4, generator=torch.Generator().manual_seed(seed)) + labels[:, None]
    return LabelledData(inputs, labels, torch.zeros(size, dtype=torch.int64))


def scored(items: LabelledData) -> dict[str, EvaluationSet]:
    return {
        "toy/test": EvaluationSet(
            items.inputs, items.labels, np.arange(len(items.labels)).astype(str), ("a", "b", "c"), None
        )
    }


def mlp_strategy() -> TargetOnly:
    torch.manual_seed(0)
    return TargetOnly(Classifier(MLP((4,), hidden=[8]), classes=3))


def train(
    steps: int = 12,
    evaluations: int = 3,
    strategy: Strategy | None = None,
    settings: FitSettings = SETTINGS,
    **arguments,
) -> FitResult:
    settings = settings._replace(steps=steps, evaluations=evaluations)
    return fit(
        strategy or mlp_strategy(),
        Pools(target=labelled(10)),
        scored(labelled(30, seed=1)),
        settings,
        (0, "test"),
        Monitoring(**arguments),
    )


def bits(outcome: FitResult) -> tuple:
    history = [{key: value for key, value in row.items() if key != "seconds"} for row in outcome.history]
    probabilities = {
        name: {step: p.numpy().tobytes() for step, p in by_step.items()}
        for name, by_step in outcome.predictions.items()
    }
    return outcome.status, probabilities, history


# --- intervals and batches


@pytest.mark.parametrize(
    ("steps", "evaluations", "expected"),
    [(12, 3, [0, 4, 8, 12]), (10, 3, [0, 3, 7, 10]), (3, 3, [0, 1, 2, 3]), (7, 1, [0, 7])],
)
def test_evaluations_are_at_the_start_and_at_the_end_of_every_interval(steps, evaluations, expected):
    heard = []
    outcome = train(steps, evaluations, after_interval=lambda step, row: heard.append((step, row["step"])))
    assert [row["step"] for row in outcome.history] == list(outcome.predictions["toy/test"]) == expected
    assert heard == [(step, step) for step in expected[1:]]


class Noting(TargetOnly):
    """Notes the items of every batch: the first feature is the item's number."""

    def losses(self, batch):
        self.noted = [*getattr(self, "noted", []), batch.target.inputs[:, 0].int().tolist()]
        return super().losses(batch)


def batches(pool_size: int, batch_size: int, steps: int, stream: tuple = (0, "test")) -> list[list[int]]:
    torch.manual_seed(0)
    strategy, pool = Noting(Classifier(MLP((4,), hidden=[8]), classes=3)), labelled(pool_size)
    pool.inputs[:, 0] = torch.arange(pool_size)
    fit(
        strategy,
        Pools(target=pool),
        {},
        SETTINGS._replace(steps=steps, batch_size=batch_size, evaluations=1),
        stream,
    )
    return strategy.noted


@pytest.mark.parametrize(
    ("pool", "size", "steps"), [(10, 4, 5), (10, 4, 30), (7, 3, 4), (9, 8, 9), (5, 32, 3), (33, 32, 66)]
)
def test_every_item_of_a_pool_is_seen_equally_often(pool, size, steps):
    taken = batches(pool, size, steps)
    assert [len(batch) for batch in taken] == [min(pool, size)] * steps
    counts = Counter(item for batch in taken for item in batch)
    assert set(counts) == set(range(pool)) and max(counts.values()) - min(counts.values()) <= 1


def test_a_pool_smaller_than_the_batch_is_a_batch():
    assert all(sorted(batch) == list(range(5)) for batch in batches(pool_size=5, batch_size=32, steps=4))


def test_batches_follow_from_the_stream():
    assert batches(10, 4, 10) == batches(10, 4, 10)
    assert batches(10, 4, 10) != batches(10, 4, 10, stream=(1, "test"))


@pytest.mark.parametrize("steps", [49, 50, 51, 120])
def test_the_size_of_a_block_changes_nothing(steps, monkeypatch):
    assert training.BLOCK == 50
    usual = bits(train(steps, evaluations=1))
    for size in (1, 1000):
        monkeypatch.setattr(training, "BLOCK", size)
        assert bits(train(steps, evaluations=1)) == usual


def test_losses_of_the_history_are_means_since_the_evaluation_before():
    class Counting(TargetOnly):
        """Its loss is the number of the step."""

        def losses(self, batch):
            number = float(round(self.progress * self.total_steps))
            return {"number": 0 * super().losses(batch)["target"] + number, "half": torch.tensor(number / 2)}

    torch.manual_seed(0)
    rows = train(10, 3, Counting(Classifier(MLP((4,), hidden=[8]), classes=3))).history
    assert [(row.get("loss/number"), row.get("loss/half")) for row in rows] == [
        (None, None),
        (1.0, 0.5),
        (4.5, 2.25),
        (8.0, 4.0),
    ]


def test_a_loss_that_stops_being_finite_ends_the_fit_and_keeps_what_came_before():
    class Breaking(TargetOnly):
        def losses(self, batch):
            return {"target": super().losses(batch)["target"] * (torch.nan if self.progress > 0.5 else 1)}

    torch.manual_seed(0)
    outcome = train(strategy=Breaking(Classifier(MLP((4,), hidden=[8]), classes=3)))
    assert outcome.status == "diverged" and outcome.reason == "loss/target is not finite at step 8"
    whole = train()
    for step in (0, 4):
        assert torch.equal(outcome.predictions["toy/test"][step], whole.predictions["toy/test"][step])
    assert [row["step"] for row in outcome.history] == list(outcome.predictions["toy/test"]) == [0, 4]


# --- what is kept


class Scripted(TargetOnly):
    """Right on a given share of the items at each evaluation; its weights say which evaluation it was."""

    def __init__(self, shares: list[float]):
        torch.manual_seed(0)
        super().__init__(Classifier(MLP((4,), hidden=[8]), classes=3))
        self.shares = shares

    def predictions(self, inputs):
        right = int(self.shares[int(self.steps_done) // 4] * 30)
        predicted = (torch.arange(30) + (torch.arange(30) >= right)) % 3
        return torch.eye(3)[predicted]


@pytest.mark.parametrize(
    ("shares", "keep", "kept"),
    [
        ([0.2, 0.5, 0.9, 0.4], ("toy/test",), 8),
        ([0.2, 0.9, 0.9, 0.9], ("toy/test",), 4),
        ([0.5, 0.5, 0.5, 0.5], ("toy/test",), 0),
        ([0.9, 0.5, 0.5, 0.2], (), 12),
    ],
)
def test_the_earliest_of_the_best_evaluations_is_kept(tmp_path, shares, keep, kept):
    train(strategy=Scripted(shares), folder=tmp_path, keep=keep)
    assert int(load_file(tmp_path / "selected.safetensors")["steps_done"]) == kept


def test_what_is_best_is_remembered_when_stopped(tmp_path):
    shares = [0.2, 0.9, 0.5, 0.9]
    stop_after(8, tmp_path, lambda: Scripted(shares), keep=("toy/test",))
    train(strategy=Scripted(shares), folder=tmp_path, keep=("toy/test",))
    assert int(load_file(tmp_path / "selected.safetensors")["steps_done"]) == 4


def test_nothing_is_kept_unless_asked_for(tmp_path):
    train(folder=tmp_path)
    assert not (tmp_path / "selected.safetensors").exists()


# --- ended early


@pytest.mark.parametrize(
    ("shares", "patience", "last"),
    [
        ([0.2, 0.5, 0.9, 0.4], None, 12),
        ([0.2, 0.5, 0.9, 0.4], 1, 12),
        ([0.5, 0.4, 0.9, 0.9], 1, 4),
        ([0.5, 0.5, 0.9, 0.9], 1, 4),  # as good is no better
        ([0.5, 0.4, 0.9, 0.9], 2, 12),
        ([0.9, 0.4, 0.5, 0.6], 2, 8),  # better than the last one only
    ],
)
def test_a_fit_ends_when_nothing_got_better_for_as_long_as_it_waits(shares, patience, last):
    settings = SETTINGS._replace(patience=patience)
    outcome = fit(
        Scripted(shares),
        Pools(target=labelled(10)),
        CASES["mlp"][2],
        settings,
        (0, "test"),
        Monitoring(stop_by=("toy/test",)),
    )
    assert outcome.status == "done" and [row["step"] for row in outcome.history] == list(
        range(0, last + 1, 4)
    )


def test_without_a_rule_it_never_ends_early():
    assert bits(train(settings=SETTINGS._replace(patience=1))) == bits(train())


def test_a_fit_that_had_ended_when_it_was_stopped_is_over(tmp_path):
    shares, settings = [0.5, 0.4, 0.9, 0.9], SETTINGS._replace(patience=1)
    stop_after(4, tmp_path, lambda: Scripted(shares), settings=settings, stop_by=("toy/test",))
    pools, items = CASES["mlp"][1:]
    heard = []
    resumed = fit(
        Scripted(shares),
        pools,
        items,
        settings,
        (0, "test"),
        Monitoring(tmp_path, lambda *_: heard.append(_), stop_by=("toy/test",)),
    )
    assert not heard and bits(resumed) == bits(
        fit(Scripted(shares), pools, items, settings, (0, "test"), Monitoring(stop_by=("toy/test",)))
    )


def test_patience_counts_on_when_resumed(tmp_path):
    shares, settings = [0.5, 0.4, 0.4, 0.9], SETTINGS._replace(patience=2)
    stop_after(4, tmp_path, lambda: Scripted(shares), settings=settings, stop_by=("toy/test",))
    pools, items = CASES["mlp"][1:]
    resumed = fit(
        Scripted(shares), pools, items, settings, (0, "test"), Monitoring(tmp_path, stop_by=("toy/test",))
    )
    assert [row["step"] for row in resumed.history] == [0, 4, 8]


# --- augmented batches


class Looking(TargetOnly):
    """Notes what every part of a batch looks like."""

    sees = frozenset({"source_inputs", "source_labels", "target_inputs", "target_labels"})

    def losses(self, batch):
        self.noted = [
            *getattr(self, "noted", []),
            [batch.source.inputs, batch.target.inputs, batch.unlabelled],
        ]
        return super().losses(batch)


def seen(augmentation: str, stream: tuple = (0, "test")) -> list[list[torch.Tensor]]:
    torch.manual_seed(0)
    strategy = Looking(Classifier(LeNet((1, 16, 16)), classes=3))
    pools = Pools(images(9, 1), images(6, 2), images(12, 3).inputs)
    fit(strategy, pools, {}, SETTINGS._replace(augmentation=augmentation, batch_size=6), stream)
    return strategy.noted


def test_every_part_of_a_batch_is_augmented_by_draws_of_its_own_and_the_items_stay_the_same():
    plain, cropped = seen("none"), seen("crop")
    for batch, moved in zip(plain, cropped, strict=True):
        for part, other in zip(batch, moved, strict=True):
            for image, shifted in zip(part, other, strict=True):
                shifts = [(y, x) for y in range(-2, 3) for x in range(-2, 3)]
                places = torch.arange(16)
                found = [
                    s
                    for s in shifts
                    if torch.equal(
                        shifted[0], image[0][(places + s[0]).clamp(0, 15)][:, (places + s[1]).clamp(0, 15)]
                    )
                ]
                assert len(found) == 1
    assert not any(torch.equal(*pair) for pair in zip(cropped[0], plain[0], strict=True))
    again, other = seen("crop"), seen("crop", stream=(1, "test"))
    assert all(
        torch.equal(a, b) for x, y in zip(cropped, again, strict=True) for a, b in zip(x, y, strict=True)
    )
    assert not torch.equal(other[0][0], cropped[0][0])


def test_evaluations_are_not_augmented_and_training_is_other():
    strategy, pools, items = CASES["lenet with dropout"]
    plain, cropped = (
        fit(strategy(), pools, items, SETTINGS._replace(augmentation=a), (0, "test"))
        for a in ("none", "crop_flip")
    )
    assert torch.equal(plain.predictions["toy/test"][0], cropped.predictions["toy/test"][0])
    assert not torch.equal(plain.predictions["toy/test"][12], cropped.predictions["toy/test"][12])


@pytest.mark.parametrize("last", [4, 8])
@pytest.mark.parametrize("augmentation", ["crop_flip", "affine"])
def test_an_augmented_fit_resumes_bit_identical(tmp_path, augmentation, last):
    strategy, pools, items = CASES["lenet with dropout"]
    settings = SETTINGS._replace(augmentation=augmentation, label_smoothing=0.1)
    stop_after(last, tmp_path, strategy, pools, items, settings=settings)
    assert bits(fit(strategy(), pools, items, settings, (0, "test"), Monitoring(tmp_path))) == bits(
        fit(strategy(), pools, items, settings, (0, "test"))
    )


# --- stopped and resumed


def lenet_strategy() -> TargetOnly:
    torch.manual_seed(0)
    return TargetOnly(Classifier(LeNet((1, 16, 16)), classes=3))


def dann_strategy() -> DANN:
    torch.manual_seed(0)
    return DANN(Classifier(MLP((4,), hidden=[8]), classes=3), hidden=8)


def images(size: int, seed: int = 0) -> LabelledData:
    inputs = torch.randint(
        0, 256, (size, 1, 16, 16), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )
    return LabelledData(inputs, torch.arange(size) % 3, torch.zeros(size, dtype=torch.int64))


CASES = {
    "mlp": (mlp_strategy, Pools(target=labelled(10)), scored(labelled(30, seed=1))),
    "lenet with dropout": (lenet_strategy, Pools(target=images(10)), scored(images(6, seed=1))),
    "dann": (
        dann_strategy,
        Pools(labelled(20, 2), labelled(10), labelled(15, 3).inputs),
        scored(labelled(30, seed=1)),
    ),
}


def stop_after(
    last: int,
    folder,
    strategy,
    pools=CASES["mlp"][1],
    items=CASES["mlp"][2],
    error=RuntimeError,
    settings=SETTINGS,
    **arguments,
) -> None:
    def stop(step: int, row: dict) -> None:
        if step == last:
            raise error

    with pytest.raises(error):
        fit(strategy(), pools, items, settings, (0, "test"), Monitoring(folder, stop, **arguments))


@pytest.mark.parametrize("last", [4, 8, 12])
@pytest.mark.parametrize("case", CASES)
def test_a_resumed_fit_ends_bit_identical_to_one_never_stopped(tmp_path, case, last):
    strategy, pools, items = CASES[case]
    whole = strategy()
    expected = fit(whole, pools, items, SETTINGS, (0, "test"))
    stop_after(last, tmp_path, strategy, pools, items)
    heard, resumed = [], strategy()  # built anew, as in the process that takes the run up
    outcome = fit(
        resumed,
        pools,
        items,
        SETTINGS,
        (0, "test"),
        Monitoring(tmp_path, lambda step, row: heard.append(step)),
    )
    assert bits(outcome) == bits(expected)
    assert heard == [step for step in (4, 8, 12) if step > last]  # what was done is not done again
    assert all(
        torch.equal(a, b)
        for a, b in zip(resumed.state_dict().values(), whole.state_dict().values(), strict=True)
    )


def test_a_fit_stopped_twice_is_resumed_twice(tmp_path):
    for last in (4, 8):
        stop_after(last, tmp_path, mlp_strategy)
    assert bits(train(folder=tmp_path)) == bits(train())


def test_ctrl_c_stops_a_fit_and_leaves_it_resumable(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    stop_after(4, tmp_path, mlp_strategy, error=KeyboardInterrupt)
    assert signal.getsignal(signal.SIGINT) is before
    assert bits(train(folder=tmp_path)) == bits(train())


# --- outputs on disk


def test_outputs_lie_beside_the_checkpoint_and_not_in_it(tmp_path):
    outcome = train(folder=tmp_path)
    files = sorted(tmp_path.glob("outputs/*/*"))
    assert [file.name for file in files] == ["000000.npy", "000004.npy", "000008.npy", "000012.npy"]
    content = torch.load(tmp_path / "checkpoint.ckpt", weights_only=True)
    state = content["callbacks"]["EvaluationCallback"]
    assert [list(steps) for steps in state["outputs"].values()] == [
        [0, 4, 8, 12]
    ] and "predictions" not in state
    assert np.array_equal(np.load(files[2]), outcome.predictions["toy/test"][8].numpy())
    assert bits(outcome) == bits(train())  # which keeps them in memory


def of_an_earlier_kind(folder) -> None:
    path = folder / "checkpoint.ckpt"
    content = torch.load(path, weights_only=True)
    state = content["callbacks"]["EvaluationCallback"]
    del state["outputs"]
    state["predictions"] = {"toy/test": {0: torch.zeros(30, 3), 4: torch.zeros(30, 3), 8: torch.zeros(30, 3)}}
    torch.save(content, path)


def one_flipped(folder) -> None:
    [path] = folder.glob("outputs/*/000004.npy")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: next(folder.glob("outputs/*/000004.npy")).unlink(), "damaged (outputs"),
        (one_flipped, "damaged (outputs"),
        (of_an_earlier_kind, "of an earlier transferscope"),
    ],
    ids=["missing", "damaged", "earlier"],
)
def test_without_the_outputs_before_it_a_checkpoint_is_set_aside(tmp_path, capsys, change, said):
    stop_after(8, tmp_path, mlp_strategy)
    change(tmp_path)
    heard = []
    outcome = train(folder=tmp_path, after_interval=lambda step, row: heard.append(step))
    assert bits(outcome) == bits(train()) and heard == [4, 8, 12]
    [line] = capsys.readouterr().err.splitlines()
    assert f"checkpoint.ckpt: {said}" in line and line.endswith("trained from the start")


def test_outputs_beyond_the_checkpoint_are_written_again(tmp_path):
    stop_after(8, tmp_path, mlp_strategy)
    [folder] = tmp_path.glob("outputs/*")
    (folder / "000012.npy").write_bytes(b"half")
    (folder / "draft").write_bytes(b"half")
    assert bits(train(folder=tmp_path)) == bits(train())
