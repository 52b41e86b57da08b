"""A shell of one's own for the link core: asyncio, through a TCP connection to a device.

    semflash run fashion-mnist-48 --board nucleo_f446re
    python -m semflash.hil.proxy --port /dev/ttyACM0 --listen tcp:127.0.0.1:4000   # a board behind a TCP port
    python examples/asyncio_link/stream.py 127.0.0.1 4000 fashion-mnist-48

Many devices are many calls of `stream` in one event loop. What is sent, believed, sent again or given up is
decided in the core; here bytes go to and fro and the time is told.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

import numpy as np

from semflash.bundle import read_bundle
from semflash.link.core import Failed, Finished, LinkCore, Lost, Outcome, Received
from semflash.link.errors import PortVanishedError
from semflash.link.fresh_numbers import fresh_number
from semflash.link.handshake import Expected

_BLOCK = 4096


async def stream(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    core: LinkCore,
    images: Iterable[tuple[int, bytes]],
) -> AsyncIterator[Outcome]:
    """One outcome per image.

    Args:
        images: (index, int8 pixels row by row).

    Raises:
        LinkError: the device cannot be used, or went away.
    """
    source, now = iter(images), asyncio.get_running_loop().time
    core.start(now())
    try:
        while True:
            while core.wants_images:
                image = next(source, None)
                core.finish() if image is None else core.offer(*image, now())
            while data := core.data_to_send():
                writer.write(data)
            await writer.drain()
            while (event := core.next_event()) is not None:
                if isinstance(event, Received | Lost):
                    yield event
                elif isinstance(event, Failed):
                    raise event.error
                elif isinstance(event, Finished):
                    return
            core.receive_data(await _read(reader, core, now), now())
    finally:
        core.stop()


async def _read(reader: asyncio.StreamReader, core: LinkCore, now: Callable[[], float]) -> bytes:
    """What comes before the core has to be called; b"": nothing."""
    due = core.timeout_at()
    try:
        data = await asyncio.wait_for(reader.read(_BLOCK), None if due is None else max(due - now(), 0.0))
    except TimeoutError:
        return b""
    if not data:
        core.disconnected()
        raise PortVanishedError("the other side has closed the connection")
    return data


async def show(host: str, port: int, name: str, count: int) -> int:
    """Stream random images to a device and print what comes back."""
    bundle = read_bundle(name)
    expected = Expected.of(bundle)
    core = LinkCore(expected, session=fresh_number(), first_request=fresh_number())
    reader, writer = await asyncio.open_connection(host, port)
    rng = np.random.default_rng(1)
    images = ((i, rng.bytes(expected.rows * expected.row_bytes)) for i in range(count))
    async for outcome in stream(reader, writer, core, images):
        print(outcome.index, outcome.payload.hex() if isinstance(outcome, Received) else "lost")
    writer.close()
    return 0


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("bundle")
    parser.add_argument("--count", type=int, default=10, help="images (default 10)")
    chosen = parser.parse_args()
    return asyncio.run(show(chosen.host, chosen.port, chosen.bundle, chosen.count))


if __name__ == "__main__":
    raise SystemExit(main())
