"""What the generator is asked for, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field

from semflash_codegen.errors import RequestError

AOT, TFLM = "aot", "tflm"
ENGINES = (AOT, TFLM)
KERNELS = ("auto", "fused", "cmsis-nn", "reference")
FAST, SMALL = "fast", "small"

_INT32 = 1 << 31


@dataclass(frozen=True)
class GdnTail:
    """SF_TAIL_GDN of device/include/semflash/tail.h: GDN, PReLU and nearest centre as threshold tests.

    Attributes:
        channels: C. levels: number of centres, 2..16. zero_point: of the latent.
        beta: (C,) Q16, > 0. gamma: (C * C,) Q16, input channel major, >= 0.
        threshold: (C * (levels - 1),) Q24, ascending per channel.
    """

    channels: int
    levels: int
    zero_point: int
    beta: tuple[int, ...]
    gamma: tuple[int, ...]
    threshold: tuple[int, ...]

    def check(self) -> None:
        """Lengths and ranges as the C types demand.

        Raises:
            RequestError: one does not fit.
        """
        steps = self.levels - 1
        _check_common(self.channels, self.levels, self.zero_point, 16)
        _check_table("beta", self.beta, self.channels, 1, 1 << 63)
        _check_table("gamma", self.gamma, self.channels**2, 0, _INT32)
        _check_table("threshold", self.threshold, self.channels * steps, -_INT32, _INT32)
        for c in range(self.channels):
            row = self.threshold[c * steps : (c + 1) * steps]
            if list(row) != sorted(row):
                raise RequestError(
                    f"thresholds of channel {c} do not ascend", value=row, remedy="export the bundle again"
                )

    @property
    def table_bytes(self) -> int:
        """Bytes of the tables in flash."""
        return 8 * len(self.beta) + 4 * len(self.gamma) + 4 * len(self.threshold)


@dataclass(frozen=True)
class TableTail:
    """SF_TAIL_TABLE: code = table[c * 256 + latent + 128], codes below `levels`."""

    channels: int
    levels: int
    zero_point: int
    table: tuple[int, ...]

    def check(self) -> None:
        """Lengths and ranges as the C types demand.

        Raises:
            RequestError: one does not fit.
        """
        _check_common(self.channels, self.levels, self.zero_point, 256)
        _check_table("table", self.table, self.channels * 256, 0, self.levels)

    @property
    def table_bytes(self) -> int:
        """Bytes of the table in flash."""
        return len(self.table)


@dataclass(frozen=True)
class CodegenRequest:
    """One encoder to turn into C.

    Attributes:
        encoder: bytes of the .tflite file. tail: the device tail.
        bits_per_symbol: 1..8. bundle_hash: hex, at least 8 digits; the first 32 bits go into the firmware.
        model_name: for the banner. engine: "aot" or "tflm". kernels (of aot): "auto" (streaming where
            possible, else CMSIS-NN), "fused" (the same, but refuses a model none of which streams),
            "cmsis-nn" or "reference" (layer by layer).
        weights: of streaming kernels, "fast" (int16 tables) or "small" (int8).
        flash_bytes, ram_bytes: of the board; None: do not check.
        arena_bytes: tensor arena as TFLite-Micro measured it on the host; engine "tflm" needs it.
    """

    encoder: bytes
    tail: GdnTail | TableTail
    bits_per_symbol: int
    bundle_hash: str
    model_name: str = "model"
    engine: str = "aot"
    kernels: str = "auto"
    weights: str = FAST
    flash_bytes: int | None = None
    ram_bytes: int | None = None
    arena_bytes: int | None = None

    def check(self) -> None:
        """Everything that can be checked without reading the model.

        Raises:
            RequestError: something is inconsistent.
        """
        if self.engine not in ENGINES:
            raise RequestError("unknown engine", value=self.engine, remedy="use " + ", ".join(ENGINES))
        if self.kernels not in KERNELS:
            raise RequestError("unknown kernels", value=self.kernels, remedy="use " + ", ".join(KERNELS))
        if self.weights not in (FAST, SMALL):
            raise RequestError("unknown weights", value=self.weights, remedy="use fast, small")
        if not 1 <= self.bits_per_symbol <= 8:
            raise RequestError("bits per symbol must be 1..8", value=self.bits_per_symbol)
        if len(self.bundle_hash) < 8 or any(c not in "0123456789abcdef" for c in self.bundle_hash):
            raise RequestError(
                "the bundle hash must be lower-case hex, 8 digits or more", value=self.bundle_hash
            )
        self.tail.check()
        if self.tail.levels > 1 << self.bits_per_symbol:
            raise RequestError(
                f"{self.tail.levels} levels do not fit {self.bits_per_symbol} bits", value=self.tail.levels,
                remedy="export the bundle again",
            )  # fmt: skip

    @property
    def bundle_hash32(self) -> int:
        """First 32 bits of the hash."""
        return int(self.bundle_hash[:8], 16)


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
        layers: in order. arena_bytes: activations and scratch; state_bytes: RAM the caller lends (the arena).
        macs: of one image. constant_bytes: weights and tables in flash.
        cmsis_sources: files relative to CMSIS-NN's root (empty: not needed).
        cmsis_symbols: CMSIS-NN functions that must be in the linked image.
        engine: text of sf_model_t.engine.
        tflm_operators: operators of the resolver (engine "tflm").
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
    """Files by name (sf_model.h, sf_model.c) and the report."""

    files: dict[str, str]
    report: Report = field(repr=False)


def _check_common(channels: int, levels: int, zero_point: int, levels_max: int) -> None:
    if not 1 <= channels <= 256:
        raise RequestError("the tail must have 1..256 channels", value=channels)
    if not 2 <= levels <= levels_max:
        raise RequestError(f"the tail must have 2..{levels_max} levels", value=levels)
    if not -128 <= zero_point <= 127:
        raise RequestError("the tail's zero point must fit int8", value=zero_point)


def _check_table(name: str, values: tuple[int, ...], length: int, low: int, high: int) -> None:
    """Exactly `length` values in low <= value < high."""
    if len(values) != length:
        raise RequestError(f"the tail's {name} must have {length} values", value=len(values))
    wrong = next((v for v in values if not low <= v < high), None)
    if wrong is not None:
        raise RequestError(f"the tail's {name} has a value outside {low}..{high - 1}", value=wrong)
