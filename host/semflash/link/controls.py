"""Controls over the link: which values an image is to have, and which the device is believed to have.

What was sent can get lost, so nothing is believed for ever: the prefix of the codes tells the values that
were used (:mod:`semflash.link.codes.prefix`), and where they are not those that were wanted, all are sent
again.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from semflash.errors import UsageError
from semflash.link.wire import CONTROL_STREAM
from semflash.program.controls import CONTROL_MAX, LINK_CONTROL, Control, rate_control

STREAM = LINK_CONTROL
_SETTING = struct.Struct("<BBH")
_UNITS = {"bytes": " bytes", "entry": "", "share": "/255"}

Values = dict[str, int]


def control_payloads(settings: Mapping[int, int], most_bytes: int) -> list[bytes]:
    """Payloads of CONTROL frames that set all these controls, each at most `most_bytes` long.

    Args:
        settings: values of 16 bits by the controls' ids.
    """
    entries = [_SETTING.pack(number, 2, value) for number, value in settings.items()]
    each = max(1, most_bytes // _SETTING.size)
    return [b"".join(entries[start : start + each]) for start in range(0, len(entries), each)]


def described(control: Control) -> str:
    """A control with its range, for messages."""
    return f"{control.name} {control.low} to {control.high}{_UNITS[control.unit]} (default {control.default})"


def check_settings(controls: Sequence[Control], given: Mapping[str, int]) -> None:
    """Refuse what a device would refuse.

    Raises:
        UsageError: there is no such control, or the value is out of its range; the message names those there
            are.
    """
    known = {control.name: control for control in controls}
    for name, value in given.items():
        if name == STREAM:
            low, high = 0, CONTROL_MAX
        elif name in known:
            low, high = known[name].low, known[name].high
        else:
            names = ", ".join(described(control) for control in controls)
            raise UsageError(
                "the program has no such control",
                value=name,
                remedy=f"controls: {names}; {STREAM}" if names else f"it has none but {STREAM}",
            )
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise UsageError(
                f"control {name} takes {low} to {high}",
                value=value,
                remedy=described(known[name]) if name in known else f"0 switches {STREAM} off",
            )


def the_rate(controls: Sequence[Control]) -> Control:
    """The control that says how many bytes a payload may have.

    Raises:
        UsageError: the program has none, or several.
    """
    control = rate_control(controls)
    if control is None:
        there = [described(one) for one in controls if one.unit == "bytes"]
        what = (
            "several controls of this bundle are in bytes"
            if there
            else "no control of this bundle is in bytes"
        )
        names = ", ".join(there or map(described, controls)) or "none"
        remedy = (
            f"--control NAME=N; those: {names}" if there else f"its payloads cannot be cut; controls: {names}"
        )
        raise UsageError(what, remedy=remedy)
    return control


def the_share(controls: Sequence[Control]) -> Control:
    """The control that says which share of an image is sent.

    Raises:
        UsageError: the program has none, or several.
    """
    found = [control for control in controls if control.unit == "share"]
    if len(found) == 1:
        return found[0]
    names = ", ".join(map(described, found or controls)) or "none"
    what = "several controls of this bundle are shares" if found else "no control of this bundle is a share"
    raise UsageError(what, remedy=f"--control NAME=N; controls: {names}")


class Steering:
    """What a session's images are to be encoded with, and what must be sent so that they are.

    Args:
        controls: of the program, in its order.

    Attributes:
        sticky: what the caller set last, by name.
    """

    def __init__(self, controls: Sequence[Control]) -> None:
        self.controls = tuple(controls)
        self.sticky: Values = {}
        self._defaults: Values = {control.name: control.default for control in controls} | {STREAM: 0}
        self._ids = {control.name: control.id for control in controls} | {STREAM: CONTROL_STREAM}
        self._device: Values | None = None  # believed values of the next image; None: nothing is known

    def set(self, values: Mapping[str, int]) -> None:
        """Values from the next image handed in on.

        Raises:
            UsageError: no such control, or out of its range.
        """
        check_settings(self.controls, values)
        self.sticky.update(values)

    def wanted(self, own: Mapping[str, int] | None = None) -> Values:
        """All values of an image that is handed in now. own: what holds for it alone.

        Raises:
            UsageError: no such control, or out of its range.
        """
        check_settings(self.controls, own or {})
        return {**self._defaults, **self.sticky, **(own or {})}

    def restart(self) -> None:
        """HELLO came: all controls are at their defaults."""
        self._device = dict(self._defaults)

    def doubt(self) -> None:
        """The device used other values than it was told: send all again."""
        self._device = None

    def due(self, wanted: Mapping[str, int]) -> dict[int, int]:
        """What must be sent before an image, by id; empty: nothing."""
        known = self._device
        return {
            self._ids[name]: value for name, value in wanted.items() if known is None or known[name] != value
        }

    def began(self, wanted: Mapping[str, int]) -> None:
        """An image with these values is being sent, and what was due before it."""
        self._device = dict(wanted)
        for control in self.controls:
            if not control.sticky:
                self._device[control.name] = control.default

    def used(self, values: Sequence[int]) -> Values:
        """Values of a prefix by name."""
        return {control.name: value for control, value in zip(self.controls, values, strict=True)}

    def as_wanted(self, wanted: Mapping[str, int], values: Sequence[int]) -> bool:
        """Whether an image was encoded with what it was to have, as far as that changes its codes."""
        return all(wanted[name] == value for name, value in self.used(values).items())
