from pathlib import Path

import pandas as pd

from imgclf.results import tables


def test_names_stay_text_and_numbers_become_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,class,value,recall\n1,NA,0.10,0.5\n2,7,,\n")
    table = tables.read_table(tmp_path / "a.csv")
    assert table[["name", "class", "value"]].to_numpy().tolist() == [
        ["1", "NA", "0.10"],
        ["2", "7", ""],
    ]
    assert table["recall"].iloc[0] == 0.5
    assert table["recall"].isna().tolist() == [False, True]


def test_a_table_that_is_not_there_has_no_rows(tmp_path: Path) -> None:
    table = tables.read_optional_table(tmp_path / "a.csv", "name", "count")
    assert list(table) == ["name", "count"]
    assert table.empty


def test_the_confusion_counts_images_of_every_class() -> None:
    pairs = pd.DataFrame({"actual": ["b", "b", "a", "b"], "predicted": ["b", "a", "a", "b"]})
    expected = [[1, 0, 0], [1, 2, 0], [0, 0, 0]]
    counted = pairs.groupby(["actual", "predicted"]).size().reset_index(name="count")
    for table in (pairs, counted):
        found = tables.confusion_table(table, ["a", "b", "c"])
        assert found.to_numpy().tolist() == expected
        assert (list(found.index), list(found)) == (["a", "b", "c"], ["a", "b", "c"])
