"""One script per DVC stage: parameters and files in, files out."""
