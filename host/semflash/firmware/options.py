"""How a bundle is built: what the flags of `semflash build` say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class BuildOptions:
    """One way to build.

    Attributes:
        engine: "aot" or "tflm". kernels: one of semflash_codegen.request.KERNELS. weights: "fast" or "small".
        out_dir: build folder; build/<bundle>-<board> in the working directory when None.
        cmsis_nn_dir: CMSIS-NN of the user's; the packaged one when None.
        tflm_dir: TFLM tree (engine "tflm"); that of SEMFLASH_TFLM_DIR when None.
        bench: link the layer clock of device/bench, which `semflash bench` reads.
    """

    engine: str = "aot"
    kernels: str = "auto"
    weights: str = "fast"
    out_dir: Path | None = None
    cmsis_nn_dir: Path | None = None
    tflm_dir: Path | None = None
    bench: bool = False
