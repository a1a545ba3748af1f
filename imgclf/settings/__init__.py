"""What params.yaml and studies/*.yaml may ask for, checked without importing torch."""
