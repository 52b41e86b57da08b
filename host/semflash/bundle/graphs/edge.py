"""The edge graphs of a bundle against its contract, without an interpreter."""

from __future__ import annotations

from collections.abc import Mapping

from semflash.bundle.graphs.edge_graph import BATCHES, read_edge_graph
from semflash.bundle.models import bind
from semflash.bundle.schema import Contract, ControlInput, EdgeInput, GraphInput, QualityInput
from semflash.errors import BundleError

Shape = tuple[int, ...]


def check_edge(contract: Contract, models: Mapping[str, bytes]) -> int:
    """Check the edge graphs, one behind the other, for one image and for several.

    Args:
        models: contents of the .tflite files, by the names of the edge graphs.

    Returns:
        the most numbers in any tensor on the way, for one image.

    Raises:
        BundleError: a graph that LiteRT must not see, or that does not fit the contract.
    """
    graphs = {each.name: read_edge_graph(models[each.name], each.file.file) for each in contract.edge}
    largest = 0
    for batch in BATCHES:
        outputs: dict[str, Shape] = {}
        for each in contract.edge:
            graph = graphs[each.name]
            places = bind([t.name for t in graph.inputs], [given.name for given in each.inputs], graph.file)
            shapes = {
                graph.model.inputs[place]: (batch, *_shape(contract, given, outputs))
                for place, given in zip(places, each.inputs, strict=True)
            }
            found, most = graph.follow(shapes)
            outputs[each.name] = found[1:]
            largest = max(largest, -(-most // batch))
            if each.name == contract.picture:
                image = contract.program.tensor(contract.program.image).shape
                _expect(graph.file, "picture", found, (batch, *image))
        _expect(graph.file, "output", found, (batch, *contract.output.shape))
    return largest


def _expect(file: str, what: str, found: Shape, expected: Shape) -> None:
    if found != expected:
        raise BundleError(
            f"{file} and the contract disagree about the {what}",
            value=f"{found}, expected {expected}",
            remedy="export the bundle again",
        )


def _shape(contract: Contract, given: EdgeInput, outputs: Mapping[str, Shape]) -> Shape:
    """Shape of what an input of an edge graph is fed with, for one image."""
    match given:
        case GraphInput():
            return outputs[given.graph]
        case QualityInput() | ControlInput():
            return (1,)
        case _:
            return contract.program.tensor(given.tensor).shape
