"""Bundles with right hashes and graphs that no export makes: refused before an interpreter sees them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from codegen.graph_builder import GraphBuilder
from fakes.idx_files import write_blocks
from fuzz.bundles import mutant, seeds, with_file, write
from semflash.bundle import Bundle, read_bundle
from semflash.bundle.graphs.device import check_device_graph
from semflash.bundle.graphs.edge import check_edge
from semflash.bundle.graphs.edge_graph import RULES, read_edge_graph
from semflash.bundle.reader import read_directory, zoo_names
from semflash.cli.main import main
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.golden import GoldenEncoder
from semflash.errors import BundleError
from semflash_codegen.operators import SUPPORTED
from semflash_codegen.tflm.operators import OPERATORS as TFLM_OPERATORS

TESTS = Path(__file__).resolve().parents[1]
VECTORS = TESTS / "vectors"
WIDE = (VECTORS / "wide_tail.tflite").read_bytes()
HOSTILE = {
    "crashes_litert_tail": ("tail.tflite", "layer 3 CONV_2D .* input 1 is absent"),
    "internal_error_encoder": ("encoder.tflite", "layer 3 CONV_2D .* before it is written"),
}


@pytest.fixture(scope="module")
def tiny() -> Bundle:
    return read_bundle(VECTORS / "tiny.semcodec")


def spoilt(name: str) -> Bundle:
    """mnist-12 with a file of tests/vectors/hostile."""
    file, _ = HOSTILE[name]
    return with_file(read_bundle("mnist-12"), file, (VECTORS / "hostile" / f"{name}.tflite").read_bytes())


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_crashed_litert_is_refused_by_name(name: str, tmp_path: Path) -> None:
    write(spoilt(name), tmp_path / "x.semcodec")
    bundle = read_directory(tmp_path / "x.semcodec")
    file, what = HOSTILE[name]
    for open_it in (EdgeDecoder, GoldenEncoder):
        with pytest.raises(BundleError, match=f"{file}.*{what}"):
            open_it(bundle)


@pytest.mark.parametrize("name", HOSTILE)
def test_evaluate_ends_with_the_error_and_code_1(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(spoilt(name), tmp_path / "x.semcodec")
    write_blocks(tmp_path, train=5100, test=4)
    data = ["--dataset", "mnist", "--data-dir", str(tmp_path)]
    assert main(["evaluate", str(tmp_path / "x.semcodec"), *data]) == 1
    error = capsys.readouterr().err
    assert HOSTILE[name][0] in error and "Traceback" not in error


@pytest.mark.parametrize("name", [*zoo_names(), str(VECTORS / "tiny.semcodec")])
def test_what_exports_make_passes(name: str) -> None:
    bundle = read_bundle(name)
    assert check_edge(bundle.contract, bundle.edge) >= bundle.payload_bytes
    for graph, data in bundle.models.items():
        check_device_graph(data, f"{graph}.tflite")


@pytest.mark.parametrize(
    "path", sorted((TESTS / "codegen" / "models").glob("[!r]*.tflite")), ids=lambda p: p.stem
)
def test_device_graphs_that_compile_pass(path: Path) -> None:
    check_device_graph(path.read_bytes(), path.name)


def test_the_documented_operators_are_those_that_are_taken() -> None:
    text = (TESTS.parent / "docs" / "bundle.md").read_text(encoding="utf-8")
    paragraph = next(part for part in text.split("\n\n") if part.startswith("ABS,"))
    assert set(paragraph.rstrip(".\n").replace("\n", " ").split(", ")) == set(RULES)


def test_a_tail_of_67_kinds_of_operators_passes_and_runs(tiny: Bundle) -> None:
    bundle = with_file(tiny, "tail.tflite", WIDE)
    assert len({op.name for op in read_edge_graph(WIDE, "tail").model.operators}) == 67
    logits = EdgeDecoder(bundle, admitted=True).logits(np.zeros((3, bundle.payload_bytes), np.uint8), 0.0)
    assert logits.shape == (3, 10)


def test_every_operator_of_engine_tflm_is_one_of_the_generators() -> None:
    assert set(TFLM_OPERATORS) <= set(SUPPORTED)


@pytest.mark.parametrize(
    ("name", "quantisation"),
    [
        ("HARD_SWISH", (0.1, 3)),
        ("LOGISTIC", (1 / 256, -128)),
        ("SUB", (0.1, 3)),
        ("TANH", (1 / 128, 0)),
    ],
)
def test_operators_of_networks_that_are_imported_pass_and_their_forgeries_do_not(
    name: str, quantisation: tuple[float, int]
) -> None:
    shape = (1, 2, 2, 3)
    for output, fits in ((shape, True), ((1, 2, 3, 2), False)):
        g = GraphBuilder(shape, (0.1, 3))
        inputs, options = ([g.source, g.source], "Sub") if name == "SUB" else ([g.source], None)
        data = g.finish(g.operator(name, inputs, g.activation(output, quantisation), options))
        if fits:
            check_device_graph(data, "encoder.tflite")
            continue
        with pytest.raises(BundleError, match=f"layer 0 {name}"):
            check_device_graph(data, "encoder.tflite")


def test_a_softmax_that_the_reference_would_stop_at_is_refused() -> None:
    for depth in (511, 512):
        g = GraphBuilder((1, depth), (0.02, 0))
        output = g.activation((1, depth), (1 / 256, -128))
        data = g.finish(g.operator("SOFTMAX", [g.source], output, "Softmax", beta=1.0))
        if depth < 512:
            check_device_graph(data, "encoder.tflite")
            continue
        with pytest.raises(BundleError, match="no reference"):
            check_device_graph(data, "encoder.tflite")


class Forgery:
    """The wide tail as objects of LiteRT's schema."""

    def __init__(self) -> None:
        self.model = schema.ModelT.InitFromPackedBuf(WIDE, 0)
        self.graph = self.model.subgraphs[0]

    def operator(self, name: str, number: int = 0) -> Any:
        """The number-th operator of a kind."""
        code = getattr(schema.BuiltinOperator, name)
        codes = [max(c.builtinCode, c.deprecatedBuiltinCode) for c in self.model.operatorCodes]
        return [o for o in self.graph.operators if codes[o.opcodeIndex] == code][number]

    def input(self, name: str, number: int) -> Any:
        """A tensor that the first operator of a kind reads."""
        return self.graph.tensors[self.operator(name).inputs[number]]

    def constant(self, name: str, number: int, values: list[int]) -> None:
        """Other whole numbers as an input of the first operator of a kind, in its shape or as a list."""
        old = [int(side) for side in self.input(name, number).shape]
        buffer, tensor = schema.BufferT(), schema.TensorT()
        buffer.data = np.frombuffer(np.array(values, np.int32).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        tensor.name, tensor.type, tensor.buffer = (
            b"forged",
            schema.TensorType.INT32,
            len(self.model.buffers) - 1,
        )
        tensor.shape = old if np.prod(old, dtype=int) == len(values) else [len(values)]
        self.graph.tensors.append(tensor)
        inputs = [int(i) for i in self.operator(name).inputs]
        inputs[number] = len(self.graph.tensors) - 1
        self.operator(name).inputs = inputs

    def finish(self) -> bytes:
        """The file."""
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def option(name: str, field: str, value: object) -> Callable[[Forgery], None]:
    """Another value in an operator's options."""

    def forge(f: Forgery) -> None:
        assert hasattr(f.operator(name).builtinOptions, field)
        setattr(f.operator(name).builtinOptions, field, value)

    return forge


def without_options(name: str) -> Callable[[Forgery], None]:
    """No options, for which an interpreter takes zeros."""

    def forge(f: Forgery) -> None:
        f.operator(name).builtinOptions, f.operator(name).builtinOptionsType = None, 0

    return forge


def numbers(name: str, number: int, values: list[int]) -> Callable[[Forgery], None]:
    """Other numbers in a constant."""
    return lambda f: f.constant(name, number, values)


def wired(name: str, change: Callable[[list[int]], list[int]]) -> Callable[[Forgery], None]:
    """Other inputs of an operator."""

    def forge(f: Forgery) -> None:
        f.operator(name).inputs = change([int(i) for i in f.operator(name).inputs])

    return forge


def kind(name: str, number: int, code: int) -> Callable[[Forgery], None]:
    """Another type of an input."""
    return lambda f: setattr(f.input(name, number), "type", code)


def code(number: int) -> Callable[[Forgery], None]:
    """Another operator."""

    def forge(f: Forgery) -> None:
        f.model.operatorCodes[0].builtinCode = number
        f.model.operatorCodes[0].deprecatedBuiltinCode = min(number, 127)

    return forge


FORGERIES: dict[str, tuple[Callable[[Forgery], object], str]] = {
    "stride 0": (option("CONV_2D", "strideW", 0), "stride, dilation or window"),
    "stride below 0": (option("DEPTHWISE_CONV_2D", "strideH", -1), "stride, dilation or window"),
    "huge stride": (option("AVERAGE_POOL_2D", "strideH", 1 << 30), "stride, dilation or window"),
    "no window": (option("MAX_POOL_2D", "filterHeight", 0), "stride, dilation or window"),
    "window larger than its map": (option("MAX_POOL_2D", "filterWidth", 9), "larger than its map"),
    "no options": (without_options("CONV_2D"), "options are absent"),
    "no options of a pool": (without_options("MAX_POOL_2D"), "options are absent"),
    "no options of a dense layer": (without_options("FULLY_CONNECTED"), "options are absent"),
    "unknown padding": (option("CONV_2D", "padding", 7), "unknown option"),
    "unknown activation": (option("ADD", "fusedActivationFunction", 9), "unknown fused activation"),
    "fused tanh": (option("MUL", "fusedActivationFunction", 4), "unknown fused activation"),
    "activation of a joint": (option("CONCATENATION", "fusedActivationFunction", 1), "fused activation"),
    "depth multiplier": (option("DEPTHWISE_CONV_2D", "depthMultiplier", 3), "weights for other channels"),
    "bias type": (option("CONV_2D", "quantizedBiasType", 77), "unknown type"),
    "shuffled weights": (option("FULLY_CONNECTED", "weightsFormat", 1), "shuffled"),
    "beta": (option("SOFTMAX", "beta", float("nan")), "beta"),
    "slope": (option("LEAKY_RELU", "alpha", float("inf")), "slope"),
    "joint's axis": (option("CONCATENATION", "axis", 7), "axis outside"),
    "gather's axis": (option("GATHER", "axis", -9), "axis outside"),
    "both corners and centres": (option("RESIZE_BILINEAR", "alignCorners", True), "both align_corners"),
    "new axis": (option("STRIDED_SLICE", "newAxisMask", 1), "new axis"),
    "mask beyond": (option("STRIDED_SLICE", "beginMask", 1 << 20), "mask beyond"),
    "matrices turned": (option("BATCH_MATMUL", "adjX", True), "matrices that do not fit|should be"),
    "pieces": (option("SPLIT", "numSplits", 2), "pieces|outputs"),
    "pieces packed": (option("PACK", "valuesCount", 99), "another number of values"),
    "reflection": (option("MIRROR_PAD", "mode", 5), "unknown option"),
    "index beyond": (numbers("GATHER", 1, [3, 0, 1, 4]), "index outside 0..3"),
    "index below 0": (numbers("GATHER", 1, [3, 0, 1, -1]), "index outside 0..3"),
    "axis of a sum": (numbers("SUM", 1, [1, 9]), "axis outside"),
    "order repeats": (numbers("TRANSPOSE", 1, [0, 2, 2, 3]), "repeats an axis|numbers expected"),
    "margin below 0": (numbers("PAD", 1, [0, 0, -4, 0, 0, 0, 0, 0]), "margin"),
    "slice of stride 0": (numbers("STRIDED_SLICE", 3, [1, 0, 1, 1]), "stride of 0|numbers expected"),
    "repetitions": (numbers("TILE", 1, [1, 1 << 30, 1]), "number outside|numbers expected"),
    "enlarged to nothing": (numbers("RESIZE_BILINEAR", 1, [0, 8]), "number outside"),
    "blocks": (numbers("SPACE_TO_BATCH_ND", 1, [0, 2]), "number outside"),
    "pieces that are not the whole": (numbers("SPLIT_V", 1, [1, 3, 9]), "not the whole"),
    "k": (numbers("TOPK_V2", 1, [7]), "k out of range"),
    "no weights": (wired("CONV_2D", lambda i: [i[0], -1, *i[2:]]), "input 1 is absent"),
    "weights that are computed": (wired("CONV_2D", lambda i: [i[0], i[0], i[2]]), "not a constant|channels"),
    "bias of another length": (wired("CONV_2D", lambda i: [i[0], i[1], i[1]]), "rank"),
    "too many inputs": (wired("RELU", lambda i: i * 2), "wrong number of inputs"),
    "no inputs": (wired("ADD", lambda i: i[:1]), "wrong number of inputs"),
    "a tensor that does not exist": (wired("ADD", lambda i: [i[0], 9999]), "does not exist"),
    "a tensor below 0": (wired("ADD", lambda i: [i[0], -7]), "does not exist"),
    "text": (kind("CONV_2D", 0, 5), "not a float32, whole number or truth"),
    "another type": (kind("CONV_2D", 0, 2), "should be"),
    "an unknown type": (kind("CONV_2D", 0, 77), "unknown type"),
    "two graphs": ((lambda f: f.model.subgraphs.append(f.graph)), "exactly one subgraph"),
    "no output": ((lambda f: setattr(f.graph, "outputs", [])), "one output"),
    "the input as output": ((lambda f: setattr(f.graph, "outputs", [f.graph.inputs[0]])), "disagree"),
    "operators twice": ((lambda f: setattr(f.graph, "operators", f.graph.operators * 2)), "overwrites"),
    "backwards": ((lambda f: f.graph.operators.reverse()), "not written yet"),
    "a custom operator": (code(32), "may not hold"),
    "an unknown operator": (code(999), "may not hold"),
    "state": ((lambda f: setattr(f.input("CONV_2D", 0), "isVariable", True)), "variable"),
    "kept state": ((lambda f: setattr(f.operator("CONV_2D"), "intermediates", [1])), "state between"),
    "metadata": ((lambda f: setattr(f.model.metadata[0], "buffer", 1 << 30)), "metadata names"),
    "signature": (
        (lambda f: setattr(f.model.signatureDefs[0].inputs[0], "tensorIndex", 1 << 30)),
        "signature names",
    ),
    "signature of another graph": (
        (lambda f: setattr(f.model.signatureDefs[0], "subgraphIndex", 3)),
        "signature names",
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_tail_is_refused(name: str, tiny: Bundle) -> None:
    forge, what = FORGERIES[name]
    forgery = Forgery()
    check_edge(tiny.contract, tiny.edge | {"tail": forgery.finish()})
    forge(forgery)
    with pytest.raises(BundleError, match=what) as caught:
        check_edge(tiny.contract, tiny.edge | {"tail": forgery.finish()})
    assert "tail.tflite" in caught.value.what and caught.value.remedy


def test_numbers_that_are_not_finite_are_refused(tiny: Bundle) -> None:
    forgery = Forgery()
    weights = forgery.model.buffers[forgery.input("CONV_2D", 1).buffer]
    weights.data = np.frombuffer(np.full(len(weights.data) // 4, np.nan, np.float32).tobytes(), np.uint8)
    bundle = with_file(tiny, "tail.tflite", forgery.finish())
    with pytest.raises(BundleError, match=r"tail\.tflite gives numbers that are not finite"):
        EdgeDecoder(bundle, admitted=True).logits(np.zeros((1, bundle.payload_bytes), np.uint8), 0.0)


def test_a_graph_for_one_image_only_is_refused(tiny: Bundle) -> None:
    forgery = Forgery()
    forgery.constant("RESHAPE", 1, [1, 4, 4, 1])
    with pytest.raises(BundleError, match="another number of elements"):
        check_edge(tiny.contract, tiny.edge | {"tail": forgery.finish()})


def test_tensors_of_256_mebibytes_are_refused(tiny: Bundle) -> None:
    """What would fill the memory is refused by its size, not tried."""
    forgery = Forgery()
    forgery.constant("RESIZE_BILINEAR", 1, [1 << 15, 1 << 15])
    with pytest.raises(BundleError, match="numbers"):
        check_edge(tiny.contract, tiny.edge | {"tail": forgery.finish()})


def test_every_cut_of_a_file_is_refused(tiny: Bundle) -> None:
    for size in (*range(0, 64, 3), *range(64, len(WIDE) - 1, 1009)):
        with pytest.raises(BundleError):
            check_edge(tiny.contract, tiny.edge | {"tail": WIDE[:size]})


def test_the_fuzz_names_its_mutants_by_seed_and_number() -> None:
    bundles = seeds()
    first, how = mutant(bundles, 3, 17)
    again, _ = mutant(bundles, 3, 17)
    assert first.files == again.files and how.endswith("number 17 seed 3")
    assert mutant(bundles, 4, 17)[0].files != first.files


def test_two_files_exchanged_are_refused(tiny: Bundle) -> None:
    files = {**tiny.files, "tail.tflite": tiny.edge["decoder"]}
    with pytest.raises(BundleError, match=r"tail\.tflite needs one input"):
        EdgeDecoder(dataclasses.replace(tiny, files=files))
