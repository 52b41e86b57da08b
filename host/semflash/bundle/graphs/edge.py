"""Decoder and task tail of a bundle against its contract, without an interpreter."""

from __future__ import annotations

from semflash.bundle.graphs.edge_graph import BATCHES, EdgeGraph, read_edge_graph
from semflash.bundle.models import output_shape
from semflash.bundle.schema import Contract
from semflash.errors import BundleError

_REMEDY = "export the bundle again"


def check_edge(contract: Contract, decoder: bytes, tail: bytes) -> int:
    """Check both edge graphs, one behind the other, for one image and for several.

    Args:
        decoder, tail: contents of the two .tflite files.

    Returns:
        the most numbers in any tensor on the way, for one image.

    Raises:
        BundleError: a graph that LiteRT must not see, or that does not fit the contract.
    """
    first = read_edge_graph(decoder, contract.decoder.file)
    second = read_edge_graph(tail, contract.task_tail.file)
    latent, quality = _decoder_inputs(first, contract)
    if len(second.inputs) != 1:
        raise BundleError(f"{second.file} needs one input", value=len(second.inputs), remedy=_REMEDY)
    graph, largest = contract.device_graphs[0], 0
    for batch in BATCHES:
        shape = (batch, graph.height, graph.width, graph.channels)
        features, most = first.follow({latent: shape, quality: (batch, 1)})
        outputs, more = second.follow({second.model.inputs[0]: features})
        largest = max(largest, -(-max(most, more) // batch))
        if outputs != (batch, *output_shape(contract)):
            raise BundleError(
                f"{second.file} and the contract disagree about the output",
                value=f"{outputs}, expected {(batch, *output_shape(contract))}",
                remedy=_REMEDY,
            )
    return largest


def _decoder_inputs(decoder: EdgeGraph, contract: Contract) -> tuple[int, int]:
    """Tensor indices (latent, quality), told apart by shape."""
    graph = contract.device_graphs[0]
    wanted = {(graph.height, graph.width, graph.channels): 0, (1,): 1}
    indices: dict[int, int] = {}
    for tensor in decoder.inputs:
        role = wanted.get(tensor.shape[1:])
        if role is None or role in indices:
            raise BundleError(
                f"{decoder.file}: unexpected input {tensor.name}", value=list(tensor.shape), remedy=_REMEDY
            )
        indices[role] = tensor.index
    if set(indices) != {0, 1}:
        raise BundleError(
            f"{decoder.file} needs the inputs latent and {contract.quality.name}", remedy=_REMEDY
        )
    return indices[0], indices[1]
