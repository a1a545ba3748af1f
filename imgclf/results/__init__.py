"""Tracked tables as data frames: training runs, studies, published results."""
