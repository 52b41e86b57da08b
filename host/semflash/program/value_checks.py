"""What must be true of the stages that give int8 values: projections and the power normalisation.

Each function raises ProgramError with what, value and remedy, and returns nothing.
"""

from __future__ import annotations

import math

from semflash.errors import ProgramError
from semflash.fields import CHANNELS_MAX
from semflash.program.program import Program
from semflash.program.stages import Normalise, Project, Projection
from semflash.program.tensors import DIMENSION_MAX, Tensor, Values

INT32_MAX = (1 << 31) - 1
GAIN_BITS = 8


def refuse(what: str, value: object, remedy: str = "export the bundle again") -> ProgramError:
    """The error of a program that breaks a rule."""
    return ProgramError(what, value=value, remedy=remedy)


def check_choice(program: Program, what: str, sets: int, chosen_by: str | None) -> None:
    """One set of integers, or one for each value of the control that chooses."""
    if chosen_by is None:
        if sets != 1:
            raise refuse(f"{what} has sets but no control to choose", sets)
        return
    control = program.control(chosen_by)
    if (control.low, control.high, control.unit) != (0, sets - 1, "entry"):
        raise refuse(
            f"control {control.name} must choose one of {sets} sets",
            f"{control.low}..{control.high} {control.unit}",
        )


def _values_of(program: Program, name: str, use: str) -> tuple[Tensor, Values]:
    """A tensor that must hold values."""
    tensor = program.tensor(name)
    if not isinstance(tensor.holds, Values):
        raise refuse(f"{use} must hold int8 values", name)
    return tensor, tensor.holds


def check_project(program: Program, stage: Project) -> None:
    """Shapes, sets and the proof that no sum leaves int32."""
    source, before = _values_of(program, stage.source, "what is projected")
    output, _ = _values_of(program, stage.output, "a projection's output")
    if (source.shape[:-1], source.live) != (output.shape[:-1], output.live):
        raise refuse("a projection gives values for each position", (source.shape, output.shape))
    if source.items // source.shape[-1] > DIMENSION_MAX:
        raise refuse("more than 65,535 positions to project", source.items // source.shape[-1])
    channels, outputs = source.shape[-1], output.shape[-1]
    if max(channels, outputs) > CHANNELS_MAX:
        raise refuse(f"a projection has at most {CHANNELS_MAX} channels", (channels, outputs))
    for table in stage.tables:
        check_projection(table, channels, outputs, before.zero_point)
    check_choice(program, f"the projection of {stage.source}", len(stage.tables), stage.chosen_by)


def check_projection(table: Projection, channels: int, outputs: int, zero_point: int) -> None:
    """Lengths, and that neither a sum, in whatever order, nor a shifted one leaves int32.

    |source| <= 128, so a sum is at most |bias| + (128 + |zero point|) sum_c |weight|, whether the zero point
    is taken off each value or the bias; 255 more are for the output's zero point.

    Raises:
        ProgramError: One does not hold.
    """
    expected = (outputs * channels, outputs, outputs, outputs)
    found = (len(table.weights), len(table.bias), len(table.multiplier), len(table.shift))
    if found != expected:
        raise refuse(
            "weights, bias, multiplier, shift of a projection have the wrong lengths",
            f"{found}, not {expected}",
        )
    for output in range(outputs):
        weights = table.weights[output * channels : (output + 1) * channels]
        largest = abs(table.bias[output]) + (128 + abs(zero_point)) * sum(map(abs, weights))
        if (largest << max(table.shift[output], 0)) + 255 > INT32_MAX:
            raise refuse(
                f"output {output} of a projection can leave int32",
                f"2^{(largest << max(table.shift[output], 0)).bit_length()}",
                "train with a bounded projection",
            )


def check_normalise(program: Program, stage: Normalise) -> None:
    """Shapes, and that the gain is the one that gives the nominal power."""
    source, _ = _values_of(program, stage.source, "what is normalised")
    output, after = _values_of(program, stage.output, "normalised values")
    if source.live is not None or output.live is not None:
        raise refuse("a normalisation needs tensors whose rows all live", stage.source)
    if source.shape != output.shape or source.items % 2 or source.items > DIMENSION_MAX:
        raise refuse("a normalisation gives a value for each, in pairs", (source.shape, output.shape))
    if after.zero_point != 0:
        raise refuse("normalised values have the zero point 0", after.zero_point)
    nominal = nominal_gain(output.items, after.scale)
    if not abs(stage.gain - nominal) <= 1:
        raise refuse("the gain of a normalisation does not give the nominal power", stage.gain)


def nominal_gain(items: int, scale: float) -> float:
    """The gain, Q8, that gives each of so many values the power 1/2 where 1 is ``1 / scale``."""
    return math.sqrt(items / 2) / scale * (1 << GAIN_BITS)
