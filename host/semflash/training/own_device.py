"""The int8 device of a codec in training, for stages that learn from what it really sends. Needs TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from semflash.codecs.base import Codec
from semflash.data.dataset import Dataset
from semflash.training.progress import Progress


class OwnDevice:
    """Called with uint8 images (N, H, W, C) and values of controls, it gives the numbers that are sent,
    int32 (N, *code_shape).

    The encoder is quantised as the export does it when the first images come, and stays as it is then.
    """

    def __init__(self, codec: Codec, data: Dataset, progress: Progress) -> None:
        self.codec, self.data, self.progress = codec, data, progress
        self._asked = False

    def __call__(self, images: np.ndarray, controls: Mapping[str, int]) -> np.ndarray:
        from semflash.conversion.device import sent_codes
        from semflash.program.reference.run import run
        from semflash.runtime.reference import ReferenceGraph

        device = self.quantised
        graphs = {name: ReferenceGraph(model, name) for name, model in device.models.items()}
        pixels = np.bitwise_xor(images, np.uint8(0x80)).view(np.int8)
        done = run(device.program, pixels, lambda name, inputs: graphs[name].run_all(inputs), controls)
        sent = sent_codes(device.program, done.tensors)
        return sent.astype(np.int32).reshape(-1, *self.codec.code_shape)

    @cached_property
    def quantised(self) -> Any:
        """The device as the export makes it."""
        from semflash.conversion.device import quantise_device

        self._asked = True
        return quantise_device(self.codec.device(), self.data)

    @property
    def encoder_sha256(self) -> str | None:
        """Of the content of the int8 network, hexadecimal; None: nobody has asked for it."""
        from semflash.conversion.content import content_sha256

        return content_sha256(self.quantised.whole.data) if self._asked else None
