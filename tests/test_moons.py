"""The experiment of the moons, one shift of it in small: it runs, and a translation is undone by the target's
statistics."""

from transferscope.cli.main import main
from transferscope.store.record import read_record, run_folders


def test_a_translation_hurts_the_source_model_and_not_adaptive_bn(data_root, tmp_path):
    grid = ("source=nt_moon1", "strategy=source_only,adaptive_bn", "seed=0", "hydra.launcher.n_jobs=1")
    assert main(["run", "experiment=moons", *grid, f"data_root={data_root}", f"store={tmp_path}"]) == 0
    records = {record["cell"]["strategy"]: record for record in map(read_record, run_folders(tmp_path))}
    accuracy = {
        name: record["result"]["metrics"]["nt_moon0/test/accuracy"] for name, record in records.items()
    }
    assert accuracy["adaptive_bn"] > accuracy["source_only"] + 0.1 and len(accuracy) == 2
