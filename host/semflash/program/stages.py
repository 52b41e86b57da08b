"""The stages of a device program: a tagged union. A new kind of stage is a new member, and never a flag.

Each kind has its Python twin in :mod:`semflash.program.reference` and its C in ``device/``.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, UnsetType

from semflash.fields import CHANNELS_MAX, GDN_LEVELS_MAX, Channels, Int8, Int32, Name
from semflash.program.patch_stages import Patches, Select
from semflash.program.tensors import LEVELS_MAX, Code
from semflash.program.tokens.stages import SendTokens

#: Largest gain of a power normalisation, Q8.
GAIN_MAX = (1 << 24) - 1


class Graph(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="graph"):
    """An int8 .tflite graph.

    Attributes:
        name: The name of the model; the bundle says in which file it lies.
        inputs: The tensors that are read, in the order of the model's inputs.
        outputs: The tensors that are written, in the order of the model's outputs.
        each: Whether it runs once for each live row (a patch, for instance) of its inputs, and gives a row
            of its outputs each time; otherwise it runs once for the whole tensors.
    """

    name: Name
    inputs: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=8)]
    outputs: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=8)]
    each: bool = False


class GdnTail(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="gdn"):
    """GDN, PReLU and nearest centre as integer threshold tests (``device/include/semflash/stages.h``).

    Attributes:
        channels: Latent channels C.
        levels: The number of centres L, 2 to 16.
        zero_point: Of the latent, int8.
        beta: C integers, Q16 in units of q^2 (beta / scale^2), int64, above 0.
        gamma: C*C integers, Q16, int32, at least 0; ``gamma[i * C + c]`` weighs input channel i in output
            channel c.
        threshold: C*(L-1) integers, Q24, int32; per channel not descending.
    """

    channels: Channels
    levels: Annotated[int, Meta(ge=2, le=GDN_LEVELS_MAX)]
    zero_point: Int8
    beta: Annotated[list[Annotated[int, Meta(ge=1, le=(1 << 62))]], Meta(max_length=CHANNELS_MAX)]
    gamma: Annotated[
        list[Annotated[int, Meta(ge=0, le=(1 << 31) - 1)]], Meta(max_length=CHANNELS_MAX * CHANNELS_MAX)
    ]
    threshold: Annotated[list[Int32], Meta(max_length=CHANNELS_MAX * (GDN_LEVELS_MAX - 1))]


class TableTail(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="table"):
    """A table per channel, which looks at no other channel: ``code = table[c * 256 + latent + 128]``."""

    channels: Channels
    levels: Annotated[int, Meta(ge=2, le=LEVELS_MAX)]
    zero_point: Int8
    table: Annotated[list[Code], Meta(max_length=CHANNELS_MAX * 256)]


TailTable = GdnTail | TableTail


class Tail(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="tail"):
    """Turns int8 values into codes, one vector of channels (the last dimension) at a time.

    Attributes:
        source: The tensor of values.
        output: The tensor of codes, of the same shape.
        tables: The integers to do it with: one set, or one for each value of the control ``chosen_by``.
        chosen_by: The control that says which set is used; None where there is one set.
    """

    source: Name
    output: Name
    tables: Annotated[tuple[TailTable, ...], Meta(min_length=1, max_length=16)]
    chosen_by: Name | None = None


class Order(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="order"):
    """Sorts codes so that those that matter most come first, and a payload can be cut anywhere.

    The code of channel c at position p has the score ``16 * saliency[p] - step * c``; codes are sent by
    falling score, and those of equal score in raster order. The receiver finds the same order from the
    saliency it got.

    Attributes:
        saliency: A tensor of codes, one for each position.
        source: The tensor of codes to sort, (positions..., channels).
        output: The tensor of the sorted codes, one dimension.
        step: By how much a channel scores less than the one before it, in sixteenths of a level.
    """

    saliency: Name
    source: Name
    output: Name
    step: Annotated[int, Meta(ge=0, le=4096)]


class Modulation(Struct, frozen=True, forbid_unknown_fields=True):
    """The integers that scale and shift C channels.

    Attributes:
        multiplier: C integers, int16, with ``shift`` bits behind the point.
        offset: C integers, int32, with as many.
        shift: 1 to 15.
    """

    multiplier: Annotated[
        list[Annotated[int, Meta(ge=-(1 << 15), le=(1 << 15) - 1)]], Meta(max_length=CHANNELS_MAX)
    ]
    offset: Annotated[list[Int32], Meta(max_length=CHANNELS_MAX)]
    shift: Annotated[int, Meta(ge=1, le=15)]


class Modulate(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="modulate"):
    """Scales and shifts each channel (the last dimension) of int8 values, the same at each position.

    With zero points z of the source and y of the output, and ``>>`` rounding down:

        sum[c]    = multiplier[c] (source[c] - z) + offset[c] + 2^(shift - 1)
        output[c] = clamp(y + (sum[c] >> shift), -128, 127)

    Attributes:
        source: The tensor of values (positions..., C).
        output: The tensor of values, of the same shape; all sets give its scale.
        tables: One set of integers, or one for each value of the control ``chosen_by``.
        chosen_by: The control that says which set is used; None where there is one set.
    """

    source: Name
    output: Name
    tables: Annotated[tuple[Modulation, ...], Meta(min_length=1, max_length=16)]
    chosen_by: Name | None = None


class Projection(Struct, frozen=True, forbid_unknown_fields=True):
    """The integers of one projection of C channels to J, each output with a scale of its own.

    Attributes:
        weights: J*C integers, int8; ``weights[j * C + c]`` weighs input channel c in output j.
        bias: J integers, int32, in units of input scale times weight scale of the output.
        multiplier: J integers, Q31, at least 0: the scale of the products over that of the output ...
        shift: ... times two to the power of so much, J integers, -31 to 30.
    """

    weights: Annotated[list[Int8], Meta(max_length=CHANNELS_MAX * CHANNELS_MAX)]
    bias: Annotated[list[Int32], Meta(max_length=CHANNELS_MAX)]
    multiplier: Annotated[list[Annotated[int, Meta(ge=0, le=(1 << 31) - 1)]], Meta(max_length=CHANNELS_MAX)]
    shift: Annotated[list[Annotated[int, Meta(ge=-31, le=30)]], Meta(max_length=CHANNELS_MAX)]


class Project(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="project"):
    """A linear map of the channels (the last dimension) of int8 values, the same at each position.

    With zero points z of the source and y of the output, and requantisation by gemmlowp's double rounding:

        sum[j] = bias[j] + sum_c weights[j, c] (source[c] - z)
        output[j] = clamp(y + requantise(sum[j], multiplier[j], shift[j]), -128, 127)

    Attributes:
        source: The tensor of values (positions..., C).
        output: The tensor of values (positions..., J); all sets give its scale.
        tables: One set of integers, or one for each value of the control ``chosen_by``.
        chosen_by: The control that says which set is used; None where there is one set.
    """

    source: Name
    output: Name
    tables: Annotated[tuple[Projection, ...], Meta(min_length=1, max_length=16)]
    chosen_by: Name | None = None


class Normalise(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="normalise"):
    """Brings the values of an image to the nominal power: 1 for each pair of them, 1/2 for each.

    With S the sum of (source - z)^2 over the image, ``r`` the table of 1/sqrt (``reference/power.py``) and
    rounding half away from zero, each value becomes

        output = clamp((source - z) gain / 2^8 r(S), -127, 127),  and 0 where S is 0.

    Attributes:
        source: The tensor of values.
        output: The tensor of values, of the same shape, with zero point 0.
        gain: Q8: sqrt(values / 2) over the output's scale.
    """

    source: Name
    output: Name
    gain: Annotated[int, Meta(ge=1, le=GAIN_MAX)]


Stage = Graph | Tail | Order | Modulate | Project | Normalise | Select | Patches | SendTokens


def inputs_of(stage: Stage) -> tuple[str, ...]:
    """The names of the tensors that a stage reads."""
    match stage:
        case Graph():
            return stage.inputs
        case Tail() | Modulate() | Project() | Normalise() | SendTokens():
            return (stage.source,)
        case Order():
            return (stage.saliency, stage.source)
        case Select():
            return (stage.scores, stage.image)
        case Patches():
            more = () if isinstance(stage.background, UnsetType) else (stage.background,)
            return (stage.image, stage.levels, *more)


def outputs_of(stage: Stage) -> tuple[str, ...]:
    """The names of the tensors that a stage writes."""
    match stage:
        case Graph() | Patches():
            return stage.outputs
        case Select():
            return (stage.output, stage.background)
        case SendTokens():
            return (stage.output, *stage.symbols)
        case _:
            return (stage.output,)
