"""Shells that are not the blocking session need no change in the core: docs/link.md's and one in asyncio."""

from __future__ import annotations

import asyncio
import re
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from c import tiny_reference as tiny
from semflash.firmware.emulator.native import NativePort
from semflash.link.core import Connected, Failed, Finished, LinkCore, Outcome, Received, State
from semflash.link.errors import PortVanishedError
from semflash.link.faults.spec import FaultSpec
from semflash.link.handshake import Expected
from semflash.link.proxy import Proxy

ROOT = Path(__file__).resolve().parents[2]
EXPECTED = Expected("tiny", tiny.BUNDLE, tiny.ROWS, tiny.ROW_BYTES, tiny.PAYLOAD_BYTES)
COUNT = 60


def core() -> LinkCore:
    return LinkCore(EXPECTED, session=77, first_request=1000, timeout_s=2.0)


def pictures(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(-128, 128, (COUNT, tiny.ROWS, tiny.ROW_BYTES)).astype(np.int8)


def sources(images: np.ndarray) -> Iterator[tuple[int, bytes]]:
    return ((index, image.tobytes()) for index, image in enumerate(images))


def check(outcomes: list[Outcome], images: np.ndarray) -> None:
    assert sorted(outcome.index for outcome in outcomes) == list(range(COUNT))
    for outcome in outcomes:
        assert isinstance(outcome, Received) and not outcome.damaged
        assert outcome.payload == tiny.payload(images[outcome.index])


def shell_of_the_page() -> Callable[..., Iterator[Any]]:
    """`stream` of docs/link.md."""
    page = (ROOT / "docs" / "link.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"<!-- shell -->\n```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)
    return names["stream"]  # type: ignore[no-any-return]


def test_the_shell_of_the_page_streams_from_the_native_device(tiny_library: Path) -> None:
    images, now = pictures(), iter(range(1_000_000))
    with NativePort(tiny_library, timeout=0.0) as port:
        hello, *outcomes, end = shell_of_the_page()(core(), port, lambda: next(now) * 1e-4, sources(images))
    assert isinstance(hello, Connected) and isinstance(end, Finished)
    check(outcomes, images)


def test_the_shell_of_the_page_tells_of_a_device_that_is_silent() -> None:
    class Nothing:
        in_waiting = 0

        def write(self, data: bytes) -> int:
            return len(data)

        def read(self, size: int) -> bytes:
            return b""

    now = iter(range(1_000_000))
    (end,) = shell_of_the_page()(core(), Nothing(), lambda: next(now) * 0.05, sources(pictures()))
    assert isinstance(end, Failed) and end.error.kind == "silence"


async def run(url: str, link: LinkCore, images: np.ndarray) -> list[Outcome]:
    """The images through examples/asyncio_link to a TCP port."""
    stream = runpy.run_path(str(ROOT / "examples" / "asyncio_link" / "stream.py"))["stream"]
    host, port = url.removeprefix("socket://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        return [outcome async for outcome in stream(reader, writer, link, sources(images))]
    finally:
        writer.close()


def test_one_event_loop_streams_from_two_native_devices_over_bad_lines(tiny_library: Path) -> None:
    first, second = pictures(1), pictures(2)
    links = core(), core()

    async def both(urls: tuple[str, str]) -> list[list[Outcome]]:
        work = (
            run(url, link, images) for url, link, images in zip(urls, links, (first, second), strict=True)
        )
        return await asyncio.gather(*work)

    with (
        NativePort(tiny_library, timeout=0.01) as one,
        NativePort(tiny_library, timeout=0.01) as other,
        Proxy(one, FaultSpec.parse("up.lose=0.03,split;seed=3")) as left,
        Proxy(other, FaultSpec.parse("down.lose=0.03,join;seed=4")) as right,
    ):
        found = asyncio.run(both((left.url, right.url)))
    check(found[0], first)
    check(found[1], second)
    assert sum(link.counters.images_resent for link in links) > 0
    assert all(link.state is State.REST and link.pending == 0 for link in links)


def test_a_connection_that_closes_is_told_by_the_shell_and_the_core_can_go_on(tiny_library: Path) -> None:
    link, images = core(), pictures(3)

    async def cut() -> None:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            with pytest.raises(PortVanishedError):
                await run(f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}", link, images)

    asyncio.run(cut())
    assert link.state is State.REST
    with NativePort(tiny_library, timeout=0.01) as port, Proxy(port, FaultSpec()) as proxy:
        check(asyncio.run(run(proxy.url, link, images)), images)
