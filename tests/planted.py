"""Shifts made for the strategies that train a network, which strategy is held to which, and the verdict of
five seeds."""

from functools import partial

import numpy as np
import torch

from toy_fit import circle
from transferscope.data.splits import LabelledData
from transferscope.statistics.verdict import Judgement, Pair, judge

SEEDS, TEST = range(5), 300
MARGIN = 0.03  # 300 test items can show no less


def verdict(ours: np.ndarray, theirs: np.ndarray, smallest_class: int) -> Judgement:
    """Of a family of one. ours, theirs: of each seed and test item, whether it is right [K, n]."""
    none = np.zeros(len(ours), dtype=bool)
    return judge([Pair(ours - theirs, none, none, smallest_class)], margin=MARGIN, alpha=0.05, family_size=1)[
        0
    ]


def items(inputs: np.ndarray, labels: np.ndarray, domain: np.ndarray | None = None) -> LabelledData:
    """Pictures stay bytes."""
    inputs = inputs if inputs.dtype == np.uint8 else inputs.astype(np.float32)
    return LabelledData(
        *(
            torch.from_numpy(column)
            for column in (inputs, labels, np.zeros_like(labels) if domain is None else domain)
        )
    )


def turned(size: int, draw: int, is_target: bool, degrees: float = 50) -> LabelledData:
    """Three clusters apart from each other on a circle, turned in the target: past 60 degrees each would be
    nearer to the next class."""
    random, labels = np.random.default_rng(draw), np.arange(size) % 3
    angles = 2 * np.pi * labels / 3 + np.deg2rad(degrees) * is_target
    plane = 3 * np.stack([np.cos(angles), np.sin(angles)], axis=1) + 0.5 * random.normal(size=(size, 2))
    return items(np.c_[plane, random.normal(size=(size, 2))], labels)


turned_too_far = partial(turned, degrees=65)


def partly_turned(size: int, draw: int, is_target: bool) -> LabelledData:
    """As `turned`, by 40 degrees; of the source's three classes the target has the first two."""
    whole = turned(3 * size, draw, is_target, degrees=40)
    kept = torch.nonzero(whole.labels < (2 if is_target else 3))[:size, 0]
    return LabelledData(*(column[kept] for column in whole))


def shrunk(size: int, draw: int, is_target: bool) -> LabelledData:
    """Three Gaussian classes in four features; the target is about a third of the size."""
    random, labels = np.random.default_rng(draw), np.arange(size) % 3
    means = np.random.default_rng(0).normal(scale=2.0, size=(3, 8))[:, :4]
    return items((means[labels] + random.normal(size=(size, 4))) * (0.35 if is_target else 1), labels)


def shrunk_from_two(size: int, draw: int, is_target: bool) -> LabelledData:
    """As `shrunk`, and half of the source is a second domain of twice the size."""
    whole, domain = shrunk(size, draw, is_target), torch.arange(size) // 3 % 2 * (not is_target)
    return whole._replace(inputs=whole.inputs * (1 + domain[:, None]), domain=domain)


def elsewhere(size: int, draw: int, is_target: bool) -> LabelledData:
    """The class lies on a circle of two features and, in the source alone, of two more; in the target these
    are at one place for all."""
    random, labels = np.random.default_rng(draw), np.arange(size) % 3
    circle = np.stack([np.cos(2 * np.pi * labels / 3), np.sin(2 * np.pi * labels / 3)], axis=1)
    others = np.array([[2.0, 0.0]]).repeat(size, axis=0) if is_target else 1.5 * circle
    return items(np.c_[1.6 * circle, others] + 0.6 * random.normal(size=(size, 4)), labels)


def partly_elsewhere(size: int, draw: int, is_target: bool) -> LabelledData:
    """As `elsewhere`; of the source's three classes the target has the first two."""
    whole = elsewhere(3 * size, draw, is_target)
    kept = torch.nonzero(whole.labels < (2 if is_target else 3))[:size, 0]
    return LabelledData(*(column[kept] for column in whole))


def unbalanced(size: int, draw: int, is_target: bool) -> LabelledData:
    """Three classes that overlap along one of four features, equally frequent in the source; of 20 target
    items 18, 1 and 1 are theirs."""
    random, place = np.random.default_rng(draw), np.arange(size)
    labels = np.array([0] * 18 + [1] + [2])[place % 20] if is_target else place % 3
    inputs = random.normal(size=(size, 4))
    inputs[:, 0] += 1.2 * (labels - 1)
    return items(inputs, labels)


def of_shares(whole: LabelledData, classes: list[int], size: int) -> LabelledData:
    """Items of `whole` whose classes are those told, again and again."""
    places = {c: iter(torch.nonzero(whole.labels == c)[:, 0].tolist()) for c in set(classes)}
    kept = [next(places[classes[place % len(classes)]]) for place in range(size)]
    return LabelledData(*(column[kept] for column in whole))


def skewed_elsewhere(size: int, draw: int, is_target: bool) -> LabelledData:
    """As `elsewhere`, and of nine target items six, two and one are of the classes."""
    return of_shares(
        elsewhere(9 * size, draw, is_target), [0] * 6 + [1] * 2 + [2] if is_target else [0, 1, 2], size
    )


def skewed_turned(size: int, draw: int, is_target: bool) -> LabelledData:
    """As `turned`, by 45 degrees, and of twenty target items fourteen, three and three are of the classes."""
    return of_shares(
        turned(3 * size, draw, is_target, degrees=45),
        [0] * 14 + [1] * 3 + [2] * 3 if is_target else [0, 1, 2],
        size,
    )


def paired(size: int, draw: int, is_target: bool) -> LabelledData:
    """Six clusters on a circle of two features, and twenty of noise. The source's classes are the clusters;
    the target, turned a little, takes opposite ones for one class, which no line tells apart."""
    random, cluster = np.random.default_rng(draw), np.arange(size) % 6
    angles = 2 * np.pi * cluster / 6 + np.deg2rad(10) * is_target
    plane = 3 * np.stack([np.cos(angles), np.sin(angles)], axis=1) + 0.5 * random.normal(size=(size, 2))
    return items(np.c_[plane, random.normal(size=(size, 20))], cluster % 3 if is_target else cluster)


def misleading(size: int, draw: int, is_target: bool) -> LabelledData:
    """The class is told by a noisy circle of two features and, in the larger of two source domains, by a
    clear one of two more. In the smaller, a twentieth of the items, and in the target these say nothing."""
    random, labels = np.random.default_rng(draw), np.arange(size) % 3
    small = is_target | (np.arange(size) < size / 20)
    clear = circle(np.where(small, random.integers(3, size=size), labels))
    inputs = 1.6 * np.c_[circle(labels), clear] + np.array([0.9, 0.9, 0.3, 0.3]) * random.normal(
        size=(size, 4)
    )
    return items(inputs, labels, small * (1 - is_target))


def mislabelled(size: int, draw: int, is_target: bool) -> LabelledData:
    """A noisy circle of two features, the same in both; of the source a twentieth is a domain whose labels
    are drawn at random."""
    random, labels = np.random.default_rng(draw), np.arange(size) % 3
    inputs = np.c_[1.6 * circle(labels) + 0.9 * random.normal(size=(size, 2)), random.normal(size=(size, 2))]
    small = (np.arange(size) < size / 20) & (not is_target)
    return items(inputs, np.where(small, random.integers(3, size=size), labels), small.astype(np.int64))


def renamed(size: int, draw: int, is_target: bool) -> LabelledData:
    """Six clusters on a circle in two of twenty directions, three classes of two opposite clusters; in the
    source they bear each other's names."""
    random, which = np.random.default_rng(draw), np.arange(size) % 6
    plane = 2.5 * circle(which, of=6) + 0.5 * random.normal(size=(size, 2))
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 20)))
    return items(np.c_[plane, random.normal(size=(size, 18))] @ turn, (which + (not is_target)) % 3)


GLYPHS = np.zeros((3, 12, 12))
GLYPHS[0, 2:4, 1:11] = GLYPHS[0, :, 5:7] = 1  # a cross
GLYPHS[1, :, 1:3] = GLYPHS[1, 10:12, 1:11] = 1  # a corner
GLYPHS[2] = np.eye(12) + np.eye(12)[::-1] + np.eye(12, k=-1) + np.eye(12, k=1)[::-1] > 0  # two diagonals
BRIGHTNESS, CONTRAST = np.array([60, 110, 20]), np.array([40, 70, 130])


def styled(size: int, draw: int, is_target: bool) -> LabelledData:
    """Three glyphs somewhere in noisy images; in the source each has its own brightness and contrast, in the
    target any."""
    random, labels = np.random.default_rng(draw), np.arange(size) % 3
    style = (random.integers(3, size=size) if is_target else labels)[:, None, None]
    images = 0.4 * random.normal(size=(size, 16, 16))
    for image, label, (row, column) in zip(images, labels, random.integers(5, size=(size, 2)), strict=True):
        image[row : row + 12, column : column + 12] += GLYPHS[label]
    return items(
        np.clip(BRIGHTNESS[style] + CONTRAST[style] * images, 0, 255).astype(np.uint8)[:, None], labels
    )


def tinted(size: int, draw: int, is_target: bool) -> LabelledData:
    """No shift: the class is the brightness of an image of noise."""
    random, labels = np.random.default_rng(draw), np.arange(size) % 3
    images = 88 + 12 * labels[:, None, None] + 40 * random.normal(size=(size, 8, 8))
    return items(np.clip(images, 0, 255).astype(np.uint8)[:, None], labels)


# --- who is held to what

OVER_SOURCE_ONLY = {
    "bnm": turned, "mcc": turned, "shot": turned, "deep_coral": shrunk, "tent": shrunk, "adaptive_bn": shrunk,
    "group_dro": misleading, "label_shift": unbalanced, "sar": shrunk,
}  # fmt: skip
SLOWLY_OVER_SOURCE_ONLY = {
    "aad": turned, "mdd": turned, "jan": turned, "minimum_entropy": turned, "dan": turned, "mcd": turned,
    "cdan": shrunk, "cdan_e": shrunk, "dann": elsewhere, "adda": elsewhere, "deep_jdot": elsewhere,
    "pada": partly_elsewhere, "mixstyle": styled, "iwdan": skewed_elsewhere, "m3sda": shrunk_from_two,
}  # fmt: skip
WITH_KEYS_OF_THEIR_OWN = {"afn", "mme"}
OVER_SCRATCH_FROM_A_SOURCE_MODEL = [
    "fine_tuning", "feature_extraction", "l2_sp", "delta", "bss", "co_tuning", "lp_ft", "discriminative",
    "layer_decay", "gradual_unfreezing", "last_groups", "norm_only", "bias_only", "lora", "linear_svm",
    "logistic_regression", "nearest_mean", "nearest_neighbour",
]  # fmt: skip
OVER_SCRATCH = {  # name -> shift, labels a class
    "joint": (partial(turned, degrees=20), 1),
    "wise_ft": (partial(turned, degrees=20), 1),
    "target_ssl": (turned, 2),
    "consistency": (turned, 2),
    "multi_task": (renamed, 4),
    "multi_task_uncertainty": (renamed, 4),
    "multi_task_pcgrad": (renamed, 4),
}
AVOID_HARM = {"gated_dann", "instance_weights", "safe_choice"}  # in test_planted_harm.py
# heads that are held to scikit-learn and to their contract: of numbers, and of more neighbours than few
# labels leave one
OF_SCIKIT_LEARN = {"ridge", "linear_svr", "nearest_neighbours"}
# what others are held against
BASELINES = {
    "scratch", "target_only", "source_only", "source_nearest_neighbour", "source_svm", "boosted_trees",
    "source_boosted_trees", "zero_shot",
}  # fmt: skip
