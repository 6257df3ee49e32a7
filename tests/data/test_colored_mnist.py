"""colored_mnist.py against MNIST itself: whose digits they are, how often shape and colour tell the class."""

from pathlib import Path

import pytest

from transferscope.data import colored_mnist, mnist
from transferscope.data.domain import Domain
from transferscope.errors import RequestError

COLOUR_FLIPS = (0.1, 0.2, 0.9)


@pytest.fixture(scope="module")
def thirds(data_root: Path) -> list[Domain]:
    return [colored_mnist.load("x", str(data_root), third, flips) for third, flips in enumerate(COLOUR_FLIPS)]


def test_every_digit_of_mnist_is_in_one_domain(thirds: list[Domain]) -> None:
    assert sorted(map(len, thirds)) == [23333, 23333, 23334]
    assert len({item for domain in thirds for item in domain.ids}) == 70000


def test_shape_and_colour_tell_the_class_as_often_as_they_should(
    thirds: list[Domain], data_root: Path
) -> None:
    digits = mnist.load("mnist", str(data_root))
    digit_of = dict(zip(digits.ids, digits.labels.tolist(), strict=True))
    for domain, flips in zip(thirds, COLOUR_FLIPS, strict=True):
        is_high = domain.labels.bool()
        by_shape = sum(
            (digit_of[item] > 4) == label for item, label in zip(domain.ids, is_high.tolist(), strict=True)
        ) / len(domain)
        is_green = domain.inputs[:, 1].flatten(1).any(1)
        assert by_shape == pytest.approx(0.75, abs=0.015)
        assert (is_green == is_high).float().mean().item() == pytest.approx(1 - flips, abs=0.015)


def test_an_item_is_its_digit_in_one_colour(thirds: list[Domain], data_root: Path) -> None:
    digits = mnist.load("mnist", str(data_root))
    row = {item: number for number, item in enumerate(digits.ids)}
    domain = thirds[0]
    assert (domain.inputs.sum(1) == digits.inputs[[row[item] for item in domain.ids], 0]).all()
    assert (
        not domain.inputs[:, 2].any()
        and not (domain.inputs[:, 0].flatten(1).any(1) & domain.inputs[:, 1].flatten(1).any(1)).any()
    )


@pytest.mark.parametrize(
    ("third", "flips", "said"),
    [(3, 0.1, "third=3; allowed: 0, 1, 2"), (0, 90, "colour_flips=90; allowed: a share")],
)
def test_a_key_out_of_range_is_refused(third: int, flips: float, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        colored_mnist.load("x", "nowhere", third, flips)
