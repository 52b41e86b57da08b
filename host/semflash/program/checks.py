"""What must be true of a device program before anything uses it. It may come from a stranger.

Types, single ranges and lengths are checked when the program is parsed; here, how its parts fit together.
Each function raises ProgramError with what, value and remedy, and returns nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

from msgspec import UnsetType

from semflash.fields import CHANNELS_MAX, PAYLOAD_MAX_BYTES
from semflash.program.controls import LINK_CONTROL, Control
from semflash.program.layout import CountOf, Exactly, OnesOf, Region, Rest
from semflash.program.patch_checks import check_exactly, check_head, check_patches, check_select
from semflash.program.patch_stages import Patches, Select
from semflash.program.program import Program
from semflash.program.stages import (
    GdnTail,
    Graph,
    Modulate,
    Normalise,
    Order,
    Project,
    TableTail,
    Tail,
    TailTable,
    inputs_of,
    outputs_of,
)
from semflash.program.tensors import DIMENSION_MAX, Codes, Tensor, Values
from semflash.program.tokens.checks import check_tokens
from semflash.program.tokens.stages import SendTokens
from semflash.program.value_checks import check_choice, check_modulate, check_normalise, check_project, refuse

INT64_MAX = (1 << 63) - 1
#: More than any board holds in RAM, and little enough for a computer.
TENSOR_ITEMS_MAX = 1 << 26


def check_program(program: Program) -> None:
    """Every rule of a device program that needs no other file.

    Raises:
        ProgramError: One is broken.
    """
    _check_unique("tensors", (tensor.name for tensor in program.tensors))
    _check_unique("controls", (control.name for control in program.controls))
    _check_unique("ids of controls", (control.id for control in program.controls))
    for control in program.controls:
        _check_control(control)
    if program.quality.low > program.quality.high:
        raise refuse("the quality's low is above its high", (program.quality.low, program.quality.high))
    _check_image(program)
    for tensor in program.tensors:
        _check_tensor(program, tensor)
    _check_order_of_stages(program)
    for stage in program.stages:
        match stage:
            case Graph():
                _check_graph(program, stage)
            case Tail():
                _check_tail_stage(program, stage)
            case Order():
                _check_order(program, stage)
            case Modulate():
                check_modulate(program, stage)
            case Project():
                check_project(program, stage)
            case Normalise():
                check_normalise(program, stage)
            case Select():
                check_select(program, stage)
            case Patches():
                check_patches(program, stage)
            case SendTokens():
                check_tokens(program, stage)
    _check_payload(program)
    _check_use(program)


def _check_control(control: Control) -> None:
    if control.name == LINK_CONTROL:
        raise refuse("a control has the name of the link's own", control.name)
    if not control.low <= control.default <= control.high:
        raise refuse(
            f"control {control.name}: low, default and high do not ascend",
            (control.low, control.default, control.high),
        )
    if isinstance(control.follows, UnsetType):
        return
    levels = control.follows
    if len(levels) != control.high - control.low + 1:
        raise refuse(f"control {control.name} must follow a level for each of its values", len(levels))
    if not all(math.isfinite(level) for level in levels):
        raise refuse(f"control {control.name} follows a level that is not finite", levels)
    if not (all(a < b for a, b in pairwise(levels)) or all(a > b for a, b in pairwise(levels))):
        raise refuse(f"control {control.name}: the levels it follows neither ascend nor descend", levels)


def _check_unique(what: str, names: Iterable[str | int]) -> None:
    seen: set[str | int] = set()
    for name in names:
        if name in seen:
            raise refuse(f"the program's {what} repeat", name)
        seen.add(name)


def _check_image(program: Program) -> None:
    image = program.tensor(program.image)
    if not isinstance(image.holds, Values):
        raise refuse("the image must hold int8 values", image.name)
    if len(image.shape) != 3 or image.live is not None:
        raise refuse("the image must have a height, a width and channels", image.shape)
    if image.items // image.rows > DIMENSION_MAX:
        raise refuse("an image row has more than 65,535 values", image.items // image.rows)


def _check_tensor(program: Program, tensor: Tensor) -> None:
    if tensor.items > TENSOR_ITEMS_MAX:
        raise refuse(f"tensor {tensor.name} is too large", tensor.items)
    if isinstance(tensor.holds, Codes):
        _check_codes(tensor.name, tensor.holds)
    if tensor.live is not None:
        _check_count(program, tensor.live, tensor)


def _check_codes(name: str, codes: Codes) -> None:
    if codes.neutral >= codes.levels:
        raise refuse(f"tensor {name}: the neutral code is none of its codes", (codes.neutral, codes.levels))
    if codes.centres and len(codes.centres) != codes.levels:
        raise refuse(
            f"tensor {name}: number of centres and levels differ", (len(codes.centres), codes.levels)
        )
    values = codes.centres if codes.neutral_value is None else (*codes.centres, codes.neutral_value)
    if not all(math.isfinite(value) for value in values):
        raise refuse(f"tensor {name}: a centre is not finite", values)
    if len(set(codes.centres)) != len(codes.centres):
        raise refuse(f"tensor {name}: centres repeat", codes.centres)


def _codes_of(program: Program, name: str, use: str) -> tuple[Tensor, Codes]:
    """A tensor that must hold codes."""
    tensor = program.tensor(name)
    if not isinstance(tensor.holds, Codes):
        raise refuse(f"{use} must hold codes", name)
    return tensor, tensor.holds


def _check_count(program: Program, name: str, counted: Tensor) -> None:
    """``name`` must hold one code that can count the rows of ``counted``, and no more."""
    tensor, codes = _codes_of(program, name, f"the count of {counted.name}")
    if tensor.items != 1 or codes.levels != counted.rows + 1:
        raise refuse(
            f"the count of {counted.name} must be one code of {counted.rows + 1} levels",
            f"{name}: {tensor.items} of {codes.levels}",
        )


def _check_order_of_stages(program: Program) -> None:
    """Every tensor is written once, and before it is read, so that there are no circles."""
    written = {program.image}
    for number, stage in enumerate(program.stages):
        for name in inputs_of(stage):
            if name not in written:
                program.tensor(name)
                raise refuse(f"stage {number} reads a tensor that no stage before it writes", name)
        for name in outputs_of(stage):
            live = program.tensor(name).live
            if name in written:
                raise refuse(f"stage {number} writes a tensor that is there already", name)
            if live is not None and live not in written | set(outputs_of(stage)):
                raise refuse(f"stage {number} writes a tensor whose count is not there yet", name)
            written.add(name)


def _check_graph(program: Program, stage: Graph) -> None:
    tensors = [program.tensor(name) for name in (*stage.inputs, *stage.outputs)]
    for tensor in tensors:
        if not isinstance(tensor.holds, Values):
            raise refuse(f"graph {stage.name} reads or writes codes", tensor.name)
        if stage.each and (tensor.rows, tensor.live) != (tensors[0].rows, tensors[0].live):
            raise refuse(f"graph {stage.name}: tensors differ in their rows", tensor.name)
        if not stage.each and tensor.live is not None and tensor.name in stage.inputs:
            raise refuse(f"graph {stage.name} does not run row by row, but rows are counted", tensor.name)


def _check_tail_stage(program: Program, stage: Tail) -> None:
    source = program.tensor(stage.source)
    output, codes = _codes_of(program, stage.output, "the output of a tail")
    if not isinstance(source.holds, Values):
        raise refuse("a tail reads int8 values", stage.source)
    if (source.shape, source.live) != (output.shape, output.live):
        raise refuse("a tail gives a code for each value", (source.shape, output.shape))
    if source.items // source.shape[-1] > DIMENSION_MAX:
        raise refuse("more than 65,535 latent positions", source.items // source.shape[-1])
    for table in stage.tables:
        check_tail(table)
        found = (table.channels, table.zero_point, table.levels)
        if found != (source.shape[-1], source.holds.zero_point, codes.levels):
            raise refuse(f"the tail of {stage.source} differs in channels, zero point or levels", found)
    if len({type(table) for table in stage.tables}) != 1:
        raise refuse(f"the sets of the tail of {stage.source} are of different kinds", len(stage.tables))
    check_choice(program, f"the tail of {stage.source}", len(stage.tables), stage.chosen_by)


def check_tail(tail: TailTable) -> None:
    """Array sizes, order, and the proof that the device's int64 arithmetic cannot overflow.

    Raises:
        ProgramError: One does not hold.
    """
    if isinstance(tail, TableTail):
        if len(tail.table) != tail.channels * 256:
            raise refuse("tail table needs 256 entries per channel", (len(tail.table), tail.channels))
        if max(tail.table) >= tail.levels:
            raise refuse("tail table holds a code that has no centre", (max(tail.table), tail.levels))
        return
    expected = (tail.channels, tail.channels**2, tail.channels * (tail.levels - 1))
    found = (len(tail.beta), len(tail.gamma), len(tail.threshold))
    if found != expected:
        raise refuse("beta, gamma, threshold of the tail have the wrong lengths", f"{found}, not {expected}")
    prove_int64(tail)


def prove_int64(tail: GdnTail) -> None:
    """Bound every intermediate value of the device tail by int64, exactly, over all latents.

    |q| <= m with m the larger distance of -128 and 127 from the zero point, so q^2 2^40 < 2^57 always fits.
    den <= beta + m^2 sum_i gamma[i], and |threshold * den| is at most the largest |threshold| times that.
    """
    steps = tail.levels - 1
    largest_q = max(127 - tail.zero_point, tail.zero_point + 128)
    for channel in range(tail.channels):
        thresholds = tail.threshold[channel * steps : (channel + 1) * steps]
        if any(a > b for a, b in pairwise(thresholds)):
            raise refuse(f"thresholds of channel {channel} descend", thresholds)
        den = tail.beta[channel] + largest_q**2 * sum(tail.gamma[channel :: tail.channels])
        product = den * max(abs(t) for t in thresholds)
        if max(den, product) > INT64_MAX:
            raise refuse(
                f"device tail of channel {channel} can leave int64",
                f"2^{max(den, product).bit_length()}",
                "train with bounded GDN parameters (beta / latent scale^2 too large)",
            )


def _check_order(program: Program, stage: Order) -> None:
    source, codes = _codes_of(program, stage.source, "what is sorted")
    saliency, _ = _codes_of(program, stage.saliency, "the saliency")
    output, sorted_codes = _codes_of(program, stage.output, "what was sorted")
    if any(tensor.live is not None for tensor in (source, saliency, output)):
        raise refuse("an order needs tensors whose rows all live", stage.source)
    channels = source.shape[-1]
    if saliency.items * channels != source.items or channels > CHANNELS_MAX or source.items > DIMENSION_MAX:
        raise refuse("an order needs one saliency for each position", (saliency.shape, source.shape))
    if output.shape != (source.items,) or sorted_codes != codes:
        raise refuse("sorted codes are those that were there, in one dimension", stage.output)


def _check_payload(program: Program) -> None:
    _check_unique("regions", program.payload.sources)
    check_head(program)
    sent: set[str] = set()
    rest: Rest | None = None
    for region in program.payload.regions:
        if rest is not None and region.items != rest:
            raise refuse("behind what a limit cuts, the same limit must cut everything", region.source)
        _check_region(program, region, sent)
        rest = region.items if isinstance(region.items, Rest) else rest
        sent.add(region.source)
    if program.payload_bytes_max > PAYLOAD_MAX_BYTES:
        raise refuse(f"the payload can exceed {PAYLOAD_MAX_BYTES} bytes", program.payload_bytes_max)


def _check_region(program: Program, region: Region, sent: set[str]) -> None:
    tensor = program.tensor(region.source)
    levels = tensor.holds.levels if isinstance(tensor.holds, Codes) else 256
    if region.bits != (levels - 1).bit_length():
        raise refuse(f"bits of region {region.source} do not fit its {levels} levels", region.bits)
    match region.items:
        case CountOf(count):
            _check_sent(count, region, sent)
            _check_count(program, count, tensor)
        case OnesOf(name):
            _check_sent(name, region, sent)
            mask, codes = _codes_of(program, name, f"the mask of {region.source}")
            if mask.items != tensor.rows or region.items.at_least >= codes.levels:
                raise refuse(f"the mask of {region.source} must have a code for each row", mask.shape)
        case Exactly():
            check_exactly(program, region)
        case Rest(limit):
            if program.control(limit).unit != "bytes":
                raise refuse("a payload is cut by a control in bytes", limit)
            _check_limit(program, limit)
            if region.protection != "none":
                raise refuse("a region that may be cut cannot be protected", region.source)
    if tensor.live is not None and region.items != CountOf(tensor.live):
        raise refuse("only the live rows of a tensor are sent: count them", region.source)


def _check_limit(program: Program, limit: str) -> None:
    """What is not cut must fit below the limit, or the receiver could take the last fill bits for items."""
    uncut = sum(
        program.region_bits_max(region)
        for region in program.payload.regions
        if not isinstance(region.items, Rest)
    )
    if 8 * program.control(limit).low < uncut:
        raise refuse(
            f"control {limit} can be below what is not cut ({-(-uncut // 8)} bytes)",
            program.control(limit).low,
        )


def _check_use(program: Program) -> None:
    """Every tensor is written by a stage, and read by one or sent."""
    written = {program.image, *(name for stage in program.stages for name in outputs_of(stage))}
    read = {name for stage in program.stages for name in inputs_of(stage)}
    read |= set(program.payload.sources)
    read |= {tensor.live for tensor in program.tensors if tensor.live is not None}
    for tensor in program.tensors:
        if tensor.name not in written:
            raise refuse("no stage writes a tensor", tensor.name)
        if tensor.name not in read:
            raise refuse("nothing reads a tensor", tensor.name)


def _check_sent(name: str, region: Region, sent: set[str]) -> None:
    if name not in sent:
        raise refuse(f"the size of region {region.source} is told by what is not sent before it", name)
