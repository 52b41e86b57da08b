"""Models, requests, test images and the two golden references of the generator's tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from semflash.program.stages import TableTail, TailTable
from semflash_codegen import CodegenRequest
from semflash_codegen.alone import GRAPH, program_around
from semflash_codegen.simplify import simplify
from semflash_codegen.tflite_reader import read_model

MODELS = Path(__file__).parent / "models"
HASH = "0123456789abcdef" * 4
#: Models that must compile; files named refused_* must not.
NAMES = tuple(sorted(p.stem for p in MODELS.glob("*.tflite") if not p.stem.startswith("refused")))

Int8 = npt.NDArray[np.int8]


def load(name: str) -> bytes:
    """Bytes of a model of tests/codegen/models."""
    return (MODELS / f"{name}.tflite").read_bytes()


def table_tail(encoder: bytes) -> TableTail:
    """A tail that fits an encoder: code = latent >> 5, shifted to 0..7."""
    model = simplify(read_model(encoder))
    output = model.tensors[model.outputs[0]]
    row = [v >> 5 for v in range(256)]
    return TableTail(output.shape[-1], 8, output.zero_point, row * output.shape[-1])


def request_with(encoder: bytes, tail: TailTable, **more: object) -> CodegenRequest:
    """A request around an encoder and a tail."""
    program = program_around(encoder, tail)
    return CodegenRequest(program, {GRAPH: encoder}, HASH, **more)  # type: ignore[arg-type]


def request_for(encoder: bytes, kernels: str = "cmsis-nn", **more: object) -> CodegenRequest:
    """A request around an encoder."""
    return request_with(encoder, table_tail(encoder), kernels=kernels, **more)


def make_images(shape: tuple[int, ...], count: int, seed: int = 0) -> Int8:
    """Random, extreme and patterned int8 images (count, h, w, c)."""
    rng = np.random.default_rng(seed)
    images = rng.integers(-128, 128, (count, *shape[1:]), dtype=np.int16).astype(np.int8)
    flat = images.reshape(count, -1)
    ramp = np.arange(flat.shape[1])
    flat[0] = -128
    flat[1] = 127
    flat[2] = np.where(ramp & 1, 127, -128)
    flat[3] = (ramp * 37 + 11).astype(np.uint8).view(np.int8)
    flat[4] = rng.choice(np.array([-128, 127], np.int8), flat.shape[1])
    return images


def tflm(encoder: bytes, images: Int8) -> Int8:
    """Golden outputs of TFLite-Micro's reference kernels, one row per image."""
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime")
    interpreter = runtime.Interpreter.from_bytes(encoder, arena_size=1 << 20)
    rows = []
    for image in images:
        interpreter.set_input(image[None], 0)
        interpreter.invoke()
        rows.append(interpreter.get_output(0).reshape(-1))
    return np.array(rows, np.int8)


def litert_reference(encoder: bytes, images: Int8) -> Int8:
    """Golden outputs of LiteRT with its reference kernels, one row per image."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    interpreter = litert.Interpreter(
        model_content=encoder, experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    source, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rows = []
    for image in images:
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(output["index"]).reshape(-1))
    return np.array(rows, np.int8)
