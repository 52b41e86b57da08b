"""A contract of schema version 1 as a device program: one graph, one tail, one region.

The contract stays as it is, so that the bundle keeps its hash.
"""

from __future__ import annotations

from semflash.bundle.schema import Contract
from semflash.program.layout import Layout, Region
from semflash.program.program import Program
from semflash.program.quality import Ber
from semflash.program.stages import Graph, Tail
from semflash.program.tensors import Codes, Tensor, Values

IMAGE, LATENT, CODES = "image", "latent", "codes"


def from_contract(contract: Contract) -> Program:
    """The program that a checked contract of version 1 describes."""
    image, graph = contract.input, contract.device_graphs[0]
    tail = contract.device_tail
    latent = (graph.height, graph.width, graph.channels)
    return Program(
        image=IMAGE,
        tensors=(
            Tensor(IMAGE, (image.height, image.width, image.channels), Values(image.scale, image.zero_point)),
            Tensor(LATENT, latent, Values(graph.scale, graph.zero_point)),
            Tensor(CODES, latent, Codes(tail.levels, tuple(contract.centres))),
        ),
        stages=(
            Graph(graph.name, (IMAGE,), (LATENT,)),
            Tail(LATENT, CODES, (tail,)),
        ),
        payload=Layout((Region(CODES, contract.payload.bits_per_symbol),)),
        quality=Ber(contract.channel.ber_min, contract.channel.ber_max),
    )
