"""Device cost of a bundle on a board: instructions, RAM, flash, and whether every code is right."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import numpy as np
from numpy.typing import NDArray

from semflash.bench.cycles.estimate import CycleResult
from semflash.bench.layers import LayerCost, layer_costs
from semflash.bench.reference import golden_payloads, reference_name
from semflash.bundle.reader import Bundle
from semflash.errors import DeviceError
from semflash.firmware.building.result import BuildResult, ImageSizes, MemoryKinds
from semflash.link.messages import Hello
from semflash.link.port import Port, open_port
from semflash.link.session import Expected, Received, Session


class BenchResult(msgspec.Struct, frozen=True):
    """Cost of one image.

    Attributes:
        counter: What the device counts: "instructions" (emulator), "cycles" (a real core) or "none" (native).
        counts_min: The least that an image took, in that unit; None where nothing is counted.
        counts_median: The median of all images, likewise.
        counts_max: The most that an image took, likewise.
        counts_per_mac: counts_median / macs.
        host_seconds_per_image: Wall time of the whole exchange, which says something about `native` only.
        state_bytes: RAM of the encoder.
        arena_bytes: Its tensors' part.
        stack_bytes: Deepest use of the stack; None where it is unknown.
        codes_checked: Images compared with the golden reference.
        codes_wrong: Those of them that differ.
        reference: What that was.
        memory: Flash and RAM by what they are for; None for `native`.
        encoder_stack_bytes: Deepest use of the stack by the encoder alone, an interrupt on top of it
            included; None where the layers were not measured.
        layers: Cost of every layer or group of joined layers; empty where they were not measured.
        cycles: An estimate of the cycles of a Cortex-M4; None where none was made.
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
    reference: str = ""
    memory: MemoryKinds | None = None
    encoder_stack_bytes: int | None = None
    layers: tuple[LayerCost, ...] = ()
    cycles: CycleResult | None = None

    @property
    def encoder_ram_bytes(self) -> int | None:
        """State of the encoder and its stack, without payload and link buffers; None: unknown."""
        if self.memory is None or self.encoder_stack_bytes is None:
            return None
        return self.memory.encoder_ram + self.encoder_stack_bytes

    @property
    def encoder_flash_bytes(self) -> int | None:
        """Code, tables, tail and model file of the encoder, without C library, link and start-up."""
        if self.memory is None:
            return None
        memory = self.memory
        return memory.encoder_code + memory.encoder_tables + memory.tail_tables + memory.model_file


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
    hello, received, seconds = exchange(bundle, built, images, timeout_s, instance)
    golden = golden_payloads(bundle, images)
    wrong = sum(outcome.padded(golden.shape[1]) != golden[outcome.index].tobytes() for outcome in received)
    return _result(bundle, built, hello, received, seconds / count, wrong)


def with_layers(
    result: BenchResult,
    bundle: Bundle,
    built: BuildResult,
    *,
    seed: int = 0,
    timeout_s: float = 10.0,
    instance: str | None = None,
) -> BenchResult:
    """`result` with the cost of every layer; the board runs `built`, a build with the layer clock.

    Raises:
        DeviceError, LinkError: as :func:`bench`.
    """
    steps = 1 + max(layer.step for layer in built.layers)
    images = bench_images(bundle, max(2, 1 + steps), seed)
    hello, received, _ = exchange(bundle, built, images, timeout_s, instance)
    stacks = [outcome.stack_bytes for outcome in received if outcome.stack_bytes]
    layers = layer_costs(built, hello, received) if hello.counter != "none" else ()
    return msgspec.structs.replace(result, layers=layers, encoder_stack_bytes=max(stacks) if stacks else None)


def exchange(
    bundle: Bundle,
    built: BuildResult,
    images: NDArray[np.uint8],
    timeout_s: float,
    instance: str | None = None,
) -> tuple[Hello, list[Received], float]:
    """Run images uint8 (N, H, W, C) on the board: its HELLO, what came back, and the seconds it took.

    Raises:
        DeviceError: the board runs another build, or lost an image.
    """
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
    if len(received) != len(images):
        raise DeviceError(
            "the board lost images",
            value=f"{len(images) - len(received)} of {len(images)}",
            remedy="run again",
        )
    return hello, received, seconds


@contextmanager
def _open(built: BuildResult, instance: str) -> Iterator[Port]:
    """The port of the board that runs `built`; nobody else gets the board meanwhile."""
    from semflash.edge.attach import attach
    from semflash.firmware.boards import lock as board_lock
    from semflash.firmware.boards.descriptions import load_board
    from semflash.firmware.emulator import emulator

    user = board_lock.BoardUser("semflash bench")
    if built.kind == "native":
        from semflash.firmware.emulator.native import NativePort

        with NativePort(built.image_path) as port:
            yield port
    elif built.kind == "emulated":
        with board_lock.hold(board_lock.emulated_key(instance), what=user.what):
            state = emulator.status(instance)
            if state is None:
                raise DeviceError("the emulated board does not run", value=instance, remedy="semflash flash")
            with open_port(state.port) as opened:
                yield opened
    else:
        with attach(load_board(built.board), user=user) as attached:
            yield attached


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
        reference=reference_name(bundle),
        memory=built.memory,
    )
