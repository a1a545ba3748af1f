"""What training and evaluation share: images on a device, batched inference, weights, losses."""
