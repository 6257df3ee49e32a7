from importlib.metadata import PackageNotFoundError, version

import pytest

from transferscope.cli import doctor
from transferscope.cli.main import main


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def report(capsys, *arguments):
    """(exit status, {what: (ok | missing, detail)}, last line)"""
    code = main(["doctor", *arguments])
    *lines, last = capsys.readouterr().out.splitlines()
    found = [line.split(maxsplit=2) for line in lines if line.startswith("  ")]
    return code, {what: (state, detail) for state, what, detail in found}, last


def test_all_the_demo_needs_is_here_and_nothing_is_left_behind(tmp_path, capsys):
    code, found, last = report(capsys, f"data_root={tmp_path}", f"store={tmp_path / 'runs'}")
    assert code == 0 and last == "everything that `transferscope demo` needs is here"
    assert found["handwritten_digits"] == ("ok", "901 items of 1×8×8, 10 classes")
    state, detail = found["usps"]
    assert state == "missing" and f"data_root={tmp_path}" in detail
    assert list(tmp_path.iterdir()) == []


def test_a_data_file_that_is_there_is_read(tmp_path, capsys):
    (tmp_path / "nt_moons").mkdir()
    (tmp_path / "nt_moons" / "moon0.csv").write_text("0.5,1.5,0\n1.5,2.5,1\n")
    (tmp_path / "nt_moons" / "moon1.csv").write_text("0.5,1.5,0\n1.5,nan,1\n")
    _, found, _ = report(capsys, f"data_root={tmp_path}")
    assert found["nt_moon0"] == ("ok", "2 items of 2, 2 classes")
    assert found["nt_moon1"][0] == "missing" and "row 1, column 1" in found["nt_moon1"][1]
    assert "likewise nt_moon2" in found["nt_moon1"][1]


def test_a_store_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    code, found, last = report(capsys, f"store={tmp_path / 'file' / 'runs'}")
    assert code == 1 and str(tmp_path / "file" / "runs") in last
    assert found[str(tmp_path / "file" / "runs")][0] == "missing"


def test_packages_of_another_version_and_none(monkeypatch, capsys):
    def another(name):
        if name == "jinja2":
            raise PackageNotFoundError(name)
        return "0.1" if name == "timm" else version(name)

    monkeypatch.setattr(doctor, "version", another)
    monkeypatch.setattr(doctor, "domains", lambda data_root: iter(()))
    code, found, last = report(capsys)
    assert code == 1 and last == "the demo cannot run, it needs: jinja2, timm"
    assert found["timm"] == (
        "missing",
        "0.1, but <2,>=1.0.31 is what was tested: pip install 'timm<2,>=1.0.31'",
    )
    assert found["jinja2"] == ("missing", "not installed: pip install 'jinja2'")


def test_torchvision_of_another_release(monkeypatch, capsys):
    def fails(name):
        raise RuntimeError("operator torchvision::nms does not exist\nand more")

    monkeypatch.setattr(doctor.importlib, "import_module", fails)
    [finding] = [finding for finding in doctor.packages() if finding.what == "torch with torchvision"]
    assert not finding.ok and finding.needed
    assert finding.detail.startswith(
        "operator torchvision::nms does not exist; install the two of one release"
    )


def test_an_api_key_is_found_and_not_shown(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(doctor, "domains", lambda data_root: iter(()))
    main(["doctor"])
    assert "api key                    none" in capsys.readouterr().out
    (tmp_path / "netrc").write_text("machine wandb.mine.org\n  login user\n  password 0123456789secret\n")
    main(["doctor"])
    assert "api key                    none" in capsys.readouterr().out  # of another host
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.mine.org")
    main(["doctor"])
    out = capsys.readouterr().out
    assert "api key                    found\n" in out and "secret" not in out
    (tmp_path / "netrc").unlink()
    monkeypatch.setenv("WANDB_API_KEY", "0123456789secret")
    main(["doctor"])
    out = capsys.readouterr().out
    assert "api key                    found\n" in out and "secret" not in out


def test_wandb_turned_off_outside(monkeypatch, capsys):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    [mode, _] = doctor.tracking()
    assert mode.detail == "off (WANDB_MODE=disabled)"


@pytest.mark.parametrize("argument", ["dataroot=x", "store", "store="])
def test_another_key_is_refused(argument, capsys):
    assert main(["doctor", argument]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert argument in line and "data_root=DIR" in line
