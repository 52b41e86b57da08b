"""What an operator becomes: one call of one kernel, with its tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CMSIS_NN = "cmsis-nn"
REFERENCE = "reference"
AUTO = "auto"
#: Kernels of ours for one layer: byte-mixed weights, and sums by one linear form.
MIXED = "mixed"


@dataclass(frozen=True)
class Kernel:
    """The kernel that runs a layer, and why it was chosen.

    Attributes:
        runs_on: "cmsis-nn", "reference" (plain C) or "mixed" (ours).
        function: C function of device/kernels/include/semflash/kernels.h.
        why: one clause for the build report.
        scratch_function: C function that gives the scratch bytes on the core, "" where the kernel needs none.
        sources: CMSIS-NN sources it needs, relative to CMSIS-NN's root.
        symbols: CMSIS-NN functions that must be in the linked image.
    """

    runs_on: str
    function: str
    why: str
    scratch_function: str = ""
    sources: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()


@dataclass(frozen=True)
class Array:
    """A constant table; ctype int8_t, uint16_t or int32_t.

    `field` is the struct member that points to it; "outer.inner" is a member of a struct within the struct.
    """

    field: str
    ctype: str
    values: npt.NDArray[np.integer]

    @property
    def size_bytes(self) -> int:
        """Bytes in flash."""
        return int(self.values.size) * {"int8_t": 1, "uint16_t": 2, "int32_t": 4}[self.ctype]


@dataclass(frozen=True)
class Layer:
    """One kernel call.

    Attributes:
        index: Position of the operator in the file.
        operator: Its name in TensorFlow Lite's schema.
        name: Name of its output tensor.
        inputs: Indices into Model.tensors; an input may be a constant.
        output: Index into Model.tensors.
        struct: C type of the parameter struct.
        fields: Its members (C initialisers) in order of writing.
        arrays: Tables the struct points to.
        scratch_bytes: Most the kernel needs on any core (with or without DSP instructions).
        macs: Multiply-accumulates of one image.
        inputs_as_list: The kernel takes its inputs as one list of pointers.
    """

    index: int
    operator: str
    name: str
    inputs: tuple[int, ...]
    output: int
    kernel: Kernel
    struct: str
    fields: tuple[tuple[str, str], ...]
    arrays: tuple[Array, ...] = ()
    scratch_bytes: int = 0
    macs: int = 0
    inputs_as_list: bool = False

    def name_in_c(self, prefix: str) -> str:
        """The name that everything of the layer begins with."""
        return f"{prefix}_layer{self.index}"

    def symbol(self, prefix: str) -> str:
        """Name of the C constant that describes the layer."""
        return self.name_in_c(prefix)

    @property
    def weights_bytes(self) -> int:
        """Bytes of all tables of the layer."""
        return sum(a.size_bytes for a in self.arrays)
