"""What every stage uses: errors, files and settings. Standard library and pydantic only."""
