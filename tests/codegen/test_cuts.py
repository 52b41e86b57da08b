"""Where chains are cut, and what may lie over what."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from codegen.golden import request_for
from codegen.networks import NETWORKS, Network
from semflash_codegen import generate
from semflash_codegen.cuts import cut
from semflash_codegen.fused.chain import find_chain
from semflash_codegen.fused.plan import make_plan
from semflash_codegen.fused.stages import Plan
from semflash_codegen.in_place import share
from semflash_codegen.ir import Model, Tensor
from semflash_codegen.layer import REFERENCE, Kernel, Layer
from semflash_codegen.passes import make_plan as plan_network
from semflash_codegen.schema import TensorType
from semflash_codegen.segments import Segment
from semflash_codegen.simplify import simplify
from semflash_codegen.tflite_reader import read_model


def separable(blocks: int, *, stride: int = 1) -> Plan:
    """The streaming plan of a stem and separable blocks of 16 channels."""
    n = Network((1, 16, 12, 3), np.random.default_rng(3))
    x = n.conv(n.image, 16, 3)
    for _ in range(blocks):
        x = n.conv(n.depthwise(x, stride=stride), 16, 1)
    return make_plan(find_chain(read_model(n.finish(x))).layers)


@pytest.mark.parametrize("begins_in_memory", [False, True])
def test_the_parts_of_a_chain_are_all_its_stages_in_order(begins_in_memory: bool) -> None:
    plan = separable(4)
    parts = cut(plan, begins_in_memory=begins_in_memory, input_dies=True)
    assert parts[0].first == 0
    assert all(a.last == b.first for a, b in pairwise(parts))
    assert parts[-1].last == len(plan.stages)


def test_cutting_never_needs_more_than_the_whole_chain() -> None:
    for blocks in (1, 3, 6):
        plan = separable(blocks)
        source = plan.stages[0].layers[0].source
        output = plan.stages[-1].layers[-1].output
        whole = plan.state_bytes + source.height * source.row_bytes + output.height * output.row_bytes
        for part in cut(plan, begins_in_memory=True, input_dies=True):
            ends = plan.stages[part.first].layers[0].source, plan.stages[part.last - 1].layers[-1].output
            sizes = [shape.height * shape.row_bytes for shape in ends]
            assert part.plan.state_bytes + (max(sizes) if part.in_place else sum(sizes)) <= whole


def test_a_layer_that_keeps_the_size_may_write_over_its_input_and_one_that_grows_may_not() -> None:
    n = Network((1, 8, 8, 4), np.random.default_rng(4))
    same = make_plan(find_chain(read_model(n.finish(n.conv(n.image, 4, 3)))).layers)
    n = Network((1, 8, 8, 4), np.random.default_rng(4))
    grown = make_plan(find_chain(read_model(n.finish(n.conv(n.image, 5, 3)))).layers)
    assert [part.in_place for part in cut(same, begins_in_memory=True, input_dies=True)] == [True]
    assert [part.in_place for part in cut(grown, begins_in_memory=True, input_dies=True)] == [False]
    assert [part.in_place for part in cut(same, begins_in_memory=True, input_dies=False)] == [False]


def test_a_chain_up_to_the_output_stays_whole() -> None:
    n = Network((1, 16, 12, 3), np.random.default_rng(3))
    x = n.conv(n.image, 16, 3)
    for _ in range(3):
        x = n.conv(n.depthwise(x), 16, 1)
    plan = plan_network(read_model(n.finish(x)), "auto")
    assert plan.streamed is not None and plan.streamed.complete
    assert plan.layers == ()


def test_segments_lie_over_their_input_only_where_nobody_reads_it_later() -> None:
    segments = lying_over = 0
    for name in ("ResNet8", "MobileNet", "DS-CNN"):
        model = simplify(read_model(NETWORKS[name](np.random.default_rng(5))))
        plan = plan_network(model, "auto")
        for step, layer in enumerate(plan.layers):
            if not isinstance(layer, Segment):
                continue
            source, later = layer.inputs[0], plan.layers[step + 1 :]
            begin, end = (
                plan.offset(layer.output),
                plan.offset(layer.output) + model.tensors[layer.output].elements,
            )
            read_later = any(source in other.inputs for other in later)
            overlaps = (
                begin < plan.offset(source) + model.tensors[source].elements and plan.offset(source) < end
            )
            assert not (overlaps and read_later)
            assert not overlaps or layer.in_place
            segments, lying_over = segments + 1, lying_over + overlaps
    assert segments > lying_over > 0, "nothing of the kind was looked at"


def test_a_small_tensor_in_a_large_ones_memory_is_not_written_over_while_it_is_broadcast() -> None:
    """As in attention: y = a * s, where s came to lie over the image that it was made of, and a lives on."""
    large, small = (1, 4, 4, 8), (1, 1, 1, 8)
    shapes = {"image": large, "a": large, "s": small, "y": large, "z": large}
    tensors = tuple(
        Tensor(i, name, shape, TensorType.INT8, None, None) for i, (name, shape) in enumerate(shapes.items())
    )
    model = Model(tensors, (), inputs=(0,), outputs=(4,))
    kernel = Kernel(REFERENCE, "none", None)
    lowered = (
        Layer(0, "TRANSPOSE", "a", (0,), 1, kernel, "sf_move_t", ()),
        Segment(1, "CONV_2D", "s", (0,), 2, kernel, "sf_fused_graph_t", (), in_place=True),
        Layer(2, "MUL", "y", (1, 2), 3, kernel, "sf_mul_t", ()),
        Layer(3, "CONCATENATION", "z", (3, 1), 4, kernel, "sf_concatenation_t", ()),
    )
    assert share(model, lowered, {}) == {2: 0}
    broadcast = replace(lowered[2], struct="sf_add_broadcast_t", operator="ADD")
    assert share(model, (*lowered[:2], broadcast, lowered[3]), {}) == {2: 0}


def test_whole_networks_need_less_memory_streamed_than_layer_by_layer() -> None:
    for name in ("ResNet8", "MobileNet", "DS-CNN"):
        model = read_model(NETWORKS[name](np.random.default_rng(5)))
        streamed, layered = plan_network(model, "auto"), plan_network(model, "cmsis-nn")
        head = streamed.streamed.state_bytes if streamed.streamed is not None else 0
        assert head + streamed.arena.size_bytes < layered.arena.size_bytes


def test_the_report_has_a_line_for_every_operator_of_a_segment() -> None:
    """An inverted residual block: one call runs its convolutions, each with its own line in the report."""
    n = Network((1, 12, 12, 3), np.random.default_rng(6))
    x = n.conv(n.image, 8, 3)
    y = n.conv(n.depthwise(n.conv(x, 48, 1)), 8, 1, relu=False)
    data = n.finish(n.add(x, y))
    model = read_model(data)
    layers = generate(request_for(data, "auto")).report.layers
    assert [layer.operator for layer in layers] == [op.name for op in model.operators]
    assert [layer.name for layer in layers] == [model.tensors[op.outputs[0]].name for op in model.operators]
    stem, *block, add = layers
    assert {layer.kernel for layer in block} == {"fused"} and len({layer.step for layer in block}) == 1
    assert stem.step < block[0].step < add.step and add.kernel != "fused"
    assert [layer.macs for layer in block] == [144 * 8 * 48, 144 * 9 * 48, 144 * 48 * 8]
    assert all("row by row" in layer.why for layer in block)
