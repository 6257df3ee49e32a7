"""Shifts made for the shallow methods, and shifts that break what each assumes: `Shift` of tiny_shallow."""

import numpy as np

from tiny_shallow import circle


def correlated(size, draw, is_target):
    """In the target the two features are stretched along one diagonal and squeezed along the other."""
    inputs, labels, _ = circle(size, draw)
    return inputs @ (np.array([[1.0, 0.85], [0.85, 1.0]]) if is_target else np.eye(2)), labels


def stretched(size, draw, is_target):
    """As `correlated`, and moved."""
    inputs, labels = correlated(size, draw, is_target)
    return inputs + is_target * np.array([3, -1]), labels


def elsewhere(size, draw, is_target, degrees=75):
    """Two strong features among twelve; in the target they are others, save for a component of cos 75° in the
    old ones."""
    plane, labels, random = circle(size, draw)
    inputs = 0.8 * random.normal(size=(size, 12))
    turn = np.deg2rad(degrees) * is_target
    inputs[:, :2] += np.cos(turn) * plane
    inputs[:, 2:4] += np.sin(turn) * plane
    return inputs, labels


def buried(size, draw, is_target):
    """No shift: two strong features among two hundred of noise."""
    plane, labels, random = circle(size, draw, radius=2.5)
    return np.c_[plane, random.normal(size=(size, 200))], labels


def apart(size, draw, is_target):
    """The target is moved by far along a mixture of the features without meaning and those with."""
    plane, labels, random = circle(size, draw)
    inputs = np.c_[plane, 0.5 * random.normal(size=(size, 4))]
    return inputs + is_target * 3 * np.array([1.0, 0.5, 1, 1, -1, 1]), labels


def crossed(size, draw, is_target):
    """Two features tell the classes; two louder ones do as well, in the source, and have the same values in
    another order in the target."""
    plane, labels, random = circle(size, draw, radius=2.0)
    loud, _, _ = circle(size, 1000 + draw, radius=0.0)
    angles = 2 * np.pi * (labels + is_target) / 3
    return np.c_[
        2 * plane,
        2.5 * np.stack([np.cos(angles), np.sin(angles)], 1) + loud + 0.3 * random.normal(size=(size, 2)),
    ], labels


def partly(size, draw, is_target):
    """A class within a band, the other around it: no line tells them apart. The target lies about one edge of
    the band, where one does."""
    random = np.random.default_rng(draw)
    inputs = (
        random.normal(size=(size, 2)) * [0.6, 1] + [1.2, 0]
        if is_target
        else random.uniform(-3, 3, size=(size, 2))
    )
    return inputs, (np.abs(inputs[:, 0]) > 1.2).astype(np.int64)


# --- what breaks them


def other_shares(size, draw, is_target):
    """Three classes on a line, each where it was; most items are of the first in the source and of the second
    in the target."""
    random = np.random.default_rng(draw)
    labels = random.choice(3, size=size, p=[0.1, 0.8, 0.1] if is_target else [0.8, 0.1, 0.1])
    return np.c_[2 * (labels - 1) + 0.3 * random.normal(size=size), random.normal(size=(size, 2))], labels


def quiet(size, draw, is_target):
    """No shift: the classes lie in two weak features beside two strong ones of noise."""
    plane, labels, random = circle(size, draw, radius=1.5, noise=0.3)
    return np.c_[plane, 4 * random.normal(size=(size, 2))], labels


def wrong_there(size, draw, is_target):
    """The source's labels are the other way round where the target lies."""
    random = np.random.default_rng(draw)
    inputs = (
        random.normal(size=(size, 2)) * [1, 0.4] + [0, 2]
        if is_target
        else random.uniform(-3, 3, size=(size, 2))
    )
    right = inputs[:, 0] > 0
    return inputs, (right if is_target else right ^ (inputs[:, 1] > 1.2)).astype(np.int64)


# --- what z-scores by domain are for, and what they break


def other_units(size, draw, is_target):
    """Every feature has another origin and another scale in the target: z-scores by domain take that away."""
    inputs, labels, _ = circle(size, draw)
    return (inputs * [0.5, 2] + [4, -2] if is_target else inputs), labels


def one_rule(size, draw, is_target):
    """Covariate shift: the class is the sign of the first feature wherever an item lies, and in the target
    most lie on one side. z-scores by domain put the target's middle where the source's rule is."""
    random = np.random.default_rng(draw)
    inputs = random.normal(size=(size, 2)) * ([0.7, 1] if is_target else [1.5, 1]) + [is_target, 0]
    return inputs, (inputs[:, 0] > 0).astype(np.int64)


def swapped(size, draw, is_target):
    """Concept shift: the inputs are distributed alike; in the target two of the three classes bear each
    other's names."""
    inputs, labels, _ = circle(size, draw)
    return inputs, np.array([1, 0, 2])[labels] if is_target else labels


TWO = ("strategy.dimensions=2",)
GAINS = {  # name -> shift, keys
    "coral": (correlated, ()),
    "linear_optimal_transport": (stretched, ()),
    "optimal_transport": (stretched, ()),
    "subspace_alignment": (elsewhere, TWO),
    "gfk": (elsewhere, TWO),
    "pca": (buried, TWO),
    "tca": (apart, ()),
    "jda": (crossed, ()),
    "kmm": (partly, ()),
}
LOSSES = {
    "coral": (other_shares, ()),
    "linear_optimal_transport": (other_shares, ()),
    "optimal_transport": (other_shares, ()),
    "subspace_alignment": (quiet, TWO),
    "gfk": (quiet, TWO),
    "pca": (quiet, TWO),
    "tca": (other_shares, TWO),
    "jda": (other_shares, ()),
    "kmm": (wrong_there, ()),
}
# shift -> the verdict of whatever makes the domains' inputs alike, against a classifier that takes nothing of
# the target
BY_DEFAULTS = {
    other_units: "positive",
    one_rule: "negative",
    other_shares: "negative",  # label shift: the classes lie where they were
    swapped: "equivalent",  # nothing in the inputs tells
}
