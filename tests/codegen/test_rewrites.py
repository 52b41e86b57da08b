"""The passes that rewrite operators: whole graphs against the references, and what they leave alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from codegen.batch import build_batch
from codegen.brought_models import ints
from codegen.golden import Int8, litert_reference, make_images, request_with, table_tail, tflm
from codegen.graph_builder import GraphBuilder
from codegen.more_models import Rng, quantisation
from semflash_codegen import CodegenError, generate
from semflash_codegen.ir import Model
from semflash_codegen.passes import make_plan
from semflash_codegen.simplify import simplify
from semflash_codegen.tflite_reader import read_model

Q = (0.05, -3)
_SEEDS = 16


def run_all(models: list[bytes], folder: Path, kernels: Path) -> list[tuple[bytes, Int8, Int8]]:
    """(model, images, outputs of the generated code) of each model."""
    generated = [generate(request_with(model, table_tail(model))) for model in models]
    found = []
    for seed, (model, runner) in enumerate(zip(models, build_batch(folder, generated, kernels), strict=True)):
        graph = read_model(model)
        images = make_images(graph.tensors[graph.inputs[0]].shape, 10, seed)
        found.append((model, images, runner.run(images)))
    return found


def dilated(rng: Rng, *, row: bool, open_batch: bool = False, depthwise: bool = False) -> bytes:
    """SPACE_TO_BATCH_ND, a convolution of stride 1, BATCH_TO_SPACE_ND; a row is (1, w, c) with EXPAND_DIMS.

    Padding SAME or none or causal, as TensorFlow computes the paddings and crops of each.
    """
    kernel = [1 if row else int(rng.integers(1, 4)), int(rng.integers(1, 4))]
    block = [1 if row else int(rng.integers(1, 4)), int(rng.integers(2, 4))]
    size = [1 if row else int(rng.integers(7, 12)), int(rng.integers(7, 12))]
    depth = int(rng.integers(1, 4))
    channels = depth if depthwise else int(rng.integers(1, 5))
    pads, crops, outs = [], [], []
    kind = int(rng.integers(3))
    for k, b, n in zip(kernel, block, size, strict=True):
        total = (k - 1) * b
        before, after = [(0, 0), (total // 2, total - total // 2), (total, 0)][kind]
        extra = -(n + before + after) % b
        pads.append([before, after + extra])
        crops.append([0, extra])
        outs.append(n + before + after - total)
    batch, q_out = block[0] * block[1], quantisation(rng)
    q_in = (quantisation(rng)[0] * 0.2, int(rng.integers(-128, 128)))
    inner = [(n + sum(p)) // b for n, p, b in zip(size, pads, block, strict=True)]
    result = [n - k + 1 for n, k in zip(inner, kernel, strict=True)]
    held = 1 if open_batch else batch
    skip = 1 if row else 0
    g = GraphBuilder((1, *size[skip:], depth), q_in)
    opened = [g.source]

    def activation(shape: tuple[int, ...], quant: tuple[float, int]) -> int:
        opened.append(g.activation(shape, quant))
        return opened[-1]

    spread = g.operator(
        "SPACE_TO_BATCH_ND",
        [g.source, g.constant(ints(block[skip:])), g.constant(ints(pads[skip:]))],
        activation((held, *inner[skip:], depth), q_in),
        "SpaceToBatchND",
    )
    if row:
        axis = g.constant(ints([1])[0])
        spread = g.operator(
            "EXPAND_DIMS", [spread, axis], activation((held, *inner, depth), q_in), "ExpandDims"
        )
    scales = (10.0 ** rng.uniform(-2, -1, channels)).astype(np.float32)
    shape = (1, *kernel, channels) if depthwise else (channels, *kernel, depth)
    weights = g.constant(
        rng.integers(-127, 128, shape).astype(np.int8), (list(scales), 0), 3 if depthwise else 0
    )
    bias = g.constant(
        rng.integers(-4000, 4000, channels).astype(np.int32), (list(np.float32(q_in[0]) * scales), 0)
    )
    options = {"padding": 1, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    options |= {"fusedActivationFunction": int(rng.choice([0, 1]))} | (
        {"depthMultiplier": 1} if depthwise else {}
    )
    done = g.operator(
        "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
        [spread, weights, bias],
        activation((held, *result, channels), q_out),
        "DepthwiseConv2D" if depthwise else "Conv2D",
        **options,
    )
    if row:
        done = g.operator(
            "SQUEEZE", [done], activation((held, *result[1:], channels), q_out), "Squeeze", squeezeDims=[1]
        )
    output = activation((1, *outs[skip:], channels), q_out)
    inputs = [done, g.constant(ints(block[skip:])), g.constant(ints(crops[skip:]))]
    g.operator("BATCH_TO_SPACE_ND", inputs, output, "BatchToSpaceND")
    if open_batch:
        for index in opened:
            tensor = g.graph.tensors[index]
            tensor.shapeSignature = [-1, *tensor.shape[1:]]
    return g.finish(output)


@pytest.mark.parametrize("kind", ["image", "row", "depthwise", "open batch"])
def test_a_convolution_on_dealt_out_images_is_one_with_dilation(
    kind: str, tmp_path: Path, host_kernels: Path
) -> None:
    flags = {"row": kind == "row", "depthwise": kind == "depthwise", "open_batch": kind == "open batch"}
    models = [dilated(np.random.default_rng([seed, len(kind)]), **flags) for seed in range(_SEEDS)]
    assert not all(map(padded, models))
    for model, images, got in run_all(models, tmp_path, host_kernels):
        names = {op.name for op in simplify(read_model(model)).operators}
        assert names <= {"CONV_2D", "DEPTHWISE_CONV_2D", "PAD", "RESHAPE"}
        assert np.array_equal(got, litert_reference(model, images))
        if kind != "open batch" and not padded(model):
            assert np.array_equal(got, tflm(model, images))


def padded(data: bytes) -> bool:
    """Whether SPACE_TO_BATCH_ND pads: TFLite-Micro pads with the code 0, so that LiteRT is followed."""
    model = read_model(data)
    return bool(model.tensors[model.operators[0].inputs[2]].int32_values().any())


def test_tflite_micro_pads_dealt_out_images_with_the_code_0_and_reads_an_open_batch_as_one_image() -> None:
    """Why LiteRT is followed there: this fails when a TFLite-Micro comes that does as LiteRT does."""
    found = {"pads": 0, "open": 0}
    for seed in range(_SEEDS):
        rng = np.random.default_rng([seed, 5])
        model, opened = (
            dilated(rng, row=False),
            dilated(np.random.default_rng([seed, 5]), row=False, open_batch=True),
        )
        graph = read_model(model)
        images = make_images(graph.tensors[graph.inputs[0]].shape, 6, seed)
        wanted = litert_reference(model, images)
        found["pads"] += not np.array_equal(wanted, tflm(model, images))
        found["open"] += not np.array_equal(wanted, tflm(opened, images))
    assert min(found.values()) > 0


def test_a_dilated_convolution_whose_shapes_do_not_fit_is_refused_by_name() -> None:
    model = dilated(np.random.default_rng([1, 5]), row=False)
    for change in ("crop", "stride", "branch"):
        with pytest.raises(
            CodegenError, match=r"layer \d (SPACE_TO_BATCH_ND|BATCH_TO_SPACE_ND).*convolution"
        ) as caught:
            make_plan(spoilt(model, change), "auto")
        assert caught.value.remedy


def spoilt(data: bytes, change: str) -> Model:
    """The graph of :func:`dilated` with one thing that the dilated convolution has not."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data, 0)
    graph = model.subgraphs[0]
    convolution = graph.operators[1]
    if change == "crop":
        tensor = graph.tensors[graph.operators[-1].outputs[0]]
        tensor.shape = [1, tensor.shape[1] + 1, *tensor.shape[2:]]
    elif change == "stride":
        convolution.builtinOptions.strideH = 2
    else:
        graph.operators[-1].inputs = [graph.operators[0].outputs[0], *graph.operators[-1].inputs[1:]]
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return read_model(bytes(builder.Output()))


def open_transpose_conv() -> bytes:
    """Keras's Conv2DTranspose where the batch is open: its output shape is computed from the image's."""
    g = GraphBuilder((1, 4, 5, 3), Q)
    shape = g.operator("SHAPE", [g.source], g.activation((4,), None, "INT32"), "Shape", outType=2)
    bounds = [g.constant(ints([n])) for n in (0, 1, 1)]
    batch = g.operator(
        "STRIDED_SLICE",
        [shape, *bounds],
        g.activation((), None, "INT32"),
        "StridedSlice",
        shrinkAxisMask=1,
    )
    rest = [g.constant(ints([n])[0]) for n in (8, 10, 2)]
    size = g.operator(
        "PACK", [batch, *rest], g.activation((4,), None, "INT32"), "Pack", valuesCount=4, axis=0
    )
    weights = np.random.default_rng(4).integers(-127, 128, (2, 3, 3, 3)).astype(np.int8)
    inputs = [size, g.constant(weights, (0.01, 0)), g.source]
    output = g.activation((1, 8, 10, 2), Q)
    options = {"padding": 0, "strideH": 2, "strideW": 2}
    return g.finish(g.operator("TRANSPOSE_CONV", inputs, output, "TransposeConv", **options))


def test_a_shape_that_is_computed_from_the_images_is_a_constant(tmp_path: Path, host_kernels: Path) -> None:
    ((model, images, got),) = run_all([open_transpose_conv()], tmp_path, host_kernels)
    assert [op.name for op in simplify(read_model(model)).operators] == ["TRANSPOSE_CONV"]
    assert np.array_equal(got, tflm(model, images))
    assert np.array_equal(got, litert_reference(model, images))


def unsigned(*, same_scale: bool = True) -> bytes:
    """uint8 in, QUANTIZE, a pool, QUANTIZE, uint8 out."""
    g = GraphBuilder((1, 6, 5, 2), (0.02, 131), "UINT8")
    g.graph.tensors[g.source].quantization = quantised(0.02, 131)
    inside = (0.02, 3) if same_scale else (0.031, -40)
    image = g.operator("QUANTIZE", [g.source], g.activation((1, 6, 5, 2), inside), "Quantize")
    window = {"padding": 1, "strideW": 1, "strideH": 1, "filterWidth": 2, "filterHeight": 2}
    pool = g.operator("MAX_POOL_2D", [image], g.activation((1, 5, 4, 2), inside), "Pool2D", **window)
    output = g.activation((1, 5, 4, 2), None, "UINT8")
    g.graph.tensors[output].quantization = (
        quantised(inside[0], inside[1] + 128) if same_scale else quantised(0.05, 90)
    )
    return g.finish(g.operator("QUANTIZE", [pool], output, "Quantize"))


def quantised(scale: float, zero_point: int) -> object:
    """Quantisation of one tensor as the schema has it."""
    from ai_edge_litert import schema_py_generated as schema

    quant = schema.QuantizationParametersT()
    quant.scale, quant.zeroPoint = np.array([scale], np.float32), np.array([zero_point], np.int64)
    return quant


@pytest.mark.parametrize("same_scale", [True, False])
def test_uint8_ends_are_int8_ends_less_128(same_scale: bool, tmp_path: Path, host_kernels: Path) -> None:
    model = unsigned(same_scale=same_scale)
    plain = simplify(read_model(model))
    assert (
        [op.name for op in plain.operators] == ["MAX_POOL_2D"]
        if same_scale
        else ["QUANTIZE", "MAX_POOL_2D", "QUANTIZE"]
    )
    source, output = plain.tensors[plain.inputs[0]], plain.tensors[plain.outputs[0]]
    assert (source.zero_point, output.zero_point) == ((3, 3) if same_scale else (3, -38))
    ((_, images, got),) = run_all([model], tmp_path, host_kernels)
    pixels = (images.view(np.uint8) ^ 0x80).astype(np.uint8)
    for reference in (tflm, litert_reference):
        wanted = reference(model, pixels).view(np.uint8) ^ 0x80  # type: ignore[arg-type]
        assert np.array_equal(got, wanted.view(np.int8))
