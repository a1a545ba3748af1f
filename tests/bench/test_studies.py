from bench import studies


def test_the_page_has_every_figure() -> None:
    strata = [
        {"row": "loss mse", "rows": 3, "usual_s": 160.0, "study_s": 80.0}
        | {"usual_epochs_s": [7.0, 9.0]},
        {"row": "dropout true", "rows": 2, "usual_s": 150.0, "study_s": 60.0}
        | {"usual_epochs_s": [7.0, 8.0]},
    ]
    page = studies.page(
        {
            "machine": "a Xeon",
            "at_once": {"epochs": 5, "after_s": 52.9, "at_once_s": 30.0}
            | {"median": 1.76, "lowest": 1.75, "highest": 1.81},
            "usual": {
                "epochs": 20,
                "strata": strata,
                "sample": {"rows": 2, "usual_s": 310.0, "study_s": 75.0},
                "all": {"rows": 5, "usual_s": 780.0, "study_s": 180.0},
            },
            "made_before": {"rows": {"loss mse": 1, "dropout true": 0}, "seconds": 10.0},
        }
    )
    for text in (
        "a Xeon",
        "1.75 to 1.81",
        "loss mse",
        "4.00",
        "5.00",
        "the 2 rows",
        "4.13",
        "4.33",
        "5.38",
    ):
        assert text in page
    for text in ("3.73 to 4.53", "3.89 to 4.78", "4.83 to 5.93"):
        assert text in page
