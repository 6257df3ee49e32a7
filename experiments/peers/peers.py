"""Our shallow methods beside skada's on the twelve tasks of Office-Caltech10 with SURF features, both held to
a reference that is neither's.

    python experiments/peers/peers.py --data-root FOLDER [--task dslr:webcam] [--classifier svm]

All three start from the same raw features. Ours is a strategy as a run trains it, with its own scaling and
classifier; skada's adapter and the reference get z-scores and classifiers from scikit-learn.
results/peers.csv has a line for each task, setting and arm of skada."""

import argparse
import csv
import itertools
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np
import ot
import skada
import torch
from scipy.linalg import eigh, sqrtm
from scipy.special import logsumexp
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from transferscope.backbones.identity import Identity
from transferscope.data.domain import Domain
from transferscope.data.splits import prepare
from transferscope.networks.classifier import Classifier
from transferscope.strategies.coral import CORAL
from transferscope.strategies.optimal_transport import LinearOptimalTransport, OptimalTransport
from transferscope.strategies.shallow import ShallowAdaptation
from transferscope.strategies.subspace_alignment import SubspaceAlignment
from transferscope.strategies.tca import TCA
from transferscope.training.request import load_domain

DOMAINS = ("dslr", "webcam", "amazon", "caltech10")
CLASSIFIERS = {"nearest_neighbour": lambda: KNeighborsClassifier(1), "svm": lambda: SVC(kernel="linear")}
COLUMNS = ("setting", "skada", "source", "target", "items", "ours", "theirs", "reference")
# shares of the test items on which two predictions differ
COLUMNS += ("ours_not_theirs", "ours_not_reference", "theirs_not_reference")
Mapped = tuple[np.ndarray, np.ndarray]  # the source's items, the target's


class RunData(NamedTuple):
    """Scaled features [n, d] and [m, d] of a source and a target, the domains they are of, and what scaling
    made them."""

    source: np.ndarray
    target: np.ndarray
    domains: tuple[Domain, Domain]
    scaling: str

    @property
    def labels(self) -> np.ndarray:
        return self.domains[0].labels.numpy()

    @property
    def cost(self) -> float:
        return float(np.median(ot.dist(self.source, self.target)))

    @property
    def mu(self) -> float:
        """Ours divides L by its norm, 1/n + 1/m, and weighs |W|² by 1; skada weighs L, undivided."""
        return 1 / (1 / len(self.source) + 1 / len(self.target))


class Arm(NamedTuple):
    """skada's adapter, and how it is called: rows in which order, the target's labels masked or, by mistake,
    not."""

    adapter: skada.base.BaseAdapter
    shuffled: bool = False
    masked: bool = True


class Setting(NamedTuple):
    """One method with one choice of keys, and skada's with the same and others."""

    name: str
    ours: type[ShallowAdaptation]
    keys: Callable[[RunData], dict]
    arms: Callable[[RunData], dict[str, Arm]]
    reference: Callable[[RunData], Mapped]
    scaling: str = "domain"


# --- the references, from the papers' equations


def whitened_and_coloured(task: RunData) -> Mapped:
    """Sun et al. 2016, algorithm 1, through scipy's matrix root."""
    of_source, of_target = (
        sqrtm(np.cov(x, rowvar=False) + np.eye(x.shape[1])).real for x in (task.source, task.target)
    )
    return task.source @ np.linalg.inv(of_source) @ of_target, task.target


def aligned_subspaces(task: RunData, dimensions: int = 30) -> Mapped:
    """Fernando et al. 2013, equations 1 to 4, on a whole singular value decomposition."""
    centred = [x - x.mean(0) for x in (task.source, task.target)]
    of_source, of_target = (np.linalg.svd(x, full_matrices=False)[2][:dimensions].T for x in centred)
    return centred[0] @ of_source @ (of_source.T @ of_target), centred[1] @ of_target


def transfer_components(kernel: Callable[[np.ndarray], np.ndarray]) -> Callable[[RunData], Mapped]:
    """Pan et al. 2011, equation 12, as scipy's generalised eigenproblem of two symmetric matrices;
    eigenvectors of length 1."""

    def reference(task: RunData, dimensions: int = 100) -> Mapped:
        k = kernel(np.concatenate([task.source, task.target]))
        n = len(task.source)
        size = len(task.source) + len(task.target)
        means = k @ np.r_[np.full(n, 1 / n), np.full(size - n, -1 / (size - n))]
        right = task.mu * np.outer(means, means) + np.eye(size)
        _, w = eigh(k @ (k - k.mean(0)), right, subset_by_index=(size - dimensions, size - 1))
        z = k @ (w / np.linalg.norm(w, axis=0))
        return z[:n], z[n:]

    return reference


def transported(class_weight: float) -> Callable[[RunData], Mapped]:
    """Courty et al. 2014, algorithm 1, ε and class weight 0.1 in medians of the cost; Sinkhorn on logarithms,
    far more rounds than needed."""

    def reference(task: RunData) -> Mapped:
        cost = ot.dist(task.source, task.target) / task.cost
        same_class = (task.labels[:, None] == task.labels).astype(float)  # [n, n]
        slope = np.zeros_like(cost)
        for _ in range(10 if class_weight else 1):
            plan = sinkhorn((cost + class_weight * slope) / 0.1)
            slope = 0.5 * (same_class @ plan + 1e-3) ** -0.5
        return plan @ task.target / plan.sum(1, keepdims=True), task.target

    return reference


def sinkhorn(cost: np.ndarray, rounds: int = 500) -> np.ndarray:
    n, m = cost.shape
    f, g = np.zeros(n), np.zeros(m)
    for _ in range(rounds):
        f = -np.log(n) - logsumexp(g - cost, axis=1)
        g = -np.log(m) - logsumexp(f[:, None] - cost, axis=0)
    return np.exp(f[:, None] + g - cost)


def between_gaussians(task: RunData) -> Mapped:
    """Flamary et al. 2019, equation 4, through scipy's roots; 1 is added to the diagonals."""
    of_source, of_target = (
        np.cov(x, rowvar=False, bias=True) + np.eye(x.shape[1]) for x in (task.source, task.target)
    )
    root = sqrtm(of_source).real
    back = np.linalg.inv(root)
    change = back @ sqrtm(root @ of_target @ root).real @ back
    return (task.source - task.source.mean(0)) @ change + task.target.mean(0), task.target


# --- the settings


class WholePCA(skada.SubspaceAlignmentAdapter):
    """skada's subspace alignment with one line changed: PCA without its random solver."""

    def fit(self, X, y=None, sample_domain=None, **kwargs):
        is_source = sample_domain > 0
        self.pca_source_ = PCA(self.n_components, svd_solver="full").fit(X[is_source])
        self.pca_target_ = PCA(self.n_components, svd_solver="full").fit(X[~is_source])
        self.M_ = self.pca_source_.components_ @ self.pca_target_.components_.T
        return self


def linear(x: np.ndarray) -> np.ndarray:
    return x @ x.T


def gaussian(x: np.ndarray) -> np.ndarray:
    return np.exp(-ot.dist(x, x) / x.shape[1])  # skada's bandwidth is scikit-learn's: the number of features


def bandwidth(task: RunData) -> dict:
    """skada's bandwidth in our unit, the median squared distance of distinct pairs."""
    pooled = np.concatenate([task.source, task.target])
    distances = ot.dist(pooled, pooled)[np.triu_indices(len(pooled), 1)]
    return {
        "dimensions": 100,
        "kernel": "gaussian",
        "bandwidth": pooled.shape[1] / float(np.median(distances)),
    }


def components(kernel: str) -> Callable[[RunData], dict[str, Arm]]:
    return lambda task: {"same": Arm(skada.TransferComponentAnalysisAdapter(kernel, 100, task.mu))}


def components_and_order(task: RunData) -> dict[str, Arm]:
    [same] = components("linear")(task).values()
    return {"same": same, "same, rows in another order": same._replace(shuffled=True)}


def class_transport(task: RunData) -> dict[str, Arm]:
    adapter = skada.ClassRegularizerOTMappingAdapter(0.1 * task.cost, 0.1 * task.cost)
    default = Arm(skada.ClassRegularizerOTMappingAdapter())
    return {
        "same": Arm(adapter),
        "default": default,
        "same, target labels not masked": Arm(adapter, masked=False),
    }


def subspaces(task: RunData) -> dict[str, Arm]:
    by_seed = {
        f"same, random_state={seed}": Arm(skada.SubspaceAlignmentAdapter(30, seed)) for seed in range(5)
    }
    return by_seed | {"same, PCA without random solver": Arm(WholePCA(30))}


SETTINGS = (
    Setting("coral", CORAL, lambda _: {}, lambda _: {"same": Arm(skada.CORALAdapter(0.5)),
    "default": Arm(skada.CORALAdapter())},
            whitened_and_coloured),
    Setting("subspace_alignment", SubspaceAlignment, lambda _: {}, subspaces, aligned_subspaces),
    Setting("tca, linear kernel", TCA, lambda _: {"dimensions": 100, "kernel": "linear"},
    components_and_order, transfer_components(linear)),
    Setting("tca, linear kernel, z-scores of the source", TCA,
    lambda _: {"dimensions": 100, "kernel": "linear"}, components("linear"),
            transfer_components(linear), "source"),
    Setting("tca, gaussian kernel", TCA, bandwidth, components("rbf"), transfer_components(gaussian)),
    Setting("optimal_transport, class_weight=0", OptimalTransport, lambda _: {"class_weight": 0.0},
            lambda _: {"same": Arm(skada.EntropicOTMappingAdapter(0.1, norm="median"))}, transported(0.0)),
    Setting("optimal_transport", OptimalTransport, lambda _: {}, class_transport, transported(0.1)),
    Setting("linear_optimal_transport", LinearOptimalTransport, lambda _: {},
    lambda _: {"same": Arm(skada.LinearOTMappingAdapter(1.0))},
            between_gaussians),
)  # fmt: skip


# --- predictions


def scaled(domains: tuple[Domain, Domain], scaling: str) -> RunData:
    source, target = (domain.inputs.double().numpy() for domain in domains)
    of_source = StandardScaler().fit(source)
    of_target = StandardScaler().fit(target) if scaling == "domain" else of_source
    return RunData(of_source.transform(source), of_target.transform(target), domains, scaling)


def ours(task: RunData, setting: Setting, classifier: str) -> np.ndarray:
    """Predicted classes [m] of the strategy as a run has it, on the raw features."""
    source, target = task.domains
    sees = setting.ours.sees - {"target_labels"}
    prepared = prepare(target, (source,), sees, label_budget=0, seed=0, split_seed=0, protocol="transductive")
    network = Classifier(Identity(prepared.input_shape), len(target.classes))
    strategy = setting.ours(network, classifier=classifier, scaling=task.scaling, **setting.keys(task))
    strategy.fit_features(prepared.pools)
    with torch.no_grad():
        return strategy.predictions(prepared.evaluated[f"{target.name}/test"].inputs).argmax(1).numpy()


def theirs(task: RunData, arm: Arm) -> Mapped:
    n, pooled = len(task.source), np.concatenate([task.source, task.target])
    of_target = np.full(len(task.target), -1) if arm.masked else task.domains[1].labels.numpy()
    labels, domain = np.r_[task.labels, of_target], np.where(np.arange(len(pooled)) < n, 1, -2)
    order = np.random.default_rng(0).permutation(len(pooled)) if arm.shuffled else np.arange(len(pooled))
    adapted = arm.adapter.fit_transform(pooled[order], labels[order], sample_domain=domain[order])
    z = np.empty_like(adapted)
    z[order] = adapted
    return z[:n], z[n:]


def rows(
    domains: tuple[Domain, Domain],
    settings: Iterable[Setting] = SETTINGS,
    classifier: str = "nearest_neighbour",
) -> Iterator[dict]:
    """The lines of one task."""
    truth = domains[1].labels.numpy()
    names = [domain.name.removeprefix("office_caltech_surf_").removesuffix("_whole") for domain in domains]
    for setting in settings:
        task = scaled(domains, setting.scaling)
        own, reference = ours(task, setting, classifier), predicted(task, setting.reference(task), classifier)
        for name, arm in setting.arms(task).items():
            other = predicted(task, theirs(task, arm), classifier)
            accuracies = [(p == truth).mean() for p in (own, other, reference)]
            shares = [(a != b).mean() for a, b in ((own, other), (own, reference), (other, reference))]
            yield dict(
                zip(COLUMNS, (setting.name, name, *names, len(truth), *accuracies, *shares), strict=True)
            )


def predicted(task: RunData, mapped: Mapped, classifier: str) -> np.ndarray:
    return CLASSIFIERS[classifier]().fit(mapped[0], task.labels).predict(mapped[1])


def summary(lines: list[dict]) -> Iterator[str]:
    """Means over the tasks, %: a line for each setting and arm."""
    yield (
        f"{'':76s}{'ours':>8s}{'skada':>8s}{'ref.':>8s}   items apart: ours and skada, ours and ref., "
        "skada and ref."
    )
    groups: dict[str, list[dict]] = {}
    for line in lines:
        groups.setdefault(f"{line['setting']}; {line['skada']}", []).append(line)
    for name, group in groups.items():
        yield f"{name:76s}" + "".join(
            f"{100 * fmean(line[column] for line in group):8.1f}" for column in COLUMNS[5:]
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", default="data", help="holds office_caltech10_surf/*_SURF_L10.mat")
    parser.add_argument(
        "--task",
        action="append",
        metavar="SOURCE:TARGET",
        help="one of the twelve; may be repeated; without it, all",
    )
    parser.add_argument("--classifier", choices=CLASSIFIERS, default="nearest_neighbour")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "peers.csv")
    given = parser.parse_args()
    tasks = [tuple(task.split(":")) for task in given.task or ()] or list(itertools.permutations(DOMAINS, 2))
    # skada's defaults divide by zero on these features; the table says what comes of it
    warnings.simplefilter("ignore")
    domains = {
        name: load_domain("source", f"office_caltech_surf_{name}_whole", given.data_root)
        for name in {n for task in tasks for n in task}
    }
    lines = []
    with given.out.open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        for source, target in tasks:
            print(f"{source} → {target}", file=sys.stderr)
            new = list(rows((domains[source], domains[target]), classifier=given.classifier))
            table.writerows(
                {key: f"{value:.4f}" if isinstance(value, float) else value for key, value in line.items()}
                for line in new
            )
            file.flush()
            lines += new
    print("\n".join(summary(lines)))


if __name__ == "__main__":
    main()
