"""One int8 model, image by image, on a reference interpreter in a process of its own.

TFLite-Micro and LiteRT's reference kernels end the process at a failed assertion (SOFTMAX over 512 values,
some DEPTHWISE_CONV_2D and CUSTOM models); in a child that is an error like any other.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from semflash.errors import ModelError
from semflash.runtime.child import run_child

Engine = Literal["tflite-micro", "LiteRT BUILTIN_REF"]
TFLM: Engine = "tflite-micro"
BUILTIN_REF: Engine = "LiteRT BUILTIN_REF"
_CHILD = "semflash.runtime.reference_child"
_START_S, _IMAGE_S = 120.0, 20.0


class Ends(msgspec.Struct, frozen=True):
    """real = scale (q - zero_point) at the model's input or output, for models with float ends."""

    scale: float
    zero_point: int


class Parcel(msgspec.Struct, frozen=True):
    """What the child gets: `values` are int8, `count` images in a row."""

    engine: Engine
    model: bytes
    values: bytes
    count: int
    arena_bytes: int
    source: Ends
    output: Ends


def run_reference(
    engine: Engine, model: bytes, values: NDArray[np.int8], ends: tuple[Ends, Ends], arena_bytes: int
) -> NDArray[np.int8]:
    """Outputs int8 (N, values per image) of inputs int8 (N, ...), one image at a time.

    Args:
        model: content of a .tflite file with int8 ends, or with float or uint8 ends behind QUANTIZE and
            DEQUANTIZE.
        ends: quantisation of input and output. arena_bytes: for TFLite-Micro.

    Raises:
        ModelError: the interpreter refuses the model, or dies of it.
    """
    if len(values) == 0:
        return np.empty((0, 0), np.int8)
    data = np.ascontiguousarray(values).tobytes()
    parcel = Parcel(engine, model, data, len(values), arena_bytes, *ends)
    outcome = run_child(_CHILD, msgspec.msgpack.encode(parcel), _START_S + _IMAGE_S * len(values))
    if outcome.result is None:
        raise ModelError(
            f"{engine} does not run the model, so there is nothing to compare the device with",
            value=outcome.cause,
            remedy="leave out the layer it stops at (docs/codegen.md names those that are known)",
        )
    return np.frombuffer(outcome.result, np.int8).reshape(len(values), -1)
