import shutil
from pathlib import Path

import pytest

from deadly_jobs import DEATHS


@pytest.fixture
def deadly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Strategies that end in their second evaluation interval, each in its own way, until the file `harmless`
    is there."""
    source = "import ctypes, os, signal, sys\nfrom transferscope.strategies.target_only import TargetOnly\n"
    choices = tmp_path / "conf" / "strategy"
    choices.mkdir(parents=True)
    for name, death in DEATHS.items():
        source += (
            f"class {name.title()}(TargetOnly):\n    def begin_interval(self, pools):\n"
            f"        if self.progress and not os.path.exists({str(tmp_path / 'harmless')!r}):\n            "
            f"{death}\n"
        )
        (choices / f"{name}.yaml").write_text(
            f"_target_: deadly.{name.title()}\nname: {name}\nstarts_from: random\n"
        )
    (tmp_path / "deadly.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of the store that the module's tests share (`finished`), to write to."""
    shutil.copytree(finished, tmp_path / "runs")
    return tmp_path / "runs"
