import math

import pytest
import torch

from imgclf.common.errors import UserError
from imgclf.inference import forward
from imgclf.inference.losses import LOSSES
from imgclf.settings.model_settings import LossName
from tests.imgclf import tiny


def test_logits_equal_a_loop_over_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "BATCH_SIZE", 3)
    network, data = tiny.lenet5().eval(), tiny.data(7)
    with torch.no_grad():
        one_by_one = [network(data.prepared(data.images[[number]])) for number in range(7)]
    got = forward.compute_logits(network, data)
    assert got.shape == (7, tiny.NUM_CLASSES)
    torch.testing.assert_close(got, torch.cat(one_by_one), rtol=0, atol=1e-6)


def test_the_network_is_evaluated_not_trained() -> None:
    network, data = tiny.lenet5().train(), tiny.data()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    first, second = (forward.compute_logits(network, data) for _ in range(2))
    assert torch.equal(first, second)
    assert not first.requires_grad
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("name", LOSSES)
def test_score_is_mean_loss_and_share_of_hits(
    name: LossName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "BATCH_SIZE", 4)
    network, data = tiny.fc(), tiny.data(10)
    losses, hits = [], 0
    for number in range(10):
        images, labels = data.prepared(data.images[[number]]), data.labels[[number]]
        logits = network(images).detach()
        losses.append(float(LOSSES[name](logits, labels)))
        hits += int(logits.argmax() == labels[0])
    loss, accuracy = forward.score_batches(network, data, LOSSES[name])
    assert loss == pytest.approx(sum(losses) / 10, rel=1e-6)
    assert accuracy == pytest.approx(hits / 10, rel=1e-7)


@pytest.mark.parametrize("name", LOSSES)
def test_the_score_of_logits_that_are_not_finite_is_nan(name: LossName) -> None:
    network = tiny.fc()
    network.get_parameter("fc2.bias").data[1] = math.nan
    assert math.isnan(forward.score_batches(network, tiny.data(), LOSSES[name])[0])


@pytest.mark.parametrize("name", LOSSES)
def test_finite_logits_are_those_of_the_network_with_their_loss(name: LossName) -> None:
    network, data = tiny.fc(), tiny.data()
    logits, loss = forward.finite_logits(network, data, LOSSES[name], "m")
    assert torch.equal(logits, forward.compute_logits(network, data))
    assert loss == forward.score_batches(network, data, LOSSES[name])[0]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_give_logits_that_are_not_finite_are_refused(
    name: LossName, value: float
) -> None:
    network = tiny.fc()
    network.get_parameter("fc2.bias").data[1] = value
    with pytest.raises(UserError, match=r"^m: the weights give logits .* of 10 of 10 images"):
        forward.finite_logits(network, tiny.data(), LOSSES[name], "m")


def test_logits_that_are_finite_and_their_loss_is_not_are_refused() -> None:
    network = tiny.fc()
    network.get_parameter("fc2.bias").data[:] = torch.tensor([-3e38, 3e38, 0])
    with pytest.raises(UserError, match="with a loss of inf"):
        forward.finite_logits(network, tiny.data(), LOSSES["cross_entropy"], "m")
