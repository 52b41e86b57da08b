"""A program around one graph that has none: to try whether a device runs it, and to measure it."""

from __future__ import annotations

from semflash.program.program import Program
from semflash.program.quality import Ber
from semflash.program.stages import TailTable
from semflash.program.tensors import Codes, Tensor, Values
from semflash_codegen.passes import validate
from semflash_codegen.plan import image_rows
from semflash_codegen.simplify import simplify
from semflash_codegen.tflite_reader import read_model

GRAPH = "encoder"


def program_around(model: bytes, tail: TailTable) -> Program:
    """One graph, named GRAPH, and one tail; the image is as many rows as the model takes.

    Args:
        model: The .tflite file.
        tail: It must fit the model's output.

    Raises:
        MalformedModelError, UnsupportedModelError: The model.
    """
    graph = simplify(read_model(model))
    validate(graph)
    source, output = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    rows, row_bytes = image_rows(source)
    latent = (output.elements // tail.channels, tail.channels)
    return Program.of_graph(
        GRAPH,
        Tensor("image", (rows, row_bytes, 1), Values(source.scale, source.zero_point)),
        Tensor("latent", latent, Values(output.scale, output.zero_point)),
        tail,
        Codes(tail.levels),
        Ber(0.0, 0.0),
    )
