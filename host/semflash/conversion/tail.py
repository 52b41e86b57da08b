"""The device's tails as integers, and what they do in real numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semflash.codecs.device_side import DeviceTailSpec, GdnTailSpec, TableTailSpec
from semflash.conversion.gdn import float_codes, quantise_tail
from semflash.conversion.graphs import Int8Output
from semflash.errors import ExportError
from semflash.program.stages import TableTail, TailTable


def check_labels(spec: DeviceTailSpec, whole_graph: bool) -> None:
    """ExportError: codes that are not ranks need a table on the device."""
    if isinstance(spec, GdnTailSpec) and spec.labels is not None and not whole_graph:
        raise ExportError(
            "the device's GDN tail counts thresholds, so its codes are ranks; these are labelled otherwise",
            value=spec.labels.tolist(),
            remedy="export --whole-graph (GDN inside the graph, a table behind it), or train labels=natural",
        )


def quantise(spec: DeviceTailSpec, latent: Int8Output) -> TailTable:
    """The integers of a tail behind a latent. ExportError: parameters out of range."""
    if isinstance(spec, TableTailSpec):
        return table_of(spec, latent)
    scale, zero_point = latent.scale, latent.zero_point
    return quantise_tail(spec.beta, spec.gamma, spec.alpha, spec.centres, scale, zero_point)


def table_of(spec: TableTailSpec, latent: Int8Output) -> TableTail:
    """The code of every int8 value of every channel. ExportError: thresholds that are no numbers."""
    thresholds = np.asarray(spec.thresholds, np.float64)
    channels, steps = latent.shape[2], len(spec.centres) - 1
    if thresholds.shape != (channels, steps) or not np.isfinite(thresholds).all():
        raise ExportError(
            f"the table needs finite thresholds ({channels}, {steps})",
            value=thresholds.shape,
            remedy="retrain, or look for a diverged run",
        )
    values = (np.arange(-128, 128) - latent.zero_point) * latent.scale
    ranks = (values[None, :, None] > thresholds[:, None, :]).sum(-1)
    table = ranks if spec.labels is None else np.asarray(spec.labels)[ranks]
    return TableTail(channels, len(spec.centres), latent.zero_point, [int(v) for v in table.ravel()])


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
