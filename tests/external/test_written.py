"""Files that other tools write of their runs at the end of a fit, and the verdicts on them."""

import numpy as np
import pytest
from pyarrow import parquet as pq

import transferscope as ts
from transferscope.errors import RequestError


def test_what_is_written_is_what_is_judged(tmp_path):
    draw = np.random.default_rng(0)
    labels, given = draw.integers(0, 3, 50), {"one": [], "two": []}
    for arm in ("one", "two"):
        for seed in (0, 1):
            p = draw.dirichlet(np.ones(3), 50)
            ts.write_results(
                tmp_path / f"{arm}-{seed}.parquet", strategy=arm, seed=np.int64(seed), labels=labels,
                probabilities=p, source="web", label_budget=10, backbone=None,
            )  # fmt: skip
            given[arm].append(-((p - np.eye(3)[labels]) ** 2).sum(1).mean())
    (cell,) = ts.compare(ts.Results(*tmp_path.glob("*.parquet")), baseline="one", metric="brier")
    assert (cell.source, cell.label_budget, cell.seeds, cell.items) == ("web", 10, 2, 50)
    assert cell.delta == pytest.approx(np.mean(given["two"]) - np.mean(given["one"]), rel=1e-6)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_scores_and_numbers_too(name, tmp_path):
    ts.write_results(tmp_path / name, strategy="a", scores=[0, 1, 1], items=["x", "y", "z"])
    ts.write_results(tmp_path / f"b{name}", strategy="b", scores=[1, 1, 1], items=["x", "y", "z"])
    (cell,) = ts.compare(ts.Results(tmp_path / name, tmp_path / f"b{name}"), baseline="a")
    assert cell.delta == pytest.approx(1 / 3)


BAD = [
    ({"scores": [1, 0], "items": ["x"]}, r"item is of shape \(1,\) for 2 items"),
    ({"labels": [1, 0], "predictions": [1]}, r"prediction is of shape \(1,\) for 2 items"),
    ({"scores": [1], "souce": "web"}, r"did you mean 'source'\?"),
    ({"labels": [1, 0]}, "got label$"),
    ({}, "got none$"),
    ({"labels": [0, 1], "predictions": [[0.1], [0.9]]}, "prediction is of shape"),
    ({"labels": [0, 1], "probabilities": [[1.0, 0.0]] * 2, "classes": ["a"]}, "for 1 classes"),
]


@pytest.mark.parametrize(("values", "says"), BAD)
def test_bad_values_leave_no_file(values, says, tmp_path):
    with pytest.raises(RequestError, match=says):
        ts.write_results(tmp_path / "a.csv", strategy="a", **values)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_is_kept(tmp_path):
    (tmp_path / "a.csv").write_text("mine")
    with pytest.raises(RequestError, match="exists already"):
        ts.write_results(tmp_path / "a.csv", strategy="a", scores=[1])
    with pytest.raises(RequestError, match="ends in"):
        ts.write_results(tmp_path / "a.txt", strategy="a", scores=[1])
    with pytest.raises(RequestError, match="no folder"):
        ts.write_results(tmp_path / "none" / "a.csv", strategy="a", scores=[1])
    assert (tmp_path / "a.csv").read_text() == "mine"


@pytest.fixture(scope="module")
def digits():
    """(x, y) of training items, and of test items."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = x / 16
    return (x[:600], y[:600]), (x[600:], y[600:])


@pytest.mark.slow
def test_scikit_learn(digits, tmp_path):
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.naive_bayes import GaussianNB
    from sklearn.svm import LinearSVC

    from transferscope.external.scikit_learn import write_predictions

    (x, y), test = digits
    for seed in range(3):
        some = np.random.default_rng(seed).permutation(600)[:200]
        for name, made in (("bayes", GaussianNB()), ("logistic", LogisticRegression(max_iter=300))):
            write_predictions(
                made.fit(x[some], y[some]), *test, tmp_path / f"{name}{seed}.csv", strategy=name, seed=seed
            )
    (cell,) = ts.compare(ts.Results(*tmp_path.glob("*.csv")), baseline="bayes")
    assert (cell.seeds, cell.items, cell.verdict) == (3, 1197, "positive")
    write_predictions(LinearSVC().fit(x, y), *test, tmp_path / "svm.parquet", strategy="svm")
    write_predictions(Ridge().fit(x, y), *test, tmp_path / "ridge.parquet", strategy="ridge")
    for name in ("svm", "ridge"):
        found = pq.read_table(tmp_path / f"{name}.parquet")
        assert ("truth" if name == "ridge" else "label") in found.column_names and len(found) == 1197


@pytest.mark.slow
def test_lightning(digits, tmp_path):
    import pytorch_lightning as pl
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    from transferscope.external.lightning import WritePredictions

    class Module(pl.LightningModule):
        def __init__(self, width: int):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(64, width), nn.Dropout(0.1), nn.ReLU(), nn.Linear(width, 10))

        def forward(self, x):
            return self.net(x)

        def training_step(self, batch, batch_idx):
            x, y = batch
            return nn.functional.cross_entropy(self(x), y)

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), 0.01)

    train, test = (TensorDataset(torch.tensor(x, dtype=torch.float32), torch.tensor(y)) for x, y in digits)
    for width in (2, 64):
        for seed in range(3):
            pl.seed_everything(seed)
            path = tmp_path / f"{width}-{seed}.csv"
            writes = WritePredictions(path, DataLoader(test, 256), strategy=f"width {width}", seed=seed)
            module = Module(width)
            pl.Trainer(
                max_epochs=8, callbacks=[writes], logger=False, enable_checkpointing=False,
                enable_progress_bar=False, enable_model_summary=False, accelerator="cpu",
            ).fit(module, DataLoader(train, 32, shuffle=True))  # fmt: skip
    (cell,) = ts.compare(ts.Results(*tmp_path.glob("*.csv")), baseline="width 2")
    assert (cell.seeds, cell.items, cell.verdict) == (3, 1197, "positive")
    with torch.no_grad():
        right = (module.eval()(test.tensors[0]).argmax(1) == test.tensors[1]).float().mean().item()
    last = ts.compare(ts.Results(tmp_path / "2-2.csv", tmp_path / "64-2.csv"), baseline="width 2")
    assert list(last)[0].strategy_score == pytest.approx(right)


@pytest.mark.slow
def test_hugging_face(digits, tmp_path):
    import torch
    from torch import nn
    from transformers import Trainer, TrainingArguments

    from transferscope.external.hugging_face import WritePredictions

    class Model(nn.Module):
        def __init__(self, width: int):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(64, width), nn.Tanh(), nn.Linear(width, 10))

        def forward(self, x, labels):
            logits = self.net(x)
            return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}

    train, test = (
        [{"x": torch.tensor(a, dtype=torch.float32), "labels": int(b)} for a, b in zip(x, y, strict=True)]
        for x, y in digits
    )
    for width in (3, 64):
        for seed in range(3):
            torch.manual_seed(seed)
            arguments = TrainingArguments(
                output_dir=str(tmp_path / "trainer"), num_train_epochs=4, per_device_train_batch_size=32,
                learning_rate=0.01, report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True,
                seed=seed,
            )  # fmt: skip
            trainer = Trainer(Model(width), arguments, train_dataset=train)
            path = tmp_path / f"{width}-{seed}.parquet"
            trainer.add_callback(WritePredictions(path, trainer, test, strategy=f"width {width}", seed=seed))
            trainer.train()
    (cell,) = ts.compare(ts.Results(*tmp_path.glob("*.parquet")), baseline="width 3")
    assert (cell.seeds, cell.items, cell.verdict) == (3, 1197, "positive")
