"""What a fitted scikit-learn estimator says of the test items, as a file of results."""

from pathlib import Path
from typing import Any

from sklearn.base import is_regressor

from transferscope.external.writing import write_results


def write_predictions(estimator: Any, x: Any, y: Any, path: str | Path, **run: Any) -> None:
    """x [n, ...], y [n] of the test items. Probabilities where the estimator has them. run: strategy, seed
    and what else `write_results` takes. Raises RequestError."""
    if is_regressor(estimator):
        write_results(path, truths=y, predictions=estimator.predict(x), **run)
    elif hasattr(estimator, "predict_proba"):
        found = estimator.predict_proba(x)
        write_results(path, labels=y, probabilities=found, classes=estimator.classes_, **run)
    else:
        write_results(path, labels=y, predictions=estimator.predict(x), **run)
