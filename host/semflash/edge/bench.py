"""Device cost of a bundle on a board: instructions, RAM, flash, and whether every code is right."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import numpy as np
from numpy.typing import NDArray

from semflash.bridge.messages import Hello
from semflash.bridge.port import Port, open_port
from semflash.bridge.session import Expected, Received, Session
from semflash.bundle.reader import Bundle
from semflash.edge.golden import GoldenEncoder
from semflash.errors import DeviceError
from semflash.firmware.build_result import BuildResult, ImageSizes


class BenchResult(msgspec.Struct, frozen=True):
    """Cost of one image.

    Attributes:
        counter: what the device counts: "instructions" (emulator), "cycles" (a real core) or "none" (native).
        counts_min, counts_median, counts_max: of one image, in that unit; None where nothing is counted.
        counts_per_mac: counts_median / macs.
        host_seconds_per_image: wall time of the whole exchange, which says something about `native` only.
        state_bytes: RAM of the encoder; arena_bytes: its tensors' part.
        stack_bytes: deepest use of the stack; None where it is unknown.
        codes_checked, codes_wrong: images compared with the golden reference, and those that differ.
    """

    board: str
    bundle_name: str
    bundle_hash: str
    build_id: str
    engine: str
    cmsis_nn: str
    images: int
    macs: int
    counter: str
    counts_min: int | None
    counts_median: int | None
    counts_max: int | None
    counts_per_mac: float | None
    host_seconds_per_image: float
    state_bytes: int
    arena_bytes: int
    stack_bytes: int | None
    sizes: ImageSizes | None
    payload_bytes: int
    codes_checked: int
    codes_wrong: int


def bench_images(bundle: Bundle, count: int, seed: int) -> NDArray[np.uint8]:
    """`count` images uint8 (N, H, W, C): the first all black, the last all white, noise between."""
    images = np.random.default_rng(seed).integers(0, 256, (count, *bundle.image_shape), dtype=np.uint8)
    images[0] = 0
    images[-1] = 255
    return images


def bench(
    bundle: Bundle,
    built: BuildResult,
    *,
    count: int = 20,
    seed: int = 0,
    timeout_s: float = 10.0,
    instance: str | None = None,
) -> BenchResult:
    """Run `count` images on the flashed board and report.

    Args:
        instance: name that an emulated board was started under; the board's own when None.

    Raises:
        DeviceError: the board does not run this build.
        LinkError: the link failed.
    """
    images = bench_images(bundle, count, seed)
    rows = (images.astype(np.int16) - 128).astype(np.int8)
    with _open(built, instance or built.board) as port:
        session = Session(port, Expected.of(bundle), timeout_s=timeout_s)
        hello = session.connect()
        if hello.build_id != int(built.build_id, 16):
            raise DeviceError(
                "the board runs another build",
                value=f"{hello.build_id:08x}, not {built.build_id}",
                remedy="semflash flash",
            )
        started = time.monotonic()
        outcomes = list(session.stream(enumerate(rows)))
        seconds = time.monotonic() - started
    received = [outcome for outcome in outcomes if isinstance(outcome, Received)]
    if len(received) != count:
        raise DeviceError(
            "the board lost images", value=f"{count - len(received)} of {count}", remedy="run again"
        )
    golden = GoldenEncoder(bundle).payloads(images)
    wrong = sum(outcome.payload != golden[outcome.index].tobytes() for outcome in received)
    return _result(bundle, built, hello, received, seconds / count, wrong)


@contextmanager
def _open(built: BuildResult, instance: str) -> Iterator[Port]:
    """The port of the board that runs `built`."""
    if built.kind == "native":
        from semflash.firmware.native import NativePort

        port: Port = NativePort(built.image_path)
    elif built.kind == "emulated":
        from semflash.firmware import emulator

        state = emulator.status(instance)
        if state is None:
            raise DeviceError("the emulated board does not run", value=instance, remedy="semflash flash")
        port = open_port(state.port)
    else:
        from semflash.firmware.boards import load_board
        from semflash.firmware.flash import choose_port

        board = load_board(built.board)
        assert board.serial is not None
        port = open_port(choose_port(board, None), baud=board.serial.baud)
    try:
        yield port
    finally:
        port.close()


def _result(
    bundle: Bundle, built: BuildResult, hello: Hello, received: list[Received], seconds: float, wrong: int
) -> BenchResult:
    """Put the figures together."""
    counts = sorted(hello.count(outcome.ticks) for outcome in received if outcome.ticks is not None)
    counted = counts if hello.counter != "none" else []
    median = counted[len(counted) // 2] if counted else None
    stacks = [outcome.stack_bytes for outcome in received if outcome.stack_bytes]
    return BenchResult(
        board=built.board,
        bundle_name=bundle.name,
        bundle_hash=bundle.hash_hex,
        build_id=built.build_id,
        engine=hello.engine,
        cmsis_nn=built.cmsis_nn,
        images=len(received),
        macs=built.macs,
        counter=hello.counter,
        counts_min=counted[0] if counted else None,
        counts_median=median,
        counts_max=counted[-1] if counted else None,
        counts_per_mac=median / built.macs if median is not None and built.macs else None,
        host_seconds_per_image=seconds,
        state_bytes=built.state_bytes,
        arena_bytes=built.arena_bytes,
        stack_bytes=max(stacks) if stacks else None,
        sizes=built.sizes,
        payload_bytes=bundle.payload_bytes,
        codes_checked=len(received),
        codes_wrong=wrong,
    )
