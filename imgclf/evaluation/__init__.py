"""Metrics, and statistics of runs: prediction intervals and significant differences."""
