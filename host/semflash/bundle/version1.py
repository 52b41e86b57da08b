"""A contract of schema version 1 as a device program: one graph, one tail, one region.

The contract stays as it is, so that the bundle keeps its hash.
"""

from __future__ import annotations

from semflash.bundle.schema import Contract
from semflash.program.program import Program
from semflash.program.quality import Ber
from semflash.program.tensors import Codes, Tensor, Values


def from_contract(contract: Contract) -> Program:
    """The program that a checked contract of version 1 describes."""
    image, graph, tail = contract.input, contract.device_graphs[0], contract.device_tail
    pixels = Values(image.scale, image.zero_point)
    return Program.of_graph(
        graph.name,
        Tensor("image", (image.height, image.width, image.channels), pixels),
        Tensor("latent", (graph.height, graph.width, graph.channels), Values(graph.scale, graph.zero_point)),
        tail,
        Codes(tail.levels, tuple(contract.centres)),
        Ber(contract.channel.ber_min, contract.channel.ber_max),
    )
