"""When a finished predictor of classes or numbers counts as collapsed. numpy alone, so that results made
elsewhere are held to the same rule without torch."""

import numpy as np

from transferscope.store.record import CHANCE_LEVEL, CONSTANT

CONSTANT_SHARE = 0.99  # a predictor that gives one class to this share of the items is called constant

CONSTANT_SPREAD = 0.01  # predictions that vary by less than this share of what the targets do are one number


def of_classes(named: np.ndarray, targets: np.ndarray, classes: int) -> str:
    """Named and true classes [n], both int -> why the predictor counts as collapsed, or ''.

    Chance is judged by the mean recall of the classes that have an item: of a prediction that has nothing to
    do with the targets it is one over their number, whatever the shares of the classes. In a task of two
    classes, one that is wrong clearly more often than chance has learnt something that holds the other way
    round: harm, and no collapse."""
    n = len(targets)
    share = int(np.bincount(named, minlength=classes).max()) / n
    counts = np.bincount(targets, minlength=classes)
    if share >= CONSTANT_SHARE and share > int(counts.max()) / n:
        return f"{CONSTANT}: one class for {share:.0%} of the test items"
    right = np.bincount(targets[named == targets], minlength=classes)
    present = counts > 0
    recall = float((right[present] / counts[present]).mean())
    chance = 1 / int(present.sum())
    band = 2 * chance * float((chance * (1 - chance) / counts[present]).sum()) ** 0.5
    is_reversed = classes == 2 and recall < chance - band
    if recall <= chance + band and chance < 1 and not is_reversed:
        what = "test accuracy" if counts.min() == counts.max() else "balanced test accuracy"
        return f"{CHANCE_LEVEL}: {what} {recall:.3f} with {classes} classes"
    return ""


def of_numbers(predicted: np.ndarray, targets: np.ndarray) -> str:
    """Predicted and true numbers [n, T] -> why the predictor counts as collapsed, or ''.

    One number for all items, or no skill: not related to the targets beyond chance, and no better than the
    best single number. What is off by much and yet follows the targets, or their reverse, has learnt
    something."""
    predicted, targets = predicted.astype(float), targets.astype(float)
    least = np.finfo(float).tiny
    if bool((predicted.std(0) < CONSTANT_SPREAD * targets.std(0).clip(least)).all()):
        return f"{CONSTANT}: one number for all test items"
    n = len(targets)
    both = [part - part.mean(0) for part in (predicted, targets)]
    sizes = np.sqrt((both[0] ** 2).sum(0)) * np.sqrt((both[1] ** 2).sum(0))
    related = (both[0] * both[1]).sum(0) / sizes.clip(least)
    naive = np.abs(targets - np.median(targets, axis=0)).mean(0)
    error = np.abs(predicted - targets).mean(0)
    if n > 2 and bool(((np.abs(related) <= 2 / n**0.5) & (error >= naive)).all()):
        return f"{CHANCE_LEVEL}: correlation {float(related.mean()):.2f} with the targets"
    return ""
