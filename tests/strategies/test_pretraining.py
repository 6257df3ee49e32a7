"""Rotation prediction and SimCLR: their losses by hand, what reaches them, that they are trained once, and
toys made for each."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from planted import SEEDS, verdict
from toy_fit import SETTINGS, hits, items
from transferscope.backbones.small_cnn import SmallCNN
from transferscope.cli.main import main
from transferscope.data.domain import Domain
from transferscope.data.splits import LabelledData, Pools
from transferscope.errors import NotApplicable
from transferscope.networks.classifier import Classifier
from transferscope.store import record
from transferscope.strategies.base import Batch
from transferscope.strategies.feature_extraction import FeatureExtraction
from transferscope.strategies.rotation import Rotation
from transferscope.strategies.simclr import SimCLR, contrast, view
from transferscope.strategies.target_only import TargetOnly
from transferscope.training.fit import fit

KINDS = {"rotation": Rotation, "simclr": SimCLR}


class Corners(nn.Module):
    """Images → the pixels of the four corners, from the upper left one on, clockwise."""

    features = 4

    def forward(self, images):
        return (
            torch.stack(
                [images[:, 0, 0, 0], images[:, 0, 0, -1], images[:, 0, -1, -1], images[:, 0, -1, 0]], dim=1
            ).float()
            / 100
        )


def test_each_image_is_asked_for_in_its_four_turns():
    """A quarter turn to the left takes the corners (a, b, c, d) to (b, c, d, a)."""
    strategy = Rotation(Classifier(Corners(), classes=4))
    images = torch.randint(256, (3, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    weight, bias = (parameter.detach().numpy() for parameter in strategy.network.head.parameters())
    expected = []
    for image in images.numpy()[:, 0].astype(float) / 100:
        corners = [image[0, 0], image[0, -1], image[-1, -1], image[-1, 0]]
        for turn in range(4):
            z = weight @ np.array(corners[turn:] + corners[:turn]) + bias
            expected.append(np.log(np.exp(z).sum()) - z[turn])
    terms = strategy.losses(Batch(LabelledData(images, torch.full((3,), -1), torch.zeros(3)), None, None))
    assert terms["rotation"].item() == pytest.approx(np.mean(expected), rel=1e-5)


def test_pictures_that_a_turn_does_not_leave_their_shape_are_refused():
    images = torch.zeros(2, 1, 4, 6, dtype=torch.uint8)
    with pytest.raises(
        NotApplicable, match="pictures of 4 x 6 pixels change their shape when turned; give image_size"
    ):
        Rotation(Classifier(Corners(), classes=4)).losses(
            Batch(LabelledData(images, torch.full((2,), -1), torch.zeros(2)), None, None)
        )


def test_views_of_one_image_attract_and_all_others_repel():
    z = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)).double()
    # of vectors with mean 0, the correlation is the cosine
    cosine = np.corrcoef(np.c_[z.numpy(), -z.numpy()])
    expected = []
    for i in range(6):
        others = np.exp(np.delete(cosine[i], i) / 0.2).sum()
        expected.append(-np.log(np.exp(cosine[i, (i + 3) % 6] / 0.2) / others))
    assert contrast(z, temperature=0.2).item() == pytest.approx(np.mean(expected), rel=1e-9)


def test_views_differ_between_items_and_draws_and_stay_pictures():
    torch.manual_seed(0)
    gradient = torch.arange(16).mul(15).to(torch.uint8).expand(64, 3, 16, 16)
    first, second = view(gradient), view(gradient)
    assert first.shape == (64, 3, 16, 16) and first.min() >= 0 and first.max() <= 255
    assert not torch.allclose(first, second) and len({float(item.mean()) for item in first}) > 32
    slopes = (first[:, 0, 8, -1] - first[:, 0, 8, 0]).sign()
    assert 16 < (slopes < 0).sum() < 48  # mirrored half of the time
    colours = torch.tensor([200.0, 100.0, 50.0]).view(1, 3, 1, 1).expand(200, 3, 8, 8)
    ratio = view(colours).mean((2, 3))
    assert 20 < (ratio.std(1) < 1).sum() < 60  # a fifth of them grey


def test_a_views_aspect_is_drawn_evenly_on_a_logarithm_and_its_brightness_within_two_fifths():
    """Against the same draws in numpy. Slopes of a ramp along each side are to each other as width is to
    height, whatever the colours."""
    torch.manual_seed(0)
    ramp = 100 + 50 * torch.arange(32) / 32
    views = view(torch.stack([ramp.expand(32, 32), ramp[:, None].expand(32, 32)]).expand(2000, 2, 32, 32))
    across = (views[:, 0, 16, 20] - views[:, 0, 16, 12]).abs()
    down = (views[:, 1, 20, 16] - views[:, 1, 12, 16]).abs()
    draw = np.random.default_rng(0)
    area, aspect = draw.uniform(0.08, 1, 100_000), np.exp(draw.uniform(np.log(3 / 4), np.log(4 / 3), 100_000))
    expected = np.log(np.sqrt(area * aspect).clip(max=1) / np.sqrt(area / aspect).clip(max=1))
    marks = (0.05, 0.25, 0.5, 0.75, 0.95)
    np.testing.assert_allclose(
        np.quantile(torch.log(across / down), marks), np.quantile(expected, marks), atol=0.02
    )
    # a flat picture has no contrast to change
    brightness = view(torch.full((2000, 1, 8, 8), 100.0)).mean((1, 2, 3))
    assert (brightness - 100).abs().lt(0.01).float().mean() == pytest.approx(0.2, abs=0.03)
    np.testing.assert_allclose(
        np.quantile(brightness[(brightness - 100).abs() > 0.01], [0, 0.25, 0.75, 1]),
        [60, 80, 120, 140],
        atol=3,
    )


# --- as an initialisation


def pictures(name: str, draw: int, labelled: bool = True) -> Domain:
    """Noise, brighter in one class; where a split is drawn it goes by the labels, so the source's is
    given."""
    random = np.random.default_rng(draw)
    images = (
        random.integers(128, size=(60, 1, 8, 8)) + 100 * (np.arange(60) % 2)[:, None, None, None]
    ).astype(np.uint8)
    classes = [("a", "b")[i % 2] if labelled else None for i in range(60)]
    split = "" if name == "blobs" else "train"
    return Domain.build(name, torch.from_numpy(images), classes, [f"{name}-{i}" for i in range(60)], split)


SMALL = ("backbone._target_=tiny_maps.Maps", "label_budget=4")


@pytest.fixture
def on_pictures(train, tmp_path):
    """on_pictures(*overrides, source=...): a run of pictures in one store."""

    def trained(*overrides, source=None):
        domains = {"blobs": pictures("blobs", 0), "blobs_shifted": source or pictures("blobs_shifted", 1)}
        return train(*SMALL, *overrides, store=tmp_path, domains=domains)

    return trained


@pytest.mark.parametrize("name", KINDS)
def test_it_is_trained_once_for_all_that_starts_from_it(on_pictures, tmp_path, name):
    strategies = "fine_tuning", "feature_extraction", "target_only", "joint"
    runs = [on_pictures(f"strategy={strategy}", f"initialisation={name}") for strategy in strategies]
    seconds = [run.record["timings"]["source_seconds"] for run in runs]
    assert seconds[0] > 0 and seconds[1:] == [0, 0, 0]
    assert len(list((tmp_path / ".cache" / "source_models").glob("*.safetensors"))) == 1
    assert runs[0].record["result"]["steps"] == {"target": 12, "source": 12}


@pytest.mark.parametrize(
    "key", ["seed=1", "trainer.source_steps=13", "initialisation=simclr", "initialisation=source"]
)
def test_another_one_for_whatever_it_depends_on(on_pictures, tmp_path, key):
    on_pictures("strategy=fine_tuning", "initialisation=rotation")
    on_pictures("strategy=fine_tuning", "initialisation=rotation", key)
    assert len(list((tmp_path / ".cache" / "source_models").glob("*.safetensors"))) == 2


@pytest.mark.parametrize("name", KINDS)
def test_the_sources_inputs_reach_it_and_no_label(on_pictures, name):
    asked = "strategy=fine_tuning", f"initialisation={name}", "seed=2"
    run = on_pictures(*asked)
    assert run.record["sees"] == ["source_inputs", "target_labels"]
    assert run.record["cell"]["source"] == "blobs_shifted" and run.record["cell"]["initialisation"] == name
    clean = run.on_test().tobytes()
    assert on_pictures(*asked, "source_label_noise=1").folder == run.folder  # the same run
    assert (
        on_pictures(*asked, source=pictures("blobs_shifted", 1, labelled=False)).on_test().tobytes() != clean
    )  # the held-out tenth comes in
    source = pictures("blobs_shifted", 1)
    assert (
        on_pictures(*asked, source=replace(source, labels=source.labels.flip(0))).on_test().tobytes() == clean
    )
    assert on_pictures(*asked, source=pictures("blobs_shifted", 3)).on_test().tobytes() != clean


def test_a_source_without_any_label_serves(on_pictures):
    run = on_pictures(
        "strategy=fine_tuning", "initialisation=rotation", source=pictures("blobs_shifted", 1, labelled=False)
    )
    assert run.record["status"] == "done"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["target=blobs", "source=blobs_shifted", "backbone=mlp", "initialisation=rotation"], ("learns from "
            "pictures, blobs holds arrays")),
        (["target=handwritten_digits", "initialisation=simclr"], ("initialisation=simclr: there is no "
            "source; give source=DOMAIN")),
        (["target=handwritten_digits", "source=printed_digits", "strategy=tent", "initialisation=simclr"],
         "strategy tent needs a source model"),
        (["target=handwritten_digits", "source=printed_digits", "initialisation=rotations"], ("did you mean "
            "'rotation'")),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(arguments, said, tmp_path, capsys):
    assert main(["run", *arguments, "tracking=off", f"store={tmp_path}"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert said in line and record.run_folders(tmp_path) == []


# --- toys

ARROW = np.array([[0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [1, 1, 1, 1, 1], [0, 0, 1, 0, 0], [0, 0, 1, 0, 0]])


def arrows(size: int, draw: int, turned: bool) -> LabelledData:
    """An arrow somewhere in a noisy image: upright in the source, and in the target the class is where it
    points."""
    random, labels = np.random.default_rng(draw), np.arange(size) % 4
    images = 0.25 * random.normal(size=(size, 8, 8))
    for image, label, (row, column) in zip(images, labels, random.integers(4, size=(size, 2)), strict=True):
        image[row : row + 5, column : column + 5] += np.rot90(ARROW, label if turned else 0)
    return items(np.clip(80 + 80 * images, 0, 255).astype(np.uint8)[:, None], labels)


def tints(size: int, draw: int, turned: bool) -> LabelledData:
    """Noise of any brightness, and the class is a tint of it."""
    random, labels = np.random.default_rng(draw), np.arange(size) % 3
    grey = random.uniform(30, 180, size=(size, 1, 1, 1)) * np.clip(
        1 + 0.5 * random.normal(size=(size, 1, 8, 8)), 0, None
    )
    images = (1 + 0.4 * np.eye(3)[labels])[:, :, None, None] * grey + 10 * random.normal(size=(size, 3, 8, 8))
    return items(np.clip(images, 0, 255).astype(np.uint8), labels)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "toy", "classes"), [(Rotation, arrows, 4), (SimCLR, tints, 3)])
def test_two_labels_a_class_go_further_on_what_was_learnt_without_any(kind, toy, classes):
    """Against the same labels from random weights, all of them trained or the head alone."""
    test = toy(200, 7, True)

    def of(strategy, pretrained: bool) -> np.ndarray:
        def backbone():
            built = SmallCNN(tuple(test.inputs.shape[1:]))
            if pretrained:
                pools = Pools(source=toy(200, 100 + seed, False))
                fit(
                    kind(Classifier(built, kind.outputs)),
                    pools,
                    {},
                    SETTINGS._replace(steps=80),
                    (seed, "start"),
                )
            return built

        rows = []
        for seed in SEEDS:
            rows.append(
                hits(
                    strategy, backbone, Pools(target=toy(2 * classes, 200 + seed, True)), test, seed, steps=60
                )
            )
        return np.stack(rows)

    after = of(FeatureExtraction, True)
    for baseline in (TargetOnly, FeatureExtraction):
        judgement = verdict(after, of(baseline, False), 200 // classes)
        assert judgement.verdict == "positive", judgement
