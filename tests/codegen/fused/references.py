"""Golden outputs: tflite-micro and LiteRT's reference kernels, which must agree before anything is
compared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Int8 = NDArray[np.int8]


def inputs(model: bytes, count: int, seed: int) -> Int8:
    """int8 (count, h, w, c): noise, extremes and sparse patterns."""
    from ai_edge_litert.interpreter import Interpreter

    shape = Interpreter(model_content=model).get_input_details()[0]["shape"][1:]
    rng = np.random.default_rng(seed)
    images = rng.integers(-128, 128, (count, *shape)).astype(np.int8)
    for index, value in enumerate((-128, 127)):
        if index + 1 < count:
            images[index + 1] = value
    if count > 3:
        images[3] = rng.choice([-128, 127], shape)
    return images


def golden(model: bytes, images: Int8) -> tuple[Int8, Int8]:
    """(tflite-micro, BUILTIN_REF) outputs, each (count, ...)."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType
    from tflite_micro.python.tflite_micro import runtime

    lite = Interpreter(model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    lite.allocate_tensors()
    source, sink = lite.get_input_details()[0]["index"], lite.get_output_details()[0]["index"]
    micro = runtime.Interpreter.from_bytes(model, arena_size=8_000_000)
    ours, theirs = [], []
    for image in images:
        lite.set_tensor(source, image[None])
        lite.invoke()
        theirs.append(lite.get_tensor(sink)[0].copy())
        micro.set_input(image[None], 0)
        micro.invoke()
        ours.append(micro.get_output(0)[0].copy())
    return np.stack(ours), np.stack(theirs)
