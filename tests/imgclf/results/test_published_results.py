"""Published results: how their files are read, and what follows from them."""

from pathlib import Path

import pandas as pd
import pytest

from imgclf.common.errors import UserError
from imgclf.evaluation.claims import Claim
from imgclf.results import published_results
from imgclf.results.published_results import PublishedMetrics


def test_nothing_is_published_of_another_data_set(tmp_path: Path) -> None:
    assert published_results.load_published(tmp_path, "digits") == {}


def test_the_rounding_is_that_of_all_figures_that_a_recovered_one_is_made_of() -> None:
    assert published_results.rounding_error(40_000, 10_000) == pytest.approx(
        5 * 0.0005 + 4 * 0.0005
    )


def test_the_best_epoch_is_the_first_of_the_best() -> None:
    history = pd.DataFrame(
        {"epoch": [1, 2, 3], "validation_loss": [0.2, 0.1, 0.1], "recovered_accuracy": [1, 2, 2]}
    )
    each = published_results.Published(dataset="d", figures=PublishedMetrics(), history=history)
    assert each.best_epoch("validation_loss") == 2
    assert each.best_epoch("recovered_accuracy") == 2


def test_only_settings_that_both_have_can_differ() -> None:
    ours = {"lr": 0.1, "epochs": 3, "channels": (6, 16), "seed": 0}
    theirs = {"lr": 0.1, "epochs": 30, "channels": [6, 16], "momentum": 0.9}
    assert published_results.setting_differences(ours, theirs) == {"epochs": (3, 30)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "{train_images: 1, validation_images: 1, models: {}, a: 1}",
            "parameters: 'a' is unknown. Allowed: models, train_images, validation_images",
        ),
        ("{copy_of: e, remark: r}", "copy_of: nothing is published of 'e'"),
        ("copy_of: a", "remark: is missing"),
        (
            "{train_images: 1, validation_images: 1, models: {a: {accuracy: 89}}}",
            "models.a.accuracy: 89 is not allowed: should be less than or equal to 1",
        ),
    ],
)
def test_a_mistake_in_a_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "d.yaml").write_text(text)
    with pytest.raises(UserError) as error:
        published_results.load_published(tmp_path, "d")
    assert str(error.value) == f"{tmp_path}/d.yaml: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("claims: {}", "claims: {} is not a list"),
        ("claim: []", "claims: None is not a list"),
        ("claims: [{says: t, of: d, worse: []}]", "claims.0.parts: is missing"),
        (
            "claims: [{says: t, of: d, parts: [{about: loss, study: s}]}]",
            "claims.0.parts.0: {'about': 'loss', 'study': 's'} is not allowed: should have one",
        ),
        ("[", "parameters are not YAML: "),
    ],
)
def test_a_mistake_in_a_list_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    assert published_results.load_published_entries(tmp_path, "claims", Claim) == []
    (tmp_path / "claims.yaml").write_text(text)
    with pytest.raises(UserError) as error:
        published_results.load_published_entries(tmp_path, "claims", Claim)
    assert str(error.value).startswith(f"{tmp_path}/claims.yaml: {message}")
    assert "\n" not in str(error.value)
