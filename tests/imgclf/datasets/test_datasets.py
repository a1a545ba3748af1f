import re
from pathlib import Path

import pytest

from imgclf.datasets import DATASETS, labelled
from imgclf.download import fetch


@pytest.mark.parametrize("name", DATASETS)
def test_an_entry_is_complete(name: str) -> None:
    dataset = DATASETS[name]
    assert name.isidentifier()
    assert len(set(dataset.classes)) == len(dataset.classes) > 1
    assert dataset.files
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in dataset.files.values())
    assert dataset.sources


def test_digits_are_fetched_and_read_without_a_network(tmp_path: Path) -> None:
    dataset = DATASETS["digits"]
    assert fetch(dataset.files, dataset.sources, tmp_path) == {
        "digits.csv": "Python package sklearn.datasets.data"
    }
    train, test = dataset.read({name: (tmp_path / name).read_bytes() for name in dataset.files})
    for part in (train, test):
        labelled.check("digits", part, len(dataset.classes))
        assert set(part[1]) == set(range(10))
