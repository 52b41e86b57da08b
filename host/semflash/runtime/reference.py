"""An int8 graph on LiteRT's reference kernels (BUILTIN_REF), which agree with TFLite-Micro bit for bit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from semflash.errors import ModelError
from semflash.runtime.litert import load_interpreter

#: Images in one invocation: large enough to hide the cost of a call, small enough for the caches.
BATCH = 64


class ReferenceGraph:
    """One int8 graph.

    Args:
        model: content of a .tflite file. name: for error messages.

    Raises:
        ModelError: LiteRT cannot load it.
    """

    def __init__(self, model: bytes, name: str) -> None:
        self._interpreter = load_interpreter(model, name, reference=True)
        self._inputs = [int(each["index"]) for each in self._interpreter.get_input_details()]
        self._name = name
        self._batch = 0
        self._largest = 0  # images per invocation; found out at the first run

    def run(self, values: NDArray[np.int8]) -> NDArray[np.int8]:
        """Output int8 (N, ...) of a graph with one input int8 (N, H, W, C) and one output.

        Raises:
            ModelError: the graph does not run, or has several.
        """
        outputs = self.run_all([values])
        if len(outputs) != 1:
            raise ModelError(f"{self._name} must have one output", value=len(outputs))
        return outputs[0]

    def run_all(self, inputs: Sequence[NDArray[np.int8]]) -> list[NDArray[np.int8]]:
        """Outputs int8 (N, ...) of inputs int8 (N, ...), in the order of the file.

        Raises:
            ModelError: the graph does not run, or has another number of inputs.
        """
        if len(inputs) != len(self._inputs):
            raise ModelError(f"{self._name} has {len(self._inputs)} inputs", value=len(inputs))
        if self._largest == 0:
            self._largest = BATCH if self._can_batch(inputs) else 1
        if not len(inputs[0]):
            shapes = [each["shape"][1:] for each in self._interpreter.get_output_details()]
            return [np.empty((0, *shape), np.int8) for shape in shapes]
        parts = []
        for start in range(0, len(inputs[0]), self._largest):
            part = [np.ascontiguousarray(each[start : start + self._largest]) for each in inputs]
            self._resize(len(part[0]), part)
            parts.append(self._invoke(part))
        return [np.concatenate(each) for each in zip(*parts, strict=True)]

    def _invoke(self, part: Sequence[NDArray[np.int8]]) -> list[NDArray[np.int8]]:
        try:
            for index, values in zip(self._inputs, part, strict=True):
                self._interpreter.set_tensor(index, values)
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                f"{self._name} does not run on the host", value=error, remedy="look for values out of range"
            ) from error
        details = self._interpreter.get_output_details()
        return [self._interpreter.get_tensor(each["index"]) for each in details]

    def _can_batch(self, inputs: Sequence[NDArray[np.int8]]) -> bool:
        """Whether the graph takes several images at once (a fixed RESHAPE inside forbids it)."""
        try:
            self._resize(BATCH, inputs)
        except ModelError:
            return False
        return all(int(each["shape"][0]) == BATCH for each in self._interpreter.get_output_details())

    def _resize(self, batch: int, inputs: Sequence[NDArray[np.int8]]) -> None:
        if batch == self._batch:
            return
        try:
            for index, values in zip(self._inputs, inputs, strict=True):
                self._interpreter.resize_tensor_input(index, [batch, *values.shape[1:]])
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"{self._name} does not run on the host", value=error) from error
        self._batch = batch
