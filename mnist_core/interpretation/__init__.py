"""Interpretation of a trained network: computations on its activations and weights, and their plots."""
