"""The streaming plan: which stage runs a layer, and in which form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from semflash_codegen.fused import convolution
from semflash_codegen.fused.convolution import ConvTables
from semflash_codegen.fused.exact import ExactForm
from semflash_codegen.fused.layers import Conv, Layer, Pool, Table
from semflash_codegen.fused.mixed import padded_steps
from semflash_codegen.fused.requantise import CheapForm
from semflash_codegen.fused.shapes import QUAD_COST, ROWS_MAX, clipped
from semflash_codegen.fused.stages import Plan, Stage, place
from semflash_codegen.fused.tables import Gather


@dataclass(frozen=True)
class Generosity:
    """What speed may cost in RAM.

    Attributes:
        fours: Steps of the longest patch of four pixels.
        tables: Bytes of tables that may be copied to RAM.
        mixed: Also few steps take byte-mixed weights: tables of half the size.
    """

    fours: int
    tables: int
    mixed: bool = False


#: From the fastest down; the first one that fits is taken.
CHOICES = (
    *(
        Generosity(fours, convolution.TABLES_IN_RAM_BYTES, mixed)
        for mixed in (False, True)
        for fours in convolution.QUAD_STEPS
    ),
    *(Generosity(fours, 0) for fours in convolution.QUAD_STEPS),
)
#: State and patches of a chain; with what lies on the stack beside them they stay below 4 KB.
RAM_BYTES = 3570
#: A chain that needs more than that anyway may take so much more.
_MORE = 1.25


def make_plan(layers: Sequence[Layer], *, small: bool = False) -> Plan:
    """The fastest stages that the RAM allows, for layers none of which :func:`shapes.refusal` refuses."""
    layers = [clipped(layer, before) for before, layer in zip([None, *layers[:-1]], layers, strict=True)]
    least = _plan(layers, small, CHOICES[-1])
    limit = RAM_BYTES if least.ram_bytes <= RAM_BYTES else _MORE * least.ram_bytes
    plans = (_plan(layers, small, choice) for choice in CHOICES[:-1])
    return next((plan for plan in plans if plan.ram_bytes <= limit), least)


def _plan(layers: Sequence[Layer], small: bool, choice: Generosity) -> Plan:
    stages: list[Stage] = []
    position = 0
    while position < len(layers):
        layer = layers[position]
        following = layers[position + 1] if position + 1 < len(layers) else None
        joined = _strip(layer, following, small, choice) or _pooled(layer, following, small, choice)
        if joined is not None:
            stages.append(joined)
            position += 2
            continue
        stages.append(_stage(layer, small, choice))
        position += 1
    return place(stages, choice.tables)


def _stage(layer: Layer, small: bool, choice: Generosity) -> Stage:
    if isinstance(layer, Table):
        return Stage("table", (layer,))
    if isinstance(layer, Pool):
        return _pool(layer)
    if layer.depthwise:
        return _windowed("depthwise", layer, form=convolution.depthwise_form(layer))
    if _accumulates(layer):
        form = convolution.exact_form(layer) or convolution.cheap_form(layer)
        return _accumulator("accumulate", (layer,), convolution.chunked_tables(layer, form))
    whole = _whole_tables(layer, small, choice, convolution.BYTES)
    if whole is not None:
        return _windowed("whole", layer, (whole,), whole.form)
    exact = convolution.exact_form(layer)
    form = exact or convolution.cheap_form(layer, gain_max=convolution.GAIN_MAX)
    if form is not None:
        tables = convolution.rows_tables(layer, form)
        if layer.window.kernel[0] * tables.chunks <= ROWS_MAX:
            return _with_sums("rows", layer, tables)
    form = exact or convolution.cheap_form(layer)
    return _with_sums("chunked", layer, convolution.chunked_tables(layer, form))


def _whole_tables(layer: Conv, small: bool, choice: Generosity, store: str) -> ConvTables | None:
    """Tables of a kernel that gathers the whole patch; None where the patch is too long, or no form is exact.

    Few steps take int16 weights, whose requantisation is shorter; all others are byte-mixed, if they can be.
    """
    gather = Gather(layer.window.kernel[0], layer.window.kernel[1] * layer.source.channels)
    mixed_limit = convolution.MIXED_LEFT_STEPS if gather.left else convolution.MIXED_STEPS
    cheap = None
    if gather.steps <= convolution.FEW_STEPS and not (small or choice.mixed):
        cheap = convolution.cheap_form(layer, gain_max=convolution.GAIN_MAX)
    exact = convolution.exact_form(layer) if cheap is None else None
    if exact is not None and _in_fours(layer, gather, choice, store):
        return convolution.quad_tables(layer, exact, store)
    if exact is not None and padded_steps(gather.steps) <= mixed_limit:
        return convolution.whole_tables(layer, exact, store)
    if cheap is None and gather.steps <= _whole_limit(gather, store):
        cheap = convolution.cheap_form(layer, gain_max=convolution.GAIN_MAX)
    return None if cheap is None else convolution.whole_tables(layer, cheap, store)


def _with_sums(kind: str, layer: Conv, tables: ConvTables) -> Stage:
    """A windowed stage with accumulators of one pair of pixels in memory."""
    stage = _windowed(kind, layer, (tables,), tables.form)
    stage.scratch_bytes = 32 * tables.group_count
    stage.over_read = tables.chunks * tables.gather.run - layer.window.kernel[1] * layer.source.channels
    return stage


def _in_fours(layer: Conv, gather: Gather, choice: Generosity, store: str) -> bool:
    """Whether four pixels at a time are the shortest way: whole words, a short patch, few pixels twice."""
    column = layer.window.stride[1] * layer.source.channels
    width = layer.output.width
    near = 3 * column < 4096 and 3 * layer.output.channels < 4096
    short = padded_steps(gather.steps) <= choice.fours and not gather.left
    cheaper = width >= 4 and -(-width // 4) * 4 * QUAD_COST <= -(-width // 2) * 2
    return near and short and cheaper and store != convolution.PAIRS


def _whole_limit(gather: Gather, store: str) -> int:
    """Of int16 weights. A long patch goes row by row, unless its pixels go somewhere else than to a row."""
    long = gather.run >= convolution.LONG_RUN_BYTES and store == convolution.BYTES
    return convolution.LONG_RUN_WHOLE_STEPS if long else convolution.WHOLE_STEPS


def _accumulates(layer: Layer | None) -> bool:
    """Every input row belongs to one output row, and accumulators are smaller than the ring would be."""
    if not isinstance(layer, Conv) or layer.depthwise:
        return False
    window = layer.window
    if window.kernel != window.stride or window.kernel[0] == 1:
        return False
    if window.top or window.left or window.bottom or window.right:
        return False
    return _sums_bytes(layer) < window.kernel[0] * layer.source.row_bytes


def _sums_bytes(layer: Conv) -> int:
    return 32 * -(-layer.output.channels // 4) * -(-layer.output.width // 2)


def _accumulator(kind: str, layers: tuple[Conv, ...], tables: ConvTables) -> Stage:
    layer = layers[-1]
    over = tables.chunks * tables.gather.run - layer.window.kernel[1] * layer.source.channels
    stage = Stage(
        kind, layers, (tables,), kernel_rows=layer.window.kernel[0], stride_rows=layer.window.stride[0]
    )
    stage.scratch_bytes = _sums_bytes(layer)
    stage.over_read = over
    return stage


def _strip(layer: Layer, following: Layer | None, small: bool, choice: Generosity) -> Stage | None:
    """A convolution and the accumulating one behind it, joined; None where they cannot be."""
    if not isinstance(layer, Conv) or layer.depthwise or not isinstance(following, Conv):
        return None
    if not _accumulates(following) or _accumulates(layer):
        return None
    first = _whole_tables(layer, small, choice, convolution.PAIRS)
    if first is None:
        return None
    padded = 4 * first.group_count
    steps = 2 * first.group_count * following.window.kernel[1]
    if first.steps + steps > convolution.STRIP_STEPS:
        return None
    form = convolution.exact_form(following) or convolution.cheap_form(following)
    second = convolution.chunked_tables(following, form, padded, limit=steps)
    stage = _windowed("strip", layer, (first, second), first.form)
    stage.layers = (layer, following)
    stage.scratch_bytes = _sums_bytes(following)
    return stage


def _pooled(layer: Layer, following: Layer | None, small: bool, choice: Generosity) -> Stage | None:
    """A convolution whose 2x2 maximum is taken as it is stored; None where they cannot be joined."""
    if not isinstance(layer, Conv) or layer.depthwise or not isinstance(following, Pool) or following.average:
        return None
    window = following.window
    if window.kernel != (2, 2) or window.stride != (2, 2) or window.top or window.left:
        return None
    if following.explicit_padding or following.low > layer.low or following.high < layer.high:
        return None
    tables = _whole_tables(layer, small, choice, convolution.MAX)
    if tables is None or layer.output.width < 2:
        return None
    width = min(layer.output.width, 2 * following.output.width)  # an odd last column may belong to no window
    stage = _windowed("pooled", layer, (replace(tables, out_width=width),), tables.form)
    stage.layers = (layer, following)
    return stage


def _windowed(
    kind: str,
    layer: Conv | Pool,
    convs: tuple[ConvTables, ...] = (),
    form: CheapForm | ExactForm | None = None,
) -> Stage:
    """A stage with a ring as high as its kernel, padding in place."""
    window = layer.window
    return Stage(
        kind,
        (layer,),
        convs,
        form,
        slots=window.kernel[0],
        kernel_rows=window.kernel[0],
        stride_rows=window.stride[0],
        pad_top=window.top,
        pad_bottom=window.bottom,
        left=window.left * layer.source.channels,
        right=window.right * layer.source.channels,
        pad_value=window.pad_value + 128,
    )


def _pool(layer: Pool) -> Stage:
    window = layer.window
    if layer.average:
        return _windowed("average", layer)
    if layer.explicit_padding or window.kernel[0] - window.stride[0] > 1:
        return _windowed("max ring", layer)
    return Stage("max", (layer,))
