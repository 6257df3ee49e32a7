"""`keep_features=true`: what a run leaves for `dev` and `iwcv`, and what `compare --selection dev` makes of
it."""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from safetensors.torch import load_file

from store_fixture import write_runs
from transferscope import load_run, validators
from transferscope.catalog import yamls
from transferscope.comparison import scores, stored_validators
from transferscope.comparison.compare import compare
from transferscope.errors import RequestError
from transferscope.store import lease, record
from transferscope.store.record import read_record, read_reverse_validation
from transferscope.training import request, reverse_validation, run
from transferscope.validators.dev import dev
from transferscope.validators.iwcv import importance_weights

TINY = (
    "target=blobs", "source=blobs_shifted", "backbone=mlp", "backbone.hidden=[16]", "trainer.steps=30",
    "trainer.source_steps=30", "trainer.batch_size=16", "trainer.evaluations=3", "trainer.optimizer.lr=0.02",
    "trainer.accelerator=cpu", "tracking=off",
)  # fmt: skip
STEPS = [0, 10, 20, 30]


@pytest.fixture(scope="module")
def config() -> Callable[..., DictConfig]:
    """config(*overrides): each of them is composed once. A run changes nothing in it."""

    @cache
    def chosen(*overrides: str) -> DictConfig:
        with initialize_config_dir(str(yamls.own_folder().resolve()), version_base="1.3"):
            return compose("config", overrides=[*TINY, *overrides])

    def composed(*overrides: str) -> DictConfig:
        plain = [word for word in overrides if word.split("=")[0] in ("store", "seed", "protocol")]
        given = chosen(*(word for word in overrides if word not in plain)).copy()
        for key, _, value in (word.partition("=") for word in plain):
            given[key] = int(value) if key == "seed" else value
        return given

    return composed


@pytest.fixture(scope="module")
def store(config, tmp_path_factory) -> Path:
    """scratch and dann, asked to keep features."""
    folder = tmp_path_factory.mktemp("store")
    for strategy in ("scratch", "dann"):
        run.run(config(f"store={folder}", f"strategy={strategy}", "keep_features=true"))
    return folder


def of(store: Path, strategy: str) -> Path:
    [folder] = [f for f in record.run_folders(store) if read_record(f)["cell"]["strategy"] == strategy]
    return folder


def results(folder: Path) -> tuple[str, list[dict], dict]:
    """What makes two runs identical."""
    rows = [
        {k: v for k, v in row.items() if not k.endswith("seconds")} for row in record.read_history(folder)
    ]
    return (
        hashlib.md5((folder / "evaluations.npz").read_bytes()).hexdigest(),
        rows,
        read_record(folder)["result"],
    )


def stored_at(folder: Path, step: int) -> dict[str, np.ndarray]:
    with np.load(folder / "features" / f"{step:06d}.npz", allow_pickle=False) as members:
        return dict(members)


# --- what is stored


def test_features_and_losses_are_those_of_the_network_at_that_evaluation(config, store, tmp_path):
    folder = run.run(config(f"store={tmp_path}", "strategy=dann", "keep_features=true", "keep=selected"))
    resolved = request.resolve(config("strategy=dann", f"store={tmp_path}"))
    items = resolved.run_data().feature_items(0)
    loaded = load_run(folder)
    with torch.no_grad():
        expected = {
            name: loaded.strategy.network.backbone(getattr(items, name)).numpy()
            for name in ("source", "source_val", "target")
        }
    found = stored_at(folder, 30)
    for name, features in expected.items():
        assert found[name].dtype == np.float16
        np.testing.assert_allclose(found[name], features, rtol=2e-3, atol=1e-4)
    p = loaded.predict(items.source_val).gather(1, items.source_val_labels[:, None])[:, 0]
    np.testing.assert_allclose(found["losses"], -p.log().numpy(), rtol=1e-4)
    assert [int(path.stem) for path in sorted((folder / "features").glob("*.npz"))] == STEPS


def test_the_items_are_the_same_for_every_seed_and_strategy_and_none_is_a_test_item(config):
    drawn = [
        request.resolve(config(f"strategy={name}", f"seed={seed}", f"label_budget={budget}")).run_data()
        for name, seed, budget in (("dann", 0, 10), ("dann", 3, 0), ("joint", 1, 2))
    ]
    first, *others = [run_data.feature_items(0) for run_data in drawn]
    assert all(torch.equal(a, b) for other in others for a, b in zip(first, other, strict=True))
    test = {row.tobytes() for row in drawn[0].evaluated["blobs/test"].inputs.numpy()}
    trained = {row.tobytes() for row in drawn[0].pools.source.inputs.numpy()}
    assert not test & {
        row.tobytes() for part in (first.source, first.source_val, first.target) for row in part.numpy()
    }
    assert {row.tobytes() for row in first.source.numpy()} <= trained
    assert not trained & {row.tobytes() for row in first.source_val.numpy()}


def test_large_domains_are_cut(config, monkeypatch):
    whole = request.resolve(config("strategy=dann")).run_data()
    monkeypatch.setattr("transferscope.data.splits.FEATURE_ITEMS", 7)
    cut = whole.feature_items(0)
    assert [len(part) for part in cut[:3]] == [7, 7, 7]


def test_a_finished_run_without_them_is_run_again_and_its_results_stay(config, tmp_path):
    asked = config(f"store={tmp_path}", "strategy=dann")
    folder = run.run(asked)
    before = results(folder)
    kept = config(f"store={tmp_path}", "strategy=dann", "keep_features=true")
    assert not run.is_done(request.resolve(kept))
    assert run.run(kept) == folder and results(folder) == before  # of the same fingerprint
    assert (
        (folder / "features").is_dir()
        and run.is_done(request.resolve(kept))
        and run.is_done(request.resolve(asked))
    )


def test_what_was_kept_before_stays_beside_what_is_kept_now(config, tmp_path):
    base = (f"store={tmp_path}", "strategy=dann")
    folder = run.run(config(*base, "keep=selected", "selection=source_val"))
    model = (folder / "model.safetensors").read_bytes()
    run.run(config(*base, "keep_features=true"))
    assert (folder / "model.safetensors").read_bytes() == model and read_record(folder)["config"][
        "selection"
    ] == "source_val"
    run.run(config(*base, "reverse_validation=true"))
    assert {"model.safetensors", "features", "reverse_validation.json"} < {
        path.name for path in folder.iterdir()
    }
    assert run.is_done(
        request.resolve(config(*base, "keep=selected", "selection=source_val", "keep_features=true"))
    )
    last = config(*base, "keep=selected")
    assert not run.is_done(request.resolve(last))  # the model of another evaluation
    run.run(last)
    assert int(load_file(folder / "model.safetensors")["steps_done"]) == 30 and (folder / "features").is_dir()


@pytest.mark.parametrize("first", ["true", "false"])
def test_a_killed_run_ends_with_the_features_of_every_evaluation(config, tmp_path, monkeypatch, first):
    whole = run.run(config(f"store={tmp_path / 'whole'}", "strategy=dann", "keep_features=true"))

    def stop(self, step: int) -> None:
        if step == 20:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(
            lease.Lease, "claim", lambda self, step: (self.folder.mkdir(exist_ok=True), stop(self, step))
        )
        run.run(config(f"store={tmp_path}", "strategy=dann", f"keep_features={first}"))
    folder = run.run(config(f"store={tmp_path}", "strategy=dann", "keep_features=true"))
    for step in STEPS:
        assert all(
            np.array_equal(a, b)
            for a, b in zip(stored_at(folder, step).values(), stored_at(whole, step).values(), strict=True)
        )


# --- what compare makes of them


def test_dev_takes_the_evaluation_of_its_best_value(store):
    folder = of(store, "dann")
    values = {}
    for step in STEPS[1:]:
        members = stored_at(folder, step)
        values[step] = dev(
            members["losses"],
            importance_weights(members["source"], members["target"], at=members["source_val"]),
        )
    read = scores.read_scores(folder, read_record(folder), "accuracy", "dev")
    assert read.selection == "dev" and read.step == max(values, key=values.get)


def test_a_strategy_that_sees_no_source_is_judged_by_its_last_evaluation_and_the_table_says_so(store):
    comparison = compare(store, selection="dev,last")
    (cell,) = comparison
    assert "baseline: last evaluation, it sees no source items that dev could choose by" in cell.flags
    assert "MIXED RULES" in comparison.to_table() and "MIXED RULES" not in compare(store).to_table()
    scratch = of(store, "scratch")
    assert not (scratch / "features").exists()
    assert scores.read_scores(scratch, read_record(scratch), "accuracy", "iwcv").step == 30


def test_a_run_without_features_is_named_with_what_would_store_them(tmp_path):
    write_runs(tmp_path, "scratch", 0.5, seeds=1)
    (job,) = write_runs(tmp_path, "dann", 1.0, seeds=1)
    comparison = compare(tmp_path, selection="dev")
    assert len(comparison) == 0
    assert (
        comparison.missing[0]["reason"]
        == f"dev: run {job['fingerprint']} stored no features; run it again with keep_features=true"
    )


def planted(store: Path) -> Path:
    """A run whose held-out items that look like the target are right at step 200, all others at step 100."""
    (job,) = write_runs(store, "dann", 0.5, seeds=1)
    folder = store / job["fingerprint"]
    (folder / "features").mkdir()
    draw = np.random.default_rng(0)
    for step, (near, far) in {0: (0, 0), 100: (3, 0.1), 200: (0.5, 2), 300: (2, 1)}.items():
        source, target, val = (draw.normal(mean, 1, size=(800, 1)).astype(np.float16) for mean in (0, 1, 0))
        losses = np.where(val[:, 0] > 0.8, near, far).astype(np.float32)
        np.savez(
            folder / "features" / f"{step:06d}.npz",
            source=source,
            target=target,
            source_val=val,
            losses=losses,
        )
    return folder


@pytest.mark.parametrize("selection", ["dev", "iwcv"])
def test_it_is_the_items_that_look_like_the_target_that_count(tmp_path, selection):
    folder = planted(tmp_path)
    assert min((100, 200, 300), key=lambda step: stored_at(folder, step)["losses"].mean()) == 100
    assert scores.read_scores(folder, read_record(folder), "accuracy", selection).step == 200


def test_values_are_made_once(tmp_path):
    folder = planted(tmp_path)
    first = stored_validators.values(folder, "dev")
    for path in (folder / "features").glob("*.npz"):
        path.unlink()
    assert (
        stored_validators.values(folder, "dev") == first and stored_validators.values(folder, "iwcv") != first
    )


def test_an_evaluation_that_is_not_finite_is_passed_over_and_a_damaged_file_named(tmp_path):
    folder = planted(tmp_path)
    members = stored_at(folder, 200)
    members["source_val"][0] = np.nan
    np.savez(folder / "features" / "000200.npz", **members)
    assert scores.read_scores(folder, read_record(folder), "accuracy", "iwcv").step == 300
    (folder / "features" / f"values-{stored_validators.VERSION}.json").unlink()
    (folder / "features" / "000100.npz").write_text("no archive")
    with pytest.raises(RequestError, match=r"features/000100.npz: not a file of features"):
        scores.read_scores(folder, read_record(folder), "accuracy", "iwcv")


# --- a model that a validator chose


@pytest.mark.parametrize("validator", validators.label_free())
def test_the_kept_model_is_that_of_the_evaluation_that_compare_takes(config, tmp_path, validator):
    folder = run.run(
        config(
            f"store={tmp_path}",
            "strategy=dann",
            "keep=selected",
            f"selection={validator}",
            "trainer.optimizer.lr=0.2",
        )
    )
    read = scores.read_scores(folder, read_record(folder), "accuracy", validator)
    assert int(load_file(folder / "model.safetensors")["steps_done"]) == read.step > 0


# --- trained backwards


def test_the_reverse_training_sees_guesses_and_no_label_of_its_own_target(config, tmp_path, monkeypatch):
    calls = []
    fit = reverse_validation.fit
    monkeypatch.setattr(
        reverse_validation,
        "fit",
        lambda strategy, pools, *rest: (calls.append(pools), fit(strategy, pools, *rest))[1],
    )
    asked = config(f"store={tmp_path}", "strategy=dann", "reverse_validation=true", "keep=selected")
    folder = run.run(asked)
    run_data = request.resolve(asked).run_data()
    [pools] = calls
    assert torch.equal(pools.source.inputs, run_data.pools.unlabelled) and torch.equal(
        pools.unlabelled, run_data.pools.source.inputs
    )
    assert (
        torch.equal(pools.source.labels, load_run(folder).predict(run_data.pools.unlabelled).argmax(1))
        and pools.target is None
    )
    assert 0 <= read_reverse_validation(folder) <= 1


def test_it_tells_a_source_with_labels_from_one_whose_labels_are_shuffled(config, tmp_path):
    """And leaves the results of the run as they are."""
    more = ("strategy=dann", "label_budget=0", "trainer.steps=150")
    value = {}
    for noise in (0.0, 1.0):
        alone = run.run(config(f"store={tmp_path / 'alone'}", *more, f"source_label_noise={noise}"))
        folder = run.run(
            config(f"store={tmp_path}", *more, f"source_label_noise={noise}", "reverse_validation=true")
        )
        assert results(folder) == results(alone) and read_reverse_validation(alone) is None
        value[noise] = read_reverse_validation(folder)
    assert value[0.0] > value[1.0] + 0.2


@pytest.mark.parametrize(
    ("choice", "why"),
    [
        (["strategy=scratch"], "sees the source"),
        (["strategy=joint"], "and the target's inputs"),
        (["strategy=mme"], "needs no target labels"),
        (["strategy=adda"], "sees the source with its labels"),
        (["strategy=dann", "initialisation=source"], "starts from no source model"),
    ],
)
def test_what_cannot_be_run_backwards_is_refused_in_a_line(config, choice, why):
    with pytest.raises(request.NotApplicable, match=f"reverse_validation=true: only what .*{why}"):
        request.resolve(config(*choice, "reverse_validation=true"))
