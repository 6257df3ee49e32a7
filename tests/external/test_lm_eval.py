"""lm-eval's own files are read: those in lm_eval_samples were made by release 0.4.13 (lm_eval_tool.py)."""

import gzip
import importlib.util
import json
from pathlib import Path

import pytest

import lm_eval_tool
from transferscope import compare
from transferscope.errors import RequestError
from transferscope.external.results import Results

SAMPLES = Path(__file__).parent / "lm_eval_samples"
PARITY = sorted(SAMPLES.glob("*/samples_parity_*.jsonl"))
SUMS = next(SAMPLES.glob("*/samples_sums_*.jsonl"))


def scores(path: Path, metric: str) -> list[float]:
    """Read without the reader."""
    return [json.loads(line)[metric] for line in path.read_text().splitlines()]


@pytest.mark.parametrize("metric", ["acc", "acc_norm"])
def test_models_of_two_seeds_are_paired_by_seed_and_document(metric: str) -> None:
    columns = {} if metric == "acc" else {"score": metric}
    [cell] = compare(Results(*PARITY, columns=columns), baseline="base")
    assert (cell.strategy, cell.target, cell.seeds, cell.items) == ("tuned", "parity", 2, 6)
    of_model = {path.parent.name: scores(path, metric) for path in PARITY}
    difference = [
        sum(of_model[f"tuned-seed{seed}"]) / 6 - sum(of_model[f"base-seed{seed}"]) / 6 for seed in (0, 1)
    ]
    assert cell.delta == pytest.approx(sum(difference) / 2) and cell.verdict == "undecided"


def test_a_field_of_the_document_describes_items(tmp_path: Path) -> None:
    results = Results(*PARITY, metadata=["doc.length"])
    members = results.runs()[0].members
    assert members["parity/test/metadata/doc.length"].tolist() == ["1"] * 3 + ["2"] * 3


def test_of_several_filters_one_is_named() -> None:
    with pytest.raises(
        RequestError, match="tells several scores .*'exact_match,strict', 'exact_match,lower'"
    ):
        Results(SUMS).runs()
    [run] = Results(SUMS, columns={"score": "exact_match,lower"}).runs()
    assert run.members["sums/test/outputs/000000"].shape == (6, 1)
    with pytest.raises(RequestError, match="no such score; did you mean 'exact_match'"):
        Results(SUMS, columns={"score": "exact_mach"}).runs()


def test_other_documents_of_the_same_number_are_other_items(tmp_path: Path) -> None:
    changed = tmp_path / "tuned-seed0" / PARITY[0].name
    changed.parent.mkdir()
    changed.write_text(PARITY[0].read_text().replace('"doc_hash": "c6eb', '"doc_hash": "0000'))
    with pytest.raises(RequestError, match="2 items are not in all runs .*--common-items"):
        compare(Results(PARITY[0], changed), baseline="base")
    [cell] = compare(Results(PARITY[0], changed, common_items=True), baseline="base")
    assert cell.items == 5 and cell.delta == 0


def test_the_same_model_twice_is_refused(tmp_path: Path) -> None:
    again = tmp_path / "base-seed0" / "samples_parity_2026-12-01T00-00-00.000000.jsonl"
    again.parent.mkdir()
    again.write_text(PARITY[0].read_text())
    with pytest.raises(RequestError, match="is in base, seed 0, target parity twice"):
        Results(PARITY[0], again).runs()
    again.write_text(PARITY[0].read_text() * 2)
    with pytest.raises(RequestError, match="line 7: document 0:c6eb.* is there twice"):
        Results(again).runs()


@pytest.mark.parametrize(
    "line, said",
    [('{"doc_id": 0, "acc": 1}', "line 7: no sample of lm-eval"), ('{"doc_id": ', "line 7: no JSON")],
)
def test_a_damaged_line_is_named(line: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / PARITY[0].name
    path.write_text(PARITY[0].read_text() + line + "\n")
    with pytest.raises(RequestError, match=said):
        Results(path).runs()


def test_a_packed_file_is_read_and_a_torn_one_named(tmp_path: Path) -> None:
    packed = tmp_path / "base-seed0" / f"{PARITY[0].name}.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(PARITY[0].read_bytes()))
    [cell] = compare(Results(packed, PARITY[2]), baseline="base")
    assert cell.items == 6
    packed.write_bytes(packed.read_bytes()[:-200])
    with pytest.raises(RequestError, match="samples_parity"):
        Results(packed).runs()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="lm_eval is not installed")
def test_what_the_tool_writes_now_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    made = [
        path
        for path in lm_eval_tool.samples(tmp_path, ["base-seed0", "tuned-seed0"])
        if "parity" in path.name
    ]
    [cell] = compare(Results(*made), baseline="base")
    found = [sum(scores(path, "acc")) / lm_eval_tool.ITEMS for path in made]
    assert cell.items == lm_eval_tool.ITEMS and cell.delta == pytest.approx(found[1] - found[0])
