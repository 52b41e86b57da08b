"""SemanticNN with the faults of its released training code, for comparison only (``semanticnn-released``)."""

from __future__ import annotations

import dataclasses
from typing import Any

from semflash.codecs.layers.channel import SymbolSwapChannel
from semflash.codecs.semanticnn.codec import SemanticNN
from semflash.codecs.semanticnn.sizes import SemanticNNSizes
from semflash.errors import UsageError


@dataclasses.dataclass(frozen=True)
class SemanticNNReleasedSizes(SemanticNNSizes):
    """As SemanticNN's, with fixed centres and a usage term that counts."""

    learn_centres: bool = False
    usage_gradient: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.learn_centres or self.usage_gradient:
            raise UsageError(
                "semanticnn-released has fixed centres and a usage term without gradient",
                value=(self.learn_centres, self.usage_gradient),
                remedy="use the family semanticnn",
            )


class SemanticNNReleased(SemanticNN):
    """What training with the released code of arXiv 2511.11038 amounts to, in the networks of its section 3.

    Names of layers and shapes for the default sizes:

    image           [0, 1]                                                      (28, 28, 1)
      stem, pool, middle_1 as :class:`SemanticNN`
      latent        Conv 3x3 stride 2                                           (4, 4, 8)
      | GDN, PReLU, nearest of K = 8 fixed centres
    codes           0..K-1; in training swapped for random ones                 (4, 4, 8)
    values          centres of the received codes                               (4, 4, 8)
      widen, pair_1, gate_1, pair_2, gate_2 as :class:`SemanticNN`
      up_1          transposed Conv 4x4 stride 2, BatchNorm, inverse GDN, PReLU, attention  (7, 7, 48)
    features        transposed Conv 4x4 stride 2, ReLU                          (14, 14, 16)

    - Centres stay where they start: the straight-through step gives them no gradient, and those saved are
      overwritten when a run is loaded.
    - The usage term compares codes with ``==``, which has no gradient.
    - Bit noise swaps symbols for random ones; no bit flips. What is sent later meets real bit errors.
    - The BER range lacks 0.01 %: a recipe of this family trains over [0.25 %, 5 %].

    Encoder, decoder and schedule are those of :class:`SemanticNN`, so that a difference between the two comes
    from these four points.
    """

    family = "semanticnn-released"

    def __init__(self, sizes: SemanticNNReleasedSizes) -> None:
        super().__init__(sizes)
        self.swap_channel = SymbolSwapChannel(sizes.levels, name="swaps")

    def through_channel(self, codes: Any, quality: Any, noise: Any) -> Any:
        """Symbols swapped at random."""
        return self.swap_channel(codes, quality, noise)

    def noise_shape(self) -> tuple[int, ...]:
        """(h, w, C, 2)."""
        return (*self.sizes.latent_shape, 2)
