"""Golden payloads: what every device must send, computed with LiteRT's reference kernels (BUILTIN_REF).

These kernels agree with TFLite-Micro bit for bit (the export proves it for every bundle on 1,000 images); the
fast kernels do not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semflash.bundle.code_tail import codes
from semflash.bundle.litert import load_interpreter
from semflash.bundle.models import check_encoder
from semflash.bundle.packing import pack
from semflash.bundle.preprocess import to_int8
from semflash.bundle.reader import Bundle
from semflash.errors import ModelError

#: Images in one invocation of the reference kernels.
BATCH = 64


class GoldenEncoder:
    """The device side of a bundle on the host.

    Args:
        bundle: a checked bundle.

    Raises:
        BundleError: the device graph does not fit the contract. ModelError: LiteRT cannot run it.
    """

    def __init__(self, bundle: Bundle) -> None:
        check_encoder(bundle.encoder_tflite, bundle.contract)
        self._bundle = bundle
        self._interpreter = load_interpreter(
            bundle.encoder_tflite, bundle.contract.device_graphs[0].model.file, reference=True
        )
        self._input = int(self._interpreter.get_input_details()[0]["index"])
        self._output = int(self._interpreter.get_output_details()[0]["index"])
        self._batch = 0

    def latents(self, images: NDArray[np.generic]) -> NDArray[np.int8]:
        """int8 latents (N, h, w, C) of images uint8 (N, H, W, C). DatasetError: wrong size, type or NaN."""
        values = to_int8(images, self._bundle.contract)
        result = np.empty((len(values), *self._bundle.latent_shape), np.int8)
        for start in range(0, len(values), BATCH):
            part = values[start : start + BATCH]
            result[start : start + len(part)] = self._invoke(part)
        return result

    def codes(self, images: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Codes uint8 (N, h, w, C)."""
        return codes(self.latents(images), self._bundle.contract.device_tail)

    def payloads(self, images: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Payloads uint8 (N, P) of images uint8 (N, H, W, C). DatasetError: wrong size, type or NaN."""
        return pack(self.codes(images), self._bundle.bits_per_symbol)

    def _invoke(self, values: NDArray[np.int8]) -> NDArray[np.int8]:
        if len(values) != self._batch:
            try:
                self._interpreter.resize_tensor_input(self._input, values.shape)
                self._interpreter.allocate_tensors()
            except (RuntimeError, ValueError) as error:
                raise ModelError("the device graph does not run on the host", value=error) from error
            self._batch = len(values)
        self._interpreter.set_tensor(self._input, np.ascontiguousarray(values))
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output)
