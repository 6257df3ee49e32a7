"""A linear support vector machine on the features of the transferred backbone."""

from sklearn.svm import LinearSVC
from torch import Tensor

from transferscope.networks.classifier import Classifier
from transferscope.networks.linear_fit import fit_standardised
from transferscope.strategies.feature_extraction import FittedHead


class LinearSVM(FittedHead):
    """min over w, b of (|w|² + b²) / 2 + C Σ_T max(0, 1 - s m(x))²,  m = w z(x) + b, s = ±1, for each class
    against the rest

    z: the features standardised by the labelled items, those of a backbone that is `scaled` as they are.
    Solved by scikit-learn's LinearSVC, whose loss is the
    squared hinge and which penalises b too. What stands as probabilities is the softmax of the margins m: the
    class of the largest margin is first, but margins are no log-odds, so nll, Brier score and calibration
    error say nothing of it (`calibrated`)."""

    needs = frozenset({"classes"})
    calibrated = False

    def __init__(self, network: Classifier, C: float = 1.0):
        super().__init__(network)
        self.C = C

    def fit_head(self, features: Tensor, labels: Tensor) -> None:
        # the primal: the dual's solver draws at random
        model = LinearSVC(C=self.C, dual=False, max_iter=10_000)
        self.set_head(*fit_standardised(model, features, labels, self.standardises))
