"""What made a result: the code and the environment, and proof that other code makes the same."""
