"""What the edge makes of a payload: real values of the tensors that its graphs ask for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semflash.errors import ProgramError
from semflash.program.payload import Received
from semflash.program.program import Program
from semflash.program.receiving import can_receive, order_of
from semflash.program.reference import order
from semflash.program.tensors import Values


def values(program: Program, received: Received, name: str) -> NDArray[np.float32]:
    """Real values of a tensor, float32 (N, *shape); its neutral value, or 0, where nothing arrived.

    Raises:
        ProgramError: The payload does not tell this tensor.
    """
    if not can_receive(program, name):
        raise ProgramError("the payload does not tell this tensor", value=name, remedy="export it again")
    holds = program.tensor(name).holds
    if isinstance(holds, Values):
        return _real(received.codes[name], holds)
    codes, present = _in_place(program, received, name)
    centres = np.asarray(holds.centres, np.float32)
    neutral = centres[holds.neutral] if holds.neutral_value is None else np.float32(holds.neutral_value)
    return np.where(present, centres[np.minimum(codes, len(centres) - 1)], neutral)


def _real(values: NDArray[np.uint8] | NDArray[np.int8], holds: Values) -> NDArray[np.float32]:
    """Int8 values as real ones; what did not arrive is the zero point already, and so 0."""
    return (np.float32(holds.scale) * (values.view(np.int8).astype(np.float32) - holds.zero_point)).astype(
        np.float32
    )


def _in_place(program: Program, received: Received, name: str) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Codes of a tensor in raster order, and which of them arrived, each (N, *shape)."""
    if name in received.codes:
        return received.codes[name].view(np.uint8), received.present[name]
    stage, tensor = order_of(program, name), program.tensor(name)
    assert stage is not None  # as can_receive found
    positions = order.order(received.codes[stage.saliency].view(np.uint8), tensor.shape[-1], stage.step)
    shape = (len(positions), *tensor.shape)
    codes = order.put_back(received.codes[stage.output].view(np.uint8), positions)
    present = order.put_back(received.present[stage.output], positions)
    return codes.reshape(shape), present.reshape(shape)
