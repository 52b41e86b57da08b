"""Model files of Keras 2 (.h5) that Keras 3 refuses or misreads although it has every layer in them."""

from __future__ import annotations

from typing import Any

import keras

from semflash.errors import TrainingError


class _WithoutGroups:
    """Keras 2 writes ``groups`` of layers that have none, always 1, and Keras 3's do not take it."""

    layer: Any = None

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The layer of Keras 3."""
        groups = config.pop("groups", 1)
        if groups != 1:
            raise TrainingError(f"{cls.layer.__name__} has no groups in Keras 3", value=groups)
        return cls.layer.from_config(config)


class _DepthwiseConv2D(_WithoutGroups):
    layer = keras.layers.DepthwiseConv2D


class _Conv2DTranspose(_WithoutGroups):
    layer = keras.layers.Conv2DTranspose


class _Functional:
    """Keras 2 writes one output as a list of one, which in a nested model Keras 3 gives on as a list."""

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The model of Keras 3."""
        for key in ("input_layers", "output_layers"):
            ends = config.get(key)
            if isinstance(ends, list) and len(ends) == 1 and isinstance(ends[0], list):
                config[key] = ends[0]
        return keras.Model.from_config(config, custom_objects=custom_objects)


#: For ``custom_objects`` of Keras's reader of .h5 files, by the names of classes there.
READERS = {
    "Conv2DTranspose": _Conv2DTranspose,
    "DepthwiseConv2D": _DepthwiseConv2D,
    "Functional": _Functional,
    "Model": _Functional,
}
