"""Keras model and weights files of the user: ``.keras``, ``.h5``, ``.weights.h5``. Nothing is downloaded.

A model file is data: its configuration is checked before Keras reads it (no Lambda, no classes but Keras's
own), and Keras reads it in safe mode.
"""

from __future__ import annotations

import contextlib
import json
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from semflash.errors import TrainingError
from semflash.printable import printable
from semflash.tasks.keras.config import check_config, in_float32
from semflash.tasks.keras.keras2 import READERS

FILE_BYTES_MAX = 2 << 30
CONFIG_BYTES_MAX = 64 << 20
_SUFFIXES = (".keras", ".h5")
_SHOWN = 4
#: What h5py and Keras raise for files that are damaged or of another structure.
_READ_ERRORS = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_model(path: Path) -> keras.Model:
    """The model in a ``.keras`` or ``.h5`` file, weights included, not compiled, and in float32: layers of
    mixed or half precision compute in full precision here, on the same weights.

    Raises:
        TrainingError: missing, too large, damaged, holds code, or Keras cannot build what it describes.
    """
    _check_file(path, "model", "name a model file saved with model.save")
    try:
        config = _archive_config(path) if path.suffix == ".keras" else _hdf5_config(path)
        check_config(config, path.name)
        _check_weights(path)
        with _file_errors(path), _build_errors(path):
            # Files of Keras 3 name classes with their module, and are not concerned.
            readers = READERS if path.suffix == ".h5" else None
            model = keras.saving.load_model(path, custom_objects=readers, compile=False, safe_mode=True)
            if not isinstance(model, keras.Model):
                raise TrainingError("the file holds no Keras model", value=path.name)
            return in_float32(model)
    except RecursionError as error:
        raise TrainingError("the model's configuration is nested too deeply", value=path.name) from error


def read_network(recipe: Mapping[str, Any], image_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """The model file that a recipe of network ``keras`` names, for images and classes of the data set.

    Raises:
        TrainingError: no file or split is named, or the model takes other images or gives other classes.
    """
    for field, remedy in (("model", "--set model=FILE.keras"), ("split", "--set split=LAYER")):
        if not recipe.get(field):
            raise TrainingError(f"a keras network needs the field {field!r} in its recipe", remedy=remedy)
    path = Path(str(recipe["model"]))
    model = read_model(path)
    if len(model.inputs) == 1 and tuple(model.inputs[0].shape[1:]) != tuple(image_shape):
        raise TrainingError(
            f"{path.name} takes images {tuple(model.inputs[0].shape[1:])}, and the data set has others",
            value=tuple(image_shape),
            remedy="use the data set it was made for",
        )
    if len(model.outputs) == 1 and model.outputs[0].shape[-1] != classes:
        raise TrainingError(
            f"{path.name} gives {model.outputs[0].shape[-1]} classes, and the data set has others",
            value=classes,
            remedy="use the data set it was made for, or a model with another last layer",
        )
    return model


def load_weights_file(model: keras.Model, path: Path, say: Callable[[str], None] | None = None) -> list[str]:
    """Fill a model from a weights file; only its last layer may be left out (other classes).

    Args:
        path: ``.weights.h5``, ``.h5`` (also those of keras.applications, with or without top) or ``.keras``.
        say: told about a last layer that stays random.

    Returns:
        Names of the layers that stay random.

    Raises:
        TrainingError: missing or damaged, or it lacks more than the last layer.
    """
    _check_file(
        path,
        "weights",
        "nothing is downloaded: fetch the file yourself (keras.io/api/applications), or leave --weights out",
    )
    _check_weights(path)
    random = model.get_weights()
    model.set_weights([np.full_like(value, np.nan) for value in random])
    with _file_errors(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about what did not fit: that is found out and told below
        _fill(model, path)
    empty = [layer.name for layer in model.layers if _has_nan(layer)]
    last = model.layers[-1].name
    if [name for name in empty if name != last]:
        raise TrainingError(
            f"the weights file does not fit the network: {len(empty)} layers stay empty",
            value=f"{path.name}: {', '.join(empty[:_SHOWN])}{' ...' if len(empty) > _SHOWN else ''}",
            remedy="check network, alpha and the file's name",
        )
    if empty:
        values = zip(model.get_weights(), random, strict=True)
        model.set_weights([kept if np.isnan(value).all() else value for value, kept in values])
        if say is not None:
            say(f"{path.name} has no weights for these classes: {last} starts at random")
    return empty


def _fill(model: keras.Model, path: Path) -> None:
    if path.suffix == ".keras":
        source = {layer.name: layer for layer in read_model(path).layers}
        for layer in model.layers:
            values = source[layer.name].get_weights() if layer.name in source else []
            if [value.shape for value in values] == [tuple(weight.shape) for weight in layer.weights]:
                layer.set_weights(values)
        return
    legacy = not path.name.endswith(".weights.h5")
    model.load_weights(path, skip_mismatch=True, **({"by_name": True} if legacy else {}))


def _has_nan(layer: Any) -> bool:
    return any(np.isnan(keras.ops.convert_to_numpy(weight)).any() for weight in layer.weights)


def _check_file(path: Path, what: str, remedy: str) -> None:
    if not path.is_file():
        raise TrainingError(f"there is no such {what} file", value=path, remedy=remedy)
    if path.suffix not in _SUFFIXES:
        raise TrainingError(f"not a Keras {what} file", value=path.name, remedy=".keras, .h5 or .weights.h5")
    if path.stat().st_size > FILE_BYTES_MAX:
        raise TrainingError(f"the {what} file is larger than {FILE_BYTES_MAX >> 30} GiB", value=path)


def check_hdf5(file: Any, name: str) -> None:
    """Refuse data that lies in other files, and arrays of more numbers than any network has.

    Args:
        file: An open h5py.File.
        name: Of the file, for errors.

    Raises:
        TrainingError: a link or a data set that names another file, or too much data.
    """
    import h5py

    groups, total = [file], 0
    seen = set()
    while groups:
        group = groups.pop()
        for key in group:
            kind = group.get(key, getlink=True)
            if isinstance(kind, h5py.ExternalLink):
                raise TrainingError("weights in another file are not read", value=f"{name}: {key}")
            inner = group[key]
            if isinstance(inner, h5py.Group) and inner.id not in seen:
                seen.add(inner.id)
                groups.append(inner)
            elif isinstance(inner, h5py.Dataset):
                if inner.external or inner.is_virtual:
                    raise TrainingError("weights in another file are not read", value=f"{name}: {key}")
                total += inner.nbytes
    if total > FILE_BYTES_MAX:
        raise TrainingError("the file unpacks to more than is allowed", value=name)


def _check_weights(path: Path) -> None:
    """The same of a weights file, or of the one inside a ``.keras`` archive."""
    import h5py

    if path.suffix != ".keras":
        with _file_errors(path), h5py.File(path, "r") as file:
            check_hdf5(file, path.name)
        return
    with _file_errors(path), zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".h5"):
                with archive.open(name) as member, h5py.File(member, "r") as file:
                    check_hdf5(file, path.name)


def _archive_config(path: Path) -> Any:
    with _file_errors(path), zipfile.ZipFile(path) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        if sum(sizes.values()) > FILE_BYTES_MAX or sizes.get("config.json", 0) > CONFIG_BYTES_MAX:
            raise TrainingError("the file unpacks to more than is allowed", value=path.name)
        return json.loads(archive.read("config.json"))


def _hdf5_config(path: Path) -> Any:
    import h5py

    with _file_errors(path), h5py.File(path, "r") as file:
        text = file.attrs.get("model_config")
        if text is None:
            raise TrainingError(
                "the file holds weights alone, no model", value=path.name, remedy="save it with model.save"
            )
        return json.loads(text)


@contextlib.contextmanager
def _build_errors(path: Path) -> Iterator[None]:
    """What Keras raises for a layer or an argument that it does not know, as TrainingError."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise TrainingError(
            f"Keras {keras.__version__} cannot build the model{_written_by(path)}: {_first_line(error)}",
            value=path.name,
            remedy="open it with the Keras that wrote it and save it as .keras with layers of Keras 3, or "
            "export it to ONNX",
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return printable(lines[0][:300]) if lines else type(error).__name__


def _written_by(path: Path) -> str:
    import h5py

    with _file_errors(path):
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                version = json.loads(archive.read("metadata.json")).get("keras_version", "")
        else:
            with h5py.File(path, "r") as file:
                version = file.attrs.get("keras_version", "")
    text = version.decode("utf-8", "replace") if isinstance(version, bytes) else str(version)
    return f", which Keras {printable(text[:20])} wrote" if text else ""


@contextlib.contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    """What readers raise, as TrainingError."""
    try:
        yield
    except (TrainingError, RecursionError):
        raise
    except _READ_ERRORS as error:
        raise TrainingError(
            f"cannot read the file: {str(error)[:300]}", value=path.name, remedy="check that it is whole"
        ) from error
