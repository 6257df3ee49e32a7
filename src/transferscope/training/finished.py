"""Runs that the store has an answer of."""

import json
import sys
from pathlib import Path

from transferscope import tracking
from transferscope.errors import RequestError
from transferscope.store import lease, record
from transferscope.store.damage import damage
from transferscope.training.request import Request
from transferscope.training.run_tracking import live_run, scratch_twin, test_images


def is_done(request: Request) -> bool:
    """Whether the store has this run's answer, whole, and what is to be kept beside it. Raises RequestError
    where another version's record is in the way, or where to run it again would lose what it was tested
    on."""
    folder = request.store / request.fingerprint
    if (folder / "record.json").exists():
        record.check_schema(folder)
    status, _ = lease.state(request.store, request.fingerprint)
    if status not in record.ANSWERS or damage(folder):
        return False
    asked = request.test_also
    has_files = record.has_extra_files(folder, request.extra_files, request.config)
    if has_files and not asked and request.asked.outputs is None:
        return True
    entry = record.read_record(folder)
    has_files = has_files and record.keeps_outputs(entry, request.config)
    if has_files and not asked:
        return True
    before = entry.get("test_also", [])
    has_all = has_files and all(one in before for one in asked)
    names = [domain["name"] for domain in asked]
    if not has_all and (lost := [one["name"] for one in before if one["name"] not in names]):
        raise RequestError(
            f"test_also=[{','.join(names)}]: to run {folder} again would lose that it was tested on "
            f"{', '.join(lost)}; give test_also=[{','.join([*lost, *names])}]"
        )
    return has_all


def finished_before(request: Request) -> Path:
    """The folder of a run that the store has. The agent of a W&B sweep is told of it all the same: it waits
    for the metrics."""
    folder = request.store / request.fingerprint
    lease.clear_finished(request.store)
    if (notes := request.asked.notes) and notes != (
        kept := record.read_record(folder)["config"].get("notes", {})
    ):
        print(f"{folder.name} was finished before; its notes stay {json.dumps(kept)}", file=sys.stderr)
    if tracking.serves_an_agent():
        with live_run(request) as live:
            live.finish(folder, test_images(request), scratch_twin(request))
    return folder
