"""Speed, against the loop that people usually write."""
