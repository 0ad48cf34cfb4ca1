"""What a trained network has learned: computed from its activations and weights, and drawn."""
