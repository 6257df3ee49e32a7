"""Proxy A-distance (Ben-David et al. 2007, Analysis of representations for domain adaptation; 2010, Machine
Learning 79)."""

import warnings
from math import sqrt

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from transferscope.distances._inputs import require_samples
from transferscope.errors import RequestError

VERSION = "5324d16d"  # part of the keys of kept rankings: change it when the numbers change

Z95 = 1.959964


def proxy_a_distance(
    source: Tensor, target: Tensor, generator: torch.Generator, folds: int = 5
) -> tuple[float, tuple[float, float]]:
    """2 (1 - 2 ε), ε the error of a classifier that tells source from target: 0 = cannot tell, 2 = always can

    source [N, d], target [M, d] → (estimate, (lo, hi)), a 95 % interval. Not differentiable. Items are taken
    as independent: where they come in groups (writers, fonts) the interval is too narrow and the estimate too
    high. generator: draws the folds. At least two items each; fewer folds where a domain has fewer items.
    Raises RequestError where an input is not finite. Deviations: ε is the mean of the two domains' errors, so
    that unequal N and M do not count as distance; the classifier is a logistic regression on standardised
    features, every item is predicted by one that has not seen it, and ε may exceed ½, which gives a value
    below 0. The interval combines the two domains' Wilson intervals (Newcombe 1998, method 10); it does not
    know that the folds share a classifier's luck: simulated, it covers 0.95-0.97 where domains differ and
    0.85-0.9 where they are equal.

    >>> near, _ = proxy_a_distance(torch.eye(20), torch.eye(20), torch.Generator().manual_seed(0))
    >>> generator = torch.Generator().manual_seed(0)
    >>> far, (low, high) = proxy_a_distance(torch.eye(20), torch.eye(20) + 1, generator)
    >>> near <= 0, far, high
    (True, 2.0, 2.0)
    """
    require_samples(source, target, least=2)
    features = torch.cat([source, target]).detach().cpu().double().numpy()  # [N + M, d]
    if not np.isfinite(features).all():
        raise RequestError(
            "proxy_a_distance: source or target holds values that are not finite; only numbers can be told "
            "apart"
        )
    is_target = np.repeat([0, 1], [len(source), len(target)])
    seed = int(torch.randint(2**31, (1,), generator=generator, device=generator.device))
    splits = StratifiedKFold(min(folds, len(source), len(target)), shuffle=True, random_state=seed)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=300))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of a separable pair: its error is 0 long before
        wrong = cross_val_predict(classifier, features, is_target, cv=splits) != is_target
    errors = [wrong[is_target == side].mean() for side in (0, 1)]
    (low_s, high_s), (low_t, high_t) = (
        _wilson(error, n) for error, n in zip(errors, (len(source), len(target)), strict=True)
    )
    error = sum(errors) / 2
    low = error - sqrt((errors[0] - low_s) ** 2 + (errors[1] - low_t) ** 2) / 2
    high = error + sqrt((high_s - errors[0]) ** 2 + (high_t - errors[1]) ** 2) / 2
    return float(2 - 4 * error), (float(2 - 4 * high), float(2 - 4 * low))


def _wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a binomial share."""
    centre = (share + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2))
    return centre - half, centre + half
