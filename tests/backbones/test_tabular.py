"""The network for tables: what is missing, what was never seen, what is learnt of which rows."""

import pytest
import torch
from torch import nn

from transferscope.backbones.tabular import PresentNorm, Tabular
from transferscope.errors import RequestError

COLUMNS = {"age": (), "sex": ("m", "f"), "stay": (), "ward": ("a", "b", "c")}
NAN = float("nan")


def network() -> Tabular:
    torch.manual_seed(0)
    return Tabular((4,), columns=COLUMNS, hidden=[8], embedding_width=3)


def rows(count: int = 16) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    numbers = torch.randn(count, 2, generator=draw) * 5 + 40
    categories = torch.randint(0, 2, (count, 2), generator=draw).float()  # ward c is in none
    return torch.stack([numbers[:, 0], categories[:, 0], numbers[:, 1], categories[:, 1]], 1)


def test_without_gaps_it_standardises_as_batchnorm_does():
    ours, theirs = PresentNorm(3), nn.BatchNorm1d(3, affine=False, momentum=0.5)
    for step in range(2):  # at the second its average over two batches is what momentum 0.5 gives
        inputs = torch.randn(16, 3) * 4 + 7
        torch.testing.assert_close(ours(inputs), theirs(inputs))
        if step == 0:
            theirs.running_mean, theirs.running_var = ours.running_mean.clone(), ours.running_var.clone()
    torch.testing.assert_close(ours.eval()(inputs), theirs.eval()(inputs))


def test_moments_are_those_of_the_values_that_are_there():
    norm = PresentNorm(2)
    values = torch.tensor([[1.0, NAN], [3.0, NAN], [NAN, 5.0]])
    outputs = norm(values)
    torch.testing.assert_close(outputs, torch.tensor([[-1.0, 0], [1, 0], [0, 0]]), atol=1e-4, rtol=0)
    # one value of the second column in the batch: it has no variance, and nothing is noted
    assert norm.running_mean.tolist() == [2, 0] and norm.running_var.tolist() == [2, 1]
    assert norm.num_batches_tracked.tolist() == [1, 0]


def test_a_missing_number_is_the_mean_and_an_indicator():
    model = network()
    inputs = rows()
    inputs[3, 0] = NAN
    model(inputs)
    model.eval()
    mean = inputs.clone()
    mean[3, 0] = model.standardise.running_mean[0]
    difference = (model(inputs) - model(mean))[3].abs().sum()
    assert difference > 0  # by the indicator alone:
    model.had_gaps.zero_()
    torch.testing.assert_close(model(inputs), model(mean))


def test_what_no_training_batch_had_missing_is_taken_for_the_mean():
    model = network()
    model(rows())
    model.eval()
    inputs = rows()
    inputs[:, 2] = NAN
    mean = inputs.clone()
    mean[:, 2] = model.standardise.running_mean[1]
    torch.testing.assert_close(model(inputs), model(mean))


def test_a_category_never_seen_in_training_is_as_a_missing_one():
    model = network()
    model(rows())
    model.eval()
    unseen, missing, beyond, seen = (rows() for _ in range(4))
    unseen[:, 3], missing[:, 3], beyond[:, 3] = 2, NAN, 7
    torch.testing.assert_close(model(unseen), model(missing))
    torch.testing.assert_close(model(beyond), model(missing))
    assert not torch.equal(model(seen), model(missing))
    assert not model.embedding(missing[:, [1, 3]])[:, 3:].any()  # which is 0, as none was trained on


def test_evaluation_learns_nothing():
    model = network()
    model(rows())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    poisoned = rows() * 1e6
    poisoned[:, 0] = NAN
    model.eval()(poisoned)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_kept_weights_hold_all_that_was_learnt():
    model, other = network(), Tabular((4,), columns=COLUMNS, hidden=[8], embedding_width=3)
    for _ in range(3):
        model(rows())
    other.load_state_dict(model.state_dict())
    assert torch.equal(model.eval()(rows()), other.eval()(rows()))


@pytest.mark.parametrize("columns", [COLUMNS, {"a": ("x", "y")} | dict.fromkeys("bcd", ("x", "y")), None])
def test_gradients_reach_every_parameter_and_groups_hold_each_once(columns):
    model = Tabular((4,), columns=columns, hidden=[8, 8])
    inputs = rows()
    model(inputs.nan_to_num().clamp(0, 1)).square().sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())
    grouped = [id(weight) for _, group in model.layer_groups() for weight in group]
    assert sorted(grouped) == sorted(id(weight) for weight in model.parameters())
    assert (model.layer_groups()[0][0] == "embedding") == (columns is not None)


@pytest.mark.parametrize(
    ("shape", "arguments", "says"),
    [
        ((3, 8, 8), {}, "backbone=tabular: takes rows of a table .* \\(3, 8, 8\\)"),
        ((4,), {"hidden": []}, r"backbone.hidden=\[\]: allowed"),
        ((4,), {"embedding_width": 0}, "backbone.embedding_width=0: a width of at least 1"),
        ((4,), {"weights": "pretrained"}, "backbone.weights=pretrained: cannot be read .*allowed: random"),
    ],
)
def test_what_it_cannot_be(shape, arguments, says):
    with pytest.raises(RequestError, match=says):
        Tabular(shape, **arguments)


def test_vectors_of_a_file_are_taken_and_count_as_seen(tmp_path):
    (tmp_path / "v.csv").write_text("ward,c,1,2,3\nward,z,4,5,6\nsex,f,0.5,0,0\n")
    model = Tabular((4,), columns=COLUMNS, hidden=[8], embedding_width=3, weights=str(tmp_path / "v.csv"))
    assert model.loaded == {"taken": 2, "of": 5, "left_out": 1}
    model.eval()
    inputs = rows(2)
    inputs[:, 1], inputs[:, 3] = 1, 2  # f, and c, which no training batch had
    assert model.embedding(inputs[:, [1, 3]])[0].tolist() == [0.5, 0, 0, 1, 2, 3]
    for lines, says in [
        (
            "ward,c,1,2\n",
            "line 1 has 2 numbers; .* 3 finite numbers are needed, or backbone.embedding_width=2",
        ),
        ("ward,c,1,2,x\n", "cannot be read \\(could not convert string to float: 'x'\\)"),
        ("ward,q,1,2,3\n", "none of its 1 lines names a category of sex, ward"),
    ]:
        (tmp_path / "v.csv").write_text(lines)
        with pytest.raises(RequestError, match=says):
            Tabular((4,), columns=COLUMNS, embedding_width=3, weights=str(tmp_path / "v.csv"))
