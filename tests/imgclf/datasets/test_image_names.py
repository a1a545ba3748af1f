import pytest

from imgclf.common.errors import UserError
from imgclf.datasets.image_names import arrange_names

FLAT = {"cat/1.png", "cat/2.JPG", "dog/3.tiff", "dog/deep/4.webp"}
SPLIT = {f"{part}/{name}" for part in ("train", "test") for name in FLAT}


def test_classes_are_folders() -> None:
    listing = arrange_names(FLAT)
    assert listing.classes == ["cat", "dog"]
    assert listing.train == sorted(FLAT)
    assert listing.test == listing.ignored == []
    assert [listing.labels[name] for name in listing.train] == [0, 0, 1, 1]


def test_train_and_test_are_parts() -> None:
    listing = arrange_names(SPLIT)
    assert listing.classes == ["cat", "dog"]
    assert listing.train == [f"train/{name}" for name in sorted(FLAT)]
    assert listing.test == [f"test/{name}" for name in sorted(FLAT)]
    assert [listing.labels[name] for name in listing.test] == [0, 0, 1, 1]


@pytest.mark.parametrize("names", [FLAT, SPLIT], ids=["flat", "split"])
@pytest.mark.parametrize("around", ["photos", "all/photos", "train", "./photos"])
def test_folders_around_everything_do_not_count(names: set[str], around: str) -> None:
    wrapped = arrange_names(f"{around}/{name}" for name in names)
    plain = arrange_names(names)
    assert wrapped.classes == plain.classes
    assert wrapped.train == [f"{around}/{name}" for name in plain.train]
    assert wrapped.test == [f"{around}/{name}" for name in plain.test]


def test_a_class_may_have_the_name_of_a_part() -> None:
    assert arrange_names({"bus/1.png", "car/1.png", "train/1.png"}).classes == [
        "bus",
        "car",
        "train",
    ]


def test_hidden_files_are_passed_over_and_others_that_are_no_images_are_named() -> None:
    junk = {"__MACOSX/cat/._1.png", ".git/1.png", "cat/.DS_Store", "cat/._1.png", ".cache/"}
    listing = arrange_names(FLAT | junk | {"readme.txt", "cat/Thumbs.db"})
    assert listing.train == sorted(FLAT)
    assert listing.ignored == ["cat/Thumbs.db", "readme.txt"]


BAD: dict[str, tuple[set[str], str]] = {
    "nothing": (set(), "there are no images in the folder"),
    "no images": ({"cat/a.txt", "dog/"}, "there are no images in the folder"),
    "PostScript": ({"cat/a.eps", "dog/a.eps"}, "there are no images in the folder"),
    "one class": ({"cat/a.png"}, "the number of classes is 1: should be 2 to 256"),
    "too many classes": (
        {f"{number}/a.png" for number in range(257)},
        "the number of classes is 257: should be 2 to 256",
    ),
    "an empty class": (FLAT | {"cow/"}, "the folder 'cow' has no images"),
    "a class of texts": (FLAT | {"cow/a.txt"}, "the folder 'cow' has no images"),
    "an empty class in test": (
        {name for name in SPLIT if "test/cat" not in name} | {"test/cat/"},
        "the folder 'test/cat' has no images",
    ),
    "a class in train alone": (SPLIT | {"train/cow/a.png"}, "one has no 'cow'"),
    "an empty test": (
        {name for name in SPLIT if "test" not in name} | {"test/"},
        "train and test have different classes: one has no 'cat'",
    ),
    "an image in no class": (SPLIT | {"test/a.png"}, "'test/a.png' is an image, but in the"),
    "an image at the top": (FLAT | {"a.png"}, "'a.png' is an image, but in the folder of no"),
    "images at the top": ({"a.png", "b.png"}, "is an image, but in the folder of no class"),
    "parts of other names": (
        {"train/a/1.png", "train/b/1.png", "val/a/1.png", "val/b/1.png"},
        "the folders are train, val: should be train and test, or one for each class",
    ),
    "a third part": (SPLIT | {"val/cat/1.png"}, "the folders are test, train, val: should"),
    "a class beside parts": (SPLIT | {"cow/1.png"}, "the folders are cow, test, train: shou"),
    "a name that leads out": (FLAT | {"../a.png"}, "'../a.png' is not a path inside the folder"),
    "a way round": (FLAT | {"cat/../../a.png"}, "'cat/../../a.png' is not a path inside"),
    "an absolute name": (FLAT | {"/cat/a.png"}, "'/cat/a.png' is not a path inside the folder"),
    "backslashes": (FLAT | {"cat\\a.png"}, "'cat\\\\a.png' is not a path inside the folder"),
}


@pytest.mark.parametrize("kind", BAD)
def test_names_that_are_no_data_set_are_refused(kind: str) -> None:
    names, message = BAD[kind]
    with pytest.raises(UserError) as caught:
        arrange_names(names)
    assert message in str(caught.value)


def test_256_classes_are_enough() -> None:
    listing = arrange_names(f"{number:03}/a.png" for number in range(256))
    assert listing.labels["255/a.png"] == 255
