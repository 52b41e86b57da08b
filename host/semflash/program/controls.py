"""Controls: the small numbers by which the host steers the device, for one image or until told otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from semflash.errors import ProgramError
from semflash.fields import Name

CONTROL_MAX = 65_535
#: Name of the control that every link has, beside those of the program.
LINK_CONTROL = "stream"
CONTROL_FOLLOWS_MAX = 64
Setting = Annotated[int, Meta(ge=0, le=CONTROL_MAX)]


class Control(Struct, frozen=True, forbid_unknown_fields=True):
    """One number that the host may set, 16 bits without sign.

    Attributes:
        name: Unique in the program, for people.
        id: Unique in the program, for the wire.
        low: The least value.
        high: The greatest value.
        default: The value where the host said nothing.
        unit: What one step of it is: bytes of payload, an entry of a list, or a share of 1/255.
        sticky: Whether a value holds until the next one, or for a single image.
        follows: Where the value belongs to the quality of the channel: the level (a rate, decibels) from
            which each value holds, for low to high, all ascending or all descending. The host sets the value
            that belongs to what it measures. Unset: the quality says nothing about this control.
    """

    name: Name
    id: Annotated[int, Meta(ge=1, le=255)]
    low: Setting
    high: Setting
    default: Setting
    unit: Literal["bytes", "entry", "share"]
    sticky: bool = True
    follows: Annotated[tuple[float, ...], Meta(max_length=CONTROL_FOLLOWS_MAX)] | UnsetType = UNSET

    def clamp(self, value: int) -> int:
        """The value that a device uses when it is told this one: never one outside the range."""
        return min(max(value, self.low), self.high)


def settle(controls: Sequence[Control], given: Mapping[str, int]) -> dict[str, int]:
    """The values that a device uses, by name: those given, brought into their ranges, else the defaults.

    Raises:
        ProgramError: The program has no control of a name that is given.
    """
    unknown = sorted(set(given) - {control.name for control in controls})
    if unknown:
        names = ", ".join(control.name for control in controls) or "none"
        raise ProgramError(
            "the device program has no such control", value=", ".join(unknown), remedy=f"controls: {names}"
        )
    return {control.name: control.clamp(given.get(control.name, control.default)) for control in controls}


def rate_control(controls: Sequence[Control]) -> Control | None:
    """The control that says how many bytes a payload may have, whatever its name; None: there is not one.

    >>> limit = Control("limit", 1, 6, 48, 48, "bytes")
    >>> rate_control([limit, Control("state", 2, 0, 7, 0, "entry")]).name, rate_control([limit, limit])
    ('limit', None)
    """
    found = [control for control in controls if control.unit == "bytes"]
    return found[0] if len(found) == 1 else None
