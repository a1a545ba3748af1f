from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from imgclf.inference import backbone, batches, forward
from imgclf.settings.cards import Scaling
from tests.imgclf import tiny


def network() -> nn.Module:
    torch.manual_seed(0)
    classifier = nn.Sequential(nn.Dropout(0.5), nn.Linear(5, 3))
    body = nn.Sequential(nn.Linear(784, 5), nn.BatchNorm1d(5))
    layers = {"flatten": nn.Flatten(), "body": body, "classifier": classifier}
    return nn.Sequential(OrderedDict(layers))


def test_the_classifier_on_the_features_is_the_network() -> None:
    whole, data = network(), tiny.data(600)
    features = backbone.backbone_features(whole, data)
    assert features.shape == (600, 5)
    with torch.no_grad():
        logits = whole.get_submodule("classifier").eval()(features)
    torch.testing.assert_close(logits, forward.compute_logits(whole, data))


def test_features_leave_the_network_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = network()
    before = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    backbone.backbone_features(whole, tiny.data())
    assert all(torch.equal(before[name], t) for name, t in whole.state_dict().items())

    monkeypatch.setattr(forward, "compute_logits", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        backbone.backbone_features(whole, tiny.data())
    assert isinstance(whole.classifier, nn.Sequential)


@pytest.mark.parametrize("image_size", [0, 14, 56])
def test_features_of_no_images_are_as_wide_as_those_of_some(image_size: int) -> None:
    width = 3 * (image_size or 28) ** 2
    layers = {"flatten": nn.Flatten(), "classifier": nn.Linear(width, 2)}
    images, labels = np.zeros((4, 3, 28, 28), np.uint8), np.zeros(4, np.uint8)
    scaling = Scaling(mean=[0.0] * 3, std=[1.0] * 3)
    for count in (0, 4):
        data = batches.put_images((images[:count], labels[:count]), scaling, tiny.CPU, image_size)
        features = backbone.backbone_features(nn.Sequential(OrderedDict(layers)), data)
        assert features.shape == (count, width)


def test_a_classifier_is_trained_on_features_without_a_copy() -> None:
    whole, data = network(), tiny.data(600)
    features = backbone.backbone_features(whole, data)
    whole.get_submodule("classifier").eval()(features).sum().backward()
    held = batches.put_features(features, np.zeros(600, np.uint8), tiny.CPU)
    assert held.images.data_ptr() == features.data_ptr()
