"""Uniform quantisation of the task network's features with a fixed length: pool, principal components, bits.

features (14, 14, 16) of the task network's own head, on the device
  | average pool p, stride p                                   (g, g, 16), g = ceil(14 / p)
  | principal components: of the channels, or of the whole pooled map (``joint``)
  | b bits each, uniform over mean +- span sigma, the span with the least squared error
payload: as many components as fit
  | middle of each step, back-projection, bilinear upsampling  (14, 14, 16)
features, then the tail; tail and back-projection tuned under bit errors, as the learned codecs are
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from semflash.baselines.base import Erased, Method, block_of, erased_symbols, lost
from semflash.baselines.spec import Job, MethodSpec, Settings
from semflash.baselines.tuning import TrainingViews, batch_of, copied_tail, in_pieces, tune
from semflash.bundle.packing import pack, unpack
from semflash.channels.bits import flip_bits
from semflash.codecs.layers.channel import BerRange
from semflash.errors import UsageError
from semflash.training.loop import Batch
from semflash.training.task import in_batches

SAMPLE_IMAGES = 4_000
SPANS = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)


@dataclass(frozen=True)
class Projection:
    """Vectors (..., D) to codes (..., k) and back.

    Attributes:
        mean: float (D,). basis: float (D, k), orthonormal columns.
        low, step: float (k,), of the uniform quantiser. bits: per component.
    """

    mean: NDArray[np.float32]
    basis: NDArray[np.float32]
    low: NDArray[np.float32]
    step: NDArray[np.float32]
    bits: int

    @classmethod
    def fit(cls, vectors: NDArray[np.float32], components: int, bits: int) -> Projection:
        """Principal components of vectors (N, D) and the spans with the least squared error."""
        mean = vectors.mean(0)
        _, _, rows = np.linalg.svd((vectors - mean).T @ (vectors - mean))
        basis = rows[:components].T.astype(np.float32)
        values = (vectors - mean) @ basis
        sigma, levels = np.maximum(values.std(0), 1e-6), 1 << bits
        errors = []
        for span in SPANS:
            low, step = -span * sigma, 2 * span * sigma / levels
            codes = np.clip(np.floor((values - low) / step), 0, levels - 1)
            errors.append(np.square(low + (codes + 0.5) * step - values).mean(0))
        best = np.asarray(SPANS, np.float32)[np.argmin(errors, axis=0)]
        return cls(mean, basis, -best * sigma, 2 * best * sigma / levels, bits)

    def codes(self, vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
        """uint8 (..., k)."""
        values = (vectors - self.mean) @ self.basis
        return np.clip(np.floor((values - self.low) / self.step), 0, (1 << self.bits) - 1).astype(np.uint8)

    def values(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Middles of the steps, float32 (..., k)."""
        return (self.low + (codes + np.float32(0.5)) * self.step).astype(np.float32)


class UniformFeatures(Method):
    """See the module.

    Args:
        pooled: uint8 images (N, H, W, C) to vectors float32 (N, P, D).
        network: values (B, P, k) to logits.
    """

    def __init__(
        self,
        pooled: Any,
        projection: Projection,
        positions: int,
        network: keras.Model,
        prior: NDArray[np.float32],
        spec: MethodSpec,
        settings: dict[str, Any],
    ) -> None:
        self.pooled, self.projection, self.network, self.prior = pooled, projection, network, prior
        self.shape = (positions, projection.basis.shape[1])
        self.name, self.title, self.citation = spec.name, spec.title, spec.citation
        self.settings = settings
        self.undecodable = 0

    def encode(self, images: NDArray[np.uint8]) -> list[bytes]:
        """All payloads have one length."""
        return [
            row.tobytes() for row in pack(self.projection.codes(self.pooled(images)), self.projection.bits)
        ]

    def logits(
        self, payloads: Sequence[bytes], ber: float, erased: Erased | None = None
    ) -> NDArray[np.float32]:
        """A lost component is 0, its mean."""
        del ber  # the back-projection has no use for it
        bits, symbols = self.projection.bits, self.shape[0] * self.shape[1]
        codes = unpack(block_of(payloads, -(-symbols * bits // 8)), bits, symbols)
        values = self.projection.values(codes.reshape(-1, *self.shape))
        gone = erased_symbols(erased, len(values), symbols, bits)
        if gone is not None:
            values[gone.reshape(values.shape)] = 0.0
        found = in_pieces(self.network, values)
        nothing = lost(erased, len(found))
        found[nothing] = self.prior
        self.undecodable = int(nothing.sum())
        return found


def build_uniform(job: Job, settings: Settings, spec: MethodSpec) -> Method:
    """Fit the projection on training images, then tune back-projection and tail.

    Args:
        settings: ``pool`` p; ``bits`` b; ``joint``: components of the whole pooled map; ``peak``: see
            :func:`semflash.baselines.tuning.tune`.

    Raises:
        UsageError: not even one component fits.
    """
    pool, bits, joint = int(settings["pool"]), int(settings["bits"]), bool(settings.get("joint"))
    features = keras.Input(job.task.head.output_shape[1:])
    reduce = keras.Model(features, layers.AveragePooling2D(pool, padding="same")(features))
    grid = tuple(int(side) for side in reduce.output_shape[1:])
    positions, width = (1, grid[0] * grid[1] * grid[2]) if joint else (grid[0] * grid[1], grid[2])
    components = min(width, 8 * job.size_bytes // (positions * bits))
    if components < 1:
        raise UsageError("not one component fits", value=(job.size_bytes, positions, bits))

    def pooled(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        found = in_batches(lambda x: reduce(job.task.head(x, training=False)), images)
        return found.reshape(-1, positions, width)

    views = TrainingViews(job)
    projection = Projection.fit(pooled(views.images[0][:SAMPLE_IMAGES]).reshape(-1, width), components, bits)
    network = _network(job, projection, positions, grid, pool)
    sent = np.stack([pack(projection.codes(pooled(view)), bits) for view in views.images])
    range_, shape = BerRange(), (positions, components)

    def batches(rng: np.random.Generator) -> Iterator[Batch]:
        for view, index in views.chosen(rng):
            received = flip_bits(sent[view, index], range_.sample(len(index), rng)[:, 0], rng)
            codes = unpack(received, bits, positions * components).reshape(-1, *shape)
            yield batch_of(projection.values(codes), views, view, index)

    described = dict(settings) | {"components": components, "positions": positions}
    validation = projection.values(projection.codes(pooled(job.data.val.images)))
    tune(network, job, views, batches, validation, spec.name, described)
    return UniformFeatures(pooled, projection, positions, network, job.prior, spec, described)


def _network(
    job: Job, projection: Projection, positions: int, grid: tuple[int, ...], pool: int
) -> keras.Model:
    """Values (B, P, k) -> back-projection -> (g, g, c) -> bilinear, cut to the features' size -> tail."""
    height, width = job.task.head.output_shape[1:3]
    values = keras.Input((positions, projection.basis.shape[1]))
    back = layers.Dense(projection.basis.shape[0], name="back_projection")
    x = layers.Reshape(grid)(back(values))
    back.set_weights([projection.basis.T, projection.mean])
    x = layers.UpSampling2D(pool, interpolation="bilinear")(x)
    x = layers.Cropping2D(((0, grid[0] * pool - height), (0, grid[1] * pool - width)))(x)
    return keras.Model(values, copied_tail(job)(layers.ReLU()(x)))
