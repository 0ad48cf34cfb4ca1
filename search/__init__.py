"""Which trials to run, and where they run. Knows no MLflow; meets TensorFlow only through mnist_core."""
