import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from imgclf.common.errors import UserError
from imgclf.inference import forward, weights_file
from imgclf.settings.model_settings import TrainingSettings
from imgclf.training import checkpoints
from imgclf.training.run import Run
from imgclf.training.trainer import Trainer
from tests.imgclf import tiny


def run(num_validation: int = 6, seed: int = 0, **settings: Any) -> Run:
    chosen = TrainingSettings(**({"batch_size": 4, "epochs": 4, "lr": 0.02} | settings))
    trainer = Trainer(tiny.lenet5(seed), tiny.data(), chosen)
    return Run(trainer, tiny.data(num_validation, seed=1))


def test_a_run_is_finished_after_its_epochs() -> None:
    training = run(epochs=2)
    finished = []
    while not training.finished:
        finished.append(training.advance().epoch)
    assert finished == [1, 2] == [epoch.epoch for epoch in training.epochs]
    assert training.seconds > 0
    assert training.cpu_seconds > 0


def test_an_epoch_has_the_hash_of_the_weights_after_it() -> None:
    training, same, other = run(epochs=2), run(epochs=2), run(epochs=2, weight_decay=1e-6)
    hashes = []
    while not training.finished:
        hashes.append(training.advance().weights)
        assert hashes[-1] == weights_file.weights_digest(training.trainer.network.state_dict())
        assert same.advance().weights == hashes[-1] != other.advance().weights
    assert hashes[0] != hashes[1]


def test_the_kept_weights_are_those_of_the_best_epoch() -> None:
    training = run(epochs=6)
    while not training.finished:
        training.advance()
    assert training.best.epoch < 6  # or else this test would say nothing
    best_accuracy = max(epoch.validation_accuracy for epoch in training.epochs)
    assert training.best.validation_accuracy == best_accuracy
    network = tiny.lenet5(seed=9)
    network.load_state_dict(training.kept)
    best = training.best.validation_loss, training.best.validation_accuracy
    assert forward.score_batches(network, training.validation, training.trainer.loss) == best


def test_select_last_keeps_the_last_weights() -> None:
    training = run(epochs=3, select="last")
    while not training.finished:
        training.advance()
    assert training.best.epoch == 3
    for name, tensor in training.trainer.network.state_dict().items():
        assert torch.equal(training.kept[name], tensor), name


def test_without_validation_images_there_are_no_validation_figures() -> None:
    training = run(num_validation=0, select="last")
    epoch = training.advance()
    assert math.isnan(epoch.validation_loss)
    assert math.isnan(epoch.validation_accuracy)
    assert epoch.train_loss > 0
    assert epoch.learning_rate == 0.02


@pytest.mark.parametrize("done", [1, 2, 3])
def test_a_run_resumed_from_a_checkpoint_ends_the_same(done: int, tmp_path: Path) -> None:
    whole, killed, resumed = run(), run(), run(seed=3)
    for _ in range(4):
        whole.advance()
    for _ in range(done):
        killed.advance()
    checkpoints.save_checkpoint(tmp_path, done, killed.state_dict())
    state = checkpoints.load_checkpoint(tmp_path)
    assert state is not None
    resumed.load_state_dict(state)
    assert (resumed.seconds, resumed.cpu_seconds) == (killed.seconds, killed.cpu_seconds)
    while not resumed.finished:
        resumed.advance()
    assert resumed.epochs == whole.epochs
    assert resumed.kept.keys() == whole.kept.keys()
    assert all(torch.equal(resumed.kept[name], whole.kept[name]) for name in whole.kept)


@pytest.mark.parametrize("loss", ["cross_entropy", "multi_margin"])
def test_a_validation_loss_that_is_not_finite_is_refused(loss: str) -> None:
    training = run(loss=loss)
    training.validation = replace(training.validation, factor=torch.full((1, 1, 1, 1), math.inf))
    with pytest.raises(
        UserError, match=r"^the validation loss is nan in epoch 1, step 3 of 3: try"
    ):
        training.advance()
