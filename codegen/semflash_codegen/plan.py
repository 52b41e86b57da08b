"""The plan: which layer runs on what and why, and where everything lies. What the C writer writes.

A later engine may replace runs of layers by streaming kernels behind the same sf_graph_t: it then changes the
layers' kernels and the buffers here, not the interface of the generated code.
"""

from __future__ import annotations

from dataclasses import dataclass

from semflash_codegen.fused.streamed import FUSED, Streamed
from semflash_codegen.ir import Model, image_rows
from semflash_codegen.layer import CMSIS_NN, REFERENCE, Layer
from semflash_codegen.memory_plan import Arena

#: SF_ENCODER_CHANNELS_MAX of device/include/semflash/encoder.h.
LATENT_CHANNELS_MAX = 256


@dataclass(frozen=True)
class Plan:
    """Layers in order, aliases (tensor -> tensor whose memory it shares) and the arena."""

    model: Model
    layers: tuple[Layer, ...]
    alias: dict[int, int]
    arena: Arena
    streamed: Streamed | None = None
    """Layers in front of `layers` that run row by row, and their C; None: nothing streams."""

    def offset(self, tensor: int) -> int:
        """Byte offset of a tensor in the arena."""
        return self.arena.offsets[f"tensor{self.alias.get(tensor, tensor)}"]

    def scratch_offset(self, layer: Layer) -> int:
        """Byte offset of a layer's scratch in the arena."""
        return self.arena.offsets[f"scratch{layer.index}"]

    @property
    def rows(self) -> int:
        """Image rows; a vector is one row."""
        return image_rows(self.model.tensors[self.model.inputs[0]])[0]

    @property
    def row_bytes(self) -> int:
        """Bytes of an image row: width x channels."""
        return image_rows(self.model.tensors[self.model.inputs[0]])[1]

    @property
    def latent_channels(self) -> int:
        """Channels of the output; a longer vector goes out in pieces, as long as they can be."""
        channels = self.model.tensors[self.model.outputs[0]].shape[-1]
        return max(n for n in range(1, LATENT_CHANNELS_MAX + 1) if channels % n == 0)

    @property
    def latent_positions(self) -> int:
        """Positions of the output: height x width (x pieces)."""
        return self.model.tensors[self.model.outputs[0]].elements // self.latent_channels

    @property
    def streamed_steps(self) -> int:
        """Stages that stream first; the calls of `layers` are numbered after them."""
        return 0 if self.streamed is None else len(self.streamed.plan.stages)

    @property
    def kernels(self) -> str:
        """ "fused" where any layer streams, else "cmsis-nn" where any layer runs on it, else "reference"."""
        if self.streamed is not None or any(layer.kernel.runs_on == FUSED for layer in self.layers):
            return FUSED
        return CMSIS_NN if any(layer.kernel.runs_on == CMSIS_NN for layer in self.layers) else REFERENCE
