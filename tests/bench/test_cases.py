from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from bench import cases, tables
from bench.cases import CASES
from bench.compare import TOLERANCE
from imgclf.settings.cards import Scaling


@pytest.mark.parametrize("name", CASES)
def test_both_sides_do_the_same_work(name: str) -> None:
    case, random = CASES[name], np.random.default_rng(0)
    shape = (200, 3, 32, 32) if case.source is cases.like_cifar10 else (200, *cases.SHAPE)
    made_up = cases.Source(
        images=random.integers(0, 256, shape, np.uint8),
        labels=random.integers(0, 10, 200).astype(np.uint8),
        scaling=Scaling(mean=[0.5] * shape[1], std=[0.25] * shape[1]),
    )
    changes: dict[str, Any] = {"images": 120, "batch_size": 20}
    if shape[1] == 3:
        # Dropout differs on either side: of MobileNetV2, with 40 images by more than the tolerance.
        changes |= {"images": 40 if "alexnet" in name else 80, "image_size": 64, "workers": 0}
    known = {field.name for field in fields(case)}
    small = {key: value for key, value in changes.items() if key in known}
    case = replace(case, source=lambda: made_up, **small)
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
