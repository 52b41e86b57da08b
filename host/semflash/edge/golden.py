"""Golden payloads: what every device must send, computed with LiteRT's reference kernels (BUILTIN_REF).

These kernels agree with TFLite-Micro bit for bit (the export proves it for every bundle on 1,000 images); the
fast kernels do not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semflash.bundle.graphs.device import check_device_graph
from semflash.bundle.models import check_encoder
from semflash.bundle.packing import pack
from semflash.bundle.reader import Bundle
from semflash.edge.first_run import admit
from semflash.edge.preprocess import to_int8
from semflash.program.reference.tails import codes
from semflash.runtime.reference import ReferenceGraph

#: Images in memory at once, of a data set that is on disk.
BATCH = 1_000


class GoldenEncoder:
    """The device side of a bundle on the host.

    Args:
        bundle: a checked bundle; one of unknown origin is tried in a child first (edge/first_run.py).
        admitted: this is that child.

    Raises:
        BundleError: the device graph does not fit the contract, holds what no device runs, or the bundle does
            not survive its first run. ModelError: LiteRT cannot run it.
    """

    def __init__(self, bundle: Bundle, *, admitted: bool = False) -> None:
        check_device_graph(bundle.encoder_tflite, bundle.contract.device_graphs[0].model.file)
        if not admitted:
            admit(bundle)
        check_encoder(bundle.encoder_tflite, bundle.contract)
        self._bundle = bundle
        self._graph = ReferenceGraph(bundle.encoder_tflite, bundle.contract.device_graphs[0].model.file)

    def latents(self, images: NDArray[np.generic]) -> NDArray[np.int8]:
        """int8 latents (N, h, w, C) of images uint8 (N, H, W, C). DatasetError: wrong size, type or NaN."""
        return self._graph.run(to_int8(images, self._bundle.contract))

    def codes(self, images: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Codes uint8 (N, h, w, C)."""
        return codes(self.latents(images), self._bundle.contract.device_tail)

    def payloads(self, images: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Payloads uint8 (N, P) of images uint8 (N, H, W, C). DatasetError: wrong size, type or NaN."""
        parts = [images[start : start + BATCH] for start in range(0, max(1, len(images)), BATCH)]
        return np.concatenate([pack(self.codes(part), self._bundle.bits_per_symbol) for part in parts])
