"""What a notebook imports: `compare(...)` and `load_run(...)`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transferscope.comparison.compare import compare
    from transferscope.training.load import load_run

__version__ = "0.2.0"
__all__ = ["compare", "load_run"]


def __getattr__(name: str):
    """Imported when asked for: torch takes seconds."""
    if name == "load_run":
        from transferscope.training.load import load_run

        return load_run
    if name == "compare":
        from transferscope.comparison.compare import compare

        return compare
    raise AttributeError(f"module 'transferscope' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
