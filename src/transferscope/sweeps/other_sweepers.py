"""Sweepers of another make, such as Hydra's plugins for Optuna or Ax: each of their jobs is a run here, and
is answered with one number that no test label is part of."""

import math
from pathlib import Path

from omegaconf import DictConfig

from transferscope.errors import RequestError
from transferscope.sweeps.progress import label
from transferscope.sweeps.search import unserved
from transferscope.sweeps.studies import score_of, scoring_rules
from transferscope.training.request import resolve
from transferscope.training.run import run_checked


def run_for(config: DictConfig) -> tuple[Path, float]:
    """The run's folder, and what `search.selection` says of it at its last evaluation: higher is better,
    -inf where it has no value. Raises RequestError where it could have none."""
    rule, allowed = config.search.selection, scoring_rules()
    request = resolve(config)
    if rule not in allowed:
        raise RequestError(f"search.selection={rule}: not one of {', '.join(allowed)}")
    if why := unserved(request, rule):
        raise RequestError(
            f"search.selection={rule}: {label(request.cell, request.asked.seed)}: {why}; "
            f"{', '.join(allowed[2:])} serve every strategy"
        )
    folder = run_checked(request)
    score = score_of(folder, rule)
    return folder, -math.inf if score is None else score
