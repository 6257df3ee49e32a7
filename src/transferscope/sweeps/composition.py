"""Composing the jobs of a sweep. Hydra composes once for each set of group choices; plain values are then set
on copies, which is what it would do itself, at a hundredth of the time."""

import copy
from collections.abc import Sequence
from functools import cache

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict

from transferscope.catalog import yamls


class Composer:
    """Overrides of a job -> its config, as `ConfigLoader.load_sweep_config` gives it."""

    def __init__(self, loader: ConfigLoaderImpl, config: DictConfig):
        self.loader, self.config = loader, config
        parser = OverridesParser.create(config_loader=loader)
        # the words of a sweep come again in many of its jobs
        self.parse = cache(lambda text: parser.parse_overrides([text])[0])
        # Hydra copies its config to answer
        self.is_group = cache(lambda key: bool(loader.get_group_options(key)) or key.startswith("hydra"))
        self.composed: dict[tuple[str, ...], tuple[DictConfig, DictConfig]] = {}

    def task_config(self, point: Sequence[str]) -> DictConfig:
        """What the job's function is given: everything but Hydra's own node. Hydra's errors for what cannot
        be composed."""
        config, _ = self._compose(point)
        return config

    def job_config(self, point: Sequence[str], number: int) -> DictConfig:
        """The same with Hydra's node, which knows the job's number and its overrides."""
        config, hydra = self._compose(point)
        with open_dict(config):
            config.hydra = copy.deepcopy(hydra)
            config.hydra.overrides.task = list(point)
            config.hydra.job.id = config.hydra.job.num = number
        OmegaConf.copy_cache(from_config=self.config, to_config=config)
        return config

    def _compose(self, point: Sequence[str]) -> tuple[DictConfig, DictConfig]:
        """(task config, Hydra's node as all points of these group choices share it)"""
        overrides = [self.parse(text) for text in point]
        task, hydra = self._base(point, overrides)
        config = copy.deepcopy(task)
        OmegaConf.set_struct(config, True)
        values = [override for override in overrides if not self.is_group(override.key_or_group)]
        ConfigLoaderImpl._apply_overrides_to_config(values, config)
        return config, hydra

    def _base(self, point: Sequence[str], overrides: list[Override]) -> tuple[DictConfig, DictConfig]:
        groups = tuple(
            text
            for text, override in zip(point, overrides, strict=True)
            if self.is_group(override.key_or_group)
        )
        if groups not in self.composed:
            whole = self.loader.load_sweep_config(self.config, list(groups))
            task = OmegaConf.masked_copy(whole, [name for name in whole if name != "hydra"])
            if isinstance(task.get("backbone"), DictConfig) and "name" not in task.backbone:
                with open_dict(
                    task
                ):  # told here: the choices that the process knows are those of the sweep, not of its points
                    task.backbone.name = yamls.backbone_yaml(whole)
            self.composed[groups] = task, whole.hydra
        return self.composed[groups]
