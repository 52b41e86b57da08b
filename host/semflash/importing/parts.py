"""The two sides of a network that is imported, cut at the split, and what the original gives in their place.

A file is opened first, which tells the size of its images; then, with the data set's classes, it is cut.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from semflash.errors import ToolMissingError, TrainingError
from semflash.importing.onnx.output import (
    LOGITS,
    Output,
    canonical,
    canonical_tail,
    check_values,
    choose,
    output_of,
)
from semflash.outputs.kinds import BOX
from semflash.tasks.keras.cuts import cut_behind_scaling, find_split, softmax_at_end, split_points, uncut
from semflash.tasks.keras.files import read_model
from semflash.tasks.keras.nested import flattened
from semflash.tasks.names import KERAS, ONNX

if TYPE_CHECKING:
    from semflash.importing.onnx.graph import OnnxNetwork

#: What a model does behind its logits, to compare like with like.
_FINISH = {"softmax": keras.ops.softmax, "log_softmax": keras.ops.log_softmax}
_PACKAGES = (
    "onnx",
    "onnx2tf",
    "tf_keras",
    "onnxsim",
    "onnxruntime",
    "onnx_graphsurgeon",
    "sng4onnx",
    "psutil",
)


@dataclass(frozen=True)
class Meaning:
    """What the tail's output stands for.

    Attributes:
        output: form and sizes of the network's own output.
        class_names: in the order of the tail's output.
        chosen: class of the network for each of them.
        named: whether the names are the network's own, not numbers.
    """

    output: Output
    class_names: tuple[str, ...]
    chosen: tuple[int, ...]
    named: bool


@dataclass(frozen=True)
class Parts:
    """Both sides of a cut, for the network's own input.

    ``expected``: what the original gives for images float (N, H, W, C), features and result; ``finish``: what
    it does behind the logits, a softmax, its logarithm or nothing; ``pieces``: name -> which of the last axis
    is compared; ``device_splits``: those before this one that a device may be able to follow, in order;
    ``head_at``: makes the head of one of them, where that takes no conversion; ``log``: of the converter.
    """

    kind: str
    split: str
    head: keras.Model
    tail: keras.Model
    expected: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    finish: Callable[[Any], Any] = lambda logits: logits
    remedy: str = "report the network's operators; nothing was written"
    pieces: dict[str, slice] = field(default_factory=lambda: {"logits": slice(None)})
    device_splits: tuple[str, ...] = ()
    head_at: Callable[[str], keras.Model] | None = None
    log: str = ""


class KerasFile:
    """A Keras classifier in a file. ``image_shape``: (H, W, C); ``beginning``: its first steps, which the
    head is made without."""

    def __init__(self, path: Path, split: str, listing: str) -> None:
        self._model, self._split = flattened(read_model(path)), split
        self._head, self._tail, self.beginning = cut_behind_scaling(self._model, split, listing)
        height, width, channels = self._model.model.input_shape[1:]
        self.image_shape = (int(height), int(width), int(channels))

    def meaning(self, form: str | None, names: Sequence[str], data_names: Sequence[str] | None) -> Meaning:
        """As :meth:`OnnxFile.meaning`."""
        return _meaning(output_of((1, int(self._tail.output_shape[-1])), form), names, data_names)

    def parts(self, meaning: Meaning, images: np.ndarray) -> Parts:
        """As :meth:`OnnxFile.parts`."""
        del meaning, images
        original = uncut(self._model, self._split)

        def expected(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            features, result = original(images)
            return keras.ops.convert_to_numpy(features), keras.ops.convert_to_numpy(result)

        finish = _FINISH.get(softmax_at_end(self._model), Parts.finish)
        points = [name for name, _ in split_points(self._model)]
        split = find_split(self._model, self._split)
        before = tuple(points[: points.index(split)] if split in points else ())

        def head_at(name: str) -> keras.Model:
            head, _, beginning = cut_behind_scaling(self._model, name)
            if beginning.tensor is not self.beginning.tensor:
                raise TrainingError("the split lies in what the network does to its image", value=name)
            return head

        return Parts(
            KERAS,
            self._split,
            self._head,
            self._tail,
            expected,
            finish,
            device_splits=before,
            head_at=head_at,
        )


class OnnxFile:
    """An ONNX classifier or detector in a file. ``image_shape``: (H, W, C); ``beginning``: its first steps,
    which the head is made without."""

    def __init__(self, path: Path, split: str, listing: str, size: tuple[int, int] | None) -> None:
        check_packages()
        from semflash.importing.onnx.graph import read_onnx

        self._network: OnnxNetwork = read_onnx(path, size)
        self._tensor = self._network.find(split, listing)
        self.image_shape = self._network.image_shape
        self.beginning = self._network.beginning(self._tensor)

    def meaning(self, form: str | None, names: Sequence[str], data_names: Sequence[str] | None) -> Meaning:
        """What the output stands for.

        Args:
            form: as the user says; None: told by the shape.
            names: of the network's classes, as the user gives them; empty: those in the file.
            data_names: classes of the data set; None: there is none.

        Raises:
            TrainingError: the output is of no form that is taken, or does not go with the classes.
        """
        shape = self._network.result_shape
        own = tuple(names) or (self._network.class_names() if len(shape) == 3 else ())
        known = len(own) or (len(data_names) if data_names is not None else None)
        return _meaning(output_of(shape, form, known), own, data_names)

    def parts(self, meaning: Meaning, images: np.ndarray) -> Parts:
        """Convert and cut; ``images``: float32 (N, H, W, C), what the network takes, to compare with."""
        from semflash.importing.onnx.convert import convert
        from semflash.importing.tflite.layers import keras_model

        network, output = self._network, meaning.output
        converted = convert(network, self._tensor, images, begin=self.beginning.tensor)
        head = keras_model(converted.head, "head", "image")
        tail = keras_model(converted.tail, "tail", "features")
        features, result = converted.features.transpose(0, 2, 3, 1), converted.logits
        parts = Parts(ONNX, self._tensor, head, tail, lambda _: (features, result), log=converted.log)
        if output.detects:
            size, chosen = self.image_shape[:2], meaning.chosen
            check_values(result, output)
            result = canonical(result, output, size, chosen)
            tail = canonical_tail(tail, output, size, chosen)
            pieces = {"boxes": slice(0, BOX), "scores": slice(BOX, None)}
            parts = dataclasses.replace(parts, tail=tail, pieces=pieces)
        parts = dataclasses.replace(parts, device_splits=tuple(network.device_splits(self._tensor)))
        equal = network.ambiguous()
        if not equal:
            return parts
        remedy = (
            f"onnx2tf tells axes by their lengths, and {', '.join(equal[:3])} has as many channels as rows "
            "and columns: export the network for another image size, or with another number of channels there"
        )
        return dataclasses.replace(parts, remedy=remedy)


def open_file(path: Path, split: str, size: tuple[int, int] | None) -> KerasFile | OnnxFile:
    """Open a network and find the split.

    Raises:
        TrainingError: The file or the split is no good.
        ToolMissingError: A package is not installed.
    """
    listing = f"semflash import {path.name} --list"
    return OnnxFile(path, split, listing, size) if path.suffix == ".onnx" else KerasFile(path, split, listing)


def _meaning(output: Output, names: Sequence[str], data_names: Sequence[str] | None) -> Meaning:
    """Names of the tail's classes: the data set's, chosen by name where the network's are known."""
    if names and output.form == LOGITS:
        raise TrainingError(
            "class names are given for detectors only; a classifier's come from its data set",
            value=f"{len(names)} names",
            remedy="--dataset",
        )
    if names and len(set(names)) != len(names):
        raise TrainingError("class names repeat", value=", ".join(names[:8]), remedy="--class-names FILE")
    every = tuple(range(output.classes))
    if data_names is None:
        own = tuple(names) or tuple(f"class {index}" for index in every)
        return Meaning(output, own, every, bool(names))
    chosen = choose(tuple(names), data_names) if names else every
    return Meaning(output, tuple(data_names), chosen, bool(names))


def check_packages() -> None:
    """ToolMissingError: a package that reads ONNX files is not installed."""
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ToolMissingError(
            "importing ONNX networks needs Python packages that are missing",
            value=", ".join(missing),
            remedy="pip install 'semflash[onnx]'",
        )
