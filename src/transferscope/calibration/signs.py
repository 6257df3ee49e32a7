"""Signs: synthetic shifts whose effect on the target has a sign by construction come out with that sign.

Two classes; features are independent normals; what each design changes, and why the sign follows, is its
docstring. The models are linear (logistic regression), so that the arguments are about the minimiser of the
strategy's own loss and not about a network's luck."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit, ndtr
from torch import Tensor, nn

from transferscope.backbones.base import Backbone
from transferscope.calibration.findings import ALPHA, MARGIN, Finding, Size, watched
from transferscope.calibration.runs import hits, initialised, settings, tested
from transferscope.data.domain import Domain
from transferscope.data.splits import Pools, generator, prepare, source_pool
from transferscope.networks.classifier import Classifier
from transferscope.statistics.verdict import Pair, judge
from transferscope.strategies.base import Strategy
from transferscope.strategies.feature_extraction import FeatureExtraction
from transferscope.strategies.joint import Joint
from transferscope.strategies.source_only import SourceOnly
from transferscope.strategies.target_only import TargetOnly
from transferscope.training import evaluate
from transferscope.training.fit import fit

FEATURES = 20
SEPARATION = 2.0  # between the class means, in standard deviations: the best accuracy is ndtr(1) = 0.84
TRAINING, TEST = 2_000, 2_000  # items of either domain; the target's test items
SEEDS = 10
STEPS = 100


class Linear(Backbone):
    """The inputs as they are: with its head, logistic regression."""

    def __init__(self, input_shape: tuple[int, ...]):
        super().__init__()
        self.features = input_shape[0]

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs


class Direction(Backbone):
    """One learned direction of the inputs."""

    def __init__(self, input_shape: tuple[int, ...]):
        super().__init__()
        self.features = 1
        self.direction = nn.Linear(input_shape[0], 1, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.direction(inputs)


def classes_apart(rng: np.random.Generator, labels: np.ndarray, axis: int = 0) -> np.ndarray:
    """float [N, d]: unit variance, the class means SEPARATION apart along one axis."""
    inputs = rng.normal(size=(len(labels), FEATURES))
    inputs[:, axis] += SEPARATION * (labels - 0.5)
    return inputs


def balanced(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.permutation(np.arange(n) % 2)


# generator, items -> inputs [n, d], labels [n]
Sample = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]


def blobs(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    labels = balanced(rng, n)
    return classes_apart(rng, labels), labels


def swapped(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    inputs, labels = blobs(rng, n)
    return inputs, 1 - labels


def mostly_first(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    labels = (rng.random(n) < 0.05).astype(int)
    return classes_apart(rng, labels), labels


def one_sided_noise(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    inputs, labels = blobs(rng, n)
    return inputs, np.where(rng.random(n) < 0.6, 1, labels)


def other_axis(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    labels = balanced(rng, n)
    return classes_apart(rng, labels, axis=1), labels


def one_rule(rng: np.random.Generator, n: int, centre: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """p(y | x) is logistic in the first feature wherever the inputs lie; `centre` moves them along all
    others."""
    inputs = rng.normal(size=(n, FEATURES))
    inputs[:, 1:] += centre
    return inputs, (rng.random(n) < expit(4 * inputs[:, 0])).astype(int)


def one_rule_elsewhere(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    return one_rule(rng, n, centre=1.0)


@dataclass(frozen=True)
class Design:
    """sign: of Δ against scratch, by `why`. predicted: Δ in the limit of many labels, where there is a closed
    form."""

    name: str
    sign: int
    why: str
    source: Sample
    target: Sample = blobs
    strategy: type[Strategy] = Joint
    source_weight: float = 1.0
    label_budget: int = 5
    backbone: type[Backbone] = Linear
    predicted: float | None = None


def prior_shift_loss(prior: float) -> float:
    """Accuracy lost on balanced classes by the Bayes rule for a prior of class 1: its threshold lies off the
    middle by log odds / SEPARATION."""
    off, middle = np.log((1 - prior) / prior) / SEPARATION, SEPARATION / 2
    return float((ndtr(middle + off) + ndtr(middle - off)) / 2 - ndtr(middle))


# labels a class at which the target alone is nearly at its best, so that what is left of Δ is the source's
# harm
ENOUGH = 500
DESIGNS = (
    Design(
        "no shift", +1, ("2,000 labels of the target's own distribution beside 10 that leave twenty "
            "coefficients nearly free"), blobs,
    ),
    Design(
        "covariate shift", +1,
        ("p(y | x) is one logistic rule in both domains and the model holds it: wherever the source's inputs "
            "lie, its labels say the same"),
        one_rule_elsewhere, one_rule,
    ),
    Design(
        "label shift", -1,
        "p(x | y) is one, p(y) is not: the minimiser of E_T + 4 E_S is the Bayes rule of the pooled prior "
            "(0.5 + 4 · 0.05) / 5 = 0.14, whose threshold is wrong for balanced classes",
        mostly_first, source_weight=4.0, label_budget=ENOUGH, predicted=prior_shift_loss(0.14),
    ),
    Design(
        "concept shift", -1,
        ("p(x) is one, the labels are swapped: the pooled posterior is (p + 2 (1 − p)) / 3, which prefers "
            "the wrong class everywhere"),
        swapped, source_weight=2.0, label_budget=ENOUGH, predicted=float(1 - 2 * ndtr(SEPARATION / 2)),
    ),
    Design(
        "label noise", -1,
        "60 % of the source's labels are set to class 1: the pooled posterior of class 1 is (p + 4 (0.4 p + "
            "0.6)) / 5 = 0.52 p + 0.48, which "
        "is over one half wherever p > 0.04: nearly everything is called class 1",
        one_sided_noise, source_weight=4.0, label_budget=ENOUGH,
    ),
    Design(
        "subspace shift", -1,
        "the source's classes differ along one axis, the target's along another: one frozen direction "
            "learned from the source is noise on the "
        "target, and what it does not carry no head can use", other_axis, strategy=FeatureExtraction,
        label_budget=ENOUGH, backbone=Direction, predicted=float(0.5 - ndtr(SEPARATION / 2)),
    ),
    Design(
        "shared subspace", +1,
        ("the same with one axis for both: the frozen direction is the right one, and 10 labels need only "
            "place a threshold on it"),
        blobs, strategy=FeatureExtraction, backbone=Direction,
    ),
)  # fmt: skip


def study(size: Size) -> Iterator[Finding]:
    """Every repeat judges the designs as one family, on seeds of its own."""
    verdicts, deltas = [], []
    for repeat in watched(range(size.repeats), "signs: shifts by construction"):
        judged = judge([pair(design, repeat) for design in DESIGNS], MARGIN, ALPHA, len(DESIGNS))
        verdicts.append([{"positive": 1, "negative": -1}.get(judgement.verdict, 0) for judgement in judged])
        deltas.append([judgement.delta for judgement in judged])
    for design, signs, delta in zip(DESIGNS, np.transpose(verdicts), np.transpose(deltas), strict=True):
        detail = {
            "delta": float(delta.mean()),
            "predicted": "" if design.predicted is None else design.predicted,
            "argument": design.why,
        }
        right = not np.any(signs == -design.sign) and np.mean(signs == design.sign) >= 0.8
        yield Finding(
            "signs",
            design.name,
            design.sign,
            float(signs.mean()),
            bool(right),
            size.repeats,
            "component-wise t, Holm",
            detail,
        )


def pair(design: Design, repeat: int) -> Pair:
    """The design's strategy against scratch, K seeds that no other repeat has."""
    target = domain("target", design, design.target, repeat, TEST)
    source = domain("source", design, design.source, repeat, 0)
    seeds = range(repeat * SEEDS, (repeat + 1) * SEEDS)
    arms = [
        [trained(design, kind, target, source, seed) for seed in seeds]
        for kind in (design.strategy, TargetOnly)
    ]
    right, collapsed = zip(
        *([np.array(column) for column in zip(*arm, strict=True)] for arm in arms), strict=True
    )
    smallest = int(target.labels[target.split == "test"].bincount().min())
    return Pair(right[0].astype(float) - right[1], *collapsed, smallest)


def domain(name: str, design: Design, sample: Sample, repeat: int, test: int) -> Domain:
    """Fresh items for each repeat: test items are part of what is claimed."""
    inputs, labels = sample(generator("calibration", "signs", design.name, name, repeat), TRAINING + test)
    return Domain.build(
        name,
        torch.from_numpy(inputs.astype(np.float32)),
        labels.astype(str).tolist(),
        [f"{name}-{i}" for i in range(len(labels))],
        split=["train"] * TRAINING + ["test"] * test,
    )


def trained(
    design: Design, kind: type[Strategy], target: Domain, source: Domain, seed: int
) -> tuple[np.ndarray, bool]:
    """(which test items are right, whether the run collapsed)"""
    alone = kind is TargetOnly
    run_data = prepare(target, () if alone else (source,), kind.sees, design.label_budget, seed, split_seed=0)
    stream = (seed, kind.__name__, design.name)
    network = initialised(design.backbone, run_data, stream)
    if kind is FeatureExtraction:
        network.load_source(source_model(design, network, source, seed), keep_head=True)
    strategy = Joint(network, design.source_weight) if kind is Joint else kind(network)
    outcome = fit(strategy, run_data.pools, tested(run_data), settings(STEPS, 0.05, batch_size=64), stream)
    return hits(run_data, outcome), bool(
        evaluate.collapse(outcome, "target/test", run_data.evaluated["target/test"].labels, run_data.task)
    )


def source_model(design: Design, like: Classifier, source: Domain, seed: int) -> dict[str, Tensor]:
    pool, _ = source_pool((source,), source.task, seed, 0, 0.0, source.inputs.shape[1:])
    network = Classifier(design.backbone(source.inputs.shape[1:]), len(source.classes))
    network.load_state_dict(like.state_dict())
    fit(
        SourceOnly(network),
        Pools(source=pool),
        {},
        settings(STEPS, 0.05, batch_size=64),
        (seed, "source model", design.name),
    )
    return network.state_dict()
