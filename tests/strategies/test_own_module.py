"""A user's LightningModule as a strategy: its steps and optimiser, the harness's labels, batches, resume."""

import numpy as np
import pytest

from transferscope.errors import RequestError
from transferscope.training.load import load_run
from transferscope.training.request import resolve

ADAPTER = "strategy._target_=transferscope.strategies.own_module.OwnModule"


def words(module: str, *more: str) -> tuple[str, ...]:
    return (
        "strategy=target_only", ADAPTER, "+strategy._recursive_=false", "strategy.name=mine",
        f"+strategy.module={{_target_: own_modules.{module}}}", *more,
    )  # fmt: skip


def test_a_module_that_trains_as_target_only_ends_where_target_only_does(finished, train):
    """From the same weights; the batches are those of its own stream."""
    mine = train(*words("Plain"), "initialisation=source", "trainer.schedule=constant")
    other = finished(
        "strategy=target_only",
        "initialisation=source",
        "strategy.backbone_rate=1",
        "trainer.schedule=constant",
    )
    np.testing.assert_array_equal(mine.on_test(0), other.on_test(0))
    assert np.abs(mine.on_test() - other.on_test()).mean() < 0.1


@pytest.mark.parametrize("module", ["Usual", "ByStep"])
def test_a_resumed_run_ends_with_the_same_bits(train, stopped_and_resumed, module):
    never_stopped = train(*words(module))
    resumed, _ = stopped_and_resumed(*words(module))
    assert resumed.bits == never_stopped.bits


def test_what_it_logs_is_in_the_history(train):
    rows = train(*words("Usual")).bits[1]
    for row in rows[1:]:
        assert row["own_loss"] == pytest.approx(row["loss/module"], rel=1e-5)
        assert row["metric"] == pytest.approx(row["loss/module"], rel=1e-5)


def test_a_kept_model_predicts_what_the_record_holds(train, pair, tmp_path):
    run = train(*words("Usual", "keep=selected", "strategy.name=mine"))
    yaml = tmp_path / "strategy" / "mine.yaml"
    yaml.parent.mkdir()
    yaml.write_text(
        "_target_: transferscope.strategies.own_module.OwnModule\nmodule: {_target_: own_modules.Usual}\n"
    )
    test = run.members["blobs/test/ids"]
    items = [pair["blobs"].ids.tolist().index(item) for item in test]
    predicted = load_run(run.folder, config_dir=tmp_path).predict(pair["blobs"].inputs[items]).numpy()
    np.testing.assert_allclose(predicted, run.on_test(), atol=1e-6)
    yaml.write_text("_target_: transferscope.strategies.own_module.OwnModule\nmodule: null\n")
    with pytest.raises(RequestError, match="own_modules.Usual: no yaml of config group strategy names it"):
        load_run(run.folder, config_dir=tmp_path)


def test_its_file_is_a_part_of_what_a_run_consumes(config):
    strategy = resolve(config(*words("Usual"))).consumed["strategy"]
    assert strategy["module"]["_target_"] == "Usual" and len(strategy["module"]["source"]) == 16


@pytest.mark.parametrize(
    ("module", "more", "told"),
    [
        ("Usul", (), "strategy.module._target_=own_modules.Usul: cannot be imported"),
        ("Usual", ("+strategy.module.rate=1",), "strategy.module.rate=1: Usual takes lr"),
        ("Usual", ("strategy.module._target_=torch.nn.Linear",), "strategy.module"),
        (
            "Forgetful",
            (),
            "strategy.module=own_modules.Forgetful: 2 weights of the network that it is given are not",
        ),
        ("Manual", (), "strategy.module=own_modules.Manual: steps its optimisers itself"),
    ],
)
def test_what_cannot_be_a_strategy_is_refused_in_one_line(config, capsys, module, more, told):
    with pytest.raises(RequestError) as refusal:
        resolve(config(*words(module, *more)))
    assert str(refusal.value).startswith(told) and "\n" not in str(refusal.value)
    assert capsys.readouterr().err == ""


def test_two_optimisers_are_refused(train):
    with pytest.raises(RequestError, match="configure_optimizers must return one optimiser"):
        train(*words("TwoOptimisers"))
