"""What the export proves before it writes anything.

1. TFLite-Micro and LiteRT's BUILTIN_REF give the same payloads for the device program.
2. The float32 .tflite files of the edge side compute what the Keras models compute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from semflash.bundle.models import bind
from semflash.bundle.schema import Contract, ControlInput, GraphInput, QualityInput, ReceivedInput
from semflash.codecs.edge_side import EdgeGraphSpec
from semflash.conversion.device import QuantisedDevice
from semflash.errors import ExportError, ModelError
from semflash.program.payload import Payloads, decode
from semflash.program.program import Program
from semflash.program.reference.receive import values
from semflash.program.reference.run import Run, run
from semflash.program.used_controls import used_controls
from semflash.runtime.litert import load_interpreter, single
from semflash.runtime.reference import ReferenceGraph
from semflash.runtime.reference_run import TFLM, Ends, run_reference
from semflash.training.task import evaluation_batch

BATCH = 256
ARENA_SLACK = 4
#: float32 sums of a few hundred terms in another order; relative to the largest value.
EDGE_TOLERANCE = 1e-3

Array = NDArray[np.float32]


def run_device(device: QuantisedDevice, images: NDArray[np.uint8]) -> Run:
    """The program on images uint8 (N, H, W, C), its graphs on LiteRT's reference kernels."""
    graphs = {name: ReferenceGraph(model, name) for name, model in device.models.items()}
    return run(device.program, to_int8(images), lambda name, inputs: graphs[name].run_all(inputs))


def to_int8(images: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Pixels as the device sees them, pixel - 128."""
    return np.bitwise_xor(images, np.uint8(0x80)).view(np.int8)


def prove_device(device: QuantisedDevice, images: NDArray[np.uint8], arenas: Mapping[str, int]) -> None:
    """Run both references and compare every code.

    Args:
        images: uint8 (N, H, W, C).
        arenas: what TFLite-Micro was measured to need, by graph.

    Raises:
        ExportError: they differ; says in how many payloads and in which image first.
    """

    def on_tflm(name: str, inputs: Sequence[NDArray[np.int8]]) -> list[NDArray[np.int8]]:
        (stage,) = (graph for graph in device.program.graphs if graph.name == name)
        shape = device.program.tensor(stage.outputs[0]).shape
        found = run_tflm(device.models[name], inputs[0], ARENA_SLACK * arenas[name])
        return [found.reshape(len(inputs[0]), *shape)]

    reference = run_device(device, images).sent
    micro = run(device.program, to_int8(images), on_tflm).sent
    wrong = (micro.payloads != reference.payloads).any(axis=1) | (micro.bits != reference.bits)
    if wrong.any():
        raise ExportError(
            "TFLite-Micro and BUILTIN_REF give different codes",
            value=f"{int(wrong.sum())} of {wrong.size} images, the first is number {int(wrong.argmax())}",
            remedy="replace the operator both implement differently (FULLY_CONNECTED is known to differ)",
        )


def run_tflm(model: bytes, values: NDArray[np.int8], arena_bytes: int) -> NDArray[np.int8]:
    """Outputs int8 (N, values per image) of the TFLite-Micro interpreter, image by image, in a child.

    Args:
        model: The int8 graph, batch of one.
        values: int8 (N, ...).
        arena_bytes: Tensor arena.

    Raises:
        ExportError: TFLite-Micro refuses the graph, or dies of it.
    """
    ends = Ends(1.0, 0), Ends(1.0, 0)  # both ends of a device graph are int8
    try:
        return run_reference(TFLM, model, values, ends, arena_bytes)
    except ModelError as error:
        raise ExportError("TFLite-Micro does not run the device graph", value=error.value) from error


def received(program: Program, graphs: Sequence[EdgeGraphSpec], sent: Payloads) -> dict[str, Array]:
    """Real values by tensor, float32 (N, ...), of payloads that arrived whole: what the edge graphs read."""
    arrived = decode(program, sent.payloads, sent.bits)
    names = {i.tensor for graph in graphs for i in graph.inputs if isinstance(i, ReceivedInput)}
    return {name: values(program, arrived, name) for name in names}


def run_edge(
    graphs: Sequence[EdgeGraphSpec],
    inputs: Mapping[str, Array],
    quality: Array,
    controls: Mapping[str, Array],
) -> dict[str, Array]:
    """Outputs of the Keras edge side by graph, float32 (N, ...).

    Args:
        inputs: Of :func:`received`.
        quality: What is told, float32 (N, 1).
        controls: What the device used, of :func:`semflash.program.used_controls.used_controls`.
    """
    outputs: dict[str, Array] = {}
    for graph in graphs:
        outputs[graph.name] = run_model(graph.model, *_fed(graph, inputs, outputs, quality, controls))
    return outputs


def run_model(model: keras.Model, *inputs: Array) -> Array:
    """Output of a Keras model, a few hundred images at a time."""
    parts, size = [], min(BATCH, evaluation_batch(model.output_shape[1:]))
    for start in range(0, len(inputs[0]), size):
        batch = [each[start : start + size] for each in inputs]
        parts.append(keras.ops.convert_to_numpy(model(batch if len(batch) > 1 else batch[0], training=False)))
    return np.concatenate(parts)


def prove_edge(
    graphs: Sequence[EdgeGraphSpec],
    files: Mapping[str, bytes],
    contract: Contract,
    inputs: Mapping[str, Array],
) -> None:
    """Compare each .tflite file of the edge side with its Keras model on real input.

    Args:
        files: contents by graph.
        inputs: of :func:`received`; the quality sweeps the range of the training, each control its values.

    Raises:
        ExportError: outputs differ by more than 1e-3 of the largest, or there is not one per class.
    """
    count = len(next(iter(inputs.values())))
    told = contract.program.quality
    quality = np.linspace(told.low, told.high, count, dtype=np.float32)[:, None]
    swept = {
        one.name: one.low + np.arange(count) % (one.high - one.low + 1) for one in contract.program.controls
    }
    controls = used_controls(contract.program.controls, swept, count)
    expected = run_edge(graphs, inputs, quality, controls)
    last = expected[graphs[-1].name]
    if last.shape[1:] != contract.output.shape:
        raise ExportError(
            f"the data set has {len(contract.class_names)} classes, the task tail gives another number",
            value=last.shape[1:],
            remedy="use the data set of the training",
        )
    for graph in graphs:
        found = _run_file(graph, files[graph.name], _fed(graph, inputs, expected, quality, controls))
        difference = float(np.abs(found - expected[graph.name]).max())
        if not difference <= EDGE_TOLERANCE * max(1.0, float(np.abs(expected[graph.name]).max())):
            raise ExportError(f"{graph.name}.tflite differs from the Keras model", value=difference)


def _run_file(graph: EdgeGraphSpec, data: bytes, inputs: Sequence[Array]) -> Array:
    """Output of a .tflite file, image by image."""
    interpreter = load_interpreter(data, graph.name)
    details = interpreter.get_input_details()
    names = [i.name for i in graph.inputs]
    places = bind([each["name"] for each in details], names, f"{graph.name}.tflite")
    interpreter.allocate_tensors()
    output = int(single(interpreter.get_output_details(), graph.name)["index"])
    found = []
    for row in range(len(inputs[0])):
        for place, each in zip(places, inputs, strict=True):
            interpreter.set_tensor(details[place]["index"], each[row][None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(output))
    return np.concatenate(found)


def _fed(
    graph: EdgeGraphSpec,
    inputs: Mapping[str, Array],
    outputs: Mapping[str, Array],
    quality: Array,
    controls: Mapping[str, Array],
) -> list[Array]:
    """What an edge graph is fed with, in the order of its inputs."""
    fed = []
    for given in graph.inputs:
        match given:
            case ReceivedInput():
                fed.append(inputs[given.tensor])
            case GraphInput():
                fed.append(outputs[given.graph])
            case QualityInput():
                fed.append(quality)
            case ControlInput():
                fed.append(controls[given.control])
    return fed
