"""Pictures of a trained network, drawn from the numbers of :mod:`mnist_core.insight`. One file for each kind."""
