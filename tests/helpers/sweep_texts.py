"""Sweep files of the small sweeps of the tests."""

SMALL = """
name = "small"
trials = 4
seed = 1
pruner = "median"
[data]
validation = 200
[training]
epochs = 3
batch_size = 64
[space]
hidden_size = { low = 8, high = 32, log = true }
learning_rate = { low = 1e-3, high = 1e-2, log = true }
"""

SMALL_GRID = """
name = "small-grid"
engine = "keras-tuner"
sampler = "grid"
[data]
validation = 200
[training]
epochs = 2
batch_size = 64
[space]
hidden_size = [8, 16]
dropout = [0.0, 0.25, 0.5]
"""

MIXED = """
name = "mixed"
engine = "listed"
sampler = "listed"
points = [
    { hidden_layers = 1, hidden_size = 64, learning_rate = 0.01 },   # able
    { hidden_layers = 1, hidden_size = 24, learning_rate = 0.01 },   # able too, and smaller
    { hidden_layers = 1, hidden_size = 8, learning_rate = 1e-5 },    # learns nothing
    { hidden_layers = 16, hidden_size = 64, learning_rate = 10.0 },  # its numbers overflow
]
[data]
validation = 200
[training]
epochs = 3
batch_size = 64
"""
