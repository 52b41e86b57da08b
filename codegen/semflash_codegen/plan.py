"""The plan: which layer runs on what and why, and where everything lies. What the C writer writes.

A later engine may replace runs of layers by streaming kernels behind the same sf_graph_t: it then changes the
layers' kernels and the buffers here, not the interface of the generated code.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from semflash_codegen.ir import Model
from semflash_codegen.layer import CMSIS_NN, REFERENCE, Layer
from semflash_codegen.memory_plan import Arena


@dataclass(frozen=True)
class Plan:
    """Layers in order, aliases (tensor -> tensor whose memory it shares) and the arena."""

    model: Model
    layers: tuple[Layer, ...]
    alias: dict[int, int]
    arena: Arena

    def offset(self, tensor: int) -> int:
        """Byte offset of a tensor in the arena."""
        return self.arena.offsets[f"tensor{self.alias.get(tensor, tensor)}"]

    def scratch_offset(self, layer: Layer) -> int:
        """Byte offset of a layer's scratch in the arena."""
        return self.arena.offsets[f"scratch{layer.index}"]

    @property
    def rows(self) -> int:
        """Image rows."""
        return self.model.tensors[self.model.inputs[0]].shape[1]

    @property
    def row_bytes(self) -> int:
        """Bytes of an image row: width x channels."""
        return prod(self.model.tensors[self.model.inputs[0]].shape[2:])

    @property
    def latent_channels(self) -> int:
        """Channels of the output."""
        return self.model.tensors[self.model.outputs[0]].shape[-1]

    @property
    def latent_positions(self) -> int:
        """Positions of the output: height x width."""
        return self.model.tensors[self.model.outputs[0]].elements // self.latent_channels

    @property
    def kernels(self) -> str:
        """ "cmsis-nn" where any layer runs on it, else "reference"."""
        return CMSIS_NN if any(layer.kernel.runs_on == CMSIS_NN for layer in self.layers) else REFERENCE
