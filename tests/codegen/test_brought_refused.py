"""What networks of users have and a device has not: refused by name, with what helps."""

from __future__ import annotations

import flatbuffers
import pytest

from codegen.golden import table_tail
from codegen.graph_builder import GraphBuilder
from semflash_codegen import CodegenError
from semflash_codegen.alone import program_around
from semflash_codegen.passes import make_plan
from semflash_codegen.tflite_reader import read_model

Q = (0.05, -3)


def test_a_network_that_is_uint8_inside_is_refused_with_its_cause() -> None:
    g = GraphBuilder((1, 4, 4, 2), Q, "UINT8")
    window = {"padding": 1, "strideW": 1, "strideH": 1, "filterWidth": 2, "filterHeight": 2}
    output = g.activation((1, 3, 3, 2), None, "UINT8")
    model = g.finish(g.operator("MAX_POOL_2D", [g.source], output, "Pool2D", **window))
    with pytest.raises(CodegenError, match="network inside is not int8") as caught:
        make_plan(read_model(model), "auto")
    assert "TensorFlow 2" in caught.value.remedy


def test_two_outputs_are_refused_by_their_names() -> None:
    g = GraphBuilder((1, 4, 4, 2), Q)
    window = {"padding": 1, "strideW": 1, "strideH": 1, "filterWidth": 2, "filterHeight": 2}
    first = g.operator("MAX_POOL_2D", [g.source], g.activation((1, 3, 3, 2), Q), "Pool2D", **window)
    second = g.operator("RELU", [first], g.activation((1, 3, 3, 2), Q))
    data = g.finish(first)
    g.graph.outputs = [first, second]
    with pytest.raises(CodegenError, match="gives 't1', 't2'") as caught:
        builder = flatbuffers.Builder(1024)
        builder.Finish(g.model.Pack(builder), b"TFL3")
        program_around(bytes(builder.Output()), table_tail(data))
    assert "Concatenate" in caught.value.remedy


@pytest.mark.parametrize("name", ["UNIDIRECTIONAL_SEQUENCE_LSTM", "SVDF", "VAR_HANDLE", "WHILE"])
def test_an_operator_with_memory_is_refused_by_its_name(name: str) -> None:
    g = GraphBuilder((1, 4, 4, 2), Q)
    model = g.finish(g.operator(name, [g.source], g.activation((1, 4, 4, 2), Q)))
    with pytest.raises(CodegenError, match=f"layer 0 {name} .*keeps state between images") as caught:
        make_plan(read_model(model), "auto")
    assert "memory" in caught.value.remedy


def test_int4_variables_and_graphs_in_the_graph_are_refused_by_their_names() -> None:
    for change, says in (
        ("type", "is int4"),
        ("variable", "is a variable: .* state"),
        ("graph", "has WHILE"),
    ):
        g = GraphBuilder((1, 4, 4, 2), Q)
        output = g.operator(
            "WHILE" if change == "graph" else "RELU", [g.source], g.activation((1, 4, 4, 2), Q)
        )
        tensor = g.graph.tensors[output]
        tensor.type, tensor.isVariable = (17 if change == "type" else tensor.type), change == "variable"
        g.model.subgraphs *= 2 if change == "graph" else 1
        with pytest.raises(CodegenError, match=says) as caught:
            read_model(g.finish(output))
        assert "int8" in caught.value.remedy or "without memory" in caught.value.remedy


def test_where_the_batch_is_open_the_remedy_of_an_operator_says_so() -> None:
    g = GraphBuilder((1, 4, 4, 2), Q)
    model = g.finish(g.operator("FILL", [g.source], g.activation((1, 4, 4, 2), Q)))
    assert "batch_size" not in refusal(model)
    g.graph.tensors[g.source].shapeSignature = [-1, 4, 4, 2]
    assert "set batch_size=1" in refusal(g.finish(g.graph.outputs[0]))
    g = GraphBuilder((4, 4, 4, 2), Q)
    assert "set batch_size=1" in refusal(
        g.finish(g.operator("RELU", [g.source], g.activation((4, 4, 4, 2), Q)))
    )


def refusal(model: bytes) -> str:
    """The remedy of the refusal."""
    with pytest.raises(CodegenError) as caught:
        make_plan(read_model(model), "auto")
    return caught.value.remedy
