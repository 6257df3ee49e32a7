"""A store of `store_fixture` as schema 2 has it, with the outputs that a run keeps."""

import json
import shutil
from pathlib import Path

from transferscope.store import digests, evaluations, record
from transferscope.store.evaluations import Evaluations
from transferscope.tasks.item_scores import stored


def as_schema_2(store: Path, place: Path, kept: str = "all") -> Path:
    """A copy of a store of schema 1 at `place`. kept: of every run `all` outputs, the `last` or `none`."""
    shutil.copytree(store, place)
    for folder in record.run_folders(place):
        if (folder / "evaluations.npz").exists():
            rewrite(folder, kept)
    return place


def rewrite(folder: Path, kept: str) -> None:
    with Evaluations(folder / evaluations.NAME) as old:
        members = {}
        for name in old:
            items, _, rest = name.partition("/outputs/")
            if not rest or kept == "all" or kept == "last" and int(rest) == old.steps(items)[-1]:
                members[name] = old[name]
                continue
            groups = old.get(f"{items}/groups")
            stays = stored(old[name], old[f"{items}/targets"], groups, "classification", None)
            members |= {f"{items}/{part}/{rest}": values for part, values in stays.items()}
    evaluations.write(folder / evaluations.NAME, members)
    content = json.loads((folder / "record.json").read_text())
    content |= {"schema": 2, "outputs": {"kept": kept, "selection": "last" if kept == "last" else None}}
    content["files"] = digests.of_files(folder, record.RESULTS)
    (folder / "record.json").write_text(json.dumps(content))
