"""A device library loaded into this process: `device/port/native/native.h` through cffi (ABI mode)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semflash.errors import DeviceError

_ABI = 2
_DECLARATIONS = """
typedef struct sf_native sf_native_t;
typedef struct sf_native_info {
    uint32_t bundle_hash;
    uint32_t build_id;
    uint32_t state_bytes;
    uint16_t rows;
    uint16_t row_bytes;
    uint16_t latent_positions;
    uint16_t latent_channels;
    uint16_t payload_bytes;
    uint16_t bits_per_symbol;
    char engine[17];
} sf_native_info_t;
uint32_t sf_native_abi(void);
void sf_native_describe(sf_native_info_t *info);
size_t sf_native_bytes(void);
int sf_native_create(void *memory, size_t bytes, sf_native_t **device);
size_t sf_native_receive(sf_native_t *device, const uint8_t *bytes, size_t n);
size_t sf_native_drain(sf_native_t *device, uint8_t *out, size_t capacity);
int sf_native_control(sf_native_t *device, uint8_t id, uint16_t value);
int sf_native_encode(sf_native_t *device, const int8_t *images, size_t n, uint8_t *payloads, uint32_t *bits);
int sf_native_latents(sf_native_t *device, const int8_t *images, size_t n, int8_t *latents);
"""
_ALIGNMENT = 16
# Names of device/include/semflash/status.h for messages.
_STATUS = {
    -1: "SF_ERR_ARGUMENT: null pointer, or a size the contract does not allow",
    -2: "SF_ERR_ROW: a row of the wrong size",
    -3: "SF_ERR_STATE: the call does not fit what came before",
    -4: "SF_ERR_MEMORY: a buffer is too small",
    -5: "SF_ERR_KERNEL: a kernel refused its arguments",
}


@dataclass(frozen=True)
class NativeInfo:
    """What is compiled into a device library.

    Attributes:
        bundle_hash: first 32 bits of the bundle's hash.
        build_id: 32 bits that name the build.
        rows: Rows of an image.
        row_bytes: int8 values of a row (width x channels).
        latent_positions: Positions of the first graph's output.
        latent_channels: Channels of the first graph's output.
        payload_bytes: the most that the payload of an image can have.
        bits_per_symbol: of the first region, 1..8.
        state_bytes: RAM of the program.
        engine: for instance ``aot/cmsis-nn``.
    """

    bundle_hash: int
    build_id: int
    rows: int
    row_bytes: int
    latent_positions: int
    latent_channels: int
    payload_bytes: int
    bits_per_symbol: int
    state_bytes: int
    engine: str


class NativeLibrary:
    """A loaded device library with one device in its own memory."""

    def __init__(self, path: Path) -> None:
        from cffi import FFI

        if not path.is_file():
            raise DeviceError(
                "the device library does not exist", value=path, remedy="semflash build BUNDLE --board native"
            )
        self.ffi: Any = FFI()
        self.ffi.cdef(_DECLARATIONS)
        try:
            self.lib: Any = self.ffi.dlopen(str(path.resolve()))
            abi = int(self.lib.sf_native_abi())
        except (OSError, AttributeError) as error:
            raise DeviceError(
                f"not a semflash device library: {error}",
                value=path,
                remedy="semflash build BUNDLE --board native",
            ) from error
        if abi != _ABI:
            raise DeviceError(
                f"the device library has interface {abi}, this semflash needs {_ABI}",
                value=path,
                remedy="build it again: semflash build BUNDLE --board native",
            )
        self._memory: Any = None
        self._create()
        raw = self.ffi.new("sf_native_info_t *")
        self.lib.sf_native_describe(raw)
        names = [field for field in NativeInfo.__dataclass_fields__ if field != "engine"]
        numbers = {name: int(getattr(raw, name)) for name in names}
        self.info = NativeInfo(**numbers, engine=self.ffi.string(raw.engine).decode("ascii", "replace"))

    def _create(self) -> None:
        size = int(self.lib.sf_native_bytes())
        # The buffer must outlive the device: kept here.
        if self._memory is None:
            self._memory = self.ffi.new("uint8_t[]", size + _ALIGNMENT)
        offset = -int(self.ffi.cast("uintptr_t", self._memory)) % _ALIGNMENT
        out = self.ffi.new("sf_native_t **")
        self.check(self.lib.sf_native_create(self._memory + offset, size, out), "create the device")
        self.device = out[0]

    def reset(self) -> None:
        """A new device in place of the old one, in the same memory."""
        self._create()

    @staticmethod
    def check(status: int, action: str) -> None:
        """Raise DeviceError for a negative status."""
        if status < 0:
            raise DeviceError(
                f"the device library could not {action}",
                value=_STATUS.get(status, f"status {status}"),
                remedy="build it again; if that does not help, the generated code is wrong: please report it",
            )
