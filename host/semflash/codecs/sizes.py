"""What the sizes of every codec family have: the numbers that decide a codec's structure."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, Self

from semflash.codecs.layers.channel import BerRange

#: Fields that JSON turns into lists.
_SHAPES = ("image_shape", "feature_shape")


class CodecSizes(abc.ABC):
    """Base of a family's sizes, which are a frozen dataclass of it.

    The same sizes build the same structure, so that saved weights fit again.

    Attributes:
        image_shape: Shape (H, W, C) of the device's input.
        feature_shape: Shape (h, w, c) of the features at the split, which the decoder gives back; empty where
            the family needs no task network.
        levels: The number of values that a code can take.
        ber: The bit error rates that the codec is trained for.
    """

    image_shape: tuple[int, int, int]
    feature_shape: tuple[int, ...]
    levels: int
    ber: BerRange

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Rebuild sizes from ``dataclasses.asdict`` or from JSON, whose lists become tuples.

        Raises:
            TypeError: A field that the family does not have.
            UsageError: A combination that cannot be built.
        """
        given = dict(fields)
        given |= {name: tuple(given[name]) for name in _SHAPES if name in given}
        if "middle" in given:
            given["middle"] = tuple((int(channels), int(stride)) for channels, stride in given["middle"])
        if isinstance(given.get("ber"), dict):
            given["ber"] = BerRange(**given["ber"])
        return cls(**given)

    def plain(self) -> dict[str, Any]:
        """What :meth:`from_dict` rebuilds, as runs and experiments record it."""
        fields: dict[str, Any] = dataclasses.asdict(self)  # type: ignore[call-overload]
        return fields

    @property
    @abc.abstractmethod
    def latent_shape(self) -> tuple[int, ...]:
        """Shape of the values that are sent, (h, w, C) of a map."""

    @property
    @abc.abstractmethod
    def symbols(self) -> int:
        """How many codes an image takes."""

    @property
    def begins_with_head(self) -> bool:
        """Whether the encoder begins with the task network's own head.

        If so, the training puts the head's description into the field ``head`` and its weights into the
        codec (:meth:`semflash.codecs.training_side.TrainingSide.adopt`).
        """
        return False

    def turns(self) -> dict[str, dict[str, Any]]:
        """Neighbours in size by what is turned, each as the fields to replace; by default none."""
        return {}
