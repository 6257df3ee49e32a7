from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse
import torch

from transferscope.data import arrays
from transferscope.errors import RequestError

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
        ({"labels": np.array([np.nan, 1, 0, 1])}, {}, "labels.*has nan; say unlabelled: nan"),
        (
            {"labels": np.array([-1, 1, 0, 1])},
            {},
            "labels.*has -1; say unlabelled: -1 if .* none if it is a class",
        ),
        ({"labels": np.array(["", "a", "b", "a"])}, {}, "labels.*has ''; say unlabelled"),
        ({}, {"unlabelled": "c"}, "unlabelled=c: labels in .* has no such label"),
        ({"labels": np.array([-1, 1, -1, 1])}, {"unlabelled": -1}, "only class '1'"),
        (
            {"labels": np.array([-1, 1, 0, 1]), "part": ["test", "test", "", ""]},
            {"unlabelled": -1, "split": "part"},
            "row 0 is of test",
        ),
        ({"labels": np.array([["a"], "b", "a", "b"], dtype=object)}, {}, "cannot be read"),
        ({"labels": np.full(4, "a")}, {}, "only class 'a'"),
        ({"key": [1, 1, 2, 3]}, {"ids": "key"}, "not unique: '1'"),
        (
            {"part": ["train", "test", "valid", ""]},
            {"split": "part"},
            "'valid'; allowed: train, test or empty",
        ),
        ({}, {"scale": "L1"}, "scale=L1; allowed: none, l1"),
    ],
)
def test_refusals(content: dict, options: dict, says: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=says) as refusal:
        arrays.load("x", npz(tmp_path, **content), **options)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("suffix", [".npz", ".mat", ".csv", ".xls"])
def test_files_that_cannot_serve(suffix: str, tmp_path: Path) -> None:
    load = arrays.load_csv if suffix == ".csv" else arrays.load
    file = tmp_path / f"f{suffix}"
    with pytest.raises(RequestError, match="^no file"):
        load("x", str(file))
    file.write_bytes(b"no such format")
    with pytest.raises(RequestError, match=f"f{suffix}"):
        load("x", str(file))


def test_a_truncated_npz_is_refused(tmp_path: Path) -> None:
    file = Path(npz(tmp_path, inputs=np.random.default_rng(0).normal(size=(4, 5000))))
    file.write_bytes(file.read_bytes()[:20000])
    with pytest.raises(RequestError, match="cannot be read"):
        arrays.load("x", str(file))


def test_surf_features_are_the_files_rows(data_root: Path) -> None:
    path = data_root / "office_caltech10_surf" / "webcam_SURF_L10.mat"
    content = scipy.io.loadmat(path)
    domain = arrays.load("webcam", str(path), inputs="fts", scale="l1")
    assert domain.inputs.shape == (295, 800)
    assert np.allclose(domain.inputs.sum(1), 1, atol=1e-5)
    assert np.allclose(
        domain.inputs.numpy() * content["fts"].sum(1, keepdims=True), content["fts"], atol=1e-4
    )
    assert [domain.classes[i] for i in domain.labels] == [str(v) for v in content["labels"].ravel()]


def test_the_fourth_moon_is_the_target_turned_by_45_degrees(data_root: Path) -> None:
    target, turned = (
        arrays.load_csv(f, str(data_root / "nt_moons" / f"{f}.csv")) for f in ("moon0", "moon3_45")
    )
    cosine = np.sqrt(0.5)
    # of row vectors, counter-clockwise
    rotation = torch.tensor([[cosine, cosine], [-cosine, cosine]], dtype=torch.float32)
    assert torch.allclose(target.inputs @ rotation, turned.inputs, atol=1e-5)
    assert (target.labels == turned.labels).all()


COUNTS = np.random.default_rng(0).poisson(0.3, (30, 5)).astype(float)


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "bsr"])
def test_sparse_matrices_are_read_as_dense_ones(form: str, tmp_path: Path) -> None:
    matrix, y = scipy.sparse.coo_matrix(COUNTS).asformat(form), np.arange(30) % 3
    dense = arrays.load("x", npz(tmp_path, inputs=COUNTS, labels=y))
    scipy.io.savemat(tmp_path / "f.mat", {"inputs": matrix, "labels": y})
    assert arrays.load("x", str(tmp_path / "f.mat")).digest == dense.digest
    (tmp_path / "m").mkdir()
    scipy.sparse.save_npz(tmp_path / "m" / "f.npz", matrix)
    read = arrays.load("x", str(tmp_path / "m" / "f.npz"), labels_path=str(tmp_path / "f.npz"))
    assert read.digest == dense.digest
    with pytest.raises(RequestError, match="no key 'labels'"):
        arrays.load("x", str(tmp_path / "m" / "f.npz"))


def test_items_without_a_label(tmp_path: Path) -> None:
    for labels, unlabelled in (
        ([1, -1, 0, 1], -1),
        ([1, -1, 0, 1], "-1"),
        ([1, np.nan, 0, 1], "nan"),
        ([1, np.nan, 0, 1], float("nan")),
    ):
        domain = arrays.load("x", npz(tmp_path, labels=np.array(labels)), unlabelled=unlabelled)
        assert domain.classes == ("0", "1") and domain.labels.tolist() == [1, -1, 0, 1]
    assert arrays.load("x", npz(tmp_path, labels=["b", "", "a", "a"]), unlabelled="").labels.tolist() == [
        1,
        -1,
        0,
        0,
    ]
    assert arrays.load("x", npz(tmp_path, labels=[-1, 0, 1, 1]), unlabelled="none").classes == (
        "-1",
        "0",
        "1",
    )
    assert arrays.load("x", npz(tmp_path, labels=[-1, 1, 1, -1])).classes == ("-1", "1")


def csv(folder: Path, text: str) -> str:
    (folder / "f.csv").write_text(text)
    return str(folder / "f.csv")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("0.5,1,1\n2,3,0\n", {}),
        ("# made by hand\n0.5,1,1\n  # half way\n\n2,3,0\n", {}),
        ("\ufeff0.5,1,1\r\n2,3,0\r\n", {}),
        ("width,height,label\n0.5,1,1\n2,3,0\n", {"header": True}),
        ("0,1,2\n0.5,1,1\n2,3,0\n", {"header": True}),
        ("0.5,1,1\n2,3,0\n7,7,nan\n", {"unlabelled": "nan"}),
        ("0.5,1,1\n2,3,0\n7,7,-1\n", {"unlabelled": -1}),
    ],
)
def test_comments_headers_and_missing_labels_of_csv(text: str, options: dict, tmp_path: Path) -> None:
    domain = arrays.load_csv("x", csv(tmp_path, text), **options)
    assert domain.inputs[:2].tolist() == [[0.5, 1], [2, 3]] and domain.labels[:2].tolist() == [1, 0]
    assert domain.labels[2:].tolist() == [-1] * ("unlabelled" in options)


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        ("width,height,label\n0.5,1,1\n2,3,0\n", {}, "'width,height,label', names columns; say header: true"),
        ("0,1,2\n0.5,1,1\n2,3,0\n", {}, "'0,1,2', names columns.* or header: false"),
        ("0.5,1,1\n2,3,0#2\n", {}, "allowed: numbers between commas"),
        ("0.5,1,1\n2,3\n", {}, "allowed: numbers between commas"),
        ("0.5;1;1\n2;3;0\n", {}, "allowed: numbers between commas"),
        ("# nothing\n", {}, "no row of numbers"),
        ("1,2,-1\n2,3,0\n3,4,1\n", {}, "has -1; say unlabelled"),
    ],
)
def test_lines_of_csv_that_are_no_items(text: str, options: dict, says: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=says) as refusal:
        arrays.load_csv("x", csv(tmp_path, text), **options)
    assert "\n" not in str(refusal.value)


def test_a_first_item_like_a_header_is_one_where_that_is_said(tmp_path: Path) -> None:
    assert len(arrays.load_csv("x", csv(tmp_path, "0,1,2\n1,2,3\n"), header=False)) == 2


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_whole_numbers_that_float32_rounds_are_told(dtype: type, tmp_path: Path, capsys) -> None:
    path = npz(tmp_path, inputs=np.array([[1, 2**24], [2, 2**24 + 1], [3, -(2**30) - 1], [4, 5]], dtype))
    arrays.load("x", path)
    expected = (
        f"{path}: inputs: 2 whole numbers beyond 2**24 are rounded to float32, the first 16777217 to "
        "16777216 in row 1, column 1"
    )
    assert capsys.readouterr().err.splitlines() == [expected]


def test_what_float32_holds_or_is_measured_is_not_told(tmp_path: Path, capsys) -> None:
    arrays.load(
        "x", npz(tmp_path, inputs=np.array([[1.0, 2**24], [2**30, 1e8 + 0.3], [1e20, 5], [0.1, 0.2]]))
    )
    assert capsys.readouterr().err == ""
