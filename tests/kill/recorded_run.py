"""A monitor run with both recordings that does not end by itself, for a test that kills it.

python -m kill.recorded_run RECORDS RAW
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fakes.link_device import FakeDevice
from semflash.bundle import read_bundle
from semflash.edge.golden import GoldenEncoder
from semflash.edge.preprocess import to_int8
from semflash.monitor.monitor import MonitorOptions, monitor

TINY = Path(__file__).resolve().parents[1] / "vectors" / "tiny.semcodec"
COUNT = 50


@dataclass(frozen=True)
class Images:
    images: NDArray[np.uint8]
    labels: NDArray[np.int32]


def main() -> None:
    """Round after round of images through a device in this process."""
    bundle = read_bundle(TINY)
    rng = np.random.default_rng(3)
    split = Images(rng.integers(0, 256, (COUNT, *bundle.image_shape), np.uint8), np.zeros(COUNT, np.int32))
    payloads = GoldenEncoder(bundle).payloads(split.images)
    pixels = to_int8(split.images, bundle.image_shape)
    golden = {image.tobytes(): bytes(payload) for image, payload in zip(pixels, payloads, strict=True)}
    height, width, channels = bundle.image_shape
    device = FakeDevice(
        bundle=bundle.hash32,
        rows=height,
        row_bytes=width * channels,
        payload_bytes=bundle.payload_bytes,
        rows_per_frame=height // 2,
        encode=golden.__getitem__,
        pilot_bytes=4,
    )
    records, raw = map(Path, sys.argv[1:])
    monitor(bundle, device, split, MonitorOptions(COUNT, record_path=records, raw_path=raw, loop=True))


if __name__ == "__main__":
    main()
