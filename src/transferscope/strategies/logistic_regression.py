"""Logistic regression on the features of the transferred backbone."""

from sklearn import linear_model
from torch import Tensor

from transferscope.networks.classifier import Classifier
from transferscope.networks.linear_fit import fit_standardised
from transferscope.strategies.feature_extraction import FittedHead


class LogisticRegression(FittedHead):
    """min over W, b of Σ_T -log softmax(W z(x) + b)_y + |W|² / (2 C), z the features standardised by the
    labelled items, those of a backbone that is `scaled` as they are; b is not penalised.

    Solved by scikit-learn's L-BFGS, the linear evaluation of Kornblith et al. 2019 (arXiv 1805.08974). With
    two classes it is the sigmoid of one w z(x) + b, as scikit-learn has it."""

    needs = frozenset({"classes"})

    def __init__(self, network: Classifier, C: float = 1.0):
        super().__init__(network)
        self.C = C

    def fit_head(self, features: Tensor, labels: Tensor) -> None:
        model = linear_model.LogisticRegression(C=self.C, max_iter=1000)
        self.set_head(*fit_standardised(model, features, labels, self.standardises))
