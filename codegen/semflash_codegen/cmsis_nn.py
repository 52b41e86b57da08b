"""CMSIS-NN: where its sources are, and which kernels of it semflash calls.

The packaged copy is CMSIS-NN 4.0.0 in the wheel ``bakenn``, found without importing that package.
A CMSIS-NN tree of the user's (with Include/ and Source/) overrides it.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from semflash_codegen.errors import KernelSourceError
from semflash_codegen.layer import CMSIS_NN, Kernel

PACKAGE = "bakenn"
PACKAGED_VERSION = "4.0.0"

#: Define these on compilers for other machines than Arm: CMSIS-NN's own switch to do without CMSIS-Core,
#: and the one macro of CMSIS-Core that it then misses.
HOST_DEFINES = {"__GNUC_PYTHON__": "1", "__RESTRICT": "__restrict"}

#: All sources behind device/kernels/cmsis_nn.c, relative to CMSIS-NN's root.
SOURCES = (
    "Source/ConvolutionFunctions/arm_convolve_1_x_n_s8.c",
    "Source/ConvolutionFunctions/arm_convolve_1x1_s8.c",
    "Source/ConvolutionFunctions/arm_convolve_1x1_s8_fast.c",
    "Source/ConvolutionFunctions/arm_convolve_s8.c",
    "Source/ConvolutionFunctions/arm_convolve_wrapper_s8.c",
    "Source/ConvolutionFunctions/arm_depthwise_conv_3x3_s8.c",
    "Source/ConvolutionFunctions/arm_depthwise_conv_s8.c",
    "Source/ConvolutionFunctions/arm_depthwise_conv_s8_opt.c",
    "Source/ConvolutionFunctions/arm_depthwise_conv_wrapper_s8.c",
    "Source/ConvolutionFunctions/arm_nn_mat_mult_kernel_s8_s16.c",
    "Source/ConvolutionFunctions/arm_nn_mat_mult_s8.c",
    "Source/FullyConnectedFunctions/arm_fully_connected_s8.c",
    "Source/NNSupportFunctions/arm_nn_depthwise_conv_nt_t_padded_s8.c",
    "Source/NNSupportFunctions/arm_nn_depthwise_conv_nt_t_s8.c",
    "Source/NNSupportFunctions/arm_nn_mat_mul_core_1x_s8.c",
    "Source/NNSupportFunctions/arm_nn_mat_mul_core_4x_s8.c",
    "Source/NNSupportFunctions/arm_nn_mat_mult_nt_t_s8.c",
    "Source/NNSupportFunctions/arm_nn_vec_mat_mult_t_s8.c",
    "Source/NNSupportFunctions/arm_q7_to_q15_with_offset.c",
    "Source/PoolingFunctions/arm_avgpool_s8.c",
    "Source/PoolingFunctions/arm_max_pool_s8.c",
)


def _kernel(function: str, symbol: str, scratch: bool = False) -> Kernel:
    return Kernel(
        CMSIS_NN,
        function,
        f"CMSIS-NN has {symbol}",
        f"{function}_scratch" if scratch else "",
        SOURCES,
        (symbol,),
    )


CONV_2D = _kernel("sf_conv2d_cmsis_nn", "arm_convolve_wrapper_s8", scratch=True)
DEPTHWISE_CONV_2D = _kernel("sf_depthwise_conv2d_cmsis_nn", "arm_depthwise_conv_wrapper_s8", scratch=True)
AVERAGE_POOL_2D = _kernel("sf_average_pool2d_cmsis_nn", "arm_avgpool_s8", scratch=True)
MAX_POOL_2D = _kernel("sf_max_pool2d_cmsis_nn", "arm_max_pool_s8")
FULLY_CONNECTED = _kernel("sf_fully_connected_cmsis_nn", "arm_fully_connected_s8")


@dataclass(frozen=True)
class CmsisNn:
    """A CMSIS-NN tree.

    Attributes:
        nn: Folder with Include/ and Source/.
        core: Folder with cmsis_compiler.h.
        version: Release, or "unknown" for a tree of the user's.
        origin: For reports.
    """

    nn: Path
    core: Path
    version: str
    origin: str

    @property
    def include_dirs(self) -> tuple[Path, Path]:
        """For the compiler's -I or -isystem."""
        return (self.nn / "Include", self.core)

    @property
    def source_files(self) -> tuple[Path, ...]:
        """All sources behind device/kernels/cmsis_nn.c."""
        return tuple(self.nn / name for name in SOURCES)


def locate(override: Path | None = None) -> CmsisNn:
    """Find CMSIS-NN.

    Args:
        override: a CMSIS-NN tree of the user's; CMSIS-Core's headers come from its ``CMSIS/Core/Include`` or
            ``Core/Include``, else from the package.

    Raises:
        KernelSourceError: it is not there or incomplete.
    """
    if override is None:
        vendor = _package_folder() / "backend" / "cmsis_nn" / "vendor"
        from importlib import metadata

        version = metadata.version(PACKAGE)
        nn, core = vendor / "cmsis_nn", vendor / "cmsis_core" / "Include"
        found = CmsisNn(nn, core, PACKAGED_VERSION, f"{PACKAGE} {version}")
    else:
        cores = [override / part / "Core" / "Include" for part in ("CMSIS", ".")]
        own = next((path for path in cores if (path / "cmsis_compiler.h").is_file()), None)
        found = CmsisNn(override, own or locate(None).core, "unknown", str(override))
    needed = (
        found.nn / "Include" / "arm_nnfunctions.h",
        found.core / "cmsis_compiler.h",
        *found.source_files,
    )
    missing = next((path for path in needed if not path.is_file()), None)
    if missing is not None:
        raise KernelSourceError(
            f"CMSIS-NN ({found.origin}) lacks a file",
            value=missing,
            remedy="name a CMSIS-NN 4.0.0 tree, or use the packaged one, or kernels 'reference'",
        )
    return found


def _package_folder() -> Path:
    """Folder of the package that carries CMSIS-NN, without importing it."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise KernelSourceError(
            f"the package {PACKAGE}, which carries CMSIS-NN's sources, is not installed",
            remedy=f"pip install {PACKAGE}==1.0.0, or name a CMSIS-NN tree, or use kernels 'reference'",
        )
    return Path(spec.origin).parent
