"""Board `native`: the device C in this process, as an encoder and as a serial port.

>>> NativeDevice("missing.so")
Traceback (most recent call last):
semflash.errors.DeviceError: the device library does not exist (got: missing.so)
  try: semflash build BUNDLE --board native
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from semflash.errors import LinkError, UsageError
from semflash.firmware.emulator.native_compiler import compile_native
from semflash.firmware.emulator.native_library import NativeInfo, NativeLibrary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from semflash.program.payload import Payloads

__all__ = ["NativeDevice", "NativeInfo", "NativePort", "compile_native"]

_OUTPUT_LIMIT = 16 << 20


class NativeDevice:
    """The encoder of a device library, called past the protocol.

    Args:
        library_path: shared library of `semflash build --board native`.

    Raises:
        DeviceError: no such file, not a device library, or of another interface version.
    """

    def __init__(self, library_path: Path | str) -> None:
        self._library = NativeLibrary(Path(library_path))
        self.info = self._library.info

    def _images(self, images: NDArray[np.int8]) -> NDArray[np.int8]:
        import numpy as np

        array = np.asarray(images)
        info = self.info
        per_image = info.rows * info.row_bytes
        fits = array.ndim in (3, 4) and array.shape[1] == info.rows and array[:1].size in (0, per_image)
        if array.dtype != np.int8 or not fits:
            raise UsageError(
                "images do not fit this device",
                value=f"{array.dtype} {array.shape}",
                remedy=f"int8 of shape (N, {info.rows}, W, C) with W x C = {info.row_bytes}",
            )
        return np.ascontiguousarray(array)

    def encode(self, images: NDArray[np.int8]) -> NDArray[np.uint8]:
        """The bytes of :meth:`send`, uint8 (N, the most payload bytes)."""
        return self.send(images).payloads

    def send(self, images: NDArray[np.int8], controls: Mapping[int, int] | None = None) -> Payloads:
        """Payloads of images.

        Args:
            images: int8 (N, H, W, C), pixel - 128.
            controls: values by the controls' ids; each holds for the next image, sticky ones until set again.

        Raises:
            UsageError: wrong type or shape.
            DeviceError: the program has no such control, or the generated code refused.
        """
        import numpy as np

        from semflash.program.payload import Payloads

        array = self._images(images)
        payloads = np.empty((len(array), self.info.payload_bytes), np.uint8)
        bits = np.empty(len(array), np.uint32)
        ffi, lib, device = self._library.ffi, self._library.lib, self._library.device
        for number, value in (controls or {}).items():
            self._library.check(lib.sf_native_control(device, number, value), f"set control {number}")
        status = lib.sf_native_encode(
            device,
            ffi.cast("const int8_t *", array.ctypes.data),
            len(array),
            ffi.cast("uint8_t *", payloads.ctypes.data),
            ffi.cast("uint32_t *", bits.ctypes.data),
        )
        self._library.check(status, "encode")
        return Payloads(payloads, bits.astype(np.int64))

    def latents(self, images: NDArray[np.int8]) -> NDArray[np.int8]:
        """Output of the first device graph before its tail.

        Args:
            images: int8 (N, H, W, C), pixel - 128.

        Returns:
            int8 (N, latent positions, latent channels), raster order.
        """
        import numpy as np

        array = self._images(images)
        latents = np.empty((len(array), self.info.latent_positions, self.info.latent_channels), np.int8)
        ffi, lib = self._library.ffi, self._library.lib
        status = lib.sf_native_latents(
            self._library.device,
            ffi.cast("const int8_t *", array.ctypes.data),
            len(array),
            ffi.cast("int8_t *", latents.ctypes.data),
        )
        self._library.check(status, "run the graph")
        return latents


class NativePort:
    """A serial port whose other end is the device's protocol in this process.

    Behaves as a :class:`serial.Serial` as far as the bridge uses one; one thread may read, another write.

    Args:
        library_path: shared library of `semflash build --board native`.
        timeout: seconds that `read` waits for more; None waits for ever, 0 does not wait.

    Raises:
        DeviceError: see :class:`NativeDevice`.
    """

    def __init__(self, library_path: Path | str, timeout: float | None = None) -> None:
        self._library = NativeLibrary(Path(library_path))
        self.info = self._library.info
        self.name = f"native:{Path(library_path).name}"
        self.timeout = timeout
        self.is_open = True
        self._output = bytearray()
        self._changed = threading.Condition()
        self._chunk = self._library.ffi.new("uint8_t[]", 4096)

    def _require_open(self) -> None:
        if not self.is_open:
            raise LinkError("the port is closed", value=self.name, remedy="open it again")

    def _drain(self) -> None:
        """Move what the device sent into the output; called with the lock held."""
        ffi, lib = self._library.ffi, self._library.lib
        while n := int(lib.sf_native_drain(self._library.device, self._chunk, len(self._chunk))):
            self._output += ffi.buffer(self._chunk, n)[:]

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Send bytes to the device, which answers before this returns.

        Returns:
            Number of bytes sent (all of them).

        Raises:
            LinkError: the port is closed, or 16 MiB of answers were never read.
        """
        sent = bytes(data)
        ffi, lib = self._library.ffi, self._library.lib
        with self._changed:
            self._require_open()
            source = ffi.from_buffer("const uint8_t[]", sent)
            done = 0
            while done < len(sent):
                if len(self._output) > _OUTPUT_LIMIT:
                    raise LinkError(
                        "the device's answers are not read",
                        value=f"{len(self._output)} bytes",
                        remedy="read from the port between writes",
                    )
                done += int(lib.sf_native_receive(self._library.device, source + done, len(sent) - done))
                self._drain()
            self._changed.notify_all()
        return len(sent)

    def read(self, size: int = 1) -> bytes:
        """Up to `size` bytes; waits until they are there or `timeout` seconds have passed."""
        deadline = None if self.timeout is None else time.monotonic() + self.timeout
        with self._changed:
            self._require_open()
            while len(self._output) < size and self.is_open:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._changed.wait(left)
            taken = bytes(self._output[:size])
            del self._output[:size]
        return taken

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read now."""
        with self._changed:
            self._require_open()
            return len(self._output)

    def reset_input_buffer(self) -> None:
        """Forget what was received and not read."""
        with self._changed:
            self._require_open()
            self._output.clear()

    def reset(self) -> None:
        """Reset the device: it starts over, and what it sent and nobody read is lost."""
        with self._changed:
            self._require_open()
            self._library.reset()
            self._output.clear()

    def flush(self) -> None:
        """Nothing to wait for: `write` returns when the device has taken everything."""

    def close(self) -> None:
        """Close the port; a waiting `read` returns what it has."""
        with self._changed:
            self.is_open = False
            self._changed.notify_all()

    def __enter__(self) -> NativePort:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
