"""A comparison in W&B: verdicts, evidence and report."""

import json
import sys
from collections import Counter
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from transferscope.errors import RequestError
from transferscope.tracking.artifacts import log_artifact, log_predictions
from transferscope.tracking.place import WandbDestination, effective_mode, finish, first_line, staging

if TYPE_CHECKING:
    from transferscope.comparison.comparison import Comparison


def track_comparison(
    comparison: "Comparison",
    store: Path,
    tables: dict[str, list[dict]],
    report: str,
    *,
    mode: str = "offline",
    project: str = "transferscope",
    entity: str | None = None,
) -> str | None:
    """Writes a comparison as one W&B run below `store`/wandb: settings, the verdicts, further `tables` (rows
    by name; those without a row are left out), count of each verdict, the report's HTML; and an artifact of
    verdicts and report, made of the predictions of the runs compared.

    Its id is a hash of its content, so the same verdicts are the same W&B run. Returns the id, None where the
    mode is off. Raises RequestError where W&B fails."""
    mode = effective_mode(mode)
    if mode == "off":
        return None
    text = comparison.to_json()
    answer = json.loads(text)
    key = blake2b((text + repr(comparison.settings)).encode(), digest_size=8).hexdigest()
    counts = Counter(f"verdict/{cell['verdict']}" for cell in answer["cells"])
    try:
        run = WandbDestination(mode, project, entity, None, store).open(
            key, "comparison", "comparison", comparison.settings
        )
        try:
            with staging(store):
                import wandb

                run.log(
                    {
                        "verdicts": _verdict_table(answer["cells"]),
                        **{name: _table(rows) for name, rows in tables.items() if rows},
                    }
                )
                run.log({"report": wandb.Html(report, inject=False)})
                _log_artifacts(run, comparison, {"verdicts.json": text, "report.html": report})
            run.summary.update({**counts, "missing": len(answer["missing"]), "failed": len(answer["failed"])})
        finally:
            finish(run, 0 if sys.exc_info()[0] is None else 1)
    except Exception as error:
        raise RequestError(f"--track: W&B did not take the comparison: {first_line(error)}") from error
    return run.id


def _log_artifacts(run, comparison: "Comparison", texts: dict[str, str]) -> None:
    compared = {folder: record for cell in comparison for folder, record in cell.evidence.records.items()}
    for folder, record in compared.items():
        log_predictions(run, folder, record, is_input=True)
    with TemporaryDirectory() as folder:
        files = {name: Path(folder) / name for name in texts}
        for name, path in files.items():
            path.write_text(texts[name], "utf-8")
        log_artifact(
            run, "report", "report", files, {"verdicts": Counter(cell.verdict for cell in comparison)}
        )


def _verdict_table(cells: list[dict]):
    """One row a cell, one plain value a column: W&B can filter and plot those."""
    rows = []
    for cell in cells:
        row = {}
        for key, value in cell.items():
            if key in ("ci", "ci_simultaneous", "share_of_way_ci"):
                row[f"{key}_low"], row[f"{key}_high"] = value or (None, None)
            else:
                row[key] = json.dumps(value) if isinstance(value, (list, dict)) else value
        rows.append(row)
    return _table(rows)


def _table(rows: list[dict]):
    import wandb

    columns = list(dict.fromkeys(key for row in rows for key in row))
    data = [[row.get(column) for column in columns] for row in rows]
    # mixed: a label budget is a number or "full"
    return wandb.Table(columns=columns, data=data, allow_mixed_types=True)
