"""What conftest.py keeps of Hydra's composing is what Hydra composes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from omegaconf import Container, DictConfig, OmegaConf

from transferscope.catalog import yamls


def flags(config: Container, at: str = "") -> Iterator[tuple[str, dict]]:
    """Which nodes are closed or read-only."""
    yield at, dict(config._metadata.flags or {})
    if isinstance(config, DictConfig) and not (config._is_none() or config._is_missing()):
        for key in config:
            yield from flags(config._get_node(key), f"{at}.{key}")


def composed(*words: str) -> tuple[str, list]:
    with initialize_config_dir(str(yamls.own_folder().resolve()), version_base="1.3"):
        config = compose("config", overrides=["target=blobs", *words], return_hydra_config=True)
    return OmegaConf.to_yaml(config), list(flags(config))


@pytest.mark.parametrize(
    "words",
    [
        ["strategy=dann", "trainer.steps=3"],
        ["backbone=timm", "+strategy.groups=9", "~trainer.optimizer.weight_decay"],
        ["experiment=demo", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    ],
)
def test_a_choice_that_is_kept_is_what_hydra_composes(
    words: list[str], groups_composed_once, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [composed(*words) for _ in range(2)]
    create, merge = groups_composed_once
    monkeypatch.setattr(config_loader_impl, "create_defaults_list", create)
    monkeypatch.setattr(ConfigLoaderImpl, "_compose_config_from_defaults_list", merge)
    assert kept == [composed(*words)] * 2


def test_a_yaml_that_is_written_over_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "strategy").mkdir()
    place = f"hydra.searchpath=[file://{tmp_path}]"
    for name in ("one", "two"):
        (tmp_path / "strategy" / "own.yaml").write_text(f"name: {name}\n")
        assert f"  name: {name}\n" in composed(place, "strategy=own")[0]
