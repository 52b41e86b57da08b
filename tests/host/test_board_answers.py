"""What a board says of itself, and what the graph in a bundle must be, before anything is believed."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fakes.link_device import CREDIT, FakeDevice, build, on_wire
from semflash.bundle import read_bundle
from semflash.errors import LinkError, ModelError, WrongFirmwareError
from semflash.firmware.building.device_graph import check_ends
from semflash.firmware.building.result import BuildResult
from semflash.firmware.probes import confirm
from semflash.firmware.probes.verdicts import UDEV_REMEDY, Verdict, VerdictError, of_link
from semflash.link.errors import GarbageError, SilenceError
from semflash.link.frame import PROTOCOL_VERSION, Frame, FrameDecoder, FrameType
from semflash.program.tensors import Tensor

TESTS = Path(__file__).parents[1]


BUILT = BuildResult(
    "/nowhere",
    "nucleo_f446re",
    "hardware",
    "tiny",
    "tiny.semcodec",
    "12345678" + "0" * 56,
    "0000abcd",
    "aot",
    "auto",
    "firmware.elf",
    None,
    1,
    1,
    1,
    1,
    "none",
    (),
    (),
)


class Hello:
    """The fields of HELLO that are compared."""

    def __init__(self, **changes: object) -> None:
        self.board, self.protocol, self.build_id, self.bundle = (
            "nucleo_f446re",
            PROTOCOL_VERSION,
            0xABCD,
            0x12345678,
        )
        self.__dict__.update(changes)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, None),
        ({"board": "nucleo_f401re"}, Verdict.WRONG_BOARD),
        ({"protocol": PROTOCOL_VERSION - 1}, Verdict.WRONG_FIRMWARE),
        ({"build_id": 0xABCE}, Verdict.WRONG_FIRMWARE),
        ({"bundle": 0x12345679}, Verdict.WRONG_FIRMWARE),
    ],
)
def test_board_protocol_build_and_bundle_must_all_be_what_was_flashed(
    changes: dict[str, object], verdict: Verdict | None
) -> None:
    hello = Hello(**changes)
    if verdict is None:
        assert confirm.check(hello, BUILT) is hello  # type: ignore[arg-type]
        return
    with pytest.raises(VerdictError) as caught:
        confirm.check(hello, BUILT)  # type: ignore[arg-type]
    assert caught.value.verdict is verdict


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (WrongFirmwareError("another bundle", value=1), Verdict.WRONG_FIRMWARE),
        (SilenceError("the device is silent"), Verdict.NO_HELLO),
        (GarbageError("no frames"), Verdict.NO_HELLO),
        (
            LinkError("no permission to open the port", value="/dev/x", remedy="usermod"),
            Verdict.NO_PERMISSION,
        ),
        (LinkError("the port vanished", value="/dev/x", remedy="plug it in"), Verdict.LINK_TIMEOUT),
    ],
)
def test_a_link_that_failed_has_a_verdict_and_keeps_its_words(error: LinkError, verdict: Verdict) -> None:
    found = of_link(error)
    assert (found.verdict, found.what, found.value) == (verdict, error.what, error.value)
    assert (found.remedy == UDEV_REMEDY) if verdict is Verdict.NO_PERMISSION else found.remedy == error.remedy


def test_a_leftover_of_an_earlier_firmware_does_not_hide_the_answer_to_the_first_question() -> None:
    device = FakeDevice()
    device.say(on_wire(build(CREDIT, bytes(6), version=PROTOCOL_VERSION - 1)))
    assert confirm.ask_hello(device, timeout_s=5.0).board == "fake-board"


def test_earlier_protocols_are_asked_only_when_the_first_question_was_in_vain() -> None:
    device, written = FakeDevice(), bytearray()
    taken = device.write

    def write(data: bytes, /) -> int:
        written.extend(data)
        return taken(data)

    device.write = write  # type: ignore[method-assign]
    assert confirm.ask_hello(device, timeout_s=5.0).board == "fake-board"
    frames = [frame for frame in FrameDecoder().feed(bytes(written)) if isinstance(frame, Frame)]
    assert [frame.type for frame in frames] == [FrameType.HELLO_REQUEST]
    assert len([piece for piece in bytes(written).split(b"\0") if piece]) == 1


def test_a_device_of_an_earlier_protocol_is_named_as_soon_as_it_has_answered_the_second_question() -> None:
    device = FakeDevice(protocol=PROTOCOL_VERSION - 1)
    began = time.monotonic()
    with pytest.raises(WrongFirmwareError, match=f"protocol version {PROTOCOL_VERSION - 1}"):
        confirm.ask_hello(device, timeout_s=0.3)
    assert time.monotonic() - began < 3 * 0.3


@pytest.mark.parametrize(
    ("model", "says"), [("refused_two_inputs", "one input and one output"), ("refused_float", "not int8")]
)
def test_the_ends_of_a_graph_are_looked_at_only_when_the_graph_is_one(model: str, says: str) -> None:
    bundle = read_bundle(TESTS / "vectors" / "tiny.semcodec")
    check_ends(bundle)
    name = bundle.contract.models[0].file.file
    data = (TESTS / "codegen" / "models" / f"{model}.tflite").read_bytes()
    with pytest.raises(ModelError, match=says):
        check_ends(dataclasses.replace(bundle, files=bundle.files | {name: data}))


@pytest.mark.parametrize("end", ["input", "output"])
@pytest.mark.parametrize(
    "change",
    [
        lambda tensor: {"holds": replace(tensor.holds, zero_point=tensor.holds.zero_point + 1)},
        lambda tensor: {"holds": replace(tensor.holds, scale=tensor.holds.scale * 1.01)},
        lambda tensor: {"shape": (tensor.shape[0] + 1, *tensor.shape[1:])},
        lambda tensor: {"shape": (tensor.shape[0], tensor.shape[1] + 1, *tensor.shape[2:])},
    ],
    ids=["zero point", "scale", "height", "width"],
)
def test_the_ends_of_a_graph_are_those_of_the_contract(
    end: str, change: Callable[[Tensor], dict[str, Any]]
) -> None:
    bundle = read_bundle(TESTS / "vectors" / "tiny.semcodec")
    (graph,) = bundle.program.graphs
    name = graph.inputs[0] if end == "input" else graph.outputs[0]
    tensors = tuple(
        replace(tensor, **change(tensor)) if tensor.name == name else tensor
        for tensor in bundle.program.tensors
    )
    program = replace(bundle.program, tensors=tensors)
    contract = replace(bundle.contract, program=program)
    with pytest.raises(ModelError, match=f"the {end} of graph .* is not what the bundle's contract says"):
        check_ends(dataclasses.replace(bundle, contract=contract))
