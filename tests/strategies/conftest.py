"""Tiny runs on the synthetic pair blobs_shifted → blobs, a tenth of a second each."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from transferscope.data import splits
from transferscope.data.domain import Domain
from transferscope.store.lease import Lease
from transferscope.store.record import read_history, read_record
from transferscope.training import request
from transferscope.training.run import run

CONF = Path(__file__).parents[2] / "conf"
TINY = (
    "target=blobs", "source=blobs_shifted", "backbone=mlp", "backbone.hidden=[16]", "trainer.steps=12",
    "trainer.source_steps=12", "trainer.batch_size=8", "trainer.evaluations=3", "trainer.optimizer.lr=0.01",
    "trainer.accelerator=cpu", "tracking=off",
)  # fmt: skip
SET_AFTERWARDS = (
    "store", "seed", "twin", "keep", "outputs", "keep_features", "selection", "label_budget",
    "initialisation", "protocol",
    "source_label_noise", "strategy.backbone_rate", "trainer.steps", "trainer.evaluations",
)  # fmt: skip
ON_MAPS = {"strategy=mixstyle"}  # what mixes feature maps is run on a backbone that has some


@dataclass(frozen=True)
class Finished:
    """A run's folder, read back."""

    folder: Path

    @cached_property
    def record(self) -> dict:
        return read_record(self.folder)

    @cached_property
    def members(self) -> dict[str, np.ndarray]:
        with np.load(self.folder / "evaluations.npz", allow_pickle=False) as members:
            return dict(members)

    @property
    def bits(self) -> tuple:
        """All that "identical" means: evaluations.npz, the history less its time columns, the result."""
        history = [
            {k: v for k, v in row.items() if not k.endswith("seconds")} for row in read_history(self.folder)
        ]
        return (self.folder / "evaluations.npz").read_bytes(), history, self.record["result"]

    @property
    def probabilities(self) -> dict[str, bytes]:
        """Every stored probability, of all evaluated sets and steps."""
        return {name: member.tobytes() for name, member in self.members.items() if "/outputs/" in name}

    def on_test(self, step: int = 12) -> np.ndarray:
        return self.members[f"blobs/test/outputs/{step:06d}"]


@pytest.fixture(scope="session")
def config() -> Callable[..., DictConfig]:
    """config(*overrides): the composed tiny run. Hydra's global state is afterwards what it was before.

    Composing takes longer than training: each choice of groups is composed once a session, and the plain
    values of SET_AFTERWARDS are set on a copy of it."""

    @cache
    def chosen(*overrides: str) -> bytes:
        maps = [] if ON_MAPS.isdisjoint(overrides) else ["backbone._target_=tiny_maps.Maps"]
        with initialize_config_dir(str(CONF), version_base="1.3"):
            # unpickled in a fraction of the time of a deep copy
            return pickle.dumps(compose("config", overrides=[*TINY, *maps, *overrides]), protocol=-1)

    def composed(*overrides: str) -> DictConfig:
        values = [word for word in overrides if word.split("=")[0] in SET_AFTERWARDS]
        given = pickle.loads(chosen(*(word for word in overrides if word not in values)))
        for word in values:
            key, _, value = word.partition("=")
            OmegaConf.update(given, key, yaml.safe_load(value))
        return given

    return composed


@pytest.fixture(scope="session")
def train(config, tmp_path_factory) -> Callable[..., Finished]:
    """train(*overrides): a run, in a store of its own unless one is given. domains: by name, in place of
    those of the shelf."""

    def trained(
        *overrides: str, store: Path | None = None, domains: dict[str, Domain] | None = None
    ) -> Finished:
        with pytest.MonkeyPatch.context() as patch:
            if domains:
                patch.setattr(request, "load_domain", lambda key, name, *_: domains[name])
            return Finished(run(config(f"store={store or tmp_path_factory.mktemp('store')}", *overrides)))

    return trained


@pytest.fixture(scope="session")
def finished(train) -> Callable[..., Finished]:
    """finished(*overrides): the same as train, each trained once a session."""
    return cache(train)


@pytest.fixture
def stopped_and_resumed(train, tmp_path, monkeypatch) -> Callable[..., tuple[Finished, list[int]]]:
    """stopped_and_resumed(*overrides): a run that is stopped after its second interval and taken up again,
    and the steps at which it was claimed."""
    claim, steps = Lease.claim, []

    def stopped(lease: Lease, step: int) -> None:
        steps.append(step)
        claim(lease, step)
        if steps == [0, 4, 8]:
            raise KeyboardInterrupt

    def twice(*overrides: str) -> tuple[Finished, list[int]]:
        monkeypatch.setattr(Lease, "claim", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(*overrides, store=tmp_path)
        return train(*overrides, store=tmp_path), steps

    return twice


@pytest.fixture(scope="session")
def pair(config) -> dict[str, Domain]:
    """Both domains with the split that the runs draw written into them, so that labels may change and the
    split does not."""
    domains = {}
    for name in ("blobs", "blobs_shifted"):
        domain = request.load_domain("target", name, "data")
        _, test = splits.split(domain, split_seed=0)
        domains[name] = replace(
            domain, split=np.where(np.isin(np.arange(len(domain)), test), "test", "train")
        )
    return domains


@pytest.fixture(scope="session")
def scrambled(pair) -> Callable[[str, str], dict[str, Domain]]:
    """scrambled(name, part): the pair with garbage for the labels of one domain's "train" or "test" items."""

    def garbage(name: str, part: str) -> dict[str, Domain]:
        labels = pair[name].labels.clone()
        chosen = np.flatnonzero(pair[name].split == part)
        labels[chosen] = labels[np.random.default_rng(0).permutation(chosen)]
        return pair | {name: replace(pair[name], labels=labels)}

    return garbage
