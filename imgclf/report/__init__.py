"""Data frames to figures and Markdown pages."""
