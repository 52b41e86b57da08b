"""Each refusal of each operator, one change away from a graph that compiles; and the schema's numbers."""

from __future__ import annotations

import struct
from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as litert

import programs
from codegen.golden import request_for
from codegen.graph_builder import GraphBuilder
from semflash.errors import ProgramError
from semflash.program.checks import check_tail
from semflash.program.stages import TailTable
from semflash_codegen import CodegenError, CodegenRequest, generate
from semflash_codegen.errors import MalformedModelError, RequestError
from semflash_codegen.flatbuffer import MAX_TEXT_BYTES, Table
from semflash_codegen.schema import OPERATOR_NAMES, Options, operator_name
from semflash_codegen.stage_text import table_bytes

Q = (0.05, -3)
SHAPE = (1, 4, 5, 3)
Array = np.ndarray
W = (0.01, 0)


def ints(*values: int, shape: tuple[int, ...] | None = None) -> Array:
    array = np.array(values, np.int32)
    return array if shape is None else array.reshape(shape)


def bytes_of(*shape: int, value: int = 1) -> Array:
    return np.full(shape, value, np.int8)


def conv(
    weights: Array | None = None,
    *,
    scale: tuple[object, int] | None = W,
    bias: Array | None = None,
    axis: int = 0,
    out: tuple[int, ...] = (1, 4, 5, 2),
    **options: int,
) -> bytes:
    """CONV_2D with 1x1 weights (2, 1, 1, 3) unless told otherwise."""
    g = GraphBuilder(SHAPE, Q)
    values = bytes_of(2, 1, 1, 3) if weights is None else weights
    inputs = [g.source, g.constant(values, scale, axis)]  # type: ignore[arg-type]
    inputs.append(g.constant(ints(0, 0) if bias is None else bias))
    fields = {"padding": 1, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1} | options
    return g.finish(g.operator("CONV_2D", inputs, g.activation(out, Q), "Conv2D", **fields))


def depthwise(shape: tuple[int, ...] = (1, 1, 1, 3), multiplier: int = 1, channels: int = 3) -> bytes:
    g = GraphBuilder(SHAPE, Q)
    inputs = [g.source, g.constant(bytes_of(*shape), W), g.constant(np.zeros(channels, np.int32))]
    fields = {"padding": 1, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    out = g.activation((1, 4, 5, channels), Q)
    return g.finish(
        g.operator("DEPTHWISE_CONV_2D", inputs, out, "DepthwiseConv2D", depthMultiplier=multiplier, **fields)
    )


def dense(shape: tuple[int, ...] = (2, 60), out: tuple[int, ...] = (1, 2), **options: int) -> bytes:
    g = GraphBuilder((1, 60), Q)
    inputs = [g.source, g.constant(bytes_of(*shape), W), g.constant(ints(0, 0))]
    return g.finish(g.operator("FULLY_CONNECTED", inputs, g.activation(out, Q), "FullyConnected", **options))


def pad(
    pairs: Array | None = None, out: tuple[int, ...] = (1, 6, 5, 3), *, quantisation: object = Q
) -> bytes:
    g = GraphBuilder(SHAPE, Q)
    values = ints(0, 0, 1, 1, 0, 0, 0, 0, shape=(4, 2)) if pairs is None else pairs
    output = g.activation(out, quantisation)  # type: ignore[arg-type]
    return g.finish(g.operator("PAD", [g.source, g.constant(values)], output, "Pad"))


def padv2(value: Array | None, quantisation: tuple[float, int] = Q) -> bytes:
    g = GraphBuilder(SHAPE, Q)
    pairs = g.constant(ints(0, 0, 1, 1, 0, 0, 0, 0, shape=(4, 2)))
    filler = g.source if value is None else g.constant(value, quantisation)
    return g.finish(g.operator("PADV2", [g.source, pairs, filler], g.activation((1, 6, 5, 3), Q), "PadV2"))


def pool(name: str = "MAX_POOL_2D", *, quantisation: object = Q, **options: int) -> bytes:
    g = GraphBuilder(SHAPE, Q)
    fields = {"padding": 1, "strideH": 1, "strideW": 1, "filterHeight": 2, "filterWidth": 2} | options
    output = g.activation((1, 3, 4, 3), quantisation)  # type: ignore[arg-type]
    return g.finish(g.operator(name, [g.source], output, "Pool2D", **fields))


def mean(axes: Array, out: tuple[int, ...] = (1, 1, 1, 3), *, scale: float = 0.05) -> bytes:
    g = GraphBuilder(SHAPE, Q)
    output = g.activation(out, (scale, -3))
    return g.finish(
        g.operator("MEAN", [g.source, g.constant(axes)], output, "Reducer", keepDims=len(out) == 4)
    )


def resize(size: Array, out: tuple[int, ...] = (1, 8, 10, 3), *, quantisation: object = Q) -> bytes:
    g = GraphBuilder(SHAPE, Q)
    inputs = [g.source, g.constant(size, Q if size.dtype == np.int8 else None)]
    output = g.activation(out, quantisation)  # type: ignore[arg-type]
    return g.finish(g.operator("RESIZE_BILINEAR", inputs, output, "ResizeBilinear"))


def prelu(alpha: Array | None = None, out: tuple[int, ...] = SHAPE, *, scale: float = 0.05) -> bytes:
    g = GraphBuilder(SHAPE, Q)
    values = bytes_of(1, 1, 3) if alpha is None else alpha
    return g.finish(g.operator("PRELU", [g.source, g.constant(values, W)], g.activation(out, (scale, -3))))


def unary(
    name: str, out: tuple[int, ...] = SHAPE, quantisation: tuple[float, int] = Q, **options: float
) -> bytes:
    g = GraphBuilder(SHAPE, Q)
    kind = "LeakyRelu" if name == "LEAKY_RELU" else None
    return g.finish(g.operator(name, [g.source], g.activation(out, quantisation), kind, **options))


def add(*, constant: bool = False, scale: float = 0.05, out: tuple[int, ...] = SHAPE) -> bytes:
    g = GraphBuilder(SHAPE, Q)
    other = g.constant(bytes_of(*SHAPE), Q) if constant else g.source
    return g.finish(g.operator("ADD", [g.source, other], g.activation(out, (scale, -3)), "Add"))


def concatenation(axis: int, out: tuple[int, ...], **options: int) -> bytes:
    g = GraphBuilder(SHAPE, Q)
    output = g.activation(out, Q)
    return g.finish(
        g.operator("CONCATENATION", [g.source] * 2, output, "Concatenation", axis=axis, **options)
    )


def transposed(
    shape: Array | None = None, weights: tuple[int, ...] = (2, 3, 3, 3), out: tuple[int, ...] = (1, 8, 10, 2)
) -> bytes:
    g = GraphBuilder(SHAPE, Q)
    size = g.constant(
        ints(*out) if shape is None else shape, Q if shape is not None and shape.dtype == np.int8 else None
    )
    inputs = [size, g.constant(bytes_of(*weights), W), g.source]
    options = {"padding": 0, "strideH": 2, "strideW": 2}
    return g.finish(g.operator("TRANSPOSE_CONV", inputs, g.activation(out, Q), "TransposeConv", **options))


GOOD: list[Callable[[], bytes]] = [
    conv,
    depthwise,
    dense,
    pad,
    pool,
    prelu,
    add,
    transposed,
    lambda: padv2(bytes_of(1)),
    lambda: pool("AVERAGE_POOL_2D"),
    lambda: mean(ints(1, 2)),
    lambda: mean(ints(-3, -2)),
    lambda: mean(ints(1, 2), (1, 3)),
    lambda: resize(ints(8, 10)),
    lambda: concatenation(3, (1, 4, 5, 6)),
    lambda: concatenation(-1, (1, 4, 5, 6)),
    lambda: concatenation(1, (1, 8, 5, 3)),
    lambda: unary("RELU"),
    lambda: unary("RELU6"),
    lambda: unary("QUANTIZE", quantisation=(0.1, 4)),
    lambda: unary("LEAKY_RELU", alpha=0.0),
    lambda: depthwise((1, 1, 1, 6), 2, 6),
    lambda: conv(bytes_of(2, 1, 1, 3), scale=([0.01, 0.02], 0)),
]


@pytest.mark.parametrize("make", GOOD, ids=range(len(GOOD)))
def test_the_graphs_that_the_refusals_start_from_compile(make: Callable[[], bytes]) -> None:
    assert generate(request_for(make())).files["sf_model.c"]


LONG = np.array([0, 0, 1, 1, 0, 0, 0, 0], np.int32)
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "weights of three dimensions": (lambda: conv(bytes_of(2, 1, 3)), "four dimensions"),
    "a grouped convolution": (lambda: conv(bytes_of(2, 1, 1, 1)), "grouped convolution"),
    "weights that are int32": (
        lambda: conv(ints(1, 1, 1, 1, 1, 1, shape=(2, 1, 1, 3))),
        "weights are not int8",
    ),
    "weights without scale": (lambda: conv(scale=None), "not quantised"),
    "weights with a zero point": (lambda: conv(scale=(0.01, 1)), "not symmetric"),
    "scales along another axis": (lambda: conv(scale=([0.01, 0.02], 0), axis=3), "along axis 0"),
    "a scale too many": (lambda: conv(scale=([0.01, 0.02, 0.03], 0)), "one scale per output channel"),
    "a bias too long": (lambda: conv(bias=ints(0, 0, 0)), "bias must have 2 values"),
    "a bias of int8": (lambda: conv(bias=bytes_of(2)), "bias is not a constant of type int32"),
    "a bias that leaves int32": (lambda: conv(bias=ints(0, 2**31 - 1)), "output channel 1 can leave int32"),
    "an output of another shape": (lambda: conv(out=(1, 4, 5, 3)), "shape of"),
    "an unknown padding": (lambda: conv(padding=2), "unknown padding"),
    "a stride of zero": (lambda: conv(strideH=0), "1..255"),
    "a stride of 256": (lambda: conv(strideW=256), "1..255"),
    "a dilation of zero": (lambda: conv(dilationHFactor=0), "1..255"),
    "an unknown activation": (lambda: conv(fusedActivationFunction=4), "activation"),
    "a kernel larger than the image": (
        lambda: conv(bytes_of(2, 5, 1, 3), out=(1, 1, 5, 2)),
        "larger than its input",
    ),
    "depthwise weights of two images": (lambda: depthwise((2, 1, 1, 3)), "shape"),
    "channels that do not divide": (lambda: depthwise((1, 1, 1, 4), 1, 4), "multiplier|channels"),
    "another multiplier than the weights'": (lambda: depthwise((1, 1, 1, 6), 3, 6), "multiplier|channels"),
    "dense weights of three dimensions": (lambda: dense((2, 6, 10)), "two dimensions"),
    "shuffled dense weights": (lambda: dense(weightsFormat=1), "shuffled"),
    "dense weights that do not divide": (lambda: dense((2, 50)), "layer 0"),
    "a dense output of another shape": (lambda: dense(out=(1, 1)), "layer 0"),
    "paddings of another shape": (lambda: pad(LONG), "shape \\(4, 2\\)"),
    "paddings that are int8": (lambda: pad(LONG.astype(np.int8).reshape(4, 2)), "shape \\(4, 2\\)"),
    "a padded batch": (lambda: pad(ints(0, 1, 1, 1, 0, 0, 0, 0, shape=(4, 2)), (1, 6, 5, 3)), "batch"),
    "a negative padding": (
        lambda: pad(ints(0, 0, 2, -1, 0, 0, 0, 0, shape=(4, 2)), (1, 5, 5, 3)),
        "negative",
    ),
    "padding to another scale": (lambda: pad(quantisation=(0.06, -3)), "same scale"),
    "padding to another zero point": (lambda: pad(quantisation=(0.05, -2)), "same scale"),
    "padding to another shape": (lambda: pad(out=(1, 7, 5, 3)), "shape of"),
    "a padding value that is computed": (lambda: padv2(None), "one constant"),
    "two padding values": (lambda: padv2(bytes_of(2)), "one constant"),
    "a padding value of another scale": (lambda: padv2(bytes_of(1), (0.06, -3)), "output's scale"),
    "a pool to another scale": (lambda: pool(quantisation=(0.06, -3)), "same scale"),
    "a pool to another zero point": (lambda: pool(quantisation=(0.05, 3)), "same scale"),
    "a pool of another shape": (lambda: pool(filterHeight=3), "shape of"),
    "axes of int8": (lambda: mean(bytes_of(2)), "axes are not a constant"),
    "an axis below": (lambda: mean(ints(-5, -4)), "axes must lie in -4..3"),
    "an axis above beside a good one": (lambda: mean(ints(1, 4)), "axes must lie in -4..3"),
    "a mean that leaves int32": (lambda: mean(ints(1, 2), scale=1e-9), "int32|scale|factor"),
    "a size of int8": (lambda: resize(bytes_of(2, value=8)), "size is not a constant"),
    "another size than the output's": (lambda: resize(ints(8, 9)), "size should be"),
    "resizing to another scale": (lambda: resize(ints(8, 10), quantisation=(0.06, -3)), "same scale"),
    "an alpha for other channels": (lambda: prelu(bytes_of(1, 1, 2)), "broadcast|shape"),
    "prelu to another shape": (lambda: prelu(out=(1, 5, 4, 3)), "one shape"),
    "prelu to a tiny scale": (lambda: prelu(scale=1e-9), "scale is too small"),
    "relu to another shape": (lambda: unary("RELU", (1, 5, 4, 3)), "one shape"),
    "relu6 to another scale": (lambda: unary("RELU6", quantisation=(0.06, -3)), "scale"),
    "relu to a tiny scale": (lambda: unary("RELU", quantisation=(1e-9, -3)), "scale is too small"),
    "quantize to a tiny scale": (lambda: unary("QUANTIZE", quantisation=(1e-9, -3)), "scale is too small"),
    "quantize to another shape": (lambda: unary("QUANTIZE", (1, 5, 4, 3)), "one shape"),
    "a negative slope": (lambda: unary("LEAKY_RELU", alpha=-0.1), "slope"),
    "a slope that is no number": (lambda: unary("LEAKY_RELU", alpha=float("nan")), "slope"),
    "an infinite slope": (lambda: unary("LEAKY_RELU", alpha=float("inf")), "slope"),
    "a leaky relu to a tiny scale": (
        lambda: unary("LEAKY_RELU", quantisation=(1e-9, -3), alpha=0.1),
        "scale is too small",
    ),
    "an added constant": (lambda: add(constant=True), "constant"),
    "an addition to another shape": (lambda: add(out=(1, 5, 4, 3)), "layer 0"),
    "an addition to a tiny scale": (lambda: add(scale=1e-9), "scale is too small"),
    "a concatenation along axis 4": (lambda: concatenation(4, (1, 4, 5, 6)), "axis must lie in -4..3"),
    "a concatenation along axis -5": (lambda: concatenation(-5, (1, 4, 5, 6)), "axis must lie in -4..3"),
    "a concatenation with an activation": (
        lambda: concatenation(3, (1, 4, 5, 6), fusedActivationFunction=1),
        "fused activation",
    ),
    "a concatenation to other rows": (lambda: concatenation(3, (1, 5, 5, 6)), "shapes do not fit"),
    "a transposed output shape of int8": (lambda: transposed(bytes_of(4)), "output shape is not a constant"),
    "another transposed output shape": (lambda: transposed(ints(1, 8, 9, 2)), "output shape should be"),
    "transposed weights of another depth": (lambda: transposed(weights=(2, 3, 3, 2)), "shape \\(out"),
    "transposed weights for other channels": (lambda: transposed(weights=(4, 3, 3, 3)), "4 channels"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_an_operator_cannot_do_is_refused_by_layer_with_a_remedy(case: str) -> None:
    make, says = REFUSED[case]
    with pytest.raises(CodegenError, match=says) as caught:
        generate(request_for(make()))
    assert caught.value.what.startswith("layer 0") and caught.value.remedy


# The request.


def gdn(channels=3, levels=4, zero_point=-3, beta=None, gamma=None, threshold=None) -> dict[str, object]:
    """A tail as codec.json has it."""
    steps = list(range(levels - 1))
    return {
        "kind": "gdn",
        "channels": channels,
        "levels": levels,
        "zero_point": zero_point,
        "beta": [1] * channels if beta is None else beta,
        "gamma": [0] * channels**2 if gamma is None else gamma,
        "threshold": steps * channels if threshold is None else threshold,
    }


def table_of(levels: int, entries: int = 768) -> dict[str, object]:
    """A table of ascending codes."""
    codes = [i % 256 for i in range(entries)]
    return {"kind": "table", "channels": 3, "levels": levels, "zero_point": 0, "table": codes}


@pytest.mark.parametrize(
    ("tail", "fits"),
    [
        (gdn(), True),
        (gdn(levels=16), True),
        (gdn(levels=17), False),
        (gdn(levels=1), False),
        (gdn(levels=2, zero_point=-128), True),
        (gdn(levels=2, zero_point=127), True),
        (gdn(levels=2, zero_point=-129), False),
        (gdn(levels=2, zero_point=128), False),
        (gdn(channels=0), False),
        (gdn(channels=257, levels=2), False),
        (gdn(channels=256, levels=2), True),
        (gdn(beta=[1, 1, (1 << 62) - 1]), True),
        (gdn(beta=[1, 1, 1 << 62]), False),
        (gdn(beta=[1, 1, 1 << 63]), False),
        (gdn(beta=[1, 0, 1]), False),
        (gdn(gamma=[0] * 8 + [(1 << 31) - 1]), True),
        (gdn(gamma=[0] * 8 + [1 << 31]), False),
        (gdn(gamma=[0] * 8 + [-1]), False),
        (gdn(threshold=[-(1 << 31), 0, (1 << 31) - 1] * 3), True),
        (gdn(threshold=[-(1 << 31) - 1, 0, 1] * 3), False),
        (gdn(threshold=[0, 1, 2, 0, 1, 2, 0, 2, 1]), False),
        (gdn(threshold=[5, 5, 5, 0, 1, 2, 0, 1, 1]), True),
        (gdn(threshold=[0, 1, 2] * 2), False),
        (table_of(256), True),
        (table_of(257), False),
        (table_of(255), False),
        (table_of(256, entries=512), False),
    ],
)
def test_the_tables_of_a_tail_must_fit_their_c_types(tail: dict[str, object], fits: bool) -> None:
    """Single ranges when it is parsed, the rest by the program's checks."""

    def parse() -> None:
        check_tail(msgspec.convert(tail, TailTable))  # type: ignore[call-overload]

    if fits:
        parse()
    else:
        with pytest.raises((ProgramError, msgspec.ValidationError)):
            parse()


def test_tables_count_their_bytes_and_a_hash_its_digits() -> None:
    program = programs.plain()
    assert table_bytes(program) == 8 * 5 + 4 * 25 + 4 * 5 * 7
    assert table_bytes(programs.two_graphs()) == 256 * 15
    request = CodegenRequest(program, {"encoder": b""}, "abcdef01")
    request.check()
    assert request.bundle_hash32 == 0xABCDEF01
    for text in ("abcdef0", "ABCDEF01", "0123456g"):
        with pytest.raises(RequestError, match="hash"):
            CodegenRequest(program, {"encoder": b""}, text).check()


# The file format: numbers as LiteRT's own schema has them, bytes as the FlatBuffers document says.


def test_options_and_operators_are_those_of_the_schema() -> None:
    names = {
        name.removesuffix("Options").lower(): number
        for name, number in vars(litert.BuiltinOptions).items()
        if name.endswith("Options")
    }
    for member in Options:
        assert names[member.name.replace("_", "").lower()] == member.value, member.name
    known = {number: name for name, number in vars(litert.BuiltinOperator).items() if name.isupper()}
    del known[
        litert.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES
    ]  # says that the number stands elsewhere
    assert known == {number: name for number, name in OPERATOR_NAMES.items() if number in known}
    assert max(OPERATOR_NAMES) == max(known) and len(OPERATOR_NAMES) == len(known)
    assert operator_name(3) == "CONV_2D" and operator_name(9999) == "BUILTIN_9999"


def table(fields: bytes, offsets: tuple[int, ...], after: bytes = b"") -> bytes:
    """A vtable at 0, then its table, then more."""
    vtable = struct.pack(f"<HH{len(offsets)}H", 4 + 2 * len(offsets), 4 + len(fields), *offsets)
    return vtable + struct.pack("<i", len(vtable)) + fields + after


def test_fields_are_found_by_their_offsets_and_absent_ones_have_their_default() -> None:
    data = table(struct.pack("<iB", -7, 200), (4, 8, 0))
    found = Table(data, 10)
    assert (found.integer(0, "<i"), found.integer(1, "<B"), found.integer(1, "<b")) == (-7, 200, -56)
    assert (found.integer(2, "<i", 5), found.integer(3, "<i", 6), found.integer(3, "<i")) == (5, 6, 0)
    assert (found.table(2), found.text(2), found.numbers(2, "<i4", 9)) == (None, "", None)
    assert list(found.tables(2, 9)) == []


@pytest.mark.parametrize("position", [-1, 12, 1 << 20])
def test_a_table_outside_the_file_is_malformed(position: int) -> None:
    with pytest.raises(MalformedModelError):
        Table(table(b"", (4,)), position)


def vector(count: int, items: bytes) -> Table:
    """A table whose field 0 leads to a vector that claims `count` items."""
    data = table(struct.pack("<I", 4), (4,), struct.pack("<I", count) + items)
    return Table(data, 6)


def test_a_vector_ends_with_the_file_at_the_latest() -> None:
    values = vector(3, struct.pack("<3i", 1, -2, 3)).numbers(0, "<i4", 3)
    assert values is not None and values.tolist() == [1, -2, 3]
    for count, limit, says in ((4, 9, "leaves the file"), (3, 2, "too long")):
        with pytest.raises(MalformedModelError, match=says):
            vector(count, struct.pack("<3i", 1, -2, 3)).numbers(0, "<i4", limit)
    with pytest.raises(MalformedModelError, match="too long"):
        list(vector(3, bytes(12)).tables(0, 2))
    assert vector(5, b"hello").text(0) == "hello" and vector(2, b"\xff!").text(0) == "\ufffd!"
    assert vector(2000, b"x" * 2000).text(0) == "x" * MAX_TEXT_BYTES == "x" * 1024
    with pytest.raises(MalformedModelError, match="leaves the file"):
        vector(6, b"hello").text(0)


def test_a_field_whose_bytes_are_cut_off_is_malformed() -> None:
    whole = table(struct.pack("<i", 77), (4,))
    assert Table(whole, 6).integer(0, "<i") == 77
    with pytest.raises(MalformedModelError, match="offset that leaves"):
        Table(whole[:-1], 6).integer(0, "<i")
    small = struct.pack("<HHi", 3, 4, 4)  # a vtable too small to be one
    with pytest.raises(MalformedModelError, match="table that leaves"):
        Table(small, 4)
