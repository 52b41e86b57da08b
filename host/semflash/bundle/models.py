"""Do the .tflite files hold what the contract says? Checked on export and before a graph runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from semflash.bundle.schema import Contract, DeviceGraph
from semflash.errors import BundleError
from semflash.outputs.detections import GEOMETRY
from semflash.outputs.kinds import BOX, AnchorTask, DetectionTask
from semflash.runtime.litert import load_interpreter, single

_REMEDY = "export the bundle again"


def output_shape(contract: Contract) -> tuple[int, ...]:
    """Shape of the task tail's output for one image: (classes,), or a detector's (h, w, classes + 4) or
    (anchors, 4 + classes)."""
    classes, task = len(contract.class_names), contract.task
    if isinstance(task, DetectionTask):
        return task.height, task.width, classes + GEOMETRY
    if isinstance(task, AnchorTask):
        return task.anchors, BOX + classes
    return (classes,)


def check_encoder(model: bytes, contract: Contract) -> None:
    """Compare the device graph's input and output with the contract.

    Raises:
        BundleError: shape, type or quantisation differ.
    """
    graph = contract.device_graphs[0]
    interpreter = load_interpreter(model, graph.model.file, reference=True)
    source = single(interpreter.get_input_details(), f"{graph.model.file} input")
    image = contract.input
    _expect_int8(source, (image.height, image.width, image.channels), image.scale, image.zero_point, graph)
    output = single(interpreter.get_output_details(), f"{graph.model.file} output")
    _expect_int8(output, (graph.height, graph.width, graph.channels), graph.scale, graph.zero_point, graph)


def _expect_int8(
    tensor: dict[str, Any], shape: tuple[int, int, int], scale: float, zero_point: int, graph: DeviceGraph
) -> None:
    found_scale, found_zero = tensor["quantization"]
    found = (tensor["dtype"] == np.int8, tuple(int(v) for v in tensor["shape"]), int(found_zero))
    if found != (True, (1, *shape), zero_point) or np.float32(found_scale) != np.float32(scale):
        raise BundleError(
            f"{graph.model.file} and the contract disagree about {tensor['name']}",
            value=f"{np.dtype(tensor['dtype']).name} {found[1]} scale {found_scale} zero point {found_zero}",
            remedy=_REMEDY,
        )


def check_decoder(interpreter: Any, contract: Contract) -> tuple[int, int]:
    """Tensor indices (latent, quality) of the decoder's inputs, told apart by shape.

    Raises:
        BundleError: it does not take float32 latent (B, h, w, c) and quality (B, 1).
    """
    graph = contract.device_graphs[0]
    name = contract.decoder.file
    wanted = {(graph.height, graph.width, graph.channels): 0, (1,): 1}
    indices: dict[int, int] = {}
    details = interpreter.get_input_details()
    for tensor in details:
        role = wanted.get(tuple(int(v) for v in tensor["shape"][1:]))
        if tensor["dtype"] != np.float32 or role is None or role in indices:
            raise BundleError(
                f"{name}: unexpected input {tensor['name']}", value=tensor["shape"].tolist(), remedy=_REMEDY
            )
        indices[role] = int(tensor["index"])
    if set(indices) != {0, 1}:
        raise BundleError(f"{name} needs the inputs latent and {contract.quality.name}", remedy=_REMEDY)
    return indices[0], indices[1]
