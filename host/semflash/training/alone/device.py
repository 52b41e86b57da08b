"""The int8 device of a codec in training, for stages that learn from what it sends. Needs TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.codecs.base import Codec
from semflash.data.dataset import Dataset

BATCH = 500


class OwnDevice:
    """Called with uint8 images (N, H, W, C) and some settings of the controls, it gives the numbers that are
    sent, uint8 (settings, N, *code_shape); int8 values are in two's complement.

    The encoder is quantised as the export does it when the first images come, and stays as it is then.
    """

    def __init__(self, codec: Codec, data: Dataset) -> None:
        self.codec, self.data = codec, data

    def __call__(self, images: np.ndarray, settings: Sequence[Mapping[str, int]]) -> np.ndarray:
        parts = [self._batch(images[i : i + BATCH], settings) for i in range(0, len(images), BATCH)]
        return np.concatenate(parts, axis=1)

    def _batch(self, images: np.ndarray, settings: Sequence[Mapping[str, int]]) -> np.ndarray:
        from semflash.conversion.device import sent_codes
        from semflash.program.reference.run import run
        from semflash.runtime.reference import ReferenceGraph

        device, known = self.quantised, _Known()
        graphs = {name: ReferenceGraph(model, name) for name, model in device.models.items()}
        pixels = np.bitwise_xor(images, np.uint8(0x80)).view(np.int8)

        def on_graph(name: str, inputs: Sequence[NDArray[np.int8]]) -> Sequence[NDArray[np.int8]]:
            return known.of(name, inputs, graphs[name].run_all)

        runs = (run(device.program, pixels, on_graph, controls) for controls in settings)
        sent = [sent_codes(device.program, done.tensors) for done in runs]
        return np.stack(sent).reshape(len(settings), len(images), *self.codec.code_shape)

    @cached_property
    def quantised(self) -> Any:
        """The device as the export makes it."""
        from semflash.conversion.device import quantise_device

        return quantise_device(self.codec.device(), self.data)

    @property
    def encoder_sha256(self) -> str:
        """Of the content of the int8 network, hexadecimal."""
        from semflash.conversion.content import content_sha256

        return content_sha256(self.quantised.whole.data)


class _Known:
    """What graphs gave for the same inputs under another setting, which is not computed again."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[list[NDArray[np.int8]], Sequence[NDArray[np.int8]]]] = {}

    def of(self, name: str, inputs: Sequence[NDArray[np.int8]], graph: Any) -> Sequence[NDArray[np.int8]]:
        """The graph's outputs."""
        before = self._last.get(name)
        if before is None or not all(map(np.array_equal, before[0], inputs)):
            before = self._last[name] = (list(inputs), graph(inputs))
        return before[1]
