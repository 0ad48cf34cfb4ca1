"""Models: built, saved, loaded, exported. Left empty, since :mod:`search` imports a submodule without TensorFlow."""
