"""Golden payloads of a bench run, for bundles and for bare models."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.bundle.code_tail import codes
from semflash.bundle.packing import pack
from semflash.bundle.reader import Bundle
from semflash.errors import ModelError
from semflash.firmware.bare_model import is_bare

_ARENA_BYTES = 64 << 20


def reference_name(bundle: Bundle) -> str:
    """What :func:`golden_payloads` runs: "tflite-micro" or "LiteRT BUILTIN_REF"."""
    return "tflite-micro" if is_bare(bundle) and _has_tflm() else "LiteRT BUILTIN_REF"


def golden_payloads(bundle: Bundle, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Payloads uint8 (N, P) of images uint8 (N, H, W, C).

    A bare model runs on tflite-micro where it is installed (the two references differ by a step in some
    FULLY_CONNECTED layers, and the device follows tflite-micro), a bundle on LiteRT's BUILTIN_REF.

    Raises:
        ModelError: the host cannot run the model.
    """
    if not is_bare(bundle):
        from semflash.edge.golden import GoldenEncoder

        return GoldenEncoder(bundle).payloads(images)
    rows = (images.astype(np.int16) - 128).astype(np.int8)
    latents = _tflm(bundle, rows) if _has_tflm() else _litert(bundle, rows)
    tail = bundle.contract.device_tail
    return pack(codes(latents.reshape(len(rows), 1, -1, tail.channels), tail), bundle.bits_per_symbol)


def _has_tflm() -> bool:
    return importlib.util.find_spec("tflite_micro") is not None


def _tflm(bundle: Bundle, rows: NDArray[np.int8]) -> NDArray[np.int8]:
    """Outputs int8 (N, ...) by TFLite-Micro's interpreter, which reports every failure as RuntimeError."""
    from tflite_micro import runtime

    try:
        interpreter = runtime.Interpreter.from_bytes(bundle.encoder_tflite, arena_size=_ARENA_BYTES)
        details = interpreter.get_input_details(0)
        _require_int8(details["dtype"])
        outputs = []
        for row in rows:
            interpreter.set_input(np.ascontiguousarray(row).reshape(details["shape"]), 0)
            interpreter.invoke()
            outputs.append(np.array(interpreter.get_output(0)).reshape(-1))
    except RuntimeError as error:
        raise ModelError("tflite-micro does not run the model", value=error) from error
    return np.stack(outputs)


def _require_int8(dtype: Any) -> None:
    if dtype != np.int8:
        raise ModelError(
            "a bare model is measured with int8 ends", value=dtype, remedy="export with int8 input and output"
        )


def _litert(bundle: Bundle, rows: NDArray[np.int8]) -> NDArray[np.int8]:
    """Outputs int8 (N, ...) by LiteRT's reference kernels, one image at a time in the model's own shape."""
    from semflash.bundle.litert import load_interpreter

    interpreter = load_interpreter(bundle.encoder_tflite, bundle.name, reference=True)
    interpreter.allocate_tensors()
    source, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    _require_int8(source["dtype"])
    outputs = []
    for row in rows:
        interpreter.set_tensor(source["index"], np.ascontiguousarray(row).reshape(source["shape"]))
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(output["index"]).reshape(-1))
    return np.stack(outputs)
