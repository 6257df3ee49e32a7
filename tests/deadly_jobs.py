"""A small sweep, and strategies whose jobs end in every way a job can."""

from pathlib import Path

from transferscope.store import record

SMALL = ["target=blobs", "source=blobs_shifted", "backbone=mlp", "label_budget=5", "trainer.steps=20",
    "trainer.source_steps=20",
         "trainer.evaluations=2", "tracking=off"]  # fmt: skip
DEATHS = {
    "raises": "raise ArithmeticError('planted')",
    "exits": "sys.exit(7)",
    "leaves": "os._exit(3)",
    "segfaults": "ctypes.string_at(0)",
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
}


def results(store: Path) -> dict[str, tuple]:
    """All that "identical" means, by fingerprint: evaluations.npz, the history less its time columns, status
    and result."""
    found = {}
    for folder in record.run_folders(store):
        if (folder / "evaluations.npz").exists():
            entry = record.read_record(folder)
            rows = [
                {key: value for key, value in row.items() if not key.endswith("seconds")}
                for row in record.read_history(folder)
            ]
            found[folder.name] = (
                (folder / "evaluations.npz").read_bytes(),
                rows,
                entry["status"],
                entry["result"],
            )
    return found
