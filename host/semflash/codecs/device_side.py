"""The device's side of a codec: real networks and tails that the conversion turns into a device program.

What the stages mean is in :mod:`semflash.program.stages`; here they stand with floating-point numbers, before
anything is quantised.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from semflash.codecs.patch_side import FallTables as FallTables
from semflash.codecs.patch_side import PatchCoder as PatchCoder
from semflash.codecs.patch_side import PatchesStage, SelectStage
from semflash.codecs.token_side import TokensStage
from semflash.program.controls import Control
from semflash.program.layout import Layout, Region
from semflash.program.quality import Quality
from semflash.program.stages import Order

#: Name of the tensor that every device program begins with.
IMAGE = "image"


@dataclass(frozen=True)
class GdnTailSpec:
    """Device tail of coupled channels: GDN, PReLU, nearest centre (integer threshold tests on the device).

    Attributes:
        beta: float32 (C,), > 0. gamma: float32 (C, C), >= 0, den_j = beta_j + sum_i x_i^2 gamma[i, j].
        alpha: float32 (C,), > 0. centres: float32 (K,), ascending.
        labels: uint8 (K,), a permutation: the code sent for each rank; None: the rank itself, the only
            labelling the device's threshold tests have.
    """

    beta: np.ndarray
    gamma: np.ndarray
    alpha: np.ndarray
    centres: np.ndarray
    labels: np.ndarray | None = None


@dataclass(frozen=True)
class TableTailSpec:
    """Device tail without coupling between channels: a table of 256 codes per channel on the device.

    Attributes:
        thresholds: float32 (C, K-1), not descending; the rank of a value is the number of thresholds of its
            channel below it.
        centres: float32 (K,), ascending: what the decoder gets for each rank.
        labels: uint8 (K,), a permutation: the code sent for each rank; None: the rank itself.
    """

    thresholds: np.ndarray
    centres: np.ndarray
    labels: np.ndarray | None = None

    @classmethod
    def nearest_centre(
        cls, centres: np.ndarray, alpha: np.ndarray, labels: np.ndarray | None = None
    ) -> TableTailSpec:
        """PReLU with slopes ``alpha`` (C,), > 0, then the nearest of ``centres`` (K,), ascending: midpoints
        below 0 are pulled back through the PReLU."""
        middle = (centres[1:] + centres[:-1]) / 2
        thresholds = np.where(middle >= 0, middle, middle / alpha[:, None])
        return cls(thresholds.astype(np.float32), centres, labels)


DeviceTailSpec = GdnTailSpec | TableTailSpec


@dataclass(frozen=True)
class GraphSpec:
    """A part of the device's network that becomes one int8 .tflite.

    Attributes:
        name: Lower case, unique in the codec.
        source: The tensor it reads.
        output: The tensor it writes.
    """

    name: str
    source: str
    output: str


@dataclass(frozen=True)
class TailStage:
    """A device tail between two tensors, values to codes.

    Attributes:
        source: The tensor of values.
        output: The tensor of codes.
        spec: What is done.
    """

    source: str
    output: str
    spec: DeviceTailSpec


@dataclass(frozen=True)
class ModulationStage:
    """Scales and shifts each channel of a tensor of values, by one set for each value of a control:
    ``scale * x + offset``. A projection behind it takes it up where that needs less memory.

    Attributes:
        source: The tensor (positions..., C).
        output: The tensor of the same shape.
        scale: float32 (S, C), one set for each value of the control.
        offset: float32 (S, C).
        chosen_by: The control that says which set is used; None where there is one.
    """

    source: str
    output: str
    scale: np.ndarray
    offset: np.ndarray
    chosen_by: str | None = None


@dataclass(frozen=True)
class ProjectionStage:
    """A linear map of channels between two tensors of values, one for each value of a control.

    Attributes:
        source: The tensor (positions..., C).
        output: The tensor (positions..., J); int8 with zero point 0 and one scale for all sets.
        weights: float32 (S, J, C), one set for each value of the control.
        bias: float32 (S, J).
        chosen_by: The control that says which set is used; None where there is one.
        reach: The largest magnitude that the output can express, 127 times its scale; None: the largest
            one that calibration images give with any of the sets.
    """

    source: str
    output: str
    weights: np.ndarray
    bias: np.ndarray
    chosen_by: str | None = None
    reach: float | None = None


@dataclass(frozen=True)
class NormaliseStage:
    """Brings the values of an image to the nominal power, 1/2 each, and clips what is beyond the reach.

    Attributes:
        source: The tensor of values.
        output: The tensor of the normalised values; int8 with zero point 0.
        reach: The largest magnitude that the output can express, 127 times its scale.
    """

    source: str
    output: str
    reach: float


@dataclass(frozen=True)
class Neutral:
    """What stands where a code was lost.

    Attributes:
        code: The code that the receiver goes on with, of saliency for instance.
        value: The real value that the edge graphs get; None: that of the code.
    """

    code: int = 0
    value: float | None = None


DeviceStage = (
    GraphSpec
    | TailStage
    | Order
    | ModulationStage
    | ProjectionStage
    | NormaliseStage
    | SelectStage
    | PatchesStage
    | TokensStage
)


def sources_of(stage: DeviceStage) -> tuple[str, ...]:
    """The tensors that a stage reads."""
    match stage:
        case Order():
            return stage.saliency, stage.source
        case SelectStage():
            return stage.scores, stage.image
        case PatchesStage():
            return stage.image, stage.levels, *(() if stage.background is None else (stage.background,))
        case _:
            return (stage.source,)


@dataclass(frozen=True)
class DeviceSpec:
    """A device program before it is quantised.

    Attributes:
        network: Keras model, image float (B, H, W, C) in [0, 1] to the tensors of ``values``, in their
            order; only convolutions, pooling, additions and ReLU, so that it quantises to pure int8.
        values: Names of the tensors that graphs write.
        stages: What the device does, in order; a graph reads the image or what an earlier one wrote.
        payload: How the codes are sent.
        quality: What the decoder is told, over the range that the codec is trained for.
        controls: What the host may set.
        neutral: By tensor of codes; where there is none, code 0 stands for a lost one.
    """

    network: Any
    values: tuple[str, ...]
    stages: tuple[DeviceStage, ...]
    payload: Layout
    quality: Quality
    controls: tuple[Control, ...] = ()
    neutral: Mapping[str, Neutral] = field(default_factory=dict)

    @property
    def graphs(self) -> tuple[GraphSpec, ...]:
        """The stages that are graphs."""
        return tuple(stage for stage in self.stages if isinstance(stage, GraphSpec))

    @classmethod
    def of_encoder(
        cls, network: Any, tail: DeviceTailSpec, quality: Quality, bits: int, neutral: Neutral
    ) -> DeviceSpec:
        """One graph, one tail, all codes in the payload.

        Args:
            network: Image to latent.
            bits: Of a code.
            neutral: Of a lost code.
        """
        return cls(
            network,
            ("latent",),
            (GraphSpec("encoder", IMAGE, "latent"), TailStage("latent", "codes", tail)),
            Layout((Region("codes", bits),)),
            quality,
            neutral={"codes": neutral},
        )


class DeviceSide(abc.ABC):
    """What a codec does on the device."""

    @abc.abstractmethod
    def device(self) -> DeviceSpec:
        """The device program in real numbers, with the weights as they are now."""
