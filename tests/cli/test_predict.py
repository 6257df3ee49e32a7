import contextlib
import csv
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import transferscope
from transferscope.cli.main import main
from transferscope.data import arrays
from transferscope.data.unlabelled import read_array, white_of_files
from transferscope.errors import RequestError
from transferscope.training.request import load_domain

LAST = 20


def stored(folder: Path, target: str) -> tuple[np.ndarray, np.ndarray]:
    """(ids, probabilities) of the test items at the last evaluation."""
    with np.load(folder / "evaluations.npz") as members:
        return members[f"{target}/test/ids"], members[f"{target}/test/outputs/{LAST:06d}"]


def inputs_of(target: str, ids: np.ndarray) -> torch.Tensor:
    domain = load_domain("target", target, "data")
    position = {item: number for number, item in enumerate(domain.ids)}
    return domain.inputs[[position[item] for item in ids]]


def predictions(text: str) -> tuple[list[str], list[str], np.ndarray]:
    """(files, predicted classes, probabilities) of a CSV."""
    rows = list(csv.reader(io.StringIO(text)))[1:]
    return (
        [row[0] for row in rows],
        [row[1] for row in rows],
        np.array([row[2:] for row in rows], dtype=np.float32),
    )


def spoiled(run: Path, folder: Path, section: str, **changes) -> Path:
    """A copy of a run whose recorded config is another."""
    copy = shutil.copytree(run, folder / run.name)
    record = json.loads((copy / "record.json").read_text())
    record["config"][section] |= changes
    (copy / "record.json").write_text(json.dumps(record))
    return copy


def test_a_loaded_run_predicts_what_was_stored(blobs_run):
    ids, probabilities = stored(blobs_run, "blobs")
    run = transferscope.load_run(blobs_run)
    assert np.array_equal(run.predict(inputs_of("blobs", ids)).numpy(), probabilities)
    assert run.classes == ("blob-0", "blob-1", "blob-2") and run.input_shape == (4,)
    assert run.record["fingerprint"] == blobs_run.name
    assert [row["step"] for row in run.history] == [0, 10, 20]
    assert np.array_equal(run.evaluations[f"blobs/test/outputs/{LAST:06d}"], probabilities)
    assert not run.strategy.training
    with pytest.raises(RequestError, match=r"the model takes \[N, 4\]"):
        run.predict(torch.zeros(2, 5))


def test_pictures_in_nested_folders_are_prepared_as_in_training(digits_run, tmp_path, capsys):
    ids, probabilities = stored(digits_run, "handwritten_digits")
    for number, (item, picture) in enumerate(zip(ids, inputs_of("handwritten_digits", ids), strict=True)):
        path = tmp_path / "pictures" / f"part{number % 3}" / "below" / f"{item}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[0].numpy()).save(path)
    (tmp_path / "pictures" / "notes.txt").write_text("no picture")
    (tmp_path / "pictures" / ".hidden.png").write_text("no picture")
    output = tmp_path / "predictions.csv"
    assert main(["predict", str(digits_run), str(tmp_path / "pictures"), "-o", str(output)]) == 0
    files, predicted, found = predictions(output.read_text())
    order = {f"part{number % 3}/below/{item}.png": number for number, item in enumerate(ids)}
    assert sorted(files) == sorted(order)
    assert np.array_equal(found, probabilities[[order[file] for file in files]])
    assert predicted == [str(digit) for digit in found.argmax(1)]


def test_sixteen_bit_pictures_are_in_the_scale_of_training_or_in_their_own(digits_run, tmp_path, capsys):
    ids, probabilities = stored(digits_run, "handwritten_digits")
    for item, picture in zip(ids, inputs_of("handwritten_digits", ids), strict=True):
        Image.fromarray(picture[0].numpy().astype(np.uint16) * 16).save(tmp_path / f"{item}.png")
    assert main(["predict", str(digits_run), str(tmp_path)]) == 0
    said = capsys.readouterr()
    files, _, found = predictions(said.out)
    order = {f"{item}.png": number for number, item in enumerate(ids)}
    assert np.array_equal(found, probabilities[[order[file] for file in files]])
    assert "0 to 4095 became 0 to 255; the model was trained on pictures of 8 bits" in said.err
    assert [white_of_files([tmp_path / files[0]], white) for white in (65535, 4095, None)] == [
        65535,
        4095,
        4095,
    ]


def test_names_that_are_no_utf8_are_written(digits_run, tmp_path, capsys):
    Image.new("L", (8, 8)).save(tmp_path / "x.png")
    (tmp_path / "x.png").rename(tmp_path / os.fsdecode(b"caf\xe9.png"))
    assert main(["predict", str(digits_run), str(tmp_path), "-o", str(tmp_path / "out.csv")]) == 0
    assert predictions((tmp_path / "out.csv").read_text())[0] == [r"caf\xe9.png"]


def test_arrays_from_csv_and_npz_to_standard_output(blobs_run, tmp_path, capsys):
    ids, probabilities = stored(blobs_run, "blobs")
    inputs = inputs_of("blobs", ids).numpy()
    np.savez(tmp_path / "new.npz", inputs=inputs)
    np.savetxt(tmp_path / "new.csv", inputs, delimiter=",", fmt="%.9g")
    for name in ("new.npz", "new.csv"):
        assert main(["predict", str(blobs_run), str(tmp_path / name)]) == 0
        files, predicted, found = predictions(capsys.readouterr().out)
        assert np.array_equal(found, probabilities)
        assert files[:2] == ["new-00000", "new-00001"]
        assert set(predicted) <= {"blob-0", "blob-1", "blob-2"}


def test_an_array_is_scaled_as_the_target_was(tmp_path):
    table = np.array([[1, 3, 0], [2, 2, 4]], dtype=np.float32)
    np.savez(tmp_path / "counts.npz", fts=table, labels=np.array([1, 2]))
    loader = {"_target_": "transferscope.data.arrays.load", "inputs": "fts", "scale": "l1"}
    trained_on = arrays.load("counts", str(tmp_path / "counts.npz"), inputs="fts", scale="l1").inputs
    assert torch.equal(read_array(tmp_path / "counts.npz", loader, 3), trained_on)


def test_a_corrupt_picture_is_named(digits_run, tmp_path, capsys):
    Image.new("L", (8, 8)).save(tmp_path / "good.png")
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8 cut")
    assert main(["predict", str(digits_run), str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert "bad.jpg: cannot be decoded" in said.err and said.out == ""


def test_what_cannot_be_predicted_is_refused(trained, blobs_run, digits_run, tmp_path, capsys):
    plain = next(
        path.parent
        for path in trained.glob("*/record.json")
        if not (path.parent / "model.safetensors").exists()
    )
    (tmp_path / "two.csv").write_text("1,2\n")
    (tmp_path / "text.csv").write_text("a,b,c,d\n")
    for arguments, expected in [
        ((plain, tmp_path), "this run kept no model; run it again with keep=selected"),
        ((trained, tmp_path), "no run's folder"),
        ((digits_run, tmp_path), "no picture in it"),
        ((digits_run, tmp_path / "nowhere"), "no such file or folder"),
        ((blobs_run, tmp_path), "give a .npz, .mat, .csv file"),
        ((blobs_run, tmp_path / "two.csv"), "2 columns; the model takes 4 features"),
        ((blobs_run, tmp_path / "text.csv"), "allowed: numbers between commas, no header"),
    ]:
        assert main(["predict", *map(str, arguments)]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert expected in line
    run = transferscope.load_run(plain)
    assert run.strategy is None
    with pytest.raises(RequestError, match="keep=selected"):
        run.predict(torch.zeros(1, 4))


def test_a_record_cannot_have_code_imported(blobs_run, tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for section in ("backbone", "strategy"):
        with pytest.raises(
            RequestError, match=f"{section} evil.Evil: no yaml of config group {section} names it"
        ):
            transferscope.load_run(spoiled(blobs_run, tmp_path / section, section, _target_="evil.Evil"))


def test_a_record_cannot_have_anything_called_inside_its_arguments(blobs_run, tmp_path):
    call = {"_target_": "pathlib.Path.touch", "_args_": [str(tmp_path / "touched")]}
    with pytest.raises(RequestError, match="pathlib.Path.touch: no yaml of config group backbone names it"):
        transferscope.load_run(spoiled(blobs_run, tmp_path / "copy", "backbone", hidden=call))
    assert not (tmp_path / "touched").exists()


def test_weights_that_are_no_safetensors_or_do_not_fit(blobs_run, digits_run, tmp_path):
    for weights in (Path(__file__), digits_run / "model.safetensors"):
        copy = shutil.copytree(blobs_run, tmp_path / weights.parent.name / "run")
        shutil.copy(weights, copy / "model.safetensors")
        with pytest.raises(RequestError, match="does not fit"):
            transferscope.load_run(copy)


def test_compare_is_the_function_whatever_was_imported_before(trained):
    import transferscope.comparison.compare  # noqa: F401

    assert len(transferscope.compare(trained)) > 0


def test_apply_still_answers_and_tells_its_new_name(digits_run, tmp_path, capsys):
    Image.new("L", (8, 8), 128).save(tmp_path / "one.png")
    assert main(["apply", str(digits_run), str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert (
        said.out.startswith("file,predicted")
        and said.err.splitlines()[0] == "transferscope apply is called `transferscope predict` now"
    )


def test_a_run_whose_folder_has_an_equals_sign_is_a_run(digits_run, tmp_path, capsys):
    Image.new("L", (8, 8), 128).save(tmp_path / "one.png")
    shutil.copytree(digits_run, tmp_path / "store=1" / digits_run.name)
    with contextlib.chdir(tmp_path):
        assert main(["predict", f"store=1/{digits_run.name}", "one.png", "-o", "seed=1.csv"]) == 0
    assert (tmp_path / "seed=1.csv").read_text().startswith("file,predicted")


@pytest.mark.parametrize("words", [["target=blobs", "source=blobs_shifted"], ["--pairs", "store=runs"]])
def test_what_ranked_sources_under_this_name_is_named(words, capsys):
    assert main(["predict", *words]) == 2
    assert capsys.readouterr().err == (
        f"transferscope: predict {words[0]}: what ranks sources before training is `transferscope rank` now\n"
    )
