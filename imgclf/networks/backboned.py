"""Networks that are a backbone with a classifier on top."""

from typing import ClassVar


class Backboned:
    """A network whose last part is called `classifier`, a Sequential that sees (N, D) features.

    What comes before it is the backbone: `freeze: backbone` leaves that as it is.
    """

    smallest: ClassVar[int]
    """The least height and width of its images."""
    image_channels: ClassVar[tuple[int, ...]] = ()
    """How many its images may have, where not any number is. Grey ones are repeated."""
