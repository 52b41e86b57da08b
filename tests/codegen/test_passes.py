"""The passes one by one: validation, aliases, lowering, liveness, placement."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.golden import NAMES, load, request_for, request_with
from codegen.graph_builder import GraphBuilder
from semflash.program.stages import TableTail
from semflash_codegen import generate, passes, validate
from semflash_codegen.errors import MalformedModelError, UnsupportedModelError
from semflash_codegen.ir import Quantisation, Tensor
from semflash_codegen.memory_plan import ALIGNMENT, Buffer, place
from semflash_codegen.quantise import activation_range, quantise_multiplier
from semflash_codegen.schema import Activation, TensorType
from semflash_codegen.tflite_reader import read_model


def refusal(name: str) -> UnsupportedModelError:
    model = read_model(load(name))
    quantisation = model.tensors[model.outputs[0]].quantisation
    zero_point = 0 if quantisation is None else quantisation.zero_points[0]
    with pytest.raises(UnsupportedModelError) as caught:
        generate(request_with(load(name), TableTail(4, 8, zero_point, [1] * 1024)))
    return caught.value


def test_an_unknown_operator_is_refused_by_its_name_and_layer() -> None:
    error = refusal("refused_exp")
    assert error.value == "EXP"
    assert error.what.startswith("layer 1 EXP")
    assert "CONV_2D" in error.remedy


@pytest.mark.parametrize(
    ("name", "what", "value"),
    [
        ("refused_float", "input is not int8", "float32"),
        ("refused_two_inputs", "one input and one output", (2, 1)),
        ("refused_dynamic", "dynamic shape", (1, 1, 1, 2)),
        ("refused_relu6", "one scale and zero point", None),
    ],
)
def test_a_model_outside_the_contract_is_refused_with_what_is_wrong(
    name: str, what: str, value: object
) -> None:
    error = refusal(name)
    assert what in error.what
    assert error.value == value
    assert error.remedy


buffers = st.lists(
    st.tuples(st.integers(1, 5000), st.integers(-1, 20), st.integers(0, 8)).map(
        lambda t: (t[0], t[1], t[1] + t[2])
    ),
    max_size=24,
).map(lambda rows: [Buffer(f"b{i}", *row) for i, row in enumerate(rows)])


@given(buffers)
def test_buffers_that_live_at_once_never_overlap(items: list[Buffer]) -> None:
    arena = place(items)
    for i, a in enumerate(items):
        start = arena.offsets[a.name]
        assert start % ALIGNMENT == 0
        assert start + a.size_bytes <= arena.size_bytes
        for b in items[:i]:
            together = set(range(a.first, a.last + 1)) & set(range(b.first, b.last + 1))
            apart = (
                start + a.size_bytes <= arena.offsets[b.name] or arena.offsets[b.name] + b.size_bytes <= start
            )
            assert apart or not together


@given(buffers)
def test_the_arena_is_at_most_the_sum_and_at_least_the_busiest_step(items: list[Buffer]) -> None:
    arena = place(items)
    padded = [(math.ceil(b.size_bytes / ALIGNMENT) * ALIGNMENT, b) for b in items]
    busiest = max((sum(s for s, b in padded if b.first <= t <= b.last) for t in range(-1, 30)), default=0)
    assert busiest <= arena.size_bytes <= sum(s for s, _ in padded)


def test_reshape_becomes_an_alias_and_no_layer() -> None:
    model = read_model(load("dense"))
    alias = validate.fold_aliases(model)
    plan = passes.make_plan(model, "reference")
    assert len(alias) == 1
    assert "RESHAPE" not in [layer.operator for layer in plan.layers]
    ((output, source),) = alias.items()
    assert plan.offset(output) == plan.offset(source)


def reshaped(output: tuple[float, int]) -> bytes:
    """RESHAPE from scale 0.5, zero point 3 to another quantisation."""
    g = GraphBuilder((1, 2, 2, 3), (0.5, 3))
    return g.finish(g.operator("RESHAPE", [g.source], g.activation((1, 12), output)))


@pytest.mark.parametrize("output", [(0.25, 3), (0.5, 4)])
def test_a_reshape_that_changes_the_quantisation_is_no_alias(output: tuple[float, int]) -> None:
    assert validate.fold_aliases(read_model(reshaped((0.5, 3)))) == {1: 0}
    with pytest.raises(UnsupportedModelError, match="differ in quantisation"):
        validate.fold_aliases(read_model(reshaped(output)))


def written_twice(target: str) -> bytes:
    """Two RELUs, the second of which writes the first one's output, the image or a constant."""
    shape, q = (1, 2, 2, 3), (0.5, 3)
    g = GraphBuilder(shape, q)
    first = g.operator("RELU", [g.source], g.activation(shape, q))
    constant = g.constant(np.zeros(shape, np.int8), q)
    place = {"activation": first, "image": g.source, "constant": constant}[target]
    g.operator("RELU", [first], place)
    return g.finish(g.operator("RELU", [place], g.activation(shape, q)))


@pytest.mark.parametrize("target", ["activation", "image", "constant"])
def test_a_tensor_that_is_written_twice_is_refused(target: str) -> None:
    with pytest.raises(MalformedModelError, match=r"layer 1 RELU .* overwrites"):
        validate.validate(read_model(written_twice(target)))


@pytest.mark.parametrize("name", NAMES)
def test_the_input_stays_untouched_until_its_last_reader_and_the_output_to_the_end(name: str) -> None:
    model = read_model(load(name))
    alias = validate.fold_aliases(model)
    layers = passes.lower(model, "auto")
    by_name = {b.name: b for b in passes.liveness(model, layers, alias)}
    assert by_name[f"tensor{model.inputs[0]}"].first == -1
    assert by_name[f"tensor{alias.get(model.outputs[0], model.outputs[0])}"].last == len(layers)


@given(st.floats(2.0**-31, 2.0**29))
def test_a_quantised_multiplier_is_the_nearest_of_31_bits(real: float) -> None:
    multiplier, shift = quantise_multiplier(real)
    assert 1 << 30 <= multiplier < 1 << 31
    assert abs(math.ldexp(multiplier, shift - 31) / real - 1.0) <= 2.0**-31


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        (0.0, (0, 0)),
        (0.5, (1 << 30, 0)),
        (1.0, (1 << 30, 1)),
        (2.0**-40, (0, 0)),
        (1 - 2.0**-40, (1 << 30, 1)),
    ],
)
def test_multipliers_at_the_edges_are_those_of_tflite(real: float, expected: tuple[int, int]) -> None:
    assert quantise_multiplier(real) == expected


@pytest.mark.parametrize("real", [float("inf"), float("nan"), 2.0**31])
def test_a_factor_that_no_shift_can_hold_is_refused(real: float) -> None:
    with pytest.raises(UnsupportedModelError):
        quantise_multiplier(real)


@pytest.mark.parametrize(
    ("activation", "scale", "zero_point", "expected"),
    [
        (Activation.NONE, 0.1, 3, (-128, 127)),
        (Activation.RELU, 0.1, 3, (3, 127)),
        (Activation.RELU6, 0.1, -10, (-10, 50)),
        (Activation.RELU6, 0.01, 0, (0, 127)),
        (Activation.RELU_N1_TO_1, 0.02, 5, (-45, 55)),
    ],
)
def test_a_fused_activation_clamps_at_its_bounds_in_the_outputs_integers(
    activation: Activation, scale: float, zero_point: int, expected: tuple[int, int]
) -> None:
    tensor = Tensor(0, "t", (1,), TensorType.INT8, Quantisation((scale,), (zero_point,)), None)
    assert activation_range(activation, tensor, "layer") == expected


def test_kernels_reference_uses_nothing_of_cmsis_nn() -> None:
    report = generate(request_for(load("mobile"), "reference")).report
    assert {layer.kernel for layer in report.layers} == {"reference"}
    assert report.cmsis_sources == () and report.cmsis_symbols == ()
    assert report.engine == "aot/reference"


def test_the_plan_says_for_every_layer_what_it_runs_on_and_why() -> None:
    report = generate(request_for(load("mobile"))).report
    by_operator = {layer.operator: layer for layer in report.layers}
    assert by_operator["CONV_2D"].kernel == "cmsis-nn"
    assert "arm_convolve_wrapper_s8" in by_operator["CONV_2D"].why
    assert by_operator["ADD"].kernel == "reference"
    assert "has no int8 ADD" in by_operator["ADD"].why
    assert "arm_convolve_wrapper_s8" in report.cmsis_symbols
