from bench import pipeline


def test_memory_is_measured_of_the_commands_of_the_pipeline() -> None:
    (row,) = pipeline.growth_in_images((6_000,))  # of which 5,000 are for validation
    assert row.keys() == {"images", "normalise_gb", "train_gb"}
    assert row["images"] == 6_000
    assert 0 < row["normalise_gb"] < row["train_gb"]  # which imports torch


def test_every_stage_can_be_started() -> None:
    assert {"check", "weights", "train", "report"} <= {*pipeline.STAGES}
    rows = pipeline.start_up(rounds=1)
    assert [row["what"] for row in rows] == [f"start-up of {name}" for name in pipeline.STAGES]
    assert all(row["seconds"] > 0 for row in rows)
