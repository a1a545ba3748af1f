"""Networks that are a backbone with a classifier on top."""


class Backboned:
    """A network whose last part is called `classifier`, a Sequential that sees (N, D) features.

    What comes before it is the backbone: `freeze: backbone` leaves that as it is.
    """
