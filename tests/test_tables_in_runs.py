"""Tables with categories and missing values from domain to record: who is refused, and what test rows do."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from omegaconf import OmegaConf

from strategies.conftest import config, finished, train  # noqa: F401
from transferscope.cli.main import main
from transferscope.data import tables
from transferscope.data.domain import Domain
from transferscope.data.splits import split
from transferscope.errors import NotApplicable
from transferscope.store.record import run_folders
from transferscope.training import request
from transferscope.training.load import load_run

CATEGORIES = {"sex": ["m", "f"], "ward": ["a", "b", "c"]}
SHELF = Path(__file__).parents[1] / "conf" / "backbone"
TABULAR = ("backbone=tabular", "backbone.hidden=[16]")


def patients(name: str, seed: int, shift: float = 0.0, **categorical: list[str]) -> Domain:
    """60 rows: two numbers, two categories, a fifth of each missing; ward c is rare."""
    random = np.random.default_rng(seed)
    ill = random.permutation(60) < 30
    frame = pandas.DataFrame(
        {
            "years": random.normal(50 + 10 * ill + shift, 8),
            "sex": np.where(random.random(60) < 0.3 + 0.4 * ill, "m", "f"),
            "stay": random.normal(3 + 2 * ill, 1),
            "ward": random.choice(["a", "b", "c"], 60, p=[0.5, 0.45, 0.05]),
            "label": np.where(ill, "ill", "well"),
        }
    ).astype({"sex": object, "ward": object})
    for column in ("years", "sex", "stay", "ward"):
        frame.loc[random.random(60) < 0.2, column] = None
    return tables.from_frame(name, frame, categorical={**CATEGORIES, **categorical}, missing=[])


@pytest.fixture(scope="module")
def hospitals() -> dict[str, Domain]:
    return {"blobs": patients("blobs", 0), "blobs_shifted": patients("blobs_shifted", 1, 3.0)}


def poisoned(domain: Domain) -> Domain:
    """With arbitrary values in its test rows: numbers beyond all others, categories changed, gaps filled and
    made."""
    rows = torch.from_numpy(split(domain, 0)[1])
    inputs = domain.inputs.clone()
    inputs[rows] = torch.tensor([1e6, 1.0, float("nan"), 2.0])
    return replace(domain, inputs=inputs)


STRATEGIES = [
    "scratch", "fine_tuning", "joint", "dann", "coral", "nearest_mean", "adaptive_bn", "source_only",
    "boosted_trees", "source_boosted_trees",
]  # fmt: skip


@pytest.mark.parametrize("name", STRATEGIES)
def test_test_rows_reach_no_trained_weight(train, hospitals, name):  # noqa: F811
    asked = (*TABULAR, f"strategy={name}", "keep=selected", "selection=last")
    clean = train(*asked, domains=hospitals)
    assert clean.record["status"] in ("done", "collapsed"), clean.record["reason"]
    other = train(*asked, domains=hospitals | {"blobs": poisoned(hospitals["blobs"])})
    kept = [(run.folder / "model.safetensors").read_bytes() for run in (clean, other)]
    assert kept[0] == kept[1] and clean.on_test().tobytes() != other.on_test().tobytes()


@pytest.mark.parametrize("name", ["fine_tuning", "boosted_trees"])
def test_a_kept_model_predicts_what_the_record_holds(train, hospitals, name):  # noqa: F811
    run = train(*TABULAR, f"strategy={name}", "keep=selected", domains=hospitals)
    loaded, domain = load_run(run.folder), hospitals["blobs"]
    tested = torch.from_numpy(np.flatnonzero(np.isin(domain.ids, run.members["blobs/test/ids"])))
    assert run.record["result"]["columns"] == {
        "years": [],
        "sex": ["m", "f"],
        "stay": [],
        "ward": ["a", "b", "c"],
    }
    np.testing.assert_allclose(loaded.predict(domain.inputs[tested]).numpy(), run.on_test(), atol=1e-6)


def refusal(config, domains: dict[str, Domain], *asked: str, backbone: str = "") -> str:  # noqa: F811
    composed = config(*asked)
    if backbone:
        composed.backbone = OmegaConf.load(SHELF / f"{backbone}.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(request, "load_domain", lambda key, name, *_: domains[name])
        with pytest.raises(NotApplicable) as refused:
            request.resolve(composed)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("backbone", ["mlp", "identity", "small_cnn"])
def test_networks_of_numbers_refuse_such_a_table_before_training(config, hospitals, backbone):  # noqa: F811
    said = refusal(config, hospitals, "strategy=scratch", backbone=backbone)
    assert said == (
        f"backbone={backbone}: takes numbers alone, and target blobs has categories in sex, ward and missing "
        "values in years, sex, stay, …; give backbone=tabular"
    )


def test_a_gap_in_the_source_alone_is_seen_too(config, hospitals):  # noqa: F811
    numbers = [
        replace(d, inputs=d.inputs[:, [0, 2]], columns={"years": (), "stay": ()}) for d in hospitals.values()
    ]
    whole = replace(numbers[0], inputs=numbers[0].inputs.nan_to_num())
    said = refusal(config, {"blobs": whole, "blobs_shifted": numbers[1]}, "strategy=joint")
    assert "source blobs_shifted has missing values in years, stay; give backbone=tabular" in said


def test_tables_must_have_the_same_columns_and_categories(config, hospitals):  # noqa: F811
    other = patients("blobs_shifted", 1, ward=["a", "b", "c", "d"])
    said = refusal(config, hospitals | {"blobs_shifted": other}, *TABULAR, "strategy=joint")
    assert said == (
        "source=blobs_shifted: column ward has other categories than in target blobs; list them in both "
        "yamls, categorical: {ward: [a, b, c, d]}"
    )
    said = refusal(
        config,
        hospitals | {"blobs_shifted": other},
        *TABULAR,
        "strategy=scratch",
        "source=null",
        "test_also=[blobs_shifted]",
    )
    assert said.startswith("test_also=blobs_shifted: column ward has other categories than in target blobs")
    order = [2, 1, 0, 3]
    names = [list(hospitals["blobs"].columns.items())[place] for place in order]
    other = replace(hospitals["blobs"], inputs=hospitals["blobs"].inputs[:, order], columns=dict(names))
    said = refusal(config, hospitals | {"blobs_shifted": other}, *TABULAR, "strategy=joint")
    assert said.endswith(
        "its columns are not those of target blobs in their order: stay stands in place of years"
    )


def test_a_class_that_the_target_lacks_is_named(config, hospitals):  # noqa: F811
    more = replace(hospitals["blobs_shifted"], classes=("dead", "ill", "well"))
    said = refusal(config, hospitals | {"blobs_shifted": more}, *TABULAR, "strategy=coral")
    assert "strategy coral needs the classes of target blobs; dead only in the source" in said


def test_a_table_of_numbers_has_the_digest_of_its_array(tmp_path: Path):
    frame = pandas.DataFrame({"a": [1.0, 2, 3], "b": [4, 5, 6], "label": ["x", "y", "x"]})
    domain = tables.from_frame("mine", frame)
    assert domain.columns == {"a": (), "b": ()} and not domain.gaps and not domain.categorical
    assert domain.digest == replace(domain, columns=None).digest


def test_predict_reads_a_table_as_the_targets_yaml_says(tmp_path: Path, capsys: pytest.CaptureFixture):
    """By the names of its header, whatever their order and what else there is; the codes are the record's."""
    (tmp_path / "conf" / "domain").mkdir(parents=True)
    frame = pandas.DataFrame(
        {"ward": ["a", "b", "?"] * 20, "stay": [1.5, -9, 3] * 20, "kind": ["ill", "well"] * 30}
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "conf" / "domain" / "mine.yaml").write_text(
        f"# mine\n_target_: transferscope.data.tables.load\npath: {tmp_path / 't.csv'}\nlabel: kind\n"
        "categorical: [ward]\nmissing: ['?', -9]\n"
    )
    store = tmp_path / "runs"
    own = ["--config-dir", str(tmp_path / "conf")]
    asked = ["target=mine", *TABULAR, "strategy=scratch", "keep=selected", "trainer.steps=2", "tracking=off"]
    assert main(["run", *own, *asked, "trainer.evaluations=1", f"store={store}"]) == 0
    [folder] = run_folders(store)
    capsys.readouterr()
    tables_of = {"whole.csv": frame, "turned.csv": frame[["stay", "ward"]].assign(more="x")}
    said = []
    for name, table in tables_of.items():
        table.to_csv(tmp_path / name, index=False)
        assert main(["predict", str(folder), str(tmp_path / name), *own]) == 0
        said.append([line.split(",", 1)[1] for line in capsys.readouterr().out.splitlines()])
    assert said[0] == said[1] and len(said[0]) == 61
    frame.assign(ward="c").to_csv(tmp_path / "odd.csv", index=False)
    assert main(["predict", str(folder), str(tmp_path / "odd.csv"), *own]) == 2
    assert "odd.csv has c in row 0; its categories are a, b" in capsys.readouterr().err
