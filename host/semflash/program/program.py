"""The device program itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct, UnsetType

from semflash.errors import ProgramError
from semflash.fields import Name
from semflash.program.controls import Control
from semflash.program.layout import Layout, Region, protected_bits
from semflash.program.patch_stages import Select
from semflash.program.quality import Quality
from semflash.program.stages import Graph, Stage, Tail, TailTable
from semflash.program.tensors import Codes, Tensor

if TYPE_CHECKING:
    from semflash.program.map_sizes import MapSizes


class Program(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything a device does for an image: rows of pixels in, payload out.

    What comes from outside goes through :func:`semflash.program.checks.check_program` before it is used.

    Attributes:
        image: The name of the tensor that the camera or the host gives, (height, width, channels).
        tensors: All tensors, the image among them.
        stages: What is done, in this order; a stage reads only what is there before it.
        payload: How the codes are sent.
        quality: What the decoder is told about the channel, over the range that the codec was trained for.
        controls: What the host may set.
    """

    image: Name
    tensors: Annotated[tuple[Tensor, ...], Meta(min_length=1, max_length=64)]
    stages: Annotated[tuple[Stage, ...], Meta(min_length=1, max_length=32)]
    payload: Layout
    quality: Quality
    controls: Annotated[tuple[Control, ...], Meta(max_length=16)] = ()

    @classmethod
    def of_graph(
        cls, name: str, image: Tensor, latent: Tensor, tail: TailTable, codes: Codes, quality: Quality
    ) -> Program:
        """One graph, one tail, and all codes in the payload: what bundles of version 1 do.

        Args:
            name: Of the graph.
            image: What the graph reads.
            latent: What it writes.
            tail: The integers of the tail.
            codes: What the codes mean.
        """
        return cls(
            image=image.name,
            tensors=(image, latent, Tensor("codes", latent.shape, codes)),
            stages=(Graph(name, (image.name,), (latent.name,)), Tail(latent.name, "codes", (tail,))),
            payload=Layout((Region("codes", (codes.levels - 1).bit_length()),)),
            quality=quality,
        )

    def tensor(self, name: str) -> Tensor:
        """The tensor of this name.

        Raises:
            ProgramError: There is none.
        """
        for tensor in self.tensors:
            if tensor.name == name:
                return tensor
        raise ProgramError("the device program has no such tensor", value=name, remedy="export it again")

    def control(self, name: str) -> Control:
        """The control of this name.

        Raises:
            ProgramError: There is none.
        """
        for control in self.controls:
            if control.name == name:
                return control
        raise ProgramError("the device program has no such control", value=name, remedy="export it again")

    @property
    def graphs(self) -> tuple[Graph, ...]:
        """The stages that are graphs."""
        return tuple(stage for stage in self.stages if isinstance(stage, Graph))

    def region_bits_max(self, region: Region) -> int:
        """The most bits that a region can take in the payload."""
        return protected_bits(self.tensor(region.source).items * region.bits, region.protection)

    @property
    def payload_bits_max(self) -> int:
        """The most bits that the payload of an image can have."""
        if isinstance(self.payload.head, UnsetType):
            return sum(self.region_bits_max(region) for region in self.payload.regions)
        most, stage = self.map_sizes.most, self.select
        return most if stage is None else min(most, 8 * self.control(stage.rate).high)

    @property
    def map_sizes(self) -> MapSizes:
        """What a payload takes by the counts of the map in its head.

        Raises:
            ProgramError: The payload has no head, or not everything behind it is told by it.
        """
        from semflash.program.map_sizes import map_sizes  # numpy, which reading other bundles does without

        return map_sizes(self.payload, {tensor.name: tensor for tensor in self.tensors})

    @property
    def select(self) -> Select | None:
        """The stage that writes the map in the payload's head; None: another one does, or there is none."""
        head = self.payload.head
        stages = (stage for stage in self.stages if isinstance(stage, Select))
        return next((s for s in stages if not isinstance(head, UnsetType) and s.output == head.map), None)

    @property
    def payload_bytes_max(self) -> int:
        """The most bytes that the payload of an image can have."""
        return -(-self.payload_bits_max // 8)
