"""Gradients with respect to an input, which Keras leaves to its backends: one function for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from semflash.errors import TrainingError

Scalar = Callable[[Any, Any], Any]


def input_gradient(function: Scalar) -> Callable[[Any, Any], Any]:
    """Compiled gradient of ``function(x, y)``, a scalar, with respect to x; same shape as x.

    Args:
        function: made of Keras models (without training behaviour) and keras.ops.

    Raises:
        TrainingError: the backend is neither TensorFlow nor JAX.
    """
    backend = keras.backend.backend()
    if backend not in _GRADIENTS:
        raise TrainingError(
            "importance maps need a gradient that this backend has no code for",
            value=f"KERAS_BACKEND={backend}",
            remedy="KERAS_BACKEND=tensorflow or jax, or xai_weight=0",
        )
    return _GRADIENTS[backend](function)


def _tensorflow(function: Scalar) -> Callable[[Any, Any], Any]:
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def gradient(x: Any, y: Any) -> Any:
        x = tf.convert_to_tensor(x)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            value = function(x, y)
        return tape.gradient(value, x)

    compiled: Callable[[Any, Any], Any] = gradient
    return compiled


def _jax(function: Scalar) -> Callable[[Any, Any], Any]:
    import jax

    compiled: Callable[[Any, Any], Any] = jax.jit(jax.grad(function))
    return compiled


_GRADIENTS = {"tensorflow": _tensorflow, "jax": _jax}
