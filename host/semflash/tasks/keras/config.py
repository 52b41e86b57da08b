"""The structure of a Keras model as plain JSON values, and back, without running anything that it names.

Run directories keep networks that no recipe describes (imported ones) in this form. A configuration may name
classes of Keras and of ``codecs/layers`` only: no Lambda, no other module, whoever wrote it.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from semflash.errors import TrainingError
from semflash.tasks.keras import layers as imported  # registers the layers of imported networks

_REFUSED = frozenset(
    {"Lambda", "__lambda__", "function", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
)
_PACKAGES = ("keras", imported.__name__)
_DEPTH_MAX = 200
_FLOAT = "float32"
_HALF = ("float16", "bfloat16", "float64")


def describe(model: keras.Model) -> dict[str, Any]:
    """The model's configuration: plain JSON values, no weights; layers of mixed precision as float32 ones."""
    config: dict[str, Any] = _in_precision(keras.saving.serialize_keras_object(model), _FLOAT)
    return config


def rebuild(config: dict[str, Any], what: str) -> keras.Model:
    """A model with untrained weights from :func:`describe`, in Keras's precision of the moment.

    Args:
        what: names the model in errors.

    Raises:
        TrainingError: it names what is not of Keras, or describes no model.
    """
    check_config(config, what)
    own = _in_precision(config, keras.config.dtype_policy().name)  # Keras empties what it is given
    try:
        model = keras.saving.deserialize_keras_object(own, safe_mode=True)
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise TrainingError(
            f"{what} does not describe a Keras model: {str(error)[:200]}", remedy="import the network again"
        ) from error
    if not isinstance(model, keras.Model):
        raise TrainingError(f"{what} does not describe a Keras model", value=type(model).__name__)
    return model


def in_float32(model: keras.Model) -> keras.Model:
    """The model itself, or, where layers of it compute in another precision or it takes integers, one in
    float32 with the same weights.

    Raises:
        TrainingError: it cannot be built in float32.
    """
    config = keras.saving.serialize_keras_object(model)
    plain = _plain(config)
    if plain == config:
        return model
    made = rebuild(plain, "the model")
    made.set_weights(
        [np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(value, _FLOAT))) for value in model.weights]
    )
    return made


def _plain(value: Any) -> Any:
    """The configuration with float32 in place of every other float, and of integers at the input."""
    if isinstance(value, list | tuple):
        return type(value)(_plain(inner) for inner in value)
    if not isinstance(value, dict):
        return value
    if value.get("class_name") == "DTypePolicy":
        name = value["config"]["name"]
        other = name in _HALF or name.startswith("mixed_")
        return value | {"config": value["config"] | {"name": _FLOAT}} if other else value
    kept = {key: _plain(inner) for key, inner in value.items()}
    if value.get("class_name") == "InputLayer" and isinstance(kept.get("config"), dict):
        kept["config"] = kept["config"] | {"dtype": _FLOAT}
    return kept


def _in_precision(value: Any, policy: str) -> Any:
    """The configuration with another dtype policy in all layers of float32 or of mixed precision."""
    if isinstance(value, dict):
        if value.get("class_name") == "DTypePolicy" and value["config"]["name"].startswith(
            (_FLOAT, "mixed_")
        ):
            return value | {"config": value["config"] | {"name": policy}}
        return {key: _in_precision(inner, policy) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_in_precision(inner, policy) for inner in value)
    return value


def check_config(value: Any, what: str, depth: int = 0) -> None:
    """Walk a configuration and refuse what could run code.

    Raises:
        TrainingError: a Lambda, a class that is not of Keras, or nested too deeply.
    """
    if depth > _DEPTH_MAX:
        raise TrainingError(f"{what} is nested more than {_DEPTH_MAX} deep")
    if isinstance(value, dict):
        _check_object(value, what)
        for inner in value.values():
            check_config(inner, what, depth + 1)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            check_config(inner, what, depth + 1)


def _check_object(value: dict[str, Any], what: str) -> None:
    name, module = value.get("class_name"), value.get("module")
    if name in _REFUSED:
        raise TrainingError(
            f"{what} holds a {name}, which is code, and code out of files is not run",
            value=_layer_name(value),
            remedy="write it with Keras layers and save the model again",
        )
    if module is not None and name is not None and not _ours(str(module)):
        raise TrainingError(
            f"{what} holds a class that is not of Keras",
            value=f"{module}.{name}",
            remedy="write it with Keras layers and save the model again",
        )


def _ours(module: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in _PACKAGES)


def _layer_name(value: dict[str, Any]) -> str:
    config = value.get("config")
    return str(config.get("name", "")) if isinstance(config, dict) else str(value.get("class_name"))
