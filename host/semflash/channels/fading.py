"""How injected channels fade: not at all, or as Rayleigh, a gain for each image or block of symbols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from semflash.errors import UsageError

BLOCK_MAX = 1 << 20
_FORMS = "none, rayleigh, or rayleigh:BLOCK with the number of symbols that share a gain"


@dataclass(frozen=True)
class Fading:
    """What multiplies the symbols of an injected channel, beside the noise.

    Attributes:
        kind: ``rayleigh``: complex gains with E|h|^2 = 1, which the receiver knows and divides by.
        block: So many symbols share a gain; None: all of an image do.

    Raises:
        UsageError: A block of no symbol, or one without fading.
    """

    kind: Literal["none", "rayleigh"] = "none"
    block: int | None = None

    def __post_init__(self) -> None:
        if self.block is not None and (self.kind == "none" or not 1 <= self.block <= BLOCK_MAX):
            remedy = f"rayleigh:16; 1 to {BLOCK_MAX:,}"
            raise UsageError("a block of fading holds a symbol or more", value=self.block, remedy=remedy)

    def __bool__(self) -> bool:
        return self.kind != "none"

    def __str__(self) -> str:
        return self.kind if self.block is None else f"{self.kind}:{self.block}"

    @property
    def words(self) -> str:
        """For people.

        >>> Fading("rayleigh").words, Fading("rayleigh", 8).words
        ('Rayleigh fading, one gain per image', 'Rayleigh fading, one gain per 8 symbols')
        """
        if not self:
            return "no fading"
        each = "image" if self.block is None else f"{self.block} symbols"
        return f"Rayleigh fading, one gain per {each}"

    @classmethod
    def parse(cls, text: str) -> Fading:
        """What ``--fading`` says.

        >>> Fading.parse("rayleigh:16")
        Fading(kind='rayleigh', block=16)

        Raises:
            UsageError: Neither ``none`` nor ``rayleigh[:BLOCK]``.
        """
        kind, colon, block = text.partition(":")
        if kind == "rayleigh" and (not colon or (block.isdecimal() and len(block) < 10)):
            return cls("rayleigh", int(block) if colon else None)
        if text == "none":
            return cls()
        raise UsageError("no such fading", value=text[:80], remedy=_FORMS)


NO_FADING = Fading()
