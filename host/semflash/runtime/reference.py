"""An int8 graph on LiteRT's reference kernels (BUILTIN_REF), which agree with TFLite-Micro bit for bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semflash.errors import ModelError
from semflash.runtime.litert import load_interpreter, single

#: Images in one invocation: large enough to hide the cost of a call, small enough for the caches.
BATCH = 64


class ReferenceGraph:
    """One int8 graph with one input and one output.

    Args:
        model: content of a .tflite file. name: for error messages.

    Raises:
        ModelError: LiteRT cannot load it. BundleError: several inputs or outputs.
    """

    def __init__(self, model: bytes, name: str) -> None:
        self._interpreter = load_interpreter(model, name, reference=True)
        self._input = int(single(self._interpreter.get_input_details(), f"{name} input")["index"])
        self._output = int(single(self._interpreter.get_output_details(), f"{name} output")["index"])
        self._name = name
        self._batch = 0
        self._largest = 0  # images per invocation; found out at the first run

    def run(self, values: NDArray[np.int8]) -> NDArray[np.int8]:
        """Outputs int8 (N, ...) of inputs int8 (N, H, W, C). ModelError: the graph does not run."""
        if self._largest == 0:
            self._largest = BATCH if self._can_batch(values.shape[1:]) else 1
        parts = []
        for start in range(0, len(values), self._largest):
            part = np.ascontiguousarray(values[start : start + self._largest])
            self._resize(part.shape)
            parts.append(self._invoke(part))
        if not parts:
            return np.empty((0, *self._interpreter.get_output_details()[0]["shape"][1:]), np.int8)
        return np.concatenate(parts)

    def _invoke(self, part: NDArray[np.int8]) -> NDArray[np.int8]:
        try:
            self._interpreter.set_tensor(self._input, part)
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                f"{self._name} does not run on the host", value=error, remedy="look for values out of range"
            ) from error
        output: NDArray[np.int8] = self._interpreter.get_tensor(self._output)
        return output

    def _can_batch(self, shape: tuple[int, ...]) -> bool:
        """Whether the graph takes several images at once (a fixed RESHAPE inside forbids it)."""
        try:
            self._resize((BATCH, *shape))
        except ModelError:
            return False
        return int(self._interpreter.get_output_details()[0]["shape"][0]) == BATCH

    def _resize(self, shape: tuple[int, ...]) -> None:
        if shape[0] == self._batch:
            return
        try:
            self._interpreter.resize_tensor_input(self._input, shape)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"{self._name} does not run on the host", value=error) from error
        self._batch = shape[0]
