"""Drivers of the pipeline: studies, carrying results over, verification."""
