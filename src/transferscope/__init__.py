import sys
from types import ModuleType

__version__ = "0.2.0"


def __getattr__(name: str):
    """`transferscope.load_run`, imported when asked for: torch takes seconds."""
    if name == "load_run":
        from transferscope.load import load_run

        return load_run
    raise AttributeError(f"module 'transferscope' has no attribute '{name}'")


class _Package(ModuleType):
    @property
    def compare(self):
        """`transferscope.compare(...)`, the function: importing the submodule of that name would otherwise put the module here."""
        from transferscope.compare import compare

        return compare

    @compare.setter
    def compare(self, module: ModuleType) -> None:
        """The import system binds a submodule to its package; this name is taken."""


sys.modules[__name__].__class__ = _Package
