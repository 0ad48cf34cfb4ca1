"""One trial: data, model, training. The only package that imports TensorFlow, and only where it computes."""
