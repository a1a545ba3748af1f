"""Image classification: data, networks, training, metrics and figures, as plain functions."""
