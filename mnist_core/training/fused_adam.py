"""The update of Adam by TensorFlow's fused kernel while a training step is traced."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

MAX_SHARE_ERROR = 1e-4
"""Of 1 - beta in float32, in shares of it; 0.999 is off by 1.3e-5, 0.9999 by 1.7e-4."""


@contextmanager
def fused_adam(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Use TensorFlow's fused kernel for the updates of Adam and AdamW in functions that are traced in this block.

    Keras computes the formula in about twenty operations for each variable, most with a pass over memory of their own;
    the kernel computes the same formula, with the same meaning of epsilon, in one pass. Only the update is replaced:
    clipping, weight decay, loss scaling, gradient accumulation, constraints and the count of steps remain Keras's, and
    so do the variables. Optimizers that the kernel cannot replace (subclasses, AMSGrad, several devices, betas too near
    to 1 for float32) are unchanged, and so are the updates of variables of other precision and of sparse gradients.

    Args:
        optimizer: built; it may be a ``LossScaleOptimizer``. It is unchanged after the block.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if not _fusible(inner):
        yield
        return
    inner._backend_update_step = _fused_update(inner)
    try:
        yield
    finally:
        del inner._backend_update_step  # restores the method of the class


def _fusible(optimizer: keras.optimizers.Optimizer) -> bool:
    if type(optimizer) not in (keras.optimizers.Adam, keras.optimizers.AdamW):
        return False
    numbers = optimizer.beta_1, optimizer.beta_2, optimizer.epsilon
    return (
        optimizer.built
        and not optimizer.amsgrad
        and not tf.distribute.has_strategy()
        and all(isinstance(number, float) for number in numbers)
        and all(beta < 1 and abs(_kernel_share(beta) - 1) < MAX_SHARE_ERROR for beta in numbers[:2])
    )


def _kernel_share(beta: float) -> float:
    """The kernel's 1 - beta, computed in float32, divided by Keras's, computed in float64."""
    return (1 - float(np.float32(beta))) / (1 - beta)


def _fused_update(optimizer: keras.optimizers.Optimizer) -> Callable[..., None]:
    # Momentums and velocities are off by the shares of the kernel's 1 - beta; rate and epsilon make up for it.
    momentum_share = _kernel_share(optimizer.beta_1)
    root = math.sqrt(_kernel_share(optimizer.beta_2))

    def update(
        gradients: Sequence[tf.Tensor | tf.IndexedSlices], variables: Sequence[keras.Variable], rate: tf.Tensor
    ) -> None:
        step = tf.cast(optimizer.iterations + 1, tf.float32)
        scalars = {
            "beta1_power": tf.pow(optimizer.beta_1, step),
            "beta2_power": tf.pow(optimizer.beta_2, step),
            "lr": tf.cast(rate, tf.float32) * (root / momentum_share),
            "beta1": optimizer.beta_1,
            "beta2": optimizer.beta_2,
            "epsilon": optimizer.epsilon * root,
        }
        for gradient, variable in zip(gradients, variables, strict=True):
            if variable.dtype != "float32" or isinstance(gradient, tf.IndexedSlices):
                type(optimizer)._backend_update_step(optimizer, [gradient], [variable], rate)
                continue
            index = optimizer._get_variable_index(variable)
            m, v = optimizer._momentums[index], optimizer._velocities[index]
            tf.raw_ops.ResourceApplyAdam(
                var=variable.value.handle,
                m=m.value.handle,
                v=v.value.handle,
                grad=tf.cast(gradient, tf.float32),
                **scalars,
            )

    return update
