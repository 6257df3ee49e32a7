"""Transfer components against scipy's generalised eigenproblem, and under the shift that they are for."""

import numpy as np
import pytest
from scipy.linalg import eigh, subspace_angles

from planted_shallow import apart
from tiny_shallow import fitted, gain, items, kernel_of, predicted
from transferscope.backbones.identity import Identity
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.shallow import Items
from transferscope.strategies.tca import TCA, transfer_components


def method(width: int = 6, **keys) -> TCA:
    return TCA(Classifier(Identity((width,)), 3), **keys)


def equation_12(base: np.ndarray, n: int, penalty: float, k: int) -> np.ndarray:
    """The leading eigenvectors of K H K w = ρ (K L K + μ I) w, written out, L at Frobenius norm 1."""
    size = len(base)
    e = np.r_[np.full(n, 1 / n), np.full(size - n, -1 / (size - n))][:, None]
    centring, means = np.eye(size) - 1 / size, e @ e.T
    _, vectors = eigh(
        base.T @ centring @ base,
        base.T @ (means / np.linalg.norm(means)) @ base + penalty * np.eye(base.shape[1]),
        subset_by_index=(base.shape[1] - k, base.shape[1] - 1),
    )
    return vectors


@pytest.mark.parametrize("kernel", ["gaussian", "linear", "primal"])
@pytest.mark.parametrize("penalty", [0.1, 10.0])
def test_it_solves_the_generalised_eigenproblem(kernel, penalty):
    given = items()
    pooled = np.concatenate([given.source, given.target])
    bases = {"gaussian": kernel_of(pooled), "linear": pooled @ pooled.T, "primal": pooled}
    adapted = method(kernel=kernel, penalty=penalty, dimensions=3).adapt(given)
    w = equation_12(bases[kernel], 24, penalty, 3)
    if kernel == "linear":  # Σ_i w_i k(x, x_i) = x Xᵀ w
        assert subspace_angles(adapted.projection, pooled.T @ w).max() < 1e-6
    else:
        assert subspace_angles(adapted.projection, w).max() < 1e-6
    components = (bases[kernel] @ w / np.linalg.norm(w, axis=0))[:24, ::-1]
    np.testing.assert_allclose(
        np.abs(adapted.source), np.abs(components), atol=1e-6 * np.abs(components).max()
    )


def test_lanczos_finds_the_same_subspace():
    """300 + 300 items, ten components: few enough of many that they are sought one by one."""
    draw = np.random.default_rng(0)
    pooled = np.r_[
        draw.normal(size=(300, 40)), draw.normal(size=(300, 40)) @ np.diag(np.linspace(0.2, 2, 40)) + 0.5
    ]
    kernel = pooled @ pooled.T
    e = np.r_[np.full(300, 1 / 300), np.full(300, -1 / 300)][:, None]
    found = transfer_components(kernel, e / np.linalg.norm(e), 1.0, 10)
    assert subspace_angles(found, equation_12(kernel, 300, 1.0, 10)).max() < 1e-6


def test_whitened_components_have_the_papers_constraint():
    given = items()
    pooled = np.concatenate([given.source, given.target])
    z = pooled @ method(kernel="primal", dimensions=3, eigenvectors="whitened").adapt(given).projection
    z = z - z.mean(0)
    np.testing.assert_allclose(z.T @ z, np.eye(3), atol=1e-9)


@pytest.mark.parametrize(("kernel", "penalty"), [("primal", 0.01), ("linear", 0.01), ("gaussian", 0.01)])
def test_it_gains_with_every_kernel_where_the_means_are_apart(kernel, penalty):
    before, after = gain(TCA, apart, scaling="none", kernel=kernel, penalty=penalty, dimensions=3)
    assert before < 0.75 and after > before + 0.1, f"{before:.3f} -> {after:.3f}"


def test_the_penalty_holds_the_term_of_the_means_back():
    source, labels = apart(150, 0, False)
    target, _ = apart(150, 1, True)
    given = Items(source, labels, target, target[:0], labels[:0])
    gaps = []
    for penalty in (0.01, 1e6):
        adapted = method(penalty=penalty, kernel="primal", dimensions=3).adapt(given)
        gaps.append(np.linalg.norm(adapted.source.mean(0) - (target @ adapted.projection).mean(0)))
    assert gaps[0] < 0.1 * gaps[1]


@pytest.mark.parametrize("kernel", ["gaussian", "linear", "primal"])
def test_a_later_item_is_mapped_as_one_that_was_there(kernel):
    source, (target, _) = apart(60, 0, False), apart(60, 1, True)
    strategy = fitted(TCA, source, target, kernel=kernel, dimensions=3, classifier="logistic")
    for number in (0, 17):
        one, all_of_them = predicted(strategy, target[number : number + 1]), predicted(strategy, target)
        np.testing.assert_allclose(one[0], all_of_them[number], atol=1e-6)


@pytest.mark.parametrize("key", ["dimensions", "penalty", "bandwidth"])
def test_a_key_of_nothing_is_refused(key):
    with pytest.raises(RequestError, match=f"strategy.{key}=0"):
        method(**{key: 0})


@pytest.mark.parametrize("kernel", ["linear", "primal"])
def test_where_z_scores_have_left_it_nothing_to_do_a_line_says_so(kernel, capsys):
    source, (target, _) = apart(60, 0, False), apart(50, 1, True)
    weak, strong = (
        fitted(TCA, source, target, kernel=kernel, dimensions=3, penalty=penalty)
        for penalty in (0.001, 1000.0)
    )
    first, second = capsys.readouterr().err.splitlines()
    assert first == second and first.startswith(
        f"warning: strategy=tca: with kernel={kernel} and scaling=domain"
    )
    # as it says: the penalty has no effect
    assert subspace_angles(weak.memory.projection, strong.memory.projection).max() < 1e-6


@pytest.mark.parametrize(
    "keys", [{}, {"kernel": "linear", "scaling": "source"}], ids=["by default", "linear, source"]
)
def test_elsewhere_it_brings_the_means_together_and_says_nothing(keys, capsys):
    """The distance of the domains' means of the components, in units of these components' spread. Cubes:
    z-scores leave them another shape."""
    source, (target, _) = apart(60, 0, False), apart(50, 1, True)
    gaps = []
    for penalty in (0.001, 1e9):
        strategy = fitted(TCA, source, target**3, dimensions=3, penalty=penalty, **keys)
        memory = strategy.memory
        z = strategy.mapped((target**3 - memory.mean.numpy()) / memory.scale.numpy()).numpy()
        both = np.r_[z, memory.items.numpy()]
        gaps.append(np.linalg.norm(z.mean(0) - memory.items.numpy().mean(0)) / np.sqrt(both.var(0).sum()))
    assert gaps[0] < 0.2 * gaps[1], gaps
    assert capsys.readouterr().err == ""
