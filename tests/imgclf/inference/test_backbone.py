from collections import OrderedDict

import pytest
import torch
from torch import nn

from imgclf.inference import backbone, forward
from tests.imgclf import tiny


def network() -> nn.Module:
    torch.manual_seed(0)
    classifier = nn.Sequential(nn.Dropout(0.5), nn.Linear(5, 3))
    body = nn.Sequential(nn.Linear(784, 5), nn.BatchNorm1d(5))
    layers = {"flatten": nn.Flatten(), "body": body, "classifier": classifier}
    return nn.Sequential(OrderedDict(layers))


def test_the_classifier_on_the_features_is_the_network() -> None:
    whole, data = network(), tiny.data(600)
    features = backbone.features(whole, data)
    assert features.shape == (600, 5)
    with torch.no_grad():
        logits = whole.get_submodule("classifier").eval()(features)
    torch.testing.assert_close(logits, forward.logits(whole, data))


def test_features_leave_the_network_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = network()
    before = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    backbone.features(whole, tiny.data())
    assert all(torch.equal(before[name], t) for name, t in whole.state_dict().items())

    monkeypatch.setattr(forward, "logits", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        backbone.features(whole, tiny.data())
    assert isinstance(whole.classifier, nn.Sequential)
