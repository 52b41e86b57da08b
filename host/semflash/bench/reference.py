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
from semflash.firmware.build.bare_model import is_bare

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

    image, graph = bundle.contract.input, bundle.contract.device_graphs[0]
    try:
        interpreter = runtime.Interpreter.from_bytes(bundle.encoder_tflite, arena_size=_ARENA_BYTES)
        details = interpreter.get_input_details(0)
        outputs = []
        for row in rows:
            values = np.ascontiguousarray(row).reshape(details["shape"])
            interpreter.set_input(_as_type(values, details["dtype"], image.scale, image.zero_point), 0)
            interpreter.invoke()
            output = np.array(interpreter.get_output(0)).reshape(-1)
            outputs.append(_as_int8(output, graph.scale, graph.zero_point))
    except RuntimeError as error:
        raise ModelError("tflite-micro does not run the model", value=error) from error
    return np.stack(outputs)


def _as_type(values: NDArray[np.int8], dtype: Any, scale: float, zero_point: int) -> NDArray[np.generic]:
    """int8 as the model's input type; a QUANTIZE at a float input gives the same int8 back."""
    if dtype == np.float32:
        return ((values.astype(np.float32) - zero_point) * np.float32(scale)).astype(np.float32)
    _require_int8(dtype)
    return values


def _as_int8(values: NDArray[Any], scale: float, zero_point: int) -> NDArray[np.int8]:
    """The int8 in front of a DEQUANTIZE at a float output."""
    if values.dtype == np.float32:
        return (np.rint(values / np.float32(scale)) + zero_point).astype(np.int8)
    _require_int8(values.dtype)
    return values.astype(np.int8)


def _require_int8(dtype: Any) -> None:
    if dtype != np.int8:
        raise ModelError(
            "a bare model is measured with int8 ends", value=dtype, remedy="export with int8 input and output"
        )


def _litert(bundle: Bundle, rows: NDArray[np.int8]) -> NDArray[np.int8]:
    """Outputs int8 (N, ...) by LiteRT's reference kernels, one image at a time in the model's own shape."""
    from semflash.runtime.litert import load_interpreter

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
