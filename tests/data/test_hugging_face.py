"""A folder that Hugging Face's `datasets` saved."""

from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from transferscope.data import hugging_face, image_folders, tables
from transferscope.data.load import load_domain
from transferscope.errors import RequestError


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Eight pictures, `folders/CLASS/*.png` and `saved`, a DatasetDict of the same."""
    draw, rows = np.random.default_rng(0), {"train": [], "test": [], "spare": []}
    for number in range(8):
        part, kind = ("train", "train", "test", "spare")[number // 2], ("cat", "dog")[number % 2]
        file = tmp_path / "folders" / kind / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        # one picture of 12 bits
        depth = {"dtype": np.uint16, "high": 4096} if number == 0 else {"dtype": np.uint8, "high": 256}
        Image.fromarray(draw.integers(0, size=(6, 5 + number), **depth)).save(file)
        rows[part].append({"scan": str(file), "label": number % 2, "who": f"p{number // 4}"})
    features = datasets.Features(
        {
            "scan": datasets.Image(),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "who": datasets.Value("string"),
        }
    )
    parts = {part: datasets.Dataset.from_list(found, features=features) for part, found in rows.items()}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
    return tmp_path


def test_pictures_are_those_of_their_folders(pictures: Path) -> None:
    domain = hugging_face.load(
        "mine",
        str(pictures / "saved"),
        size=4,
        channels=1,
        train=["train"],
        test=["test", "spare"],
        groups="who",
    )
    of_folders = image_folders.load("mine", str(pictures / "folders"), size=4, channels=1)
    order = np.argsort([int(Path(i).stem) for i in of_folders.ids])
    assert torch.equal(domain.inputs, of_folders.inputs[order]) and domain.white == of_folders.white == 4095
    assert domain.classes == ("cat", "dog") and torch.equal(domain.labels, of_folders.labels[order])
    assert (
        domain.split.tolist() == ["train"] * 4 + ["test"] * 4
        and domain.groups.tolist() == ["p0"] * 4 + ["p1"] * 4
    )
    assert domain.ids[-1] == "saved-00007"


def test_features_are_those_of_a_table(tmp_path: Path) -> None:
    rows = {
        "embedding": [[1.0, 2], [3, 4], [5, 6], [7, 8]],
        "age": [9, 8, 7, 6],
        "text": list("abcd"),
        "label": [0, 1, 0, -1],
    }
    kinds = {
        "embedding": datasets.List(datasets.Value("float32")),
        "age": datasets.Value("int8"),
        "text": datasets.Value("string"),
    }
    saved = datasets.Dataset.from_dict(
        rows, features=datasets.Features({**kinds, "label": datasets.ClassLabel(names=["x", "y"])})
    )
    saved.save_to_disk(tmp_path / "saved")
    domain = hugging_face.load("mine", str(tmp_path / "saved"), leave_out=["text"], unlabelled=-1)
    assert (
        domain.inputs.tolist() == [[1, 2, 9], [3, 4, 8], [5, 6, 7], [7, 8, 6]]
        and domain.inputs.dtype == torch.float32
    )
    assert (
        domain.classes == ("x", "y")
        and domain.labels.tolist() == [0, 1, 0, -1]
        and domain.ids[0] == "saved-00000"
    )
    saved.to_pandas().to_parquet(tmp_path / "t.parquet")
    of_table = tables.load("mine", str(tmp_path / "t.parquet"), leave_out=["text"], unlabelled=-1)
    assert torch.equal(of_table.inputs, domain.inputs) and of_table.classes == ("0", "1")
    domain = hugging_face.load(
        "mine", str(tmp_path / "saved"), categorical=["text"], unlabelled=-1, missing={"age": [7]}
    )
    assert (
        domain.categorical == ["text"]
        and domain.gaps == ["age"]
        and domain.inputs[:, 3].tolist() == [0, 1, 2, 3]
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"size": 4}, "has the parts train, test, spare; say which are which"),
        ({"train": ["trian"], "test": ["test"]}, "no part 'trian'.*did you mean 'train'"),
        ({"train": ["train", "test"], "test": ["test"]}, "named twice"),
        ({"train": ["train"], "test": ["test"]}, "size=None; .* holds pictures"),
        ({"train": ["train"], "test": ["test"], "size": 4, "split": "who"}, "split=who: .* has parts"),
        (
            {"train": ["train"], "test": ["test"], "size": 4, "label": "lable"},
            "no column 'lable'.*did you mean 'label'",
        ),
        ({"train": ["train"], "test": ["test"], "size": 4, "picture": "who"}, "picture=who; allowed: scan"),
    ],
)
def test_folders_that_make_no_domain(options: dict, says: str, pictures: Path) -> None:
    with pytest.raises(RequestError, match=says) as refusal:
        hugging_face.load("mine", str(pictures / "saved"), **options)
    assert "\n" not in str(refusal.value)


def test_a_folder_of_another_kind_and_a_damaged_one(pictures: Path) -> None:
    with pytest.raises(
        RequestError, match=r"no folder that save_to_disk wrote; datasets.load_dataset\(...\)"
    ):
        hugging_face.load("mine", str(pictures / "folders"), size=4)
    next((pictures / "saved/train").glob("*.arrow")).write_bytes(b"ARROW1")
    with pytest.raises(RequestError, match="cannot be read") as refusal:
        hugging_face.load("mine", str(pictures / "saved"), size=4)
    assert "\n" not in str(refusal.value)


def test_a_picture_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    features = datasets.Features({"scan": datasets.Image(), "label": datasets.Value("string")})
    rows = [{"scan": {"bytes": b"none", "path": None}, "label": "a"}, {"scan": None, "label": "b"}]
    datasets.Dataset.from_list(rows, features=features).save_to_disk(tmp_path / "saved")
    with pytest.raises(RequestError, match="saved-0000[01]: cannot be decoded"):
        hugging_face.load("mine", str(tmp_path / "saved"), size=4)


def test_the_yaml_of_the_page(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pictures)
    page = (Path(__file__).parents[2] / "docs/how-to/adding-a-domain.md").read_text()
    start = page.index("# my dataset")
    (pictures / "conf/domain").mkdir(parents=True)
    (pictures / "conf/domain/mine.yaml").write_text(
        page[start : page.index("```", start)].replace("validation", "spare")
    )
    monkeypatch.setattr("transferscope.catalog.yamls.folders", lambda: (pictures / "conf",))
    assert len(load_domain("target", "mine", str(pictures))) == 6
