"""What a user has: a list of pictures, a table, a DataFrame, a torch Dataset."""

import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from transferscope.data import arrays, image_folders, picture_list, tables
from transferscope.data.torch_dataset import from_dataset
from transferscope.errors import RequestError

LINES = "path,label,part,who\na/0.png,cat,train,p\na/1.png,dog,train,q\nb/2.png,cat,test,p\nb/3.png,,,q\n"


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    for number, name in enumerate(("a/0.png", "a/1.png", "b/2.png", "b/3.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (6, 5 + number, 3), dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / "list.csv").write_text(LINES)
    return tmp_path / "list.csv"


def test_a_list_of_pictures_is_their_folders(listed: Path) -> None:
    domain = picture_list.load("mine", str(listed), size=4, split="part", groups="who", unlabelled="")
    assert domain.ids.tolist() == ["a/0.png", "a/1.png", "b/2.png", "b/3.png"]
    assert domain.classes == ("cat", "dog") and domain.labels.tolist() == [0, 1, 0, -1]
    assert domain.split.tolist() == ["train", "train", "test", ""] and domain.groups.tolist() == [
        "p",
        "q",
        "p",
        "q",
    ]
    of_folders = image_folders.load("mine", str(listed.parent), size=4)
    assert torch.equal(torch.as_tensor(domain.inputs), of_folders.inputs)
    listed.write_text(LINES.replace("a/1.png,dog", "a/1.png,fox"))
    assert picture_list.load("mine", str(listed), size=4, unlabelled="").classes == ("cat", "fox")
    assert len(picture_list.load("mine", str(listed), size=4, root=str(listed.parent), unlabelled="")) == 4


@pytest.mark.parametrize(
    ("old", "new", "options", "says"),
    [
        ("", "", {}, "label in .* has ''; say unlabelled"),
        ("", "", {"unlabelled": "", "label": "lable"}, "no column 'lable'.*did you mean 'label'"),
        ("a/1.png", "a/9.png", {"unlabelled": ""}, "picture 2: no file .*a/9.png"),
        ("a/1.png", "a/0.png", {"unlabelled": ""}, "a/0.png .*twice"),
        ("a/1.png,dog", "a/1.png,cat", {"unlabelled": ""}, "only class 'cat'"),
        (
            "dog,train",
            "dog,trian",
            {"unlabelled": "", "split": "part"},
            "'trian'; allowed: train, test or empty",
        ),
        (
            "b/3.png,,,",
            "b/3.png,,test,",
            {"unlabelled": "", "split": "part"},
            "row 3 is of test and has no label",
        ),
        ("b/3.png,,,q", "b/3.png,", {"unlabelled": ""}, "item 4 has 2 cells"),
    ],
)
def test_lists_that_make_no_domain(old: str, new: str, options: dict, says: str, listed: Path) -> None:
    listed.write_text(LINES.replace(old, new) if old else LINES)
    with pytest.raises(RequestError, match=says) as refusal:
        picture_list.load("mine", str(listed), size=4, **options)
    assert "\n" not in str(refusal.value)


TABLE = "id,width,kind,height,note\nr1,1,cat,2.5,x\nr2,3,dog,4,y\nr3,5,cat,6,z\nr4,7,,8,z\n"


@pytest.fixture
def table(tmp_path: Path) -> str:
    (tmp_path / "t.csv").write_text(TABLE)
    return str(tmp_path / "t.csv")


def test_a_table_is_its_arrays(table: str) -> None:
    domain = tables.load("mine", table, label="kind", ids="id", leave_out=["note"], unlabelled="nan")
    assert (
        domain.inputs.tolist() == [[1, 2.5], [3, 4], [5, 6], [7, 8]] and domain.inputs.dtype == torch.float32
    )
    assert (
        domain.classes == ("cat", "dog")
        and domain.labels.tolist() == [0, 1, 0, -1]
        and domain.ids.tolist() == ["r1", "r2", "r3", "r4"]
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"label": "kind", "ids": "id", "unlabelled": "nan"}, "column note of .* holds .*leave_out"),
        ({"label": "kinds"}, "no column 'kinds'.*did you mean 'kind'"),
        ({"label": "kind", "ids": "id", "leave_out": ["note"]}, "kind in .* has nan; say unlabelled"),
        ({"label": "id", "ids": "kind", "leave_out": ["note"]}, "column kind of .* has nothing in row 3"),
    ],
)
def test_tables_that_make_no_domain(options: dict, says: str, table: str) -> None:
    with pytest.raises(RequestError, match=says):
        tables.load("mine", table, **options)


def test_a_frame_from_python(tmp_path: Path) -> None:
    frame = pandas.DataFrame(
        {"a": [1, 2, 3], "b": [True, False, True], "label": [0, 1, 1], "part": ["train", None, "test"]}
    )
    domain = tables.from_frame("mine", frame, split="part")
    assert (
        domain.inputs.tolist() == [[1, 1], [2, 0], [3, 1]]
        and domain.classes == ("0", "1")
        and domain.split.tolist() == ["train", "", "test"]
    )
    assert domain.ids.tolist() == ["mine-00000", "mine-00001", "mine-00002"]
    np.savez(tmp_path / "mine.npz", inputs=frame[["a", "b"]].to_numpy(float), labels=frame["label"])
    assert (
        tables.from_frame("mine", frame.drop(columns="part")).digest
        == arrays.load("mine", str(tmp_path / "mine.npz")).digest
    )
    frame["label"] = frame["label"].astype("Int64").where([True, True, False])
    assert tables.from_frame("mine", frame.drop(columns="part"), unlabelled="nan").labels.tolist() == [
        0,
        1,
        -1,
    ]


def test_a_parquet_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame, file = pandas.DataFrame({"a": [1.5, 2, 3], "label": ["x", "y", "x"]}), tmp_path / "t.parquet"
    frame.to_parquet(file)
    domain = tables.load("mine", str(file))
    assert domain.inputs.tolist() == [[1.5], [2], [3]] and domain.labels.tolist() == [0, 1, 0]
    file.write_bytes(b"PAR1")
    with pytest.raises(RequestError, match="t.parquet cannot be read"):
        tables.load("mine", str(file))
    monkeypatch.setitem(sys.modules, "pandas", None)  # as where it is not installed
    with pytest.raises(
        RequestError, match=r"a package is missing that reads it; pip install 'transferscope\[tables\]'"
    ):
        tables.load("mine", str(file))


class Pictures:
    """As torchvision.datasets.ImageFolder without a transform."""

    classes = ["cat", "dog"]

    def __init__(self, listed: Path) -> None:
        self.files = sorted(listed.parent.glob("*/*.png"))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> tuple[Image.Image, int]:
        return Image.open(self.files[number]), number % 2


def test_a_torch_dataset_of_pictures_is_their_folders(listed: Path) -> None:
    domain = from_dataset("mine", Pictures(listed), size=4, split=["train", "train", "test", "test"])
    assert (
        domain.classes == ("cat", "dog")
        and domain.labels.tolist() == [0, 1, 0, 1]
        and domain.split.tolist()[2:] == ["test", "test"]
    )
    assert domain.is_images and torch.equal(
        domain.inputs, image_folders.load("mine", str(listed.parent), size=4).inputs
    )


def test_a_torch_dataset_of_features() -> None:
    domain = from_dataset(
        "mine",
        TensorDataset(torch.tensor([[1.0, 2], [3, 4], [5, 6]]), torch.tensor([3, -1, 4])),
        unlabelled=-1,
    )
    assert (
        domain.inputs.tolist() == [[1, 2], [3, 4], [5, 6]]
        and domain.classes == ("3", "4")
        and domain.labels.tolist() == [0, -1, 1]
    )


@pytest.mark.parametrize(
    ("inputs", "labels", "says"),
    [
        (torch.rand(2, 3, 4, 4), torch.tensor([0, 1]), "float32 of shape .*no ToTensor"),
        (torch.tensor([[1.0], [np.nan]]), torch.tensor([0, 1]), "item 1 of mine"),
        (torch.rand(2, 3), torch.tensor([0.5, 1]), "label of item 0 of mine is 0.5"),
        (torch.rand(2, 3), torch.tensor([1, 1]), "only class '1'"),
    ],
)
def test_datasets_that_make_no_domain(inputs: torch.Tensor, labels: torch.Tensor, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        from_dataset("mine", TensorDataset(inputs, labels))


def test_a_dataset_of_pictures_needs_a_size(listed: Path) -> None:
    with pytest.raises(RequestError, match="size=None"):
        from_dataset("mine", Pictures(listed))
