"""The child of :mod:`semflash.runtime.reference_run`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from semflash.runtime.child_side import Answers, limit_process, parcel
from semflash.runtime.litert import load_interpreter
from semflash.runtime.reference_run import TFLM, Ends, Parcel

_MEMORY_BYTES = 8 << 30
_CPU_S = 3600
_TILE, _TILE_VERSION = 69, 2
#: The bit in which a uint8 code and the int8 code of the same number, 128 less, differ.
_SIGN = np.uint8(0x80)
#: One image of the model, flat, to its output, flat.
Run = Callable[[NDArray[np.int8]], NDArray[Any]]


def main() -> int:
    """Read a parcel, run all its images, answer with the outputs' bytes."""
    data = parcel()
    limit_process(_MEMORY_BYTES + 4 * len(data), _CPU_S)
    answers = Answers()
    given = msgspec.msgpack.decode(data, type=Parcel)
    try:
        run = _tflm(given) if given.engine == TFLM else _litert(given)
        images = np.frombuffer(given.values, np.int8).reshape(given.count, -1)
        outputs = [_as_int8(run(image), given.output) for image in images]
    except (RuntimeError, ValueError, TypeError) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    answers.result(np.stack(outputs).tobytes())
    return 0


def _tflm(given: Parcel) -> Run:
    from tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(given.model, arena_size=given.arena_bytes)
    details = interpreter.get_input_details(0)

    def run(image: NDArray[np.int8]) -> NDArray[Any]:
        values = _as_type(image, details["dtype"], given.source)
        interpreter.set_input(values.reshape(details["shape"]), 0)
        interpreter.invoke()
        return np.array(interpreter.get_output(0)).reshape(-1)

    return run


def _litert(given: Parcel) -> Run:
    interpreter = load_interpreter(with_known_versions(given.model), "the model", reference=True)
    interpreter.allocate_tensors()
    source, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def run(image: NDArray[np.int8]) -> NDArray[Any]:
        values = _as_type(image, source["dtype"], given.source)
        interpreter.set_tensor(source["index"], values.reshape(source["shape"]))
        interpreter.invoke()
        found: NDArray[Any] = interpreter.get_tensor(output["index"]).reshape(-1)
        return found

    return run


def with_known_versions(model: bytes) -> bytes:
    """The model with versions of operators that BUILTIN_REF registers.

    Its kernel of TILE takes int8, but is registered up to version 2 only; converters write 3 for int8.
    """
    from ai_edge_litert import schema_py_generated as schema

    table = schema.Model.GetRootAsModel(model, 0)
    codes = [table.OperatorCodes(i) for i in range(table.OperatorCodesLength())]
    if not any(code.BuiltinCode() == _TILE and code.Version() > _TILE_VERSION for code in codes):
        return model
    import flatbuffers

    objects = schema.ModelT.InitFromPackedBuf(model, 0)
    for code in objects.operatorCodes:
        if code.builtinCode == _TILE:
            code.version = min(code.version, _TILE_VERSION)
    builder = flatbuffers.Builder(len(model))
    builder.Finish(objects.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _as_type(values: NDArray[np.int8], dtype: Any, ends: Ends) -> NDArray[Any]:
    """int8 as the model's input type; a QUANTIZE at a float or uint8 input gives the same int8 back."""
    if dtype == np.float32:
        return (values.astype(np.float32) - ends.zero_point) * np.float32(ends.scale)
    if dtype == np.uint8:
        return values.view(np.uint8) ^ _SIGN
    _require_int8(dtype)
    return values


def _as_int8(values: NDArray[Any], ends: Ends) -> NDArray[np.int8]:
    """The int8 in front of a DEQUANTIZE at a float output, or of a QUANTIZE at a uint8 one."""
    if values.dtype == np.float32:
        return (np.rint(values / np.float32(ends.scale)) + ends.zero_point).astype(np.int8)
    if values.dtype == np.uint8:
        return (values ^ _SIGN).view(np.int8)
    _require_int8(values.dtype)
    return values.astype(np.int8)


def _require_int8(dtype: Any) -> None:
    if dtype != np.int8:
        raise ValueError(f"a bare model is measured with int8 ends, not {np.dtype(dtype).name}")


if __name__ == "__main__":
    sys.exit(main())
