"""What a trained network does, in numbers: weights, answers of its units, saliency, mistakes, embedding, reliability.

Pure functions of a Keras model and arrays; :mod:`mnist_core.gallery` draws what they return.
"""
