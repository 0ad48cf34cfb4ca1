"""The search: spaces, searchers, executors and the loop. It imports no MLflow, and TensorFlow only by mnist_core."""
