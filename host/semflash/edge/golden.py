"""Golden payloads: what every device must send, computed with LiteRT's reference kernels (BUILTIN_REF).

These kernels agree with TFLite-Micro bit for bit (the export proves it for every bundle on 1,000 images); the
fast kernels do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from semflash.bundle.graphs.device import check_device_graph
from semflash.bundle.models import check_model
from semflash.bundle.reader import Bundle
from semflash.edge.first_run import admit
from semflash.edge.preprocess import to_int8
from semflash.program.payload import Payloads
from semflash.program.reference.run import Run, run
from semflash.runtime.reference import ReferenceGraph

#: Images in memory at once, of a data set that is on disk.
BATCH = 1_000


class GoldenEncoder:
    """The device side of a bundle on the host: its program, in numpy and on reference kernels.

    Args:
        bundle: a checked bundle; one of unknown origin is tried in a child first (edge/first_run.py).
        admitted: this is that child.

    Raises:
        BundleError: a device graph does not fit the program, holds what no device runs, or the bundle does
            not survive its first run. ModelError: LiteRT cannot run it.
    """

    def __init__(self, bundle: Bundle, *, admitted: bool = False) -> None:
        models = bundle.models
        for model in bundle.contract.models:
            check_device_graph(models[model.name], model.file.file)
        if not admitted:
            admit(bundle)
        for stage in bundle.program.graphs:
            check_model(models[stage.name], stage, bundle.program)
        self._bundle = bundle
        self._graphs = {name: ReferenceGraph(data, name) for name, data in models.items()}

    def run(self, images: NDArray[np.generic], controls: Mapping[str, int] | None = None) -> Run:
        """Everything that the device computes for images uint8 (N, H, W, C), at most a few thousand.

        Raises:
            DatasetError: wrong size, type or NaN. ProgramError: no such control.
        """
        pixels = to_int8(images, self._bundle.image_shape)
        return run(self._bundle.program, pixels, self._run_graph, controls)

    def payloads(
        self, images: NDArray[np.generic], controls: Mapping[str, int] | None = None
    ) -> NDArray[np.uint8]:
        """Payloads uint8 (N, P) of images uint8 (N, H, W, C), P the most bytes; zeros behind shorter ones.

        Raises: as :meth:`run`.
        """
        return self.sent(images, controls).payloads

    def sent(self, images: NDArray[np.generic], controls: Mapping[str, int] | None = None) -> Payloads:
        """The same with the length of each.

        Raises: as :meth:`run`.
        """
        starts = range(0, max(1, len(images)), BATCH)
        parts = [self.run(images[start : start + BATCH], controls).sent for start in starts]
        return Payloads(
            np.concatenate([part.payloads for part in parts]), np.concatenate([part.bits for part in parts])
        )

    def _run_graph(self, name: str, inputs: Sequence[NDArray[np.int8]]) -> Sequence[NDArray[np.int8]]:
        return self._graphs[name].run_all(inputs)
