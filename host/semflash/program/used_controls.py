"""Values of controls that devices used, as the edge graphs are told them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semflash.errors import ProgramError
from semflash.program.controls import Control


def used_controls(
    controls: Sequence[Control], given: Mapping[str, ArrayLike] | None, count: int
) -> dict[str, NDArray[np.float32]]:
    """Values by the controls' names, float32 (count, 1), brought into the ranges as a device brings them.

    Args:
        given: By name one whole number, or one for each of the images (count,); a control that is not named
            is at its default.

    Raises:
        ProgramError: There is no such control, a value is no whole number, or another number of them.

    >>> state = Control("state", 1, 0, 7, 4, "entry")
    >>> used_controls([state], {"state": [1, 9]}, 2)["state"].ravel().tolist()
    [1.0, 7.0]
    >>> used_controls([state], None, 1)["state"].tolist()
    [[4.0]]
    """
    given = {} if given is None else given
    unknown = sorted(set(given) - {control.name for control in controls})
    if unknown:
        names = ", ".join(control.name for control in controls) or "none"
        raise ProgramError(
            "the device program has no such control", value=", ".join(unknown), remedy=f"controls: {names}"
        )
    return {
        control.name: _column(control, given.get(control.name, control.default), count)
        for control in controls
    }


def _column(control: Control, given: ArrayLike, count: int) -> NDArray[np.float32]:
    values = np.asarray(given).ravel()
    if values.dtype.kind not in "iu":
        raise ProgramError(f"values of control {control.name} are whole numbers", value=values.dtype)
    if len(values) not in (1, count):
        raise ProgramError(
            f"one value of control {control.name}, or one for each payload",
            value=f"{len(values)} for {count} payloads",
        )
    settled = np.clip(values, control.low, control.high).astype(np.float32)
    return np.broadcast_to(settled, (count,))[:, None]
