"""Whether an imported network computes what the original does: differences against the tensor's own spread.

The spread is how far values move from one image to another: a large constant part, such as a bias, says
nothing about whether the rest is right, and numbers that are all small are no nearer to the original for it.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from semflash.conversion.int8_check import spread
from semflash.errors import TrainingError
from semflash.importing.parts import Parts

#: Largest difference of features and output, as a share of their spread: what float32 sums in another order
#: differ by. A wrong layout or a lost operator changes tens of per cent.
TOLERANCE = 1e-3
#: As a share of the largest value: what float32 cannot tell, where the spread is smaller than that.
ROUNDING = 64 * float(np.finfo(np.float32).eps)


def compare(parts: Parts, head: keras.Model, images: np.ndarray, network_input: np.ndarray) -> dict[str, Any]:
    """Largest differences of features and output from the original.

    Args:
        head: For images in [0, 1].
        images: uint8 (N, H, W, C), at least two.
        network_input: The same, float32, as the network takes them.

    Raises:
        TrainingError: they are too large.
    """
    expected = parts.expected(network_input)
    features = head(images.astype(np.float32) / np.float32(255), training=False)
    logits = parts.finish(parts.tail(features, training=False))
    found = [keras.ops.convert_to_numpy(value) for value in (features, logits)]
    results: dict[str, Any] = {"checked_images": len(images), "tolerance": TOLERANCE}
    pairs = {"features": (found[0], expected[0])}
    pairs |= {name: (found[1][..., part], expected[1][..., part]) for name, part in parts.pieces.items()}
    for name, (mine, original) in pairs.items():
        if mine.shape != original.shape:
            raise TrainingError(
                f"the {name} have another shape than the original's", value=f"{mine.shape}, {original.shape}"
            )
        difference, largest = float(np.abs(mine - original).max()), float(np.abs(original).max())
        own = spread(original)
        results |= {
            f"{name}_max_difference": difference,
            f"{name}_max": largest,
            f"{name}_spread": own,
        }
        if not difference <= TOLERANCE * own + ROUNDING * largest:
            raise TrainingError(
                f"the {name} are not those of the original network",
                value=f"they differ by {difference:.3g}, their spread over the images is {own:.3g}",
                remedy=parts.remedy,
            )
    return results
