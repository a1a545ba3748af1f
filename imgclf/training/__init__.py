"""Training: optimiser steps, epochs, checkpoints and the history."""
