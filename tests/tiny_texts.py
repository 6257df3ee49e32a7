"""Two small domains of texts whose classes are words, and runs on them."""

from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from transferscope.data.domain import Domain
from transferscope.data.texts import Texts
from transferscope.training import request
from transferscope.training.run import run

CONF = Path(__file__).parents[1] / "conf"
TINY = [
    "target=here", "source=there", "trainer.steps=8", "trainer.source_steps=8", "trainer.evaluations=2",
    "trainer.batch_size=8", "tracking=off", "trainer.accelerator=cpu",
]  # fmt: skip


def pair(poison: str = "", items: int = 60) -> dict[str, Domain]:
    """`here` and `there`, a word of each in all of its texts; every other item is one of test. poison: a word
    in every test text of `here`."""
    draw, domains = np.random.default_rng(0), {}
    for name in ("here", "there"):
        classes = [c for c in ["bad", "good"] * (items // 4) for _ in range(2)]
        texts = [
            " ".join([c if draw.random() < 0.9 else "so", name, *draw.choice(["so", "and", "or"], 3)])
            for c in classes
        ]
        if name == "here" and poison:
            texts = [f"{text} {poison}" if n % 2 else text for n, text in enumerate(texts)]
        ids, split = [f"i{n}" for n in range(items)], ["train", "test"] * (items // 2)
        domains[name] = Domain.build(name, Texts.of([(text,) for text in texts]), classes, ids, split)
    return domains


def trained(*overrides: str, store: Path, domains: dict[str, Domain] | None = None) -> Path:
    """The folder of a run."""
    known = pair() if domains is None else domains
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=[*TINY, f"store={store}", *overrides])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(request, "load_domain", lambda key, name, *_: known[name])
        return run(config)
