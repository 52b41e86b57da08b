"""How a bundle is built: what the flags of `semflash build` say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from semflash.link.wire import HELLO_MOST_BYTES, HelloTag

#: Of a frame of codes unless told otherwise; 32 bits a frame, docs/link.md has what they cost.
PILOT_BYTES = 4
PILOT_BYTES_MAX = 1024
DEVICE_ID_BYTES_MAX = HELLO_MOST_BYTES[HelloTag.DEVICE]


@dataclass(frozen=True)
class BuildOptions:
    """One way to build.

    Attributes:
        engine: "aot" or "tflm".
        kernels: One of semflash_codegen.request.KERNELS.
        weights: "fast" or "small".
        out_dir: Build folder; build/<bundle>-<board> in the working directory when None.
        cmsis_nn_dir: CMSIS-NN of the user's; the packaged one when None.
        tflm_dir: TFLM tree (engine "tflm"); that of SEMFLASH_TFLM_DIR when None.
        pilot_bytes: Known bytes in each frame of codes, 0..1,024; 0: no BER estimate.
        fragment_bytes: Most codes in one frame; 0: as many as fit.
        device_id: The identity that the device says it has, hex, at most 16 bytes; "": that of its chip.
        bench: A clock of device/bench to link: "layers", which `semflash bench` reads, or "latency"
            (benchmarks/link_latency.py); "": none.
    """

    engine: str = "aot"
    kernels: str = "auto"
    weights: str = "fast"
    out_dir: Path | None = None
    cmsis_nn_dir: Path | None = None
    tflm_dir: Path | None = None
    pilot_bytes: int = PILOT_BYTES
    bench: str = ""
    fragment_bytes: int = 0
    device_id: str = ""
