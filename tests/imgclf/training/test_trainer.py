import copy
import math
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from imgclf.common.errors import UserError
from imgclf.inference import forward
from imgclf.inference.batches import Batches
from imgclf.inference.losses import LOSSES
from imgclf.settings.cards import Scaling
from imgclf.settings.model_settings import (
    OptimizerName,
    SchedulerName,
    SchedulerSettings,
    TrainingSettings,
)
from imgclf.training.optimizers import OPTIMIZERS
from imgclf.training.processes import Processes
from imgclf.training.schedulers import SCHEDULERS
from imgclf.training.trainer import Trainer
from tests.imgclf import tiny


def trainer(network: nn.Module, data: Batches | None = None, **settings: Any) -> Trainer:
    usual = {"batch_size": 4, "epochs": 3, "lr": 0.01}
    return Trainer(network, data or tiny.data(), TrainingSettings(**(usual | settings)))


def weights(trained: Trainer) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in trained.network.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first | second)


def after_two_epochs(seed: int, noise: int) -> dict[str, Tensor]:
    training = trainer(tiny.lenet5(), seed=seed)
    for epoch in (1, 2):
        torch.manual_seed(noise + epoch)
        training.run_epoch(epoch)
    return weights(training)


def test_the_same_seed_gives_the_same_bits_whatever_happens_in_between() -> None:
    assert same(after_two_epochs(seed=5, noise=0), after_two_epochs(seed=5, noise=100))


def test_another_seed_gives_other_weights() -> None:
    assert not same(after_two_epochs(seed=5, noise=0), after_two_epochs(seed=6, noise=0))


def order(seed: int, epoch: int) -> tuple[int, ...]:
    training, seen = trainer(tiny.fc(), seed=seed), list[bytes]()

    def look(_: nn.Module, inputs: tuple[Tensor]) -> None:
        seen.extend(image.numpy().tobytes() for image in inputs[0])

    training.network.register_forward_pre_hook(look)
    training.run_epoch(epoch)
    stored = [image.numpy().tobytes() for image in training.data.prepared(training.data.images)]
    return tuple(stored.index(image) for image in seen)


def test_every_epoch_of_every_seed_sees_each_image_once_in_an_order_of_its_own() -> None:
    orders = [order(seed, epoch) for seed in (0, 1, 2) for epoch in (1, 2, 3)]
    assert all(sorted(images) == list(range(10)) for images in orders)
    assert len({*orders, tuple(range(10))}) == 10


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "multi_margin"])
def test_the_loss_falls_and_the_images_are_learnt(loss: str) -> None:
    training = trainer(tiny.fc(), loss=loss, epochs=20)
    losses = [training.run_epoch(epoch)[0] for epoch in range(1, 21)]
    assert losses[-1] < losses[0] / 4
    assert forward.score_batches(training.network, tiny.data(30, seed=1), training.loss)[1] == 1


OPTIMIZERS_AND_SCHEDULERS = [(o, s) for o in OPTIMIZERS for s in SCHEDULERS]


@pytest.mark.parametrize(("optimizer", "scheduler"), OPTIMIZERS_AND_SCHEDULERS)
def test_resuming_after_any_epoch_changes_no_bit(
    optimizer: OptimizerName, scheduler: SchedulerName
) -> None:
    settings: dict[str, Any] = {
        "optimizer": optimizer,
        "momentum": 0.9,
        "scheduler": SchedulerSettings(name=scheduler, step_size=2),
    }
    whole, states = trainer(tiny.lenet5(), **settings), []
    for epoch in range(1, 4):
        figures = whole.run_epoch(epoch), whole.learning_rate
        states.append(copy.deepcopy(whole.state_dict()))
    for done, state in enumerate(states[:2], start=1):
        resumed = trainer(tiny.lenet5(seed=done), **settings)
        resumed.load_state_dict(state)
        for epoch in range(done + 1, 4):
            last = resumed.run_epoch(epoch), resumed.learning_rate
        assert last == figures
        assert same(weights(resumed), weights(whole))


@pytest.mark.parametrize(
    ("batch_size", "epoch", "place"),
    [(4, 1, "epoch 1, step 2 of 3"), (10, 2, "epoch 2, step 1 of 1")],
)
def test_a_loss_that_is_not_finite_is_refused(batch_size: int, epoch: int, place: str) -> None:
    training = trainer(tiny.fc(), lr=1e30, optimizer="sgd", batch_size=batch_size)
    for finite in range(1, epoch):
        training.run_epoch(finite)
    with pytest.raises(UserError) as caught:
        training.run_epoch(epoch)
    assert place in str(caught.value)
    assert "lr (now 1e+30)" in str(caught.value)


class Broken(nn.Module):
    """A network whose logits are not numbers for the images of the second batch, and no others."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = tiny.fc()
        self.batches = 0

    def forward(self, images: Tensor) -> Tensor:
        self.batches += 1
        logits: Tensor = self.inner(images)
        return logits * math.nan if self.batches == 2 else logits


@pytest.mark.parametrize(
    ("loss", "what"), [("multi_margin", "a logit is not finite"), ("mse", "the loss is nan")]
)
def test_logits_that_are_not_finite_are_refused_whatever_the_loss_makes_of_them(
    loss: str, what: str
) -> None:
    with pytest.raises(UserError, match=f"^{what} in epoch 1, step 2 of 3: try a lower lr"):
        trainer(Broken(), loss=loss).run_epoch(1)


def test_statistics_that_are_not_finite_are_refused() -> None:
    training = trainer(tiny.lenet5())
    training.network.get_buffer("norm1.running_var").fill_(math.inf)
    with pytest.raises(UserError, match=r"^a weight is not finite in epoch 1, step 3 of 3"):
        training.run_epoch(1)


@pytest.mark.parametrize("batch_size", [1, 3, 4, 7, 10, 1000])
def test_loss_and_accuracy_are_means_over_images_not_batches(batch_size: int) -> None:
    network = tiny.fc()
    loss, accuracy = forward.score_batches(network, tiny.data(), LOSSES["cross_entropy"])
    training = trainer(network, lr=1e-30, optimizer="sgd", batch_size=batch_size)
    steps: list[float] = []
    got = training.run_epoch(1, lambda value: steps.append(float(value)))
    assert got == pytest.approx((loss, accuracy), rel=1e-6)
    assert len(steps) == training.steps_per_epoch == -(-10 // batch_size)


def test_the_learning_rate_is_that_of_the_next_step() -> None:
    schedule = SchedulerSettings(name="step", step_size=1, gamma=0.5)
    training = trainer(tiny.fc(), lr=1.0, scheduler=schedule)
    rates = [training.learning_rate]
    training.run_epoch(1, lambda _: rates.append(training.learning_rate))
    assert rates == [1.0, 0.5, 0.25, 0.125]


SINGLE_IMAGES: list[dict[str, Any]] = [
    {"batch_size": 1},
    {"batch_size": 3},
    {"batch_size": 9},
    {"batch_size": 4, "gradient_accumulation": 4},
    {"batch_size": 5, "gradient_accumulation": 3},
]


@pytest.mark.parametrize("settings", SINGLE_IMAGES, ids=str)
def test_batch_normalisation_of_a_single_value_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"batch_size: {settings['batch_size']} .*drop_last: true"):
        trainer(tiny.lenet5(), **settings)


def normalised(first: bool) -> nn.Module:
    """Return a network with batch normalisation of images, which have many values each."""
    norm = [nn.BatchNorm2d(1)] if first else []
    return nn.Sequential(*norm, nn.Flatten(), nn.Dropout(0.5), nn.Linear(784, tiny.NUM_CLASSES))


@pytest.mark.parametrize("settings", SINGLE_IMAGES, ids=str)
def test_batch_normalisation_of_a_single_image_with_many_values_is_not(
    settings: dict[str, Any],
) -> None:
    network = normalised(first=True)
    training = trainer(network, **settings)
    assert network.get_buffer("0.running_mean").tolist() == [0]
    assert int(network.get_buffer("0.num_batches_tracked")) == 0
    assert math.isfinite(training.run_epoch(1)[0])


@pytest.mark.parametrize("batch_size", [3, 9])
def test_without_the_last_batch_the_single_image_is_gone(batch_size: int) -> None:
    training = trainer(tiny.lenet5(), batch_size=batch_size, drop_last=True)
    assert math.isfinite(training.run_epoch(1)[0])


@pytest.mark.parametrize(("batch_size", "steps"), [(1, 10), (3, 3), (4, 2), (10, 1)])
@pytest.mark.parametrize("parts", [1, 2])
def test_drop_last_leaves_out_what_is_left_of_the_images(
    batch_size: int, steps: int, parts: int
) -> None:
    network, seen, losses = tiny.fc(), list[Tensor](), list[float]()
    network.register_forward_hook(lambda _, __, logits: seen.append(logits.detach().clone()))
    settings: dict[str, Any] = {"lr": 1e-30, "optimizer": "sgd", "batch_size": batch_size}
    settings["gradient_accumulation"] = min(parts, batch_size)
    training = trainer(network, drop_last=True, **settings)
    loss, accuracy = training.run_epoch(1, lambda value: losses.append(float(value)))
    assert len(losses) == training.steps_per_epoch == steps
    assert len(torch.cat(seen)) == steps * batch_size
    assert loss == pytest.approx(sum(losses) / steps)
    hits = accuracy * steps * batch_size
    assert hits == pytest.approx(round(hits))


def test_drop_last_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"^drop_last: leaves no batch at all: batch_size is 11, of"
    ):
        trainer(tiny.fc(), batch_size=11, drop_last=True)


def test_each_process_draws_its_own_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, "all_reduce", lambda _: None)
    monkeypatch.setattr(dist, "broadcast", lambda *_, **__: None)

    def masks(rank: int, count: int) -> Tensor:
        """Return what is dropped of the pixels (N, 784) in an epoch."""
        network, seen = normalised(first=False), list[Tensor]()
        network[1].register_forward_pre_hook(lambda _, given: (torch.ones_like(given[0]),))  # type: ignore[index]
        network[1].register_forward_hook(lambda _, __, dropped: seen.append(dropped))  # type: ignore[index]
        settings = TrainingSettings(batch_size=4, lr=0.01)
        Trainer(network, tiny.data(8), settings, Processes(rank=rank, count=count)).run_epoch(1)
        return torch.cat(seen)

    one, first, second = masks(0, 1), masks(0, 2), masks(1, 2)
    shares = [one.view(2, 2, 2, -1)[:, rank].reshape(4, -1) for rank in (0, 1)]
    assert torch.equal(first, masks(0, 2))
    assert not torch.equal(first, second)
    assert not torch.equal(first, shares[0])
    assert not torch.equal(second, shares[1])


@pytest.mark.parametrize("parts", [1, 2, 3, 4])
@pytest.mark.parametrize("augmentation", [{}, {"flip": True, "crop": 2, "erase": 0.5}], ids=str)
def test_parts_of_a_batch_add_up_to_its_gradients(parts: int, augmentation: dict[str, Any]) -> None:
    outcomes = []
    for accumulated in (1, parts):
        training = trainer(
            tiny.lenet5_without_statistics(),
            optimizer="sgd",
            gradient_accumulation=accumulated,
            **augmentation,
        )
        figures = training.run_epoch(1), training.run_epoch(2)
        outcomes.append((figures, weights(training)))
    (expected, whole), (got, in_parts) = outcomes
    torch.testing.assert_close(torch.tensor(got), torch.tensor(expected), rtol=1e-6, atol=0)
    torch.testing.assert_close(in_parts, whole, rtol=1e-5, atol=1e-7)


def test_augmentation_changes_what_is_learnt_and_depends_on_seed_and_epoch_alone() -> None:
    def learnt(noise: int, **settings: Any) -> dict[str, Tensor]:
        training = trainer(tiny.fc(), **settings)
        for epoch in (1, 2):
            torch.manual_seed(noise)
            training.run_epoch(epoch)
        return weights(training)

    for setting in ({"flip": True}, {"crop": 2}, {"erase": 1.0}):
        assert same(learnt(1, **setting), learnt(2, **setting))
        assert not same(learnt(1, **setting), learnt(1))


def test_mixed_precision_learns_about_the_same_and_stores_float32() -> None:
    losses = []
    for precision in ("float32", "mixed"):
        training = trainer(tiny.lenet5_without_statistics(), precision=precision, optimizer="sgd")
        losses.append([training.run_epoch(epoch)[0] for epoch in (1, 2, 3)])
        assert {value.dtype for value in weights(training).values()} == {torch.float32}
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_a_frozen_weight_stays_and_the_others_learn() -> None:
    network = tiny.fc()
    network.get_parameter("fc1.weight").requires_grad_(False)
    training = trainer(network)
    before = weights(training)
    training.run_epoch(1)
    changed = {key for key, value in weights(training).items() if not value.equal(before[key])}
    assert changed == {"fc1.bias", "fc2.weight", "fc2.bias"}


@pytest.mark.parametrize("std", [1.0, 0.5])
def test_the_advice_after_divergence_names_nothing_that_is_set(std: float) -> None:
    mean = 0.0 if std == 1 else 0.25
    data = tiny.data(scaling=Scaling(mean=[mean], std=[std]))
    with pytest.raises(UserError, match=r"a lower lr \(now 1e\+30\)") as caught:
        trainer(tiny.fc(), data, lr=1e30, optimizer="sgd", epochs=2).run_epoch(1)
    assert ("scaling: standard" in str(caught.value)) == (std == 1)
