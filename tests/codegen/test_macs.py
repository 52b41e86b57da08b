"""The count of multiply-accumulates, against what an interpreter adds up and what others have counted.

An operator whose weights and image are all ones adds up its products: without padding, the sum over its
output is the number of multiply-accumulates. LiteRT does the adding.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from codegen.fused import fixed_models
from codegen.golden import load, request_for, request_with, table_tail
from codegen.graph_builder import GraphBuilder
from semflash_codegen import generate
from semflash_codegen.errors import MalformedModelError
from semflash_codegen.ir import Model, Operator
from semflash_codegen.macs import macs
from semflash_codegen.tflite_reader import read_model

VALID = 1
WINDOW = {"padding": VALID, "strideW": 1, "strideH": 1}


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def convolution(stride: int = 1, dilation: int = 1) -> bytes:
    graph = GraphBuilder((1, 9, 8, 3), None, "FLOAT32")  # type: ignore[arg-type]
    reach = 2 * dilation
    sides = (-(-(9 - reach) // stride), -(-(8 - reach) // stride))
    output = graph.activation((1, *sides, 5), None, "FLOAT32")
    inputs = (graph.source, graph.constant(ones(5, 3, 3, 3)), graph.constant(np.zeros(5, np.float32)))
    fields = WINDOW | {"strideW": stride, "strideH": stride}
    fields |= {"dilationWFactor": dilation, "dilationHFactor": dilation}
    return graph.finish(graph.operator("CONV_2D", inputs, output, "Conv2D", **fields))


def depthwise() -> bytes:
    graph = GraphBuilder((1, 7, 6, 3), None, "FLOAT32")  # type: ignore[arg-type]
    output = graph.activation((1, 5, 5, 6), None, "FLOAT32")
    inputs = (graph.source, graph.constant(ones(1, 3, 2, 6)), graph.constant(np.zeros(6, np.float32)))
    fields = WINDOW | {"depthMultiplier": 2}
    return graph.finish(graph.operator("DEPTHWISE_CONV_2D", inputs, output, "DepthwiseConv2D", **fields))


def transposed() -> bytes:
    graph = GraphBuilder((1, 3, 4, 5), None, "FLOAT32")  # type: ignore[arg-type]
    shape = (1, 8, 10, 7)
    output = graph.activation(shape, None, "FLOAT32")
    inputs = (graph.constant(np.array(shape, np.int32)), graph.constant(ones(7, 4, 4, 5)), graph.source)
    fields = WINDOW | {"strideW": 2, "strideH": 2}
    return graph.finish(graph.operator("TRANSPOSE_CONV", inputs, output, "TransposeConv", **fields))


def dense() -> bytes:
    graph = GraphBuilder((4, 11), None, "FLOAT32")  # type: ignore[arg-type]
    output = graph.activation((4, 3), None, "FLOAT32")
    inputs = (graph.source, graph.constant(ones(3, 11)), graph.constant(np.zeros(3, np.float32)))
    return graph.finish(graph.operator("FULLY_CONNECTED", inputs, output, "FullyConnected"))


def product(transpose: bool) -> bytes:
    graph = GraphBuilder((2, 5, 3) if transpose else (2, 3, 5), None, "FLOAT32")  # type: ignore[arg-type]
    output = graph.activation((2, 3, 7), None, "FLOAT32")
    inputs = (graph.source, graph.constant(ones(2, 5, 7)))
    return graph.finish(graph.operator("BATCH_MATMUL", inputs, output, "BatchMatMul", adjX=transpose))


GRAPHS: dict[str, Callable[[], bytes]] = {
    "CONV_2D": convolution,
    "CONV_2D with a stride": lambda: convolution(stride=2),
    "CONV_2D with dilation": lambda: convolution(dilation=2),
    "DEPTHWISE_CONV_2D": depthwise,
    "TRANSPOSE_CONV": transposed,
    "FULLY_CONNECTED of four rows": dense,
    "BATCH_MATMUL": lambda: product(transpose=False),
    "BATCH_MATMUL, transposed": lambda: product(transpose=True),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_the_count_is_what_an_interpreter_adds_up(name: str) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    data = GRAPHS[name]()
    interpreter = litert.Interpreter(
        model_content=data, experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    (source,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(source["index"], np.ones(source["shape"], np.float32))
    interpreter.invoke()
    model = read_model(data)
    assert macs(model, model.operators[0]) == interpreter.get_tensor(output["index"]).sum() > 0


@pytest.mark.parametrize(("side", "count"), [(32, 239_616), (96, 2_156_544)])
def test_the_encoders_that_were_measured_elsewhere_have_the_macs_that_were_counted_there(
    side: int, count: int
) -> None:
    """Conv 3x3 stride 2 SAME 24, Conv 4x4 stride 4 VALID 12: padding counts, as it does in the field."""
    assert count == (side // 2) ** 2 * 24 * 27 + (side // 8) ** 2 * 12 * 16 * 24
    data = fixed_models.stem_and_encoder(side)
    model = read_model(data)
    assert sum(macs(model, op) for op in model.operators) == count
    for kernels in ("auto", "cmsis-nn", "reference"):
        assert generate(request_with(data, table_tail(data), kernels=kernels)).report.macs == count, kernels


def test_layers_of_a_report_add_up_and_those_without_sums_count_nothing() -> None:
    report = generate(request_for(load("residual"))).report
    assert sum(layer.macs for layer in report.layers) == report.macs
    without = [layer.macs for layer in report.layers if layer.operator in ("ADD", "MAX_POOL_2D", "RELU")]
    assert without and not any(without)


def test_an_elementwise_product_is_not_summed_up_and_counts_nothing() -> None:
    graph = GraphBuilder((1, 2, 2, 3), (0.5, 0))
    output = graph.activation((1, 2, 2, 3), (0.5, 0))
    model = read_model(graph.finish(graph.operator("MUL", (graph.source, graph.source), output, "Mul")))
    assert macs(model, model.operators[0]) == 0


def test_an_operator_without_its_weights_is_malformed() -> None:
    model = read_model(load("enc32"))
    for inputs in ((0,), (0, -1)):
        op = Operator(0, "CONV_2D", inputs, model.operators[0].outputs)
        with pytest.raises(MalformedModelError, match="lacks input 1"):
            macs(model, op)


def test_weights_of_another_rank_are_malformed() -> None:
    model: Model = read_model(load("enc32"))
    op = Operator(0, "FULLY_CONNECTED", model.operators[0].inputs, model.operators[0].outputs)
    with pytest.raises(MalformedModelError, match="2 dimensions"):
        macs(model, op)
