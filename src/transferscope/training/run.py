"""The story of one run: config → domains → backbone → strategy → fit → evaluate → record."""

import contextlib
import platform
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from omegaconf import DictConfig

from transferscope import tracking
from transferscope.data.splits import RunData
from transferscope.errors import RequestError, order_to_stop
from transferscope.store import record
from transferscope.store.damage import quarantine
from transferscope.store.excerpts import write_excerpts
from transferscope.store.lease import Lease
from transferscope.store.manifest import write_manifest
from transferscope.store.thumbnails import write_thumbnails
from transferscope.strategies.base import Strategy
from transferscope.training import evaluate, kept_outputs, reverse_validation, source_models
from transferscope.training.config import PRETRAINING
from transferscope.training.finished import finished_before, is_done
from transferscope.training.fit import fit
from transferscope.training.initialise import build
from transferscope.training.request import Request, resolve
from transferscope.training.results import finished, versions
from transferscope.training.run_tracking import live_run, scratch_twin, test_images, test_texts
from transferscope.training.settings import FitResult, Monitoring, Row
from transferscope.training.threads import set_threads


def run(config: DictConfig) -> Path:
    """One run, from a composed config to its record folder. A finished one is returned as it is; a killed one
    is taken up where it stood.

    Raises RequestError for a wrong request. What fails while training is an answer too: its record says so.
    """
    return run_checked(resolve(config))


def run_checked(request: Request) -> Path:
    """`run` of a request that was resolved already."""
    record.check_writable(request.store)
    if is_done(request):
        return finished_before(request)
    tracking.effective_mode(request.asked.tracking.mode)  # refused now rather than after the training
    with Lease(request.store, request.fingerprint, request.cell, request.asked.seed, request.steps) as lease:
        if is_done(request):  # another process was working on it
            return finished_before(request)
        quarantine(request.store, request.fingerprint)
        lease.claim(step=0)
        with live_run(request) as live:
            folder = train_and_record(request, lease, lambda: train_alone(request, lease, live))
            lease.finish()
            live.finish(folder, test_images(request), scratch_twin(request))
    return folder


class Trained(NamedTuple):
    """A strategy that has been trained, on what, and what came of it. before: seconds it took already, where
    it was trained beside others."""

    run_data: RunData
    strategy: Strategy
    outcome: FitResult
    source_seconds: float
    before: float = 0.0


def train_and_record(request: Request, lease: Lease, training: Callable[[], Trained]) -> Path:
    set_threads(request.asked.trainer.threads)
    entry = {
        "fingerprint": request.fingerprint, "cell": request.cell, "seed": request.asked.seed,
        "role": request.asked.role, "sees": request.reached_by, "consumed": request.consumed,
        "config": request.config, "host": platform.node(), "calibrated": request.strategy.calibrated,
        "backbone_rate": request.backbone_rate, **({"deterministic": True} if request.deterministic else {}),
        **({"test_also": request.test_also} if request.tested_also else {}),
        "versions": versions(), "git": record.git_revision(), "device": request.consumed["device"],
    }  # fmt: skip
    began, started = time.perf_counter(), record.now()
    members: Mapping[str, np.ndarray] = {}
    history, extra_files = [], {}
    try:
        run_data, strategy, outcome, source_seconds, before = training()
        began -= before
        if (
            request.trains_source_model
            and not request.asked.twin
            or request.initialisation in ("source", *PRETRAINING)
        ):
            made = request.trains_source_model or source_seconds > 0
            entry["source_model"] = {"key": source_models.source_model_key(request, run_data), "made": made}
        if not request.strategy.closed_form:
            entry["acts_on"] = {
                part: {"changed": changed, "of": of} for part, (changed, of) in strategy.acts_on().items()
            }
        if loaded := getattr(strategy.network.backbone, "loaded", None):
            entry["weights"] = loaded
        entry |= finished(request, run_data, outcome, strategy.diagnose(outcome.history))
        entry["timings"] = {"fit_seconds": outcome.seconds, "source_seconds": source_seconds}
        entry["outputs"], kept = kept_outputs.kept(request, run_data, outcome)
        members = evaluate.arrays(outcome, run_data.evaluated, run_data.task, kept)
        history = outcome.history
        if request.asked.reverse_validation:
            reverse_validation.validate(request, run_data, strategy, lease.folder / "reverse_validation.json")
        extra_files = {name: lease.folder / name.replace("model", "selected") for name in request.extra_files}
        if request.trains_source_model and not request.asked.twin and outcome.status == "done":
            source_models.deposit_source_model(request, run_data, strategy.network)
    except Exception as error:  # whatever broke, the other runs go on and the record says what it was
        if order := order_to_stop(error):
            raise order from None
        # Hydra wraps what a constructor raises
        refusal = error if isinstance(error, RequestError) else error.__cause__
        if isinstance(refusal, RequestError):
            lease.finish()
            raise refusal from None
        reason = f"{type(error).__name__}: {error}".split("\n")[0]
        entry |= {
            "status": "failed",
            "reason": reason,
            "traceback": traceback.format_exc(),
            "result": {},
            "timings": {},
        }
    entry["timings"] |= {"started": started, "wall_seconds": time.perf_counter() - began}
    folder = record.write_record(request.store, entry, members, history, extra_files)
    for domain in (request.target, *request.sources):
        with contextlib.suppress(OSError):  # for W&B; the record stands without it, as without pictures
            write_manifest(request.store, domain)
    if members and (images := test_images(request)):
        with contextlib.suppress(OSError):  # pictures for the report; the record stands without them
            write_thumbnails(
                request.store,
                request.consumed["target"]["digest"],
                members[f"{request.target.name}/test/ids"].tolist(),
                images,
            )
    if members and (texts := test_texts(request, members[f"{request.target.name}/test/ids"].tolist())):
        with contextlib.suppress(OSError):
            write_excerpts(request.store, request.consumed["target"]["digest"], texts)
    return folder


def train_alone(request: Request, lease: Lease, live: tracking.LiveRun) -> Trained:
    run_data = request.run_data()
    strategy, source_seconds = build(request, run_data)
    return Trained(run_data, strategy, train(request, run_data, strategy, lease, live), source_seconds)


def train(
    request: Request, run_data: RunData, strategy: Strategy, lease: Lease, live: tracking.LiveRun
) -> FitResult:
    names: dict[str, tuple[str, ...]] = {
        "last": (),
        "target_val": (f"{run_data.target.name}/val",),
        "source_val": tuple(f"{s.name}/val" for s in run_data.sources),
    }
    selection, has_features = request.asked.selection, "features" in request.extra_files
    rule = names.get(selection, (f"validator/{selection}",))

    def after_interval(step: int, row: Row) -> None:
        lease.claim(step)
        live.log(step, row)

    return fit(
        strategy,
        run_data.pools,
        run_data.evaluated,
        request.settings(request.steps),
        request.stream(),
        Monitoring(
            folder=lease.folder,
            after_interval=after_interval,
            keep=rule if request.asked.keep == "selected" else None,
            stop_by=() if request.trains_source_model else rule,
            validator_inputs=run_data.validator_inputs if run_data.target.classes else None,
            feature_items=run_data.feature_items(request.asked.split_seed) if has_features else None,
            callbacks=tuple(request.asked.trainer.callbacks),
            loggers=tuple(request.asked.trainer.loggers),
            hyperparameters=request.config,
        ),
    )
