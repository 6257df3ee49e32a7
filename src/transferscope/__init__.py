"""What a notebook imports: `compare(...)`, `Results(...)`, `verdict(...)`, `write_results(...)` and
`load_run(...)`."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transferscope.comparison.arrays import verdict
    from transferscope.comparison.compare import compare
    from transferscope.external.results import Results
    from transferscope.external.writing import write_results
    from transferscope.training.load import load_run

__version__ = "0.2.0"
__all__ = ["Results", "compare", "load_run", "verdict", "write_results"]
_HOMES = {
    "Results": "external.results",
    "compare": "comparison.compare",
    "load_run": "training.load",
    "verdict": "comparison.arrays",
    "write_results": "external.writing",
}


def __getattr__(name: str) -> Any:
    """Imported when asked for: torch takes seconds."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"transferscope.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'transferscope' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
