"""What the generator is asked for, and what it answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from semflash.errors import ProgramError
from semflash.program.checks import check_program
from semflash.program.program import Program
from semflash_codegen.errors import RequestError

AOT, TFLM = "aot", "tflm"
ENGINES = (AOT, TFLM)
KERNELS = ("auto", "fused", "cmsis-nn", "reference")
FAST, SMALL = "fast", "small"


@dataclass(frozen=True)
class CodegenRequest:
    """A device program to turn into C.

    Attributes:
        program: What the device does.
        models: The .tflite file of each of its graphs, by the graph's name.
        bundle_hash: Hex, at least 8 digits; the first 32 bits go into the firmware.
        model_name: For the banner.
        prefix: What every generated name and file begins with, so that a firmware may hold several programs.
        engine: "aot" or "tflm".
        kernels: Of aot: "auto" (streaming where possible, else CMSIS-NN), "fused" (the same, but refuses a
            model none of which streams), "cmsis-nn" or "reference" (layer by layer).
        weights: Of streaming kernels, "fast" (int16 tables) or "small" (int8).
        flash_bytes: Flash of the board; None: it is not checked.
        ram_bytes: RAM of the board; None: it is not checked.
        arena_bytes: Tensor arena as TFLite-Micro measured it on the host; engine "tflm" needs it.
    """

    program: Program
    models: Mapping[str, bytes]
    bundle_hash: str
    model_name: str = "model"
    prefix: str = "sf_model"
    engine: str = "aot"
    kernels: str = "auto"
    weights: str = FAST
    flash_bytes: int | None = None
    ram_bytes: int | None = None
    arena_bytes: int | None = None

    def check(self) -> None:
        """Everything that can be checked without reading the model.

        Raises:
            RequestError: something is inconsistent, or the program breaks a rule of its own.
        """
        if self.engine not in ENGINES:
            raise RequestError("unknown engine", value=self.engine, remedy="use " + ", ".join(ENGINES))
        if self.kernels not in KERNELS:
            raise RequestError("unknown kernels", value=self.kernels, remedy="use " + ", ".join(KERNELS))
        if self.weights not in (FAST, SMALL):
            raise RequestError("unknown weights", value=self.weights, remedy="use fast, small")
        if len(self.bundle_hash) < 8 or any(c not in "0123456789abcdef" for c in self.bundle_hash):
            raise RequestError(
                "the bundle hash must be lower-case hex, 8 digits or more", value=self.bundle_hash
            )
        if re.fullmatch(r"[a-z][a-z0-9_]{0,31}", self.prefix) is None:
            raise RequestError("the prefix must be a C name in lower case", value=self.prefix)
        try:
            check_program(self.program)
        except ProgramError as error:
            raise RequestError(error.what, value=error.value, remedy=error.remedy) from error
        missing = [graph.name for graph in self.program.graphs if graph.name not in self.models]
        if missing:
            raise RequestError("a graph of the program has no model", value=", ".join(missing))

    @property
    def bundle_hash32(self) -> int:
        """First 32 bits of the hash."""
        return int(self.bundle_hash[:8], 16)

    @property
    def macro(self) -> str:
        """What the names of constants in the header begin with."""
        return self.prefix.upper()


@dataclass(frozen=True)
class LayerReport:
    """One line of the build report: which layer runs on what, and why.

    step: number of the kernel call or streaming stage it runs in; joined layers share one.
    """

    name: str
    operator: str
    kernel: str
    why: str
    macs: int
    weights_bytes: int
    step: int = 0


@dataclass(frozen=True)
class Report:
    """What the build wants to know of the generated code.

    Attributes:
        layers: In order.
        arena_bytes: Activations and scratch.
        state_bytes: RAM the caller lends (the arena).
        macs: Of one image.
        constant_bytes: Weights and tables in flash.
        cmsis_sources: Files relative to CMSIS-NN's root (empty: not needed).
        cmsis_symbols: CMSIS-NN functions that must be in the linked image.
        engine: Text of sf_program_t.engine.
        tflm_operators: Operators of the resolver (engine "tflm").
    """

    layers: tuple[LayerReport, ...]
    arena_bytes: int
    state_bytes: int
    macs: int
    constant_bytes: int
    cmsis_sources: tuple[str, ...]
    cmsis_symbols: tuple[str, ...]
    engine: str
    tflm_operators: tuple[str, ...] = ()


@dataclass(frozen=True)
class Generated:
    """Files by name (sf_model.h, sf_model.c, or with another prefix) and the report."""

    files: dict[str, str]
    report: Report = field(repr=False)
