"""The encoder and decoder of one level: a patch to a few coefficients of 1 to 6 bits each, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers, ops

from semflash.codecs.device_side import PatchCoder
from semflash.codecs.multires.klt import COEFFICIENTS, Start
from semflash.program.patch_stages import COEFFICIENT_BITS_MAX

#: Steps and centres that the arrays of a coefficient have room for.
STEPS, CENTRES = (1 << COEFFICIENT_BITS_MAX) - 1, 1 << COEFFICIENT_BITS_MAX
#: Stands for a threshold that a coefficient of fewer bits does not have: no value reaches it.
NEVER = 1e9
#: A step of the optimiser moves a weight of the encoder by so much less than its own size: the sums over the
#: values of a patch are sensitive.
ENCODER_STEP = 0.02


class LevelCoder(layers.Layer):
    """One level: values of a patch (..., n) in [0, 1] to the decoded patch (..., n).

        coefficients   kernel, bias; thresholds and centres of each      (c,)
        decoded        linear back to the patch                          (n,)
          + Dense w ReLU, Dense n                                        (n,)

    The gradient passes the thresholds as if they were not there (straight-through, arXiv 1308.3432), but for
    coefficients beyond the outermost centres. Which coefficients have how many bits is decided by
    :meth:`begin`, and fixed from then on, as are thresholds and centres: what is learnt are both linear maps
    and the perceptron.

    Args:
        bits: Of a patch.
        residual: w.
    """

    def __init__(self, bits: int, residual: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bits, self.residual = bits, residual
        self.width = min(bits, COEFFICIENTS)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights; without :meth:`begin` they code nothing."""
        values = int(input_shape[-1] or 0)
        fixed: dict[str, Any] = {"trainable": False, "initializer": "zeros"}
        self.start = self.add_weight(shape=(values, self.width), name="start", **fixed)
        self.learnt = self.add_weight(shape=(values, self.width), initializer="zeros", name="learnt")
        self.bias = self.add_weight(shape=(self.width,), initializer="zeros", name="bias")
        self.given = self.add_weight(shape=(self.width,), name="given", **fixed)
        self.thresholds = self.add_weight(shape=(self.width, STEPS), name="thresholds", **fixed)
        self.centres = self.add_weight(shape=(self.width, CENTRES), name="centres", **fixed)
        self.back = layers.Dense(values, name="back")
        self.wide = layers.Dense(self.residual, activation="relu", name="wide")
        self.narrow = layers.Dense(values, kernel_initializer="zeros", name="narrow")
        self.back.build((None, self.width))
        self.wide.build((None, self.width))
        self.narrow.build((None, self.residual))

    def begin(self, start: Start) -> None:
        """Take the closed form, whose coefficients are at most as many as there is room for."""
        count = len(start.bits)
        kernel, back = np.zeros(self.start.shape, np.float32), np.zeros(self.back.kernel.shape, np.float32)
        bias, given = np.zeros(self.width, np.float32), np.zeros(self.width, np.float32)
        steps = np.full((self.width, STEPS), NEVER, np.float32)
        centres = np.zeros((self.width, CENTRES), np.float32)
        kernel[:, :count], bias[:count], given[:count] = start.weights.T, start.bias, start.bits
        back[:count] = start.back.T
        for row, (edges, middles) in enumerate(zip(start.thresholds, start.centres, strict=True)):
            steps[row, : len(edges)], centres[row, : len(middles)] = edges, middles
        for variable, value in (
            (self.start, kernel),
            (self.learnt, np.zeros_like(kernel)),
            (self.bias, bias),
            (self.given, given),
            (self.thresholds, steps),
            (self.centres, centres),
            (self.back.kernel, back),
            (self.back.bias, start.mean.astype(np.float32)),
        ):
            variable.assign(value)

    def coefficients(self, patches: Any) -> Any:
        """Before the thresholds, (..., c)."""
        return ops.matmul(patches, self.kernel) + self.bias

    @property
    def kernel(self) -> Any:
        """Of the encoder, (n, c)."""
        return self.start + ENCODER_STEP * self.learnt

    def codes(self, patches: Any) -> Any:
        """The number of thresholds that are not above each coefficient, int32 (..., c)."""
        above = self.coefficients(patches)[..., None] >= self.thresholds
        return ops.sum(ops.cast(above, "int32"), axis=-1)

    def received(self, codes: Any) -> Any:
        """Centres of codes, (..., c)."""
        place = ops.arange(self.width, dtype="int32") * CENTRES
        return ops.take(ops.reshape(self.centres, (-1,)), codes + place)

    def decode(self, coefficients: Any) -> Any:
        """A patch of its centres, (..., n); may lie a little outside [0, 1]."""
        return self.back(coefficients) + self.narrow(self.wide(coefficients))

    def call(self, patches: Any) -> Any:
        """Coded and decoded."""
        sent = self.coefficients(patches)
        found = self.received(self.codes(patches))
        inside = ops.clip(sent, ops.min(self.centres, axis=1), ops.max(self.centres, axis=1))
        return self.decode(inside + ops.stop_gradient(found - inside))

    def device(self) -> PatchCoder:
        """What the device computes."""
        kernel, bias, given, thresholds = (
            ops.convert_to_numpy(each) for each in (self.kernel, self.bias, self.given, self.thresholds)
        )
        used = np.flatnonzero(given)
        bits = given[used].astype(np.int64)
        steps = tuple(
            thresholds[one, : (1 << count) - 1] for one, count in zip(used, bits.tolist(), strict=True)
        )
        return PatchCoder(kernel[:, used].T.copy(), bias[used], bits, steps)

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return {**super().get_config(), "bits": self.bits, "residual": self.residual}


class FromBytes(layers.Layer):
    """The patch of the bytes that arrived for it: (..., bits / 8), numbers of 0 to 255, to (..., n).

    The codes lie behind each other, the first coefficient and the most significant bit first.

    Args:
        coder: Of the level, with its weights; which bits belong to which coefficient is taken from it now.
    """

    def __init__(self, coder: LevelCoder, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.coder = coder
        given = ops.convert_to_numpy(coder.given).astype(np.int64)
        #: What each bit of a patch is worth in the code of each coefficient, (bits, c).
        worth = np.zeros((coder.bits, coder.width), np.float32)
        place = 0
        for which, count in enumerate(given.tolist()):
            for bit in range(count):
                worth[place, which] = 1 << (count - 1 - bit)
                place += 1
        self.worth = worth

    def call(self, sent: Any) -> Any:
        """Decoded patches."""
        parts = [ops.floor(sent / float(1 << shift)) for shift in range(7, -1, -1)]
        bits = ops.stack([part - 2.0 * ops.floor(part / 2.0) for part in parts], axis=-1)
        bits = ops.reshape(bits, (-1, sent.shape[1], self.coder.bits))
        return self.coder.decode(self._centres(ops.matmul(bits, self.worth)))

    def _centres(self, codes: Any) -> Any:
        """Centres of codes (..., c), by comparison: a bundle's graph looks nothing up by what arrived."""
        numbers = np.arange(CENTRES, dtype=np.float32)
        same = ops.cast(ops.abs(codes[..., None] - numbers) < 0.5, "float32")
        return ops.sum(same * self.coder.centres, axis=-1)
