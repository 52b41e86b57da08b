"""What every codec family is: its three sides. How a new family is added: docs/codecs.md."""

from __future__ import annotations

import math
from typing import Any

from semflash.codecs.device_side import DeviceSide
from semflash.codecs.edge_side import EdgeSide
from semflash.codecs.training_side import TrainingSide


class Codec(DeviceSide, EdgeSide, TrainingSide):
    """A codec of some family; the three sides share its weights.

    It is constructed from a frozen dataclass of its sizes, which has ``image_shape``, ``feature_shape``,
    ``ber`` and a class method ``from_dict``; the same sizes give the same structure, so that weights saved
    by :meth:`parts` can be loaded again.

    Attributes:
        family: Name of the family.
        family_version: Counts changes of its networks.
        sizes: The dataclass.
    """

    family: str
    family_version: int
    sizes: Any

    @property
    def payload_bytes(self) -> int:
        """The most bytes of a payload: all codes, the last byte filled with zero bits."""
        return -(-math.prod(self.code_shape) * self.bits_per_code() // 8)
