import re
from pathlib import Path

import pytest

from imgclf.datasets import DATASETS, labelled
from imgclf.datasets.dataset import Dataset
from imgclf.settings.data_settings import DownloadSettings

PUBLISHED = {name: each for name, each in DATASETS.items() if isinstance(each, Dataset)}


@pytest.mark.parametrize("name", PUBLISHED)
def test_an_entry_is_complete(name: str) -> None:
    dataset = PUBLISHED[name]
    assert name.isidentifier()
    assert len(set(dataset.classes)) == len(dataset.classes) > 1
    assert dataset.files
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in dataset.files.values())
    assert dataset.sources


def test_digits_are_fetched_and_read_without_a_network(tmp_path: Path) -> None:
    dataset = DATASETS["digits"]
    assert dataset.fetch(tmp_path) == {"digits.csv": "Python package sklearn.datasets.data"}
    classes, train, test = dataset.read(tmp_path, DownloadSettings(source="digits"))
    for part in (train, test):
        labelled.check_labelled("digits", part, len(classes))
        assert set(part[1]) == set(range(10))
