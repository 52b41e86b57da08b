"""What a streaming plan consists of: stages, what each keeps in RAM, and where in the state it lies."""

from __future__ import annotations

from dataclasses import dataclass, field

from semflash_codegen.fused import convolution
from semflash_codegen.fused.convolution import ConvTables
from semflash_codegen.fused.exact import ExactForm
from semflash_codegen.fused.layers import Layer
from semflash_codegen.fused.requantise import CheapForm

COUNT_BYTES = 6
_TIMES_TABLE = 8
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


def place(stages: list[Stage], tables_bytes: int | None = None) -> Plan:
    """Offsets: counters, then what must lie on a word boundary, then rings, then the latest output row.

    tables_bytes: How much of tables may lie in RAM; None: those that did before, if the layer's output, which
            lies in memory as a whole then, is much larger.
    """
    offset = _align(COUNT_BYTES * len(stages), 4)
    for stage in stages:
        output = stage.layers[-1].output
        beside = stage.table > 0 and output.height * output.row_bytes >= _TIMES_TABLE * stage.table_bytes
        copied = beside if tables_bytes is None else 0 < stage.table_bytes <= tables_bytes
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
