"""A .tflite file without a bundle, dressed as one so that it can be built and measured.

It has no decoder. The tail's table passes the low bits of the int8 output through, as many as one frame of
the link has room for: 8 where they fit, so that the payload is the output itself. `semflash run` asks for all
8, in several frames.
"""

from __future__ import annotations

import re
from pathlib import Path

from semflash.bundle.digest import file_ref
from semflash.bundle.reader import Bundle
from semflash.bundle.schema import Record
from semflash.bundle.version1 import (
    BerInput,
    BitChannel,
    Contract1,
    DeviceGraph,
    FixedPayload,
    ImageInput,
    contract_of,
)
from semflash.errors import ModelError
from semflash.fields import PAYLOAD_MAX_BYTES
from semflash.link.frame import PAYLOAD_MAX
from semflash.program.stages import TableTail

FAMILY = "bare-model"
_FILE = "encoder.tflite"
_MAX_BYTES = 32 << 20
_WIDTHS = (8, 4, 2, 1)


def is_bare(bundle: Bundle) -> bool:
    """Whether `bundle` came from :func:`read_bare_model`."""
    return bundle.contract.family == FAMILY


def read_bare_model(path: Path, *, whole: bool = False) -> Bundle:
    """The int8 model in `path` as a bundle that can be built, flashed and measured, never decoded.

    Args:
        whole: all 8 bits of every value go out, in several frames where one has no room for them.

    Raises:
        ModelError: it cannot be read, or is no int8 model the device could run.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ModelError(f"the model is larger than {_MAX_BYTES} bytes", value=path)
        return bare_model(path.read_bytes(), path, whole=whole)
    except OSError as error:
        raise ModelError(f"cannot read the model: {error.strerror}", value=path) from error


def bare_model(data: bytes, path: Path, *, whole: bool = False) -> Bundle:
    """:func:`read_bare_model` for bytes in memory; `path` gives the name."""
    from semflash_codegen.memory_plan import place
    from semflash_codegen.plan import Plan
    from semflash_codegen.simplify import simplify
    from semflash_codegen.tflite_reader import read_model
    from semflash_codegen.validate import validate

    model = simplify(read_model(data))
    validate(model)
    source, output = model.tensors[model.inputs[0]], model.tensors[model.outputs[0]]
    plan = Plan(model=model, layers=(), alias={}, arena=place([]))
    image = _image(source.shape, source.scale, source.zero_point)
    # A longer vector than a tail takes goes out in pieces.
    is_map = len(output.shape) == 4 and output.shape[-1] == plan.latent_channels
    height, width = output.shape[1:3] if is_map else (plan.latent_positions, 1)
    latent = (output.scale, output.zero_point)
    reference = file_ref(_FILE, data)
    symbols = plan.latent_positions * plan.latent_channels
    bits = _width(symbols, whole=whole)
    name = re.sub(r"[^a-z0-9._-]", "-", path.stem.lower()).strip("-._")[:60] or "model"
    contract = Contract1(
        name=name,
        family=FAMILY,
        family_version=1,
        input=image,
        device_graphs=[DeviceGraph(name, reference, height, width, plan.latent_channels, *latent)],
        device_tail=_tail(plan.latent_channels, bits, latent[1]),
        payload=FixedPayload(symbols, bits, -(-symbols * bits // 8)),
        channel=BitChannel(0.0, 0.0),
        quality=BerInput("none"),
        centres=[float(code) for code in range(1 << bits)],
        decoder=reference,
        task_tail=reference,
        class_names=["no class", "no other class"],
    )
    record = Record(semflash_version="", recipe={}, seed=0)
    return Bundle(path, contract_of(contract), record, {_FILE: data}, reference.sha256, contract)


def _width(symbols: int, *, whole: bool) -> int:
    """Bits of each value that go out.

    Raises:
        ModelError: too many values.
    """
    if whole and symbols <= PAYLOAD_MAX_BYTES:
        return 8
    bits = next((width for width in _WIDTHS if -(-symbols * width // 8) <= PAYLOAD_MAX), 0)
    if bits == 0 or whole:
        most = f"{PAYLOAD_MAX_BYTES:,} values" if whole else "a frame of the link"
        raise ModelError(f"the output does not fit into {most}", value=symbols, remedy="use a smaller output")
    return bits


def _image(shape: tuple[int, ...], scale: float, zero_point: int) -> ImageInput:
    """The input as rows x width x channels; a vector is one row."""
    if len(shape) == 4:
        return ImageInput(shape[1], shape[2], shape[3], scale, zero_point)
    return ImageInput(1, shape[-2] if len(shape) == 3 else 1, shape[-1], scale, zero_point)


def _tail(channels: int, bits: int, zero_point: int) -> TableTail:
    """code = the low `bits` bits of latent + 128."""
    levels = 1 << bits
    return TableTail(channels, levels, zero_point, [value % levels for value in range(256)] * channels)
