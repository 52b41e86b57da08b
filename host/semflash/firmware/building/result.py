"""What a build made: sizes, kernels, ids. Kept as build.json in the build folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from semflash.errors import BuildError
from semflash.firmware.building.project import write_if_changed

FILE_NAME = "build.json"
_MAX_BYTES = 1 << 20


class LayerInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One layer of the device graph: which kernel runs it and why that one.

    step: number of the kernel call or streaming stage it runs in; joined layers share one.
    """

    name: str
    operator: str
    kernel: str
    why: str
    macs: int
    weights_bytes: int
    step: int = 0


class ImageSizes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bytes of a linked image.

    Attributes:
        flash: Everything that is written to flash, vectors and initial values included.
        code: Functions.
        tables: Constant objects.
        other_flash: The rest (vectors, literals, alignment).
        ram_static: .data and .bss, the encoder's state among them; without stack.
    """

    flash: int
    code: int
    tables: int
    other_flash: int
    ram_static: int
    sections: dict[str, int]


class MemoryKinds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bytes of a linked image by what they are for, from the linker's map.

    Attributes:
        encoder_code: Functions of engine, kernels, CMSIS-NN or TFLM, tail and packing.
        encoder_tables: Their constants: weights and plans; with TFLM also its own constants.
        tail_tables: Constants of the device tail.
        model_file: The .tflite file in flash (engine tflm), else 0.
        link_flash: Protocol, port, start-up and main, code and constants.
        library_flash: C and C++ library, whoever calls it.
        encoder_ram: State or arena, and encoder.
        payload_ram: The codes of one image.
        link_ram: Receive queue and frames.
        other_ram: The rest.
    """

    encoder_code: int
    encoder_tables: int
    tail_tables: int
    model_file: int
    link_flash: int
    library_flash: int
    encoder_ram: int
    payload_ram: int
    link_ram: int
    other_ram: int


class BuildResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One finished build. Paths are relative to `directory` so that the folder can be moved.

    Attributes:
        kind: Of the board.
        build_id: First 32 bits (hex) of the SHA-256 over all sources and settings.
        image: ELF file, or shared library for `native`.
        sizes: None for `native`.
        state_bytes: RAM the generated encoder asks for.
        arena_bytes: Its tensors' part of that.
        constant_bytes: Weights, tables and plan of the model.
        cmsis_nn: Where CMSIS-NN came from, or "none".
        convolution_symbols: CMSIS-NN convolutions found in the image.
        memory: None for `native`.
    """

    directory: str
    board: str
    kind: Literal["native", "emulated", "hardware"]
    bundle_name: str
    bundle_path: str
    bundle_hash: str
    build_id: str
    engine: str
    kernels: str
    image: str
    sizes: ImageSizes | None
    macs: int
    state_bytes: int
    arena_bytes: int
    constant_bytes: int
    cmsis_nn: str
    convolution_symbols: tuple[str, ...]
    layers: tuple[LayerInfo, ...]
    memory: MemoryKinds | None = None

    @property
    def image_path(self) -> Path:
        """The image as an absolute path."""
        return Path(self.directory) / self.image

    def save(self) -> Path:
        """Write build.json into the build folder, which it does not name: same input, same bytes."""
        path = Path(self.directory) / FILE_NAME
        portable = msgspec.structs.replace(self, directory=".")
        write_if_changed(path, msgspec.json.format(msgspec.json.encode(portable), indent=1) + b"\n")
        return path

    @classmethod
    def load(cls, directory: Path) -> BuildResult:
        """Read the build.json of a build folder.

        Raises:
            BuildError: there is none, it is damaged, or its image is gone.
        """
        path = Path(directory) / FILE_NAME
        try:
            data = path.read_bytes()
            if len(data) > _MAX_BYTES:
                raise ValueError(f"{len(data)} bytes is too long")
            result = msgspec.json.decode(data, type=cls)
        except FileNotFoundError as error:
            raise BuildError(
                "nothing was built here", value=directory, remedy="semflash build BUNDLE"
            ) from error
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            raise BuildError(
                "build.json is damaged", value=f"{path}: {error}", remedy="semflash build writes it anew"
            ) from error
        result = msgspec.structs.replace(result, directory=str(Path(directory).resolve()))
        if not result.image_path.is_file():
            raise BuildError(
                "the built image is gone", value=result.image_path, remedy="semflash build again"
            )
        return result
