"""P1-P3: what the harness costs around the steps of training. P13: what a second process gains.

DANN on LeNet with a discriminator of 1024-1024, 32 source and 32 target items a step, printed against
handwritten digits at 28 pixels."""

import math
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from benchmarks.bars import Bar, ratio, rounds, seconds
from benchmarks.runs import config, scratch_folder
from transferscope.backbones.lenet import LeNet
from transferscope.networks.domain_discriminator import DomainDiscriminator, reverse_gradient
from transferscope.strategies.base import Batch, Strategy
from transferscope.training.evaluations import EvaluationCallback
from transferscope.training.request import resolve
from transferscope.training.run import run

STEPS, ROUNDS = 400, 5
DANN = ["target=handwritten_digits", "source=printed_digits", "strategy=dann", "strategy.hidden=1024",
    "backbone=lenet", "image_size=28",
        "label_budget=0", f"trainer.steps={STEPS}", "trainer.evaluations=1"]  # fmt: skip


def bare_dann(
    source: Tensor, labels: Tensor, target: Tensor, memory_format: torch.memory_format, fused: bool
) -> None:
    """The textbook loop: tensors in memory, index, two losses, one optimiser, a cosine; nothing is recorded.
    fused: AdamW as runs have it."""
    torch.manual_seed(0)
    backbone, head = LeNet(tuple(source.shape[1:])), nn.Linear(LeNet.features, 10)
    discriminator = DomainDiscriminator(LeNet.features, 1024)
    model = nn.ModuleList([backbone, head, discriminator]).to(memory_format=memory_format)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.002, weight_decay=0.01, fused=fused)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    is_source = torch.cat([torch.ones(32), torch.zeros(32)])
    for step in range(STEPS):
        some, others = torch.randint(len(source), (32,)), torch.randint(len(target), (32,))
        features = backbone(torch.cat([source[some], target[others]]))
        strength = 2 / (1 + math.exp(-10 * step / STEPS)) - 1
        domain = discriminator(reverse_gradient(features, strength))
        loss = cross_entropy(head(features[:32]), labels[some]) + binary_cross_entropy_with_logits(
            domain, is_source
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()


def dann() -> Iterator[Bar]:
    pools = resolve(config(*DANN)).run_data().pools
    images = pools.source.inputs, pools.source.labels, pools.unlabelled
    evaluating: list[float] = []
    evaluate = EvaluationCallback._evaluate

    def watched(*arguments: object) -> None:
        evaluating.append(seconds(lambda: evaluate(*arguments)))

    with scratch_folder() as folder, patch.object(EvaluationCallback, "_evaluate", watched):
        turn = iter(range(1000))
        arms = {
            "ours": lambda: run(config(*DANN, f"store={folder}", f"seed={next(turn)}")),
            "channels_last": lambda: bare_dann(*images, torch.channels_last, fused=True),
            "nchw": lambda: bare_dann(*images, torch.contiguous_format, fused=False),
        }
        arms["ours"]()  # what only a process's first run pays: imports, drawn digits
        evaluating.clear()
        times = rounds(arms, ROUNDS)
    share = sum(evaluating) / sum(row["ours"] for row in times)
    yield ratio(
        "P1",
        ">=",
        0.9,
        times,
        "channels_last",
        "ours",
        f"such a loop, bare / whole run; {share:.1%} of it evaluations",
    )
    yield ratio("P2", ">=", 1.2, times, "nchw", "ours", "bare loop as torch has it by default / whole run")


class FiveTerms(Strategy):
    """A step with next to nothing in it, and five scalars to keep."""

    sees = frozenset({"target_labels"})

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        loss = cross_entropy(self.logits(batch.target.inputs), batch.target.labels)
        return {"one": loss} | dict.fromkeys(("two", "three", "four", "five"), loss * 0.1)


def near_empty(lengths: tuple[int, int] = (1000, 3000)) -> Iterator[Bar]:
    """Microseconds a step: the slope between two lengths, ours less the bare loop's."""
    request = resolve(config(*_tiny(lengths[0], Path("runs"))))
    pool = request.run_data().pools.target

    def bare(steps: int) -> None:
        model = nn.Sequential(
            nn.Linear(pool.inputs.shape[1], 8), nn.ReLU(), nn.Linear(8, int(pool.labels.max()) + 1)
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.002, weight_decay=0.01, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            items = torch.randint(len(pool.labels), (len(pool.labels),))
            loss = cross_entropy(model(pool.inputs[items]), pool.labels[items])
            total = loss + sum(loss * 0.1 for _ in range(4))
            optimizer.zero_grad(set_to_none=True)
            total.backward()
            optimizer.step()
            schedule.step()

    def ours(steps: int, folder: Path, seed: int) -> None:
        settings = config(*_tiny(steps, folder), f"seed={seed}")
        OmegaConf.set_struct(settings, False)
        settings.strategy = {
            "_target_": "benchmarks.training.FiveTerms",
            "name": "five_terms",
            "starts_from": "random",
        }
        run(settings)

    extra = []
    with scratch_folder() as folder:
        ours(10, folder, 0)
        for seed in range(1, ROUNDS + 1):
            times = rounds({f"{who}{n}": (lambda f=f, n=n: f(n)) for n in lengths
                            for who, f in (("ours", lambda n, seed=seed: ours(n, folder, seed)), ("bare",
                            bare))}, 1)[0]  # fmt: skip
            short, long = lengths
            extra.append(
                (
                    (times[f"ours{long}"] - times[f"ours{short}"])
                    - (times[f"bare{long}"] - times[f"bare{short}"])
                )
                / (long - short)
            )
    extra = [1e6 * value for value in extra]
    yield Bar(
        "P3",
        float(np.median(extra)),
        "<=",
        200,
        (min(extra), max(extra)),
        "microseconds a step over a near-empty one, 5 scalars kept",
    )


def two_devices() -> Iterator[Bar]:
    """One run by two processes, on a machine with a core for each."""
    words = ["target=handwritten_digits", "source=null", "strategy=scratch", "backbone=lenet",
        "image_size=28", "label_budget=full", "trainer.batch_size=256", "trainer.steps=100",
        "trainer.evaluations=1", "trainer.accelerator=cpu"]  # fmt: skip
    with scratch_folder() as folder:
        turn = iter(range(1000))

        def trained(devices: int) -> None:
            run(config(*words, f"trainer.devices={devices}", f"store={folder}", f"seed={next(turn)}"))

        times = rounds({"one": lambda: trained(1), "two": lambda: trained(2)}, 3)
    yield ratio("P13", "", None, times, "one", "two", "a run in one process / in two (trainer.devices=2)")


def _tiny(steps: int, folder: Path) -> list[str]:
    return ["target=blobs", "strategy=scratch", "backbone=mlp", "backbone.hidden=[8]", "label_budget=full",
        f"trainer.steps={steps}",
            "trainer.evaluations=1", f"store={folder}"]  # fmt: skip


def bars() -> Iterator[Bar]:
    torch.set_num_threads(1)
    yield from dann()
    yield from near_empty()
    yield from two_devices()
