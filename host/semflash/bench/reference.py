"""Golden payloads of a bench run, for bundles and for bare models."""

from __future__ import annotations

import importlib.util

import numpy as np
from numpy.typing import NDArray

from semflash.bundle.packing import pack
from semflash.bundle.reader import Bundle
from semflash.firmware.building.bare_model import is_bare
from semflash.program.reference.tails import codes
from semflash.runtime.reference_run import BUILTIN_REF, TFLM, Ends, run_reference

_ARENA_BYTES = 64 << 20


def reference_name(bundle: Bundle) -> str:
    """What :func:`golden_payloads` runs: "tflite-micro" or "LiteRT BUILTIN_REF"."""
    return TFLM if is_bare(bundle) and _has_tflm() else BUILTIN_REF


def golden_payloads(bundle: Bundle, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Payloads uint8 (N, P) of images uint8 (N, H, W, C).

    A bare model runs in a child, on tflite-micro where it is installed (the two references differ by a step
    in some FULLY_CONNECTED layers, and the device follows tflite-micro), a bundle on LiteRT's BUILTIN_REF.

    Raises:
        ModelError: the host cannot run the model.
        BundleError: as :class:`semflash.edge.golden.GoldenEncoder`.
    """
    if not is_bare(bundle):
        from semflash.edge.golden import GoldenEncoder

        return GoldenEncoder(bundle).payloads(images)
    rows = (images.astype(np.int16) - 128).astype(np.int8)
    image, graph = bundle.contract.input, bundle.contract.device_graphs[0]
    ends = Ends(image.scale, image.zero_point), Ends(graph.scale, graph.zero_point)
    engine = TFLM if _has_tflm() else BUILTIN_REF
    latents = run_reference(engine, bundle.encoder_tflite, rows, ends, _ARENA_BYTES)
    tail = bundle.contract.device_tail
    return pack(codes(latents.reshape(len(rows), 1, -1, tail.channels), tail), bundle.bits_per_symbol)


def _has_tflm() -> bool:
    return importlib.util.find_spec("tflite_micro") is not None
