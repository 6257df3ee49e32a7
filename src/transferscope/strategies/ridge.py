"""Ridge regression on the features of the transferred backbone."""

from sklearn import linear_model
from sklearn.svm import SVR
from torch import Tensor

from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.networks.linear_fit import fit_values
from transferscope.strategies.feature_extraction import FittedHead
from transferscope.tasks.regression import Regression

CHOICES = tuple(10.0**power for power in range(-4, 3))


class Ridge(FittedHead):
    """min over W, b of C Σ_T |W z(x) + b - y|² + |W|²   (Hoerl & Kennard 1970), z the features standardised
    by the labelled items, those of a backbone that is `scaled` as they are, y the numbers in standard
    deviations; b is not penalised.

    Solved in closed form by scikit-learn, of several numbers each by itself. C: null for the one of 1e-4 …
    1e2 with the least squared error of the labelled items when each is left out, which has a closed form too:
    features are as many as items or more, and no one C serves all budgets."""

    needs = frozenset({"values"})

    def __init__(self, network: Classifier, C: float | None = None):
        super().__init__(network)
        if C is not None and C <= 0:
            raise RequestError(f"strategy.C={C}: a weight above 0 is needed, or null to choose it")
        self.C = C

    def fit_head(self, features: Tensor, labels: Tensor) -> None:
        assert isinstance(self.task, Regression)
        self.set_head(*fit_values(self.model(), features, self.task.standardised(labels), self.standardises))

    def model(self) -> linear_model.Ridge | linear_model.RidgeCV:
        if self.C is None:
            return linear_model.RidgeCV(alphas=[1 / C for C in CHOICES])
        return linear_model.Ridge(alpha=1 / self.C)


class LinearSVR(Ridge):
    """min over w, b of |w|² / 2 + C Σ_T max(0, |w z(x) + b - y| - ε)   (Drucker et al. 1997), z and y as for
    ridge regression, of several numbers each by itself

    Errors below ε = insensitivity cost nothing. Solved by scikit-learn's SVR with a linear kernel."""

    def __init__(self, network: Classifier, C: float = 0.01, insensitivity: float = 0.1):
        super().__init__(network, C)
        if insensitivity < 0:
            raise RequestError(f"strategy.insensitivity={insensitivity}: at least 0 is needed")
        self.insensitivity = insensitivity

    def model(self) -> SVR:
        return SVR(kernel="linear", C=self.C, epsilon=self.insensitivity)
