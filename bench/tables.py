"""What was measured, as Markdown and as a picture."""

from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from imgclf.report.figures import DPI, STYLE
from imgclf.report.markdown import markdown_table

Measured = dict[str, Any]

AGAINST = """
The usual loop is in [reference.py](reference.py), on torch's default number of threads. Both sides
alternate, each in a process of its own, and must reach the same loss within 1 %; ratios are
medians. The floor is the floating-point operations of convolutions and products at the rate of a
large matrix product with as many threads. Images at 224 are made-up ones of 32x32x3, resized by
either side.
""".strip()
NOTHING_TO_DO = """
`dvc repro` with nothing to do, for so many models, beside a pipeline of as many plain stages (for
each model as many as here; a dependency and an output each, a command that does nothing):
""".strip()


def ratios(measured: Measured) -> str:
    """Return how many times as fast as the usual loop each piece of work is."""
    rows = [
        {
            "work": row["work"],
            "ours": row["ours"],
            "times as fast": f"{row['median']:.2f}",
            "lowest to highest": f"{row['lowest']:.2f} to {row['highest']:.2f}",
            "usual loop": f"{row['reference_s']:.2f} s",
            "this project": f"{row['ours_s']:.2f} s",
            "times the floor": f"{row['of_floor']:.1f}",
        }
        for row in measured["compare"]
    ]
    return markdown_table(pd.DataFrame(rows))


def _measured(row: Measured) -> str:
    return f"{row['gb']:.2f} GB" if "gb" in row else f"{row['seconds']:.2f} s"


def page(measured: Measured, tried: str) -> str:
    """Return bench/results.md."""
    start_up = pd.DataFrame(
        {"what": row["what"], "measured": _measured(row)}
        for row in (*measured["start_up"], *measured["pipeline"])
    )
    models = pd.DataFrame(
        {
            "models": row["models"],
            "this pipeline": f"{row['ours_s']:.2f} s",
            "plain stages": f"{row['plain_s']:.2f} s",
            "ratio": f"{row['ratio']:.2f}",
        }
        for row in measured["models"]
    )
    images = pd.DataFrame(
        {
            "training images": f"{row['images']:,}",
            "normalise": f"{row['normalise_gb']:.2f} GB",
            "train": f"{row['train_gb']:.2f} GB",
        }
        for row in measured["images"]
    )
    rows = pd.DataFrame(
        {"rows": row["rows"], "a row": f"{row['seconds_a_row']:.1f} s"} for row in measured["rows"]
    )
    return (
        "\n\n".join(
            [
                "# Speed",
                f"Written by `make bench`. {measured['machine']}.",
                "## Against the usual loop",
                AGAINST,
                ratios(measured),
                "## Around the training",
                markdown_table(start_up),
                "## Growth",
                "![growth](growth.png)",
                NOTHING_TO_DO,
                markdown_table(models),
                "Peak memory by the number of training images (28x28):",
                markdown_table(images),
                "A row of a study, two at a time, with a training that takes a second:",
                markdown_table(rows),
                tried.strip(),
            ]
        )
        + "\n"
    )


def draw_growth(measured: Measured) -> Figure:
    """Draw what grows: models, images, rows."""
    models, images = pd.DataFrame(measured["models"]), pd.DataFrame(measured["images"])
    rows = pd.DataFrame(measured["rows"])
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 3), dpi=DPI, layout="constrained")
        one, two, three = figure.subplots(1, 3)
        one.plot(models["models"], models["plain_s"], "o-", color="#7f7f7f", label="plain stages")
        one.plot(models["models"], models["ours_s"], "o-", label="this pipeline")
        one.set(xlabel="models", ylabel="seconds", title="nothing to do")
        for stage in ("normalise", "train"):
            two.plot(images["images"] / 1000, images[f"{stage}_gb"], "o-", label=stage)
        two.set(xlabel="thousand images", ylabel="GB", title="peak memory")
        three.plot(rows["rows"], rows["seconds_a_row"], "o-")
        three.set(xlabel="rows", ylabel="seconds a row", title="a study")
        for axes in (one, two):
            axes.legend(frameon=False)
        for axes in (one, two, three):
            axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
    return figure
