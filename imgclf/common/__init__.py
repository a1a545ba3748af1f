"""Errors, atomic files and registries. Standard library only."""
