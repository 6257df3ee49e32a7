"""Features of frozen backbones, computed once a store: the bits of the plain path whoever asked first, safe
when killed, checked when read."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from transferscope.backbones.identity import Identity
from transferscope.backbones.lenet import LeNet
from transferscope.networks.frozen import frozen_features
from transferscope.training import feature_cache
from transferscope.training.feature_cache import FrozenFeatures


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As runs have it: processes are forked here, and how many threads there are may show in the last
    bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Counted(LeNet):
    """Counts the items it is given, and takes its time over each pass."""

    items = 0
    seconds = 0.0

    def forward(self, inputs: Tensor) -> Tensor:
        self.items += len(inputs)
        time.sleep(self.seconds)
        return super().forward(inputs)


def backbone(seed: int = 0) -> Counted:
    torch.manual_seed(seed)
    return Counted((1, 28, 28)).to(memory_format=torch.channels_last).eval()


def images(count: int, seed: int = 0) -> Tensor:
    return torch.randint(
        0, 256, (count, 1, 28, 28), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )


def shards(store: Path) -> list[Path]:
    return sorted((store / ".cache" / "features").glob("*/*.safetensors"))


def test_features_are_the_same_bits_whatever_an_item_is_computed_with():
    net, inputs = backbone(), images(70)
    whole = frozen_features(net, inputs, "cpu")
    torch.testing.assert_close(whole, net(inputs).detach())
    for places in (torch.tensor([3]), torch.arange(69, -1, -1), torch.arange(5, 50, 3)):
        assert torch.equal(frozen_features(net, inputs[places], "cpu"), whole[places])


def test_what_the_store_keeps_is_the_plain_path_bit_by_bit_whoever_asked_first(tmp_path):
    inputs = images(70)
    plain = frozen_features(backbone(), inputs, "cpu")
    asked = [
        torch.arange(40, 60),
        torch.tensor([7]),
        torch.arange(70),
        torch.arange(69, -1, -1),
        torch.tensor([5, 5, 1]),
    ]
    for places in asked:
        assert torch.equal(FrozenFeatures(tmp_path)(backbone(), inputs[places], "cpu"), plain[places])


def test_each_item_is_computed_once_by_whichever_process_asks_first(tmp_path):
    net, inputs = backbone(), images(96)
    FrozenFeatures(tmp_path)(net, inputs[:64], "cpu")
    again, more = backbone(), backbone()
    FrozenFeatures(tmp_path)(again, inputs[:64].flip(0), "cpu")
    FrozenFeatures(tmp_path)(more, inputs, "cpu")
    known = 2  # the noise that a backbone is known by
    assert (again.items, more.items) == (known, known + 32)


def test_weights_of_another_seed_or_changed_on_the_way_are_another_backbone(tmp_path):
    net, inputs, features = backbone(), images(8), FrozenFeatures(tmp_path)
    for change in (lambda: None, lambda: net.load_state_dict(backbone(1).state_dict())):
        change()
        assert torch.equal(features(net, inputs, "cpu"), frozen_features(net, inputs, "cpu"))
    assert torch.equal(features(backbone(2), inputs, "cpu"), frozen_features(backbone(2), inputs, "cpu"))
    assert len(shards(tmp_path)) == 3


def test_the_same_weights_in_other_code_are_another_backbone(tmp_path, monkeypatch):
    inputs = images(8)
    before = FrozenFeatures(tmp_path)(backbone(), inputs, "cpu")
    forward = Counted.forward
    monkeypatch.setattr(Counted, "forward", lambda self, given: 2 * forward(self, given))
    assert torch.equal(FrozenFeatures(tmp_path)(backbone(), inputs, "cpu"), 2 * before)


class ByBatch(nn.Module):
    """Centres its features by those of the batch."""

    def forward(self, inputs: Tensor) -> Tensor:
        features = inputs.float().flatten(1)
        return features - features.mean(0)


@pytest.mark.parametrize("net", [ByBatch(), Identity((28,))])
def test_what_depends_on_its_neighbours_or_costs_nothing_is_not_kept(tmp_path, net):
    for inputs in (images(1)[:, 0, 0], images(40)[:, 0, 0]):  # [N, 28]
        assert torch.equal(FrozenFeatures(tmp_path)(net, inputs, "cpu"), frozen_features(net, inputs, "cpu"))
    assert not shards(tmp_path)


@pytest.mark.parametrize(
    "damage", [lambda file: file.write_bytes(b""), lambda file: os.truncate(file, 1000), "flip"]
)
def test_a_damaged_file_is_named_in_one_line_and_made_again(tmp_path, damage, capsys):
    net, inputs = backbone(), images(40)
    expected = FrozenFeatures(tmp_path)(net, inputs, "cpu")
    [file] = shards(tmp_path)
    if damage == "flip":
        content = bytearray(file.read_bytes())
        content[-9] ^= 1
        file.write_bytes(content)
    else:
        damage(file)
    assert torch.equal(FrozenFeatures(tmp_path)(net, inputs, "cpu"), expected)
    [line] = capsys.readouterr().err.splitlines()
    assert str(file) in line and "damaged" in line
    fresh = backbone()
    FrozenFeatures(tmp_path)(fresh, inputs, "cpu")
    assert fresh.items == 2 and not capsys.readouterr().err


def slowly(store: Path) -> None:
    feature_cache.SHARD = 32
    net = backbone()
    net.seconds = 0.3
    FrozenFeatures(store)(net, images(320), "cpu")


def test_what_a_killed_process_had_finished_stays_and_its_lock_goes(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=slowly, args=(tmp_path,))
    process.start()
    while len(shards(tmp_path)) < 2:
        assert process.is_alive()
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    done, net, inputs = len(shards(tmp_path)), backbone(), images(320)
    assert done < 10
    assert torch.equal(
        FrozenFeatures(tmp_path)(net, inputs, "cpu"), frozen_features(backbone(), inputs, "cpu")
    )
    assert net.items == 2 + 320 - 32 * done


def asked(store: Path) -> tuple[int, bytes]:
    net = backbone()
    net.seconds = 0.1
    features = FrozenFeatures(store)(net, images(64), "cpu")
    return net.items, features.numpy().tobytes()


def test_processes_that_ask_at_once_wait_for_the_first(tmp_path):
    with multiprocessing.get_context("fork").Pool(3) as pool:
        items, features = zip(*pool.map(asked, [tmp_path] * 3, chunksize=1), strict=True)
    assert sorted(items) == [2, 2, 2 + 64 + 32]  # 32: to see that rows do not depend on their neighbours
    assert set(features) == {frozen_features(backbone(), images(64), "cpu").numpy().tobytes()}
