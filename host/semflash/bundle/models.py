"""Do the .tflite files hold what the contract says? Checked on export and before a graph runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from semflash.errors import BundleError
from semflash.program.program import Program
from semflash.program.stages import Graph
from semflash.program.tensors import Tensor, Values
from semflash.runtime.litert import load_interpreter

_REMEDY = "export the bundle again"


def check_model(model: bytes, stage: Graph, program: Program) -> None:
    """Compare inputs and outputs of a device graph with the program.

    Args:
        model: Content of the .tflite file.

    Raises:
        BundleError: Number, shape, type or quantisation differ.
    """
    interpreter = load_interpreter(model, stage.name, reference=True)
    ends = (
        (interpreter.get_input_details(), stage.inputs, "inputs"),
        (interpreter.get_output_details(), stage.outputs, "outputs"),
    )
    for details, names, what in ends:
        if len(details) != len(names):
            raise BundleError(
                f"graph {stage.name} must have {len(names)} {what}", value=len(details), remedy=_REMEDY
            )
        for found, name in zip(details, names, strict=True):
            _expect_int8(found, program.tensor(name), stage)


def _expect_int8(found: dict[str, Any], tensor: Tensor, stage: Graph) -> None:
    scale, zero_point = found["quantization"]
    shape = tuple(int(v) for v in found["shape"])
    expected = (1, *tensor.shape[1:]) if stage.each else (1, *tensor.shape)
    fits = found["dtype"] == np.int8 and shape == expected
    if fits and isinstance(tensor.holds, Values):
        fits = zero_point == tensor.holds.zero_point and np.float32(scale) == np.float32(tensor.holds.scale)
    if not fits:
        raise BundleError(
            f"graph {stage.name} and the contract disagree about {tensor.name}",
            value=f"{np.dtype(found['dtype']).name} {shape} scale {scale} zero point {zero_point}",
            remedy=_REMEDY,
        )


def bind(names: Sequence[str], wanted: Sequence[str], file: str) -> list[int]:
    """Which input of a .tflite file each wanted name stands for, as positions in ``names``.

    Args:
        names: Of the file's inputs; the converter writes ``serving_default_NAME:0``.
        wanted: Names of the contract. The only input of a graph may have any name.

    Raises:
        BundleError: Another number of inputs, or a name that is not there.
    """
    if len(names) != len(wanted):
        needed = f"inputs {', '.join(wanted)}" if len(wanted) > 1 else "one input"
        raise BundleError(f"{file} needs {needed}", value=len(names), remedy=_REMEDY)
    if len(names) == 1:
        return [0]
    bare = [name.removeprefix("serving_default_").partition(":")[0] for name in names]
    for name in wanted:
        if bare.count(name) != 1:
            raise BundleError(f"{file} needs an input {name}", value=", ".join(bare)[:200], remedy=_REMEDY)
    return [bare.index(name) for name in wanted]
