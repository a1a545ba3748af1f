"""Statistics of runs: what one new run would give, and which differences are real."""
