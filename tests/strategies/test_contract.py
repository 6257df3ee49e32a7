"""What every yaml of conf/strategy promises, on the tiny pair."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import get_class
from omegaconf import OmegaConf

from strategies.conftest import Finished
from transferscope import validators
from transferscope.backbones.mlp import MLP
from transferscope.data.domain import UNLABELLED
from transferscope.data.splits import LabelledData
from transferscope.networks.classifier import Classifier
from transferscope.store.record import read_history
from transferscope.strategies.base import SIGHTS, Batch, Strategy
from transferscope.training.request import resolve

SHELF = Path(__file__).parents[2] / "conf" / "strategy"
EVERY = sorted(path.stem for path in SHELF.glob("*.yaml"))
CLASSES = {name: get_class(OmegaConf.load(SHELF / f"{name}.yaml")["_target_"]) for name in EVERY}
# those of predicted numbers alone are in test_regression_contract.py
# and those of texts alone in test_on_texts.py
NAMES = [name for name in EVERY if "values" not in CLASSES[name].needs and not CLASSES[name].needs_texts]
NAMED = pytest.mark.parametrize("name", NAMES)
CLOSED_FORM = [name for name in NAMES if CLASSES[name].closed_form]
HEAD_ALONE = [name for name in NAMES if vars(CLASSES[name]).get("trains_head_alone")]
DETERMINISTIC = {"source_boosted_trees"}  # not even by what is labelled
# from random weights, from the source model, of one pool and of all
DRAWN_SEVERAL_WAYS = ["scratch", "target_only", "fine_tuning", "feature_extraction", "source_only", "dann"]
# in closed form, from all inputs at once, the head alone, one optimiser, several, without the source, a twin
# of its own beside it: the others are slow where what is checked lies outside a strategy's own code
OF_EACH_KIND = {
    "nearest_mean", "tca", "feature_extraction", "scratch", "fine_tuning", "dann", "mcd", "shot",
    "safe_choice",
}  # fmt: skip
ONE_OF_EACH_KIND = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in OF_EACH_KIND else [pytest.mark.slow]) for name in NAMES]
)


@pytest.mark.parametrize("name", EVERY)
def test_yaml_opens_with_its_description_and_names_itself(name):
    first, *_ = (SHELF / f"{name}.yaml").read_text().splitlines()
    assert first.startswith("# ") and len(first) > 10
    yaml = OmegaConf.load(SHELF / f"{name}.yaml")
    assert yaml.name == name and yaml.starts_from in ("random", "weights", "source")


@pytest.fixture(scope="module")
def noted_run(train, pair):
    """noted_run(name): its run, which keeps a model and features, and the loss terms that it named."""

    @cache
    def repeated(name: str) -> tuple[Finished, set[str]]:
        terms, updates = set(), CLASSES[name].updates

        def noted(self, batch):
            for optimizer, losses in updates(self, batch):
                terms.update(losses)
                yield optimizer, losses

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(CLASSES[name], "updates", noted)
            return train(*keeping(name), domains=pair), terms

    return repeated


def keeping(name: str) -> list[str]:
    sees = CLASSES[name].sees
    selection = (
        "target_val" if "target_labels" in sees else "source_val" if "source_inputs" in sees else "last"
    )
    return [f"strategy={name}", "keep=selected", f"selection={selection}", "keep_features=true"]


@pytest.fixture(scope="module")
def finished(finished, noted_run):
    """finished(*overrides): as everywhere, and of a strategy alone the run above. That what it keeps beside
    its result changes none of it is held where it is stopped and resumed without."""

    def once(*overrides: str) -> Finished:
        [word, *more] = overrides
        return finished(*overrides) if more else noted_run(word.removeprefix("strategy="))[0]

    return once


@NAMED
def test_it_runs_to_a_finished_record(finished, name):
    run = finished(f"strategy={name}")
    assert run.record["status"] == "done", run.record["reason"]
    assert run.record["result"]["evaluations"] == [0, 4, 8, 12]
    assert run.record["cell"]["strategy"] in (name, "scratch")  # target_only from random weights is scratch
    for items in {member.split("/outputs/")[0] for member in run.probabilities}:
        p = np.stack([run.members[f"{items}/outputs/{step:06d}"] for step in (0, 4, 8, 12)])
        assert (
            p.shape == (4, len(run.members[f"{items}/ids"]), 3) and p.dtype == np.float32 and (p >= 0).all()
        )
        np.testing.assert_allclose(p.sum(2), 1, atol=1e-5)


@NAMED
def test_it_learns_something(finished, name):
    run = finished(f"strategy={name}")
    assert not np.array_equal(run.on_test(0), run.on_test(12))


@NAMED
def test_every_loss_term_is_finite_and_named_in_the_history(noted_run, name):
    run, terms = noted_run(name)
    start, *rows = read_history(run.folder)
    assert not [key for key in start if key.startswith("loss/")]
    for row in rows:
        assert {key for key in row if key.startswith("loss/")} == {f"loss/{term}" for term in terms}
    assert np.isfinite([value for row in rows for value in row.values()]).all()


@NAMED
def test_validators_are_read_at_every_evaluation_and_features_kept_of_what_is_handed_source_inputs(
    noted_run, name
):
    run = noted_run(name)[0]
    for row in read_history(run.folder):
        assert {f"validator/{validator}" for validator in validators.label_free()} <= row.keys()
    steps = [int(path.stem) for path in sorted((run.folder / "features").glob("*.npz"))]
    assert steps == ([0, 4, 8, 12] if run.record["result"]["samples"]["source"] else [])


@ONE_OF_EACH_KIND
def test_label_smoothing_reaches_its_own_loss(finished, train, monkeypatch, name):
    """Its own: a source model that it starts from is left as it was."""
    strategy, clean = CLASSES[name], finished(f"strategy={name}")
    monkeypatch.setattr(strategy, "label_smoothing", property(lambda self: 0.5, lambda self, value: None))
    learns_from_labels = bool(strategy.sees & {"source_labels", "target_labels"}) and not strategy.closed_form
    assert (train(f"strategy={name}").on_test().tobytes() != clean.on_test().tobytes()) == learns_from_labels


@NAMED
@pytest.mark.parametrize("budget", [0, 10])
def test_its_pools_hold_what_it_says_it_sees_and_nothing_else(config, name, budget):
    strategy = CLASSES[name]
    assert strategy.sees and strategy.sees <= set(SIGHTS)
    if strategy.needs_target_labels and budget == 0:
        with pytest.raises(ValueError, match=f"label_budget=0: strategy {name} learns from target labels"):
            resolve(config(f"strategy={name}", "label_budget=0"))
        return
    request = resolve(config(f"strategy={name}", f"label_budget={budget}"))
    run_data, sees = request.run_data(), strategy.sees - ({"target_labels"} if budget == 0 else set())
    assert request.sees == sees
    held = {pool: getattr(run_data.pools, pool) is not None for pool in run_data.pools._fields}
    if held["source"] and "source_labels" not in sees:
        assert (run_data.pools.source.labels == UNLABELLED).all()
    by_labels = dict.fromkeys(("target", "validation"), "target_labels" in sees)
    assert held == {"source": "source_inputs" in sees, "unlabelled": "target_inputs" in sees, **by_labels}
    assert run_data.samples["target_labelled"] == (3 * 8 if "target_labels" in sees else 0)
    unlike = resolve(config("strategy=scratch", "seed=1")).run_data()
    assert torch.equal(run_data.validator_inputs, unlike.validator_inputs)
    quarantine = {"blobs/val"} if "target_labels" in sees else set()
    quarantine |= {"blobs_shifted/val"} if "source_labels" in request.reached_by else set()
    assert set(run_data.evaluated) == {"blobs/test"} | quarantine


@NAMED
def test_the_record_says_what_it_saw(finished, name):
    record, sees = finished(f"strategy={name}").record, CLASSES[name].sees
    by_its_start = (
        {"source_inputs", "source_labels"} if record["cell"]["initialisation"] == "source" else set()
    )
    assert set(record["sees"]) == sees | by_its_start
    sizes = {"source": 135, "target_labelled": 24, "target_val": 6, "target_unlabelled": 150}
    sights = ("source_inputs", "target_labels", "target_labels", "target_inputs")
    expected = {
        pool: size if sight in sees else 0 for (pool, size), sight in zip(sizes.items(), sights, strict=True)
    }
    assert record["result"]["samples"] == expected
    classes = [f"blob-{c}" for c in range(3)]
    labelled = {"target": dict.fromkeys(classes, 10)} if "target_labels" in sees else {}
    labelled |= {"source": dict.fromkeys(classes, 50)} if "source_inputs" in record["sees"] else {}
    assert record["result"]["class_counts"] == labelled


@pytest.mark.parametrize("name", [*CLOSED_FORM, *DRAWN_SEVERAL_WAYS])
def test_another_seed_and_a_twin_have_draws_of_their_own(finished, train, name):
    """A twin has the same labels, which are all that a closed form's result is drawn by."""
    once, twin = finished(f"strategy={name}"), train(f"strategy={name}", "twin=true")
    other = train(f"strategy={name}", "seed=1").on_test()
    assert (other.tobytes() == once.on_test().tobytes()) == (name in DETERMINISTIC)
    assert twin.record["subset"] == once.record["subset"]
    assert twin.record["fingerprint"] != once.record["fingerprint"]
    assert (twin.on_test().tobytes() == once.on_test().tobytes()) == CLASSES[name].closed_form


@NAMED
def test_inputs_that_are_not_numbers_end_it_as_diverged_and_keep_what_was_finite(finished, train, pair, name):
    clean = finished(f"strategy={name}")
    domain = pair["blobs_shifted" if CLASSES[name].sees == {"source_inputs", "source_labels"} else "blobs"]
    scored = np.concatenate([ids for member, ids in clean.members.items() if member.endswith("/ids")])
    inputs = domain.inputs.clone()
    inputs[torch.from_numpy(~np.isin(domain.ids, scored))] = torch.nan
    run = train(f"strategy={name}", domains=pair | {domain.name: replace(domain, inputs=inputs)})
    assert run.record["status"] == "diverged"
    assert "is not finite" in run.record["reason"] and (
        run.record["reason"].startswith("loss/") or CLASSES[name].closed_form
    )
    assert run.record["result"]["evaluations"] == [0]
    assert run.on_test(0).tobytes() == clean.on_test(0).tobytes()
    assert np.isfinite(list(run.record["result"]["metrics"].values())).all()


@NAMED
def test_source_labels_matter_to_those_that_see_them_and_to_no_other(finished, train, scrambled, name):
    # labels enough, and steps large enough, to choose what was learnt from the source
    chosen = [
        f"strategy={name}",
        *(["label_budget=50", "strategy.backbone_rate=1"] if CLASSES[name].beside_scratch else []),
    ]
    clean = finished(*chosen)
    run = train(*chosen, domains=scrambled("blobs_shifted", "train"))
    if "source_labels" in clean.record["sees"]:
        assert run.on_test().tobytes() != clean.on_test().tobytes()
    else:
        assert run.bits == clean.bits


@NAMED
def test_no_stored_probability_and_no_kept_model_depends_on_a_target_test_label(
    noted_run, train, scrambled, name
):
    clean, garbage = noted_run(name)[0], train(*keeping(name), domains=scrambled("blobs", "test"))
    assert clean.record["result"]["metrics"] != garbage.record["result"]["metrics"]
    assert clean.probabilities == garbage.probabilities
    assert (clean.folder / "model.safetensors").read_bytes() == (
        garbage.folder / "model.safetensors"
    ).read_bytes()


@NAMED
def test_resumed_is_the_same_as_never_stopped(finished, stopped_and_resumed, name):
    """Stopped between two intervals and taken up again, it ends with the bits of one that was not, of another
    store, and that kept a model and features beside them: one seed gives one result."""
    never_stopped = finished(f"strategy={name}")
    resumed, steps = stopped_and_resumed(f"strategy={name}")
    assert steps == [0, 4, 8, 0, 12]  # the run is claimed, then goes on after its eighth step
    assert resumed.bits == never_stopped.bits


@pytest.mark.parametrize("name", HEAD_ALONE)
def test_what_trains_the_head_alone_moves_nothing_else_and_draws_nothing(name):
    """What side_by_side.py takes for granted of a class that says so itself."""
    strategy = CLASSES[name]
    for step in ("updates", "backward", "begin_interval", "training_step", "configure_optimizers"):
        assert getattr(strategy, step) is getattr(Strategy, step), step
    torch.manual_seed(0)
    trained = strategy(Classifier(MLP((4,), [8]), 3))
    [group] = trained.parameter_groups()["all"]
    assert {id(weight) for weight in group["params"]} == {
        id(weight) for weight in trained.network.head.parameters()
    }
    assert not any(weight.requires_grad for weight in trained.network.backbone.parameters())
    before = torch.get_rng_state()
    features = trained.precompute(torch.rand(6, 4, generator=torch.Generator().manual_seed(0)))
    trained.losses(Batch(None, LabelledData(features, torch.arange(6) % 3, torch.zeros(6)), None))
    assert torch.equal(torch.get_rng_state(), before)
