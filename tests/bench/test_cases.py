from typing import Any

import numpy as np
import pytest

from bench import cases, tables
from bench.cases import CASES, Evaluation, Training
from bench.compare import TOLERANCE
from imgclf.inference.cards import Card

CARD = Card(
    dataset="made_up",
    classes=list("0123456789"),
    shape=(1, 28, 28),
    images={"train": 200, "test": 200},
    scaling="unit",
    mean=[0.5],
    std=[0.25],
    sha256={},
)


@pytest.mark.parametrize("name", CASES)
def test_both_sides_do_the_same_work(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (200, 1, 28, 28), np.uint8)
    labels = random.integers(0, 10, 200).astype(np.uint8)
    monkeypatch.setattr(cases, "_load", lambda _: (CARD, images, labels))
    case = CASES[name]
    if isinstance(case, Training):
        case = Training(network=case.network, batch_size=20, images=120, reference=case.reference)
    else:
        case = Evaluation(images=150)
    (_, plain), (_, ours) = (case.run(side, 1, lambda: 0.0) for side in ("reference", "ours"))
    assert ours == pytest.approx(plain, rel=TOLERANCE)
    assert case.operations() > 1e6


MEASURED: dict[str, Any] = {
    "machine": "a machine",
    "compare": [
        {"work": "fc", "ours": "1 thread", "median": 4.0, "lowest": 3.5, "highest": 5.0}
        | {"reference_s": 8.0, "ours_s": 2.0, "of_floor": 1.5}
    ],
    "start_up": [{"what": "start-up of plot", "seconds": 0.5}],
    "pipeline": [{"what": "`dvc repro`", "seconds": 100.0}],
    "models": [{"models": n, "ours_s": n * 0.2, "plain_s": n * 0.1, "ratio": 2.0} for n in (1, 9)],
    "images": [{"images": 10_000, "normalise_gb": 0.2, "train_gb": 0.8}],
    "rows": [{"rows": 8, "seconds_a_row": 9.0}],
}


def test_the_page_has_every_figure() -> None:
    page = tables.page(MEASURED, "## What was tried")
    for text in ("| fc ", "4.00", "3.50 to 5.00", "1.5", "10,000", "0.80 GB", "9.0 s", "a machine"):
        assert text in page
    assert page.endswith("## What was tried\n")


def test_growth_is_drawn_from_zero() -> None:
    figure = tables.draw_growth(MEASURED)
    assert [axes.get_ylim()[0] for axes in figure.axes] == [0, 0, 0]
