"""What drives the pipeline from outside: clones, experiments and comparisons."""
