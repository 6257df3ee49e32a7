"""Linear models of scikit-learn, as the weights of a linear layer."""

import numpy as np
import torch
from sklearn.base import ClassifierMixin, RegressorMixin, clone
from sklearn.preprocessing import StandardScaler
from torch import Tensor


def fit_standardised(
    model: ClassifierMixin, features: Tensor, labels: Tensor, standardise: bool = True
) -> tuple[Tensor, Tensor]:
    """Fit `model` to standardised features; (weight [C, d], bias [C]), float32 on the CPU, give its margins
    on the features as they are. standardise=False: fit it to these, here and below.

    features [n, d], labels [n] with every class of 0 to C - 1 among them. Of two classes the model has one
    margin z, which becomes the pair (-z / 2, z / 2): softmax of it is the sigmoid of z. Features that are not
    finite give weights that are not."""
    x, y = features.double().cpu().numpy(), labels.cpu().numpy()
    if not np.isfinite(x).all():
        return torch.full((y.max() + 1, x.shape[1]), torch.nan), torch.full((y.max() + 1,), torch.nan)
    mean, scale = _mean_and_scale(x, standardise)
    model.fit((x - mean) / scale, y)
    weight = model.coef_ / scale  # [C, d], or [1, d] for two classes
    bias = model.intercept_ - weight @ mean
    if len(bias) == 1:
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return torch.from_numpy(weight).float(), torch.from_numpy(bias).float()


def fit_labels(model: ClassifierMixin, features: Tensor, has: Tensor) -> tuple[Tensor, Tensor]:
    """Fit `model` to standardised features, each of the L labels by itself; (weight [L, d], bias [L]),
    float32 on the CPU, whose sigmoid is its probability. features [n, d], has [n, L] of 1 and 0. Of a label
    that all items have, or none, the bias is the log-odds of its share with half an item more of either kind,
    and the weights are 0."""
    labels, wide = has.cpu(), features.shape[1]
    found = []
    for of_label in labels.T:
        positive = float(of_label.sum())
        if 0 < positive < len(labels):
            weight, bias = fit_standardised(clone(model), features, of_label.long())
            found.append((weight[1] - weight[0], bias[1] - bias[0]))
        else:
            odds = np.log((positive + 0.5) / (len(labels) - positive + 0.5))
            found.append((torch.zeros(wide), torch.tensor(odds, dtype=torch.float32)))
    weights, biases = zip(*found, strict=True)
    return torch.stack(weights), torch.stack(biases)


def fit_values(
    model: RegressorMixin, features: Tensor, values: Tensor, standardise: bool = True
) -> tuple[Tensor, Tensor]:
    """Fit `model` to standardised features, each of the T values by itself; (weight [T, d], bias [T]),
    float32 on the CPU. features [n, d], values [n, T]."""
    x, y = features.double().cpu().numpy(), values.double().cpu().numpy()
    mean, scale = _mean_and_scale(x, standardise)
    fitted = [clone(model).fit((x - mean) / scale, quantity) for quantity in y.T]
    weight = np.stack([np.ravel(one.coef_) for one in fitted]) / scale
    bias = np.stack([np.ravel(one.intercept_)[0] for one in fitted]) - weight @ mean
    return torch.from_numpy(weight).float(), torch.from_numpy(bias).float()


def _mean_and_scale(x: np.ndarray, standardise: bool) -> tuple[np.ndarray, np.ndarray]:
    """[d] each, of features [n, d]: 0 and 1 where they stay as they are."""
    if not standardise:
        return np.zeros(x.shape[1]), np.ones(x.shape[1])
    scaler = StandardScaler().fit(x)
    return scaler.mean_, scaler.scale_
