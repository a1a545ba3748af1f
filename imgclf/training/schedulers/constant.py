"""A learning rate that stays as it is."""
