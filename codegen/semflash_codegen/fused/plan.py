"""The streaming plan: stages, what each keeps in RAM, and where in the state it lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from semflash_codegen.fused import convolution
from semflash_codegen.fused.convolution import ConvTables
from semflash_codegen.fused.exact import ExactForm
from semflash_codegen.fused.layers import Conv, Layer, Pool, Table
from semflash_codegen.fused.mixed import padded_steps
from semflash_codegen.fused.requantise import CheapForm
from semflash_codegen.fused.shapes import QUAD_COST, ROWS_MAX, clipped
from semflash_codegen.fused.tables import Gather

COUNT_BYTES = 6
RUN = {
    "whole": "sf_fused_run_conv",
    "rows": "sf_fused_run_conv",
    "chunked": "sf_fused_run_conv_chunked",
    "accumulate": "sf_fused_run_accumulate",
    "strip": "sf_fused_run_strip",
    "pooled": "sf_fused_run_conv_pooled",
    "depthwise": "sf_fused_run_depthwise",
    "max": "sf_fused_run_max",
    "max ring": "sf_fused_run_max_ring",
    "average": "sf_fused_run_average",
    "table": "sf_fused_run_table",
}


@dataclass
class Stage:
    """One stage of the pipeline. Sizes in bytes; offsets are into the state."""

    kind: str
    layers: tuple[Layer, ...]
    convs: tuple[ConvTables, ...] = ()
    form: CheapForm | ExactForm | None = None
    slots: int = 1
    kernel_rows: int = 1
    stride_rows: int = 1
    pad_top: int = 0
    pad_bottom: int = 0
    left: int = 0
    right: int = 0
    pad_value: int = 0
    spill: int = 0
    scratch_bytes: int = 0
    over_read: int = 3
    pitch: int = field(default=0, init=False)
    ring: int = field(default=0, init=False)
    table: int = field(default=0, init=False)
    """Where the first convolution's table lies in the state; 0: it stays in flash."""
    scratch: int = field(default=0, init=False)

    @property
    def source_row_bytes(self) -> int:
        return self.layers[0].source.row_bytes

    @property
    def patch_bytes(self) -> int:
        """Stack that its kernel's patches take."""
        return sum((16 if tables.mode == "quads" else 8) * tables.steps for tables in self.convs)

    @property
    def table_bytes(self) -> int:
        """Of a table that is better read from RAM: few steps, all of them for every pair of pixels."""
        if not self.convs or self.convs[0].mode != "whole":
            return 0
        first = self.convs[0]
        return 4 * len(first.weights) if first.gather.steps <= convolution.FEW_STEPS else 0

    @property
    def may_spill(self) -> bool:
        """Whether its kernels may write up to 3 bytes right of the output row."""
        return (bool(self.convs) or self.kind == "depthwise") and self.layers[-1].output.channels % 4 != 0


@dataclass(frozen=True)
class Plan:
    """The pipeline and its state: counters, rings, accumulators, the latest output row."""

    stages: tuple[Stage, ...]
    latent: int
    state_bytes: int

    @property
    def ram_bytes(self) -> int:
        """State and the patches of the kernel that has the largest ones."""
        return self.state_bytes + max(stage.patch_bytes for stage in self.stages)


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
    return _place(stages, choice.tables)


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


def _place(stages: list[Stage], tables_bytes: int | None = None) -> Plan:
    """Offsets: counters, then what must lie on a word boundary, then rings, then the latest output row.

    tables_bytes: How much of tables may lie in RAM; None: those that did before.
    """
    offset = _align(COUNT_BYTES * len(stages), 4)
    for stage in stages:
        copied = stage.table > 0 if tables_bytes is None else 0 < stage.table_bytes <= tables_bytes
        stage.table = offset if copied else 0
        offset += stage.table_bytes if copied else 0
        tables_bytes = None if tables_bytes is None else tables_bytes - (stage.table_bytes if copied else 0)
        if stage.scratch_bytes:
            stage.scratch = offset
            offset += _align(stage.scratch_bytes, 4)
    for before, stage in zip([None, *stages[:-1]], stages, strict=True):
        stage.spill = 3 if before is not None and before.may_spill else 0
        stage.pitch = _align(stage.left + stage.source_row_bytes + max(stage.right, stage.spill), 4)
        stage.ring = offset
        offset += stage.slots * stage.pitch
    latent = offset
    offset += stages[-1].layers[-1].output.row_bytes + 3
    over_read = max(max(stage.over_read, 3) for stage in stages)
    return Plan(tuple(stages), latent, _align(offset + max(over_read - 3, 0), 8))


def _align(value: int, to: int) -> int:
    return -(-value // to) * to
