"""What must be there for a payload with a head: the head itself, and codes in its tensors. Needs no numpy."""

from __future__ import annotations

from msgspec import UnsetType

from semflash.errors import ProgramError
from semflash.program.layout import Head, Layout
from semflash.program.tensors import Codes, Tensor


def head_of(layout: Layout) -> Head:
    """The layout's head.

    Raises:
        ProgramError: It has none.
    """
    if isinstance(layout.head, UnsetType):
        raise ProgramError("the payload has no head with a map of levels", remedy="export the bundle again")
    return layout.head


def codes_held(tensor: Tensor) -> Codes:
    """What a tensor of codes holds.

    Raises:
        ProgramError: It holds values.
    """
    if not isinstance(tensor.holds, Codes):
        raise ProgramError("the head's tensors must hold codes", value=tensor.name)
    return tensor.holds


def code_bits(tensor: Tensor) -> int:
    """Bits of a code of a tensor of codes."""
    return (codes_held(tensor).levels - 1).bit_length()
