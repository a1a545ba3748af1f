"""What training and evaluation share: a network, its weights, and images on a device."""
