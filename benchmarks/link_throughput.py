"""How much of a 921,600 baud line carries payload, and how fast the host decodes: writes tables into
docs/link.md.

    python benchmarks/link_throughput.py [--write]

The proxy's line paces every byte of both directions (10 bit times each). The device is board native with a
model that costs no time, so that the link alone is measured: its session, window, framing and credit are the
real ones. Share: down, pixel bytes of images that were answered; up, code bytes (pilots not counted); times
bits, over elapsed time times baud. "line time" advances a simulated clock from event to event: the result is
exact and the same everywhere; "real time" waits with this machine's clock and includes the host program: the
best of three, because other programs run beside it.

Decoding: images per second, by the wall clock, and per two seconds of processor time, which is what two idle
cores give; the two differ where other programs run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from doc_block import LINK_PAGE, table, write_block

from semflash.bundle import read_bundle
from semflash.edge.decoder import EdgeDecoder
from semflash.firmware.emulator.native import NativePort, compile_native
from semflash.link.faults.port import FaultyPort
from semflash.link.faults.spec import FaultSpec
from semflash.link.outcome import Received
from semflash.link.session import Expected, Session

ROOT = Path(__file__).resolve().parent.parent
BAUD = 921_600
#: name: rows, bytes per row, codes per row, most payload of ROWS, window, direction
CASES = {
    "48 bytes of codes, 28 x 28 pixels down, a frame of 512 bytes (STM32F4)": (28, 28, 2, 508, 4, "down"),
    "48 bytes of codes, 28 x 28 pixels down, the image in one frame": (28, 28, 2, 4096, 8, "down"),
    "2,048 bytes of codes up, 256 pixels down": (32, 8, 64, 512, 4, "up"),
    "4,064 bytes of codes up, 256 pixels down": (32, 8, 127, 512, 4, "up"),
}


def build(case: str, folder: Path) -> Path:
    """Board native with the model of a case."""
    rows, row_bytes, codes, payload, window, _ = CASES[case]
    sources = [
        *sorted((ROOT / "device/src").glob("*.c")),
        *sorted((ROOT / "device/stages").glob("*.c")),
        ROOT / "device/port/native/native.c",
    ]
    includes = [ROOT / "device/include", ROOT / "device/port/native", ROOT / "benchmarks/link_model"]
    defines = {
        "SF_MODEL_ROWS": str(rows),
        "SF_MODEL_ROW_BYTES": str(row_bytes),
        "LINK_CODES_PER_ROW": str(codes),
        "SF_NATIVE_ROWS_PAYLOAD": f"{payload}u",
        "SF_NATIVE_WINDOW": f"{window}u",
    }
    out = folder / f"{list(CASES).index(case)}.so"
    return compile_native(
        [*sources, ROOT / "benchmarks/link_model/sf_model.c"], includes, out, defines=defines
    )


def measure(case: str, library: Path, count: int, *, real: bool) -> float:
    """Share of the line that carries payload."""
    rows, row_bytes, codes, _, _, direction = CASES[case]
    images = np.random.default_rng(1).integers(-128, 128, (count, rows, row_bytes, 1)).astype(np.int8)
    now = [0.0]
    clock = time.monotonic if real else lambda: now[0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    with NativePort(library, timeout=0.0) as native:
        expected = Expected("link", native.info.bundle_hash, rows, row_bytes, rows * codes)
        more = {} if real else {"clock": clock, "sleep": sleep}
        port = FaultyPort(native, FaultSpec.parse(f";baud={BAUD}"), **more)  # type: ignore[arg-type]
        session = Session(port, expected, clock=clock)
        session.connect()
        began = clock()
        outcomes = list(session.stream(enumerate(images)))
        seconds = clock() - began
    assert all(isinstance(outcome, Received) and not outcome.damaged for outcome in outcomes)
    payload = rows * (row_bytes if direction == "down" else codes) * count
    return 10 * payload / (seconds * BAUD)


def decode_rate(name: str, count: int, threads: int) -> tuple[float, float]:
    """Images decoded and classified in batches: per second, and per `threads` processor seconds."""
    bundle = read_bundle(name)
    rng = np.random.default_rng(1)
    payloads = rng.integers(0, 256, (count, bundle.payload_bytes), dtype=np.uint8)
    decoder = EdgeDecoder(bundle, threads=threads)
    decoder.logits(payloads[:256], 0.01)
    wall, processor = time.monotonic(), time.process_time()
    decoder.logits(payloads, rng.random(count) * 0.1)
    return count / (time.monotonic() - wall), threads * count / (time.process_time() - processor)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="put the tables into docs/link.md")
    parser.add_argument("--count", type=int, default=200, help="images of each case")
    chosen = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            library = build(case, Path(folder))
            line = measure(case, library, chosen.count, real=False)
            tries = [measure(case, library, chosen.count, real=True) for _ in range(3)]
            real = max(tries)
            rows.append([case, CASES[case][5], f"{100 * line:.1f} %", f"{100 * real:.1f} %"])
            print(rows[-1], flush=True)
    rates = [
        [name, *(f"{rate:,.0f}" for rate in decode_rate(name, 4096, 2))]
        for name in ("fashion-mnist-48", "fashion-mnist-24")
    ]
    print(rates)
    if chosen.write:
        head = ["what", "direction", "payload, line time", "payload, real time"]
        write_block(LINK_PAGE, "throughput", "link_throughput.py", table(head, rows))
        decoded = table(["bundle", "images/s, wall clock", "images per two processor seconds"], rates)
        write_block(LINK_PAGE, "decode", "link_throughput.py", decoded)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
