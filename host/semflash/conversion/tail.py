"""The device side of a codec as integers: its int8 graph and the tail behind it. Needs TensorFlow."""

from __future__ import annotations

from typing import Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from semflash.codecs.base import DeviceTailSpec, GdnTailSpec, TableTailSpec
from semflash.conversion.gdn import float_codes, quantise_tail
from semflash.conversion.graphs import Int8Graph, convert_int8, with_gdn
from semflash.data.dataset import Dataset
from semflash.errors import ExportError
from semflash.program.stages import GdnTail, TableTail

CALIBRATION_IMAGES = 300
_CALIBRATION_SEED = 300


class DeviceSide(Protocol):
    """What becomes the device: image float32 (B, H, W, C) in [0, 1] -> latent (B, h, w, c), and its tail."""

    @property
    def device_graph(self) -> keras.Model: ...
    @property
    def tail_spec(self) -> DeviceTailSpec: ...


def check_labels(spec: DeviceTailSpec, whole_graph: bool) -> None:
    """ExportError: codes that are not ranks need a table on the device."""
    if isinstance(spec, GdnTailSpec) and spec.labels is not None and not whole_graph:
        raise ExportError(
            "the device's GDN tail counts thresholds, so its codes are ranks; these are labelled otherwise",
            value=spec.labels.tolist(),
            remedy="export --whole-graph (GDN inside the graph, a table behind it), or train labels=natural",
        )


def quantise_device(
    device: DeviceSide, dataset: Dataset, whole_graph: bool = False
) -> tuple[Int8Graph, GdnTail | TableTail]:
    """The int8 graph, calibrated with 300 training images, and the integers of its tail.

    Raises:
        ExportError: images of another size, parameters out of range, not pure int8.
    """
    expected = tuple(device.device_graph.input_shape[1:])
    if dataset.image_shape != expected:
        raise ExportError(
            f"the codec takes images {expected}", value=dataset.image_shape, remedy="use its data set"
        )
    spec = device.tail_spec
    check_labels(spec, whole_graph)
    chosen = np.random.default_rng(_CALIBRATION_SEED).permutation(len(dataset.train.images))
    images = dataset.train.images[np.sort(chosen[:CALIBRATION_IMAGES])]
    if isinstance(spec, TableTailSpec):
        graph = convert_int8(device.device_graph, images)
        return graph, table_of(spec, graph)
    if whole_graph:
        graph = convert_int8(with_gdn(device.device_graph, spec.beta, spec.gamma, spec.alpha), images)
        nearest = TableTailSpec.nearest_centre(spec.centres, np.ones_like(spec.alpha), spec.labels)
        return graph, table_of(nearest, graph)
    graph = convert_int8(device.device_graph, images)
    scale, zero_point = graph.output_scale, graph.output_zero_point
    return graph, quantise_tail(spec.beta, spec.gamma, spec.alpha, spec.centres, scale, zero_point)


def table_of(spec: TableTailSpec, graph: Int8Graph) -> TableTail:
    """The code of every int8 value of every channel. ExportError: thresholds that are no numbers."""
    thresholds = np.asarray(spec.thresholds, np.float64)
    channels, steps = graph.output_shape[2], len(spec.centres) - 1
    if thresholds.shape != (channels, steps) or not np.isfinite(thresholds).all():
        raise ExportError(
            f"the table needs finite thresholds ({channels}, {steps})", value=thresholds.shape,
            remedy="retrain, or look for a diverged run",
        )  # fmt: skip
    values = (np.arange(-128, 128) - graph.output_zero_point) * graph.output_scale
    ranks = (values[None, :, None] > thresholds[:, None, :]).sum(-1)
    table = ranks if spec.labels is None else np.asarray(spec.labels)[ranks]
    return TableTail(channels, len(spec.centres), graph.output_zero_point, [int(v) for v in table.ravel()])


def centres_by_code(spec: DeviceTailSpec) -> NDArray[np.float32]:
    """What the decoder gets for each code, float32 (K,)."""
    centres = np.asarray(spec.centres, np.float32)
    if spec.labels is None:
        return centres
    return centres[np.argsort(spec.labels)]


def codes_by_formula(spec: DeviceTailSpec, latent: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Codes of real latents (..., C), straight from the definition."""
    if isinstance(spec, TableTailSpec):
        ranks = (latent[..., None] > spec.thresholds).sum(-1).astype(np.uint8)
    else:
        alpha = np.broadcast_to(np.ravel(spec.alpha), (latent.shape[-1],))
        ranks, _ = float_codes(latent, spec.beta, spec.gamma, alpha, spec.centres)
    return ranks if spec.labels is None else np.asarray(spec.labels, np.uint8)[ranks]
