from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

from transferscope.data import arrays
from transferscope.errors import Refused

INPUTS = np.array([[1, -3], [2, 2], [0, 0], [5, 5]], np.float64)
LABELS = np.array(["b", "a", "b", "a"])


def npz(path: Path, **content) -> str:
    np.savez(path / "f.npz", **({"inputs": INPUTS, "labels": LABELS} | content))
    return str(path / "f.npz")


def test_npz(tmp_path: Path) -> None:
    domain = arrays.load("x", npz(tmp_path), test_fraction=0.25)
    assert domain.inputs.dtype == torch.float32 and domain.inputs.tolist() == INPUTS.tolist()
    assert domain.classes == ("a", "b") and domain.labels.tolist() == [1, 0, 1, 0]
    assert domain.ids.tolist() == ["f-00000", "f-00001", "f-00002", "f-00003"]
    assert domain.test_fraction == 0.25


def test_npz_with_ids_split_and_groups(tmp_path: Path) -> None:
    path = npz(tmp_path, key=[7, 8, 9, 10], part=["train", "test", "", "test"], writer=["p", "p", "q", "q"])
    domain = arrays.load("x", path, ids="key", split="part", groups="writer")
    assert domain.ids.tolist() == ["7", "8", "9", "10"]
    assert domain.split.tolist() == ["train", "test", "", "test"]
    assert domain.groups.tolist() == ["p", "p", "q", "q"]


def test_l1_rows_sum_to_one_and_an_empty_row_stays(tmp_path: Path) -> None:
    domain = arrays.load("x", npz(tmp_path), scale="l1")
    assert domain.inputs.tolist() == [[0.25, -0.75], [0.5, 0.5], [0, 0], [0.5, 0.5]]


def test_mat_labels_of_shape_n_1(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "f.mat", {"fts": INPUTS, "labels": np.array([[1.0], [10.0], [2.0], [1.0]])})
    domain = arrays.load("x", str(tmp_path / "f.mat"), inputs="fts")
    assert domain.classes == ("1", "10", "2") and domain.labels.tolist() == [0, 1, 2, 0]


def test_csv(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("0.5,1e0,1.0\n2,3,0\n4,5,1\n")
    domain = arrays.load_csv("x", str(tmp_path / "f.csv"))
    assert domain.inputs.tolist() == [[0.5, 1], [2, 3], [4, 5]] and domain.labels.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        ({}, {"inputs": "input"}, "no key 'input'.*there are: inputs, labels; did you mean 'inputs'"),
        ({}, {"groups": "writer"}, "no key 'writer'"),
        ({"inputs": INPUTS[:, :, None]}, {}, r"\(4, 2, 1\)"),
        ({"inputs": LABELS[:, None]}, {}, "inputs"),
        ({"inputs": INPUTS[:0], "labels": LABELS[:0]}, {}, "inputs"),
        ({"inputs": np.where(INPUTS == 5, np.nan, INPUTS)}, {}, "nan in row 3, column 0"),
        ({"inputs": INPUTS * 1e300}, {}, "inf in row 0"),
        ({"labels": LABELS[:3]}, {}, r"labels.*\(3,\).*4"),
        ({"labels": np.eye(2)}, {}, r"labels.*\(2, 2\)"),
        ({"labels": np.array([0.5, 1, 0, 1])}, {}, "labels.*0.5"),
        ({"labels": np.array([np.nan, 1, 0, 1])}, {}, "labels.*nan"),
        ({"labels": np.array([["a"], "b", "a", "b"], dtype=object)}, {}, "cannot be read"),
        ({"labels": np.full(4, "a")}, {}, "only class 'a'"),
        ({"key": [1, 1, 2, 3]}, {"ids": "key"}, "not unique: '1'"),
        ({"part": ["train", "test", "valid", ""]}, {"split": "part"}, "'valid'; allowed: train, test or empty"),
        ({}, {"scale": "L1"}, "scale=L1; allowed: none, l1"),
    ],
)
def test_refusals(content: dict, options: dict, says: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=says) as refusal:
        arrays.load("x", npz(tmp_path, **content), **options)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("suffix", [".npz", ".mat", ".csv", ".xls"])
def test_files_that_cannot_serve(suffix: str, tmp_path: Path) -> None:
    load = arrays.load_csv if suffix == ".csv" else arrays.load
    file = tmp_path / f"f{suffix}"
    with pytest.raises(Refused, match="^no file"):
        load("x", str(file))
    file.write_bytes(b"no such format")
    with pytest.raises(Refused, match=f"f{suffix}"):
        load("x", str(file))


def test_a_truncated_npz_is_refused(tmp_path: Path) -> None:
    file = Path(npz(tmp_path, inputs=np.random.default_rng(0).normal(size=(4, 5000))))
    file.write_bytes(file.read_bytes()[:20000])
    with pytest.raises(Refused, match="cannot be read"):
        arrays.load("x", str(file))


def test_surf_features_are_the_files_rows(data_root: Path) -> None:
    path = data_root / "office_caltech10_surf" / "webcam_SURF_L10.mat"
    content = scipy.io.loadmat(path)
    domain = arrays.load("webcam", str(path), inputs="fts", scale="l1")
    assert domain.inputs.shape == (295, 800)
    assert np.allclose(domain.inputs.sum(1), 1, atol=1e-5)
    assert np.allclose(domain.inputs.numpy() * content["fts"].sum(1, keepdims=True), content["fts"], atol=1e-4)
    assert [domain.classes[i] for i in domain.labels] == [str(v) for v in content["labels"].ravel()]


def test_the_fourth_moon_is_the_target_turned_by_45_degrees(data_root: Path) -> None:
    target, turned = (arrays.load_csv(f, str(data_root / "nt_moons" / f"{f}.csv")) for f in ("moon0", "moon3_45"))
    cosine = np.sqrt(0.5)
    rotation = torch.tensor([[cosine, cosine], [-cosine, cosine]], dtype=torch.float32)  # of row vectors, counter-clockwise
    assert torch.allclose(target.inputs @ rotation, turned.inputs, atol=1e-5)
    assert (target.labels == turned.labels).all()
