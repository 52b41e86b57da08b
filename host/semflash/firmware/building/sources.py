"""Gathers what a build folder holds: runtime, port, kernels, generated model, CMSIS-NN, build settings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from semflash.atomic import part_of
from semflash.errors import BuildError
from semflash.firmware.boards.clock_tree import Clock
from semflash.firmware.boards.descriptions import Board
from semflash.firmware.building.project import write_if_changed
from semflash.firmware.building.result import FILE_NAME

#: Folders of a build folder that semflash owns: files there that a build does not name are removed.
_OWNED = ("device", "model", "cmsis", "boards", "libraries")
_MARKER = ".semflash-build"
_CLOCKS = {"layers": "bench.c", "latency": "latency.c"}


@dataclass(frozen=True)
class CmsisFiles:
    """Where CMSIS-NN's files lie: `nn` holds Include and Source, `core` the CMSIS-Core headers."""

    nn: Path
    core: Path
    needed: tuple[
        str, ...
    ]  # sources relative to `nn`, for instance Source/ConvolutionFunctions/arm_convolve_s8.c


Files = dict[str, bytes]


@dataclass(frozen=True)
class Library:
    """Somebody else's code that PlatformIO builds as a library, in libraries/<folder>/ of the build folder.

    Attributes:
        name: As its library.json says.
        files: By path below its folder.
        includes: Folders below it.
        defines: Macros, for the library and for what calls it.
    """

    name: str
    folder: str
    files: Mapping[str, bytes]
    includes: tuple[str, ...]
    defines: Mapping[str, str]

    @property
    def include_dirs(self) -> list[str]:
        """Include folders, relative to the build folder."""
        return [f"libraries/{self.folder}/{name}".removesuffix("/.") for name in self.includes]


def gather(
    root: Path,
    board: Board,
    model: Mapping[str, str],
    cmsis: CmsisFiles | None,
    library: Library | None = None,
    *,
    bench: str = "",
) -> Files:
    """All files of the build folder but semflash.ini, by relative path.

    Args:
        root: Folder of device/, boards/ and platformio.ini.
        model: Generated files by name.
        cmsis: CMSIS-NN, or None where no layer uses it.
        library: What the model's engine comes with.
        bench: A clock, see BuildOptions.
    """
    files: Files = {}
    for pattern in _patterns(board):
        found = [path for path in sorted(root.glob(pattern)) if path.is_file()]
        files |= {path.relative_to(root).as_posix(): path.read_bytes() for path in found}
    files |= {f"model/{name}": text.encode("utf-8") for name, text in model.items()}
    if cmsis is not None:
        files |= _cmsis(cmsis)
    else:
        files.pop("device/kernels/cmsis_nn.c", None)  # calls CMSIS-NN, which no layer needs here
    if bench:
        clock = _CLOCKS[bench]
        files[f"device/bench/{clock}"] = (root / "device" / "bench" / clock).read_bytes()
    if library is not None:
        files |= {f"libraries/{library.folder}/{name}": data for name, data in library.files.items()}
    if board.kind != "native":
        files["platformio.ini"] = (root / "platformio.ini").read_bytes()
    return dict(sorted(files.items()))


def _patterns(board: Board) -> tuple[str, ...]:
    """What to take from the repository for a board."""
    runtime = (
        "device/include/**/*.h",
        "device/src/*.[ch]",
        "device/stages/*.c",
        "device/kernels/*.[ch]",
        "device/kernels/include/**/*.h",
    )
    if board.kind == "native":
        return (*runtime, "device/port/native/*.[ch]")
    port = (
        "device/app/*.[ch]",
        f"device/port/{board.port}/*",
        "device/port/common/*",
        "boards/scripts/*.py",
    )
    platform = ("boards/platform/**/*.json", "boards/platform/**/*.py") if board.kind == "emulated" else ()
    return (*runtime, *port, *platform)


def _cmsis(cmsis: CmsisFiles) -> Files:
    """Headers, and the sources that the plan needs."""
    files: Files = {}
    for header in sorted(cmsis.core.rglob("*.h")):
        files[f"cmsis/core/{header.relative_to(cmsis.core).as_posix()}"] = header.read_bytes()
    for header in sorted((cmsis.nn / "Include").rglob("*.h")):
        files[f"cmsis/nn/{header.relative_to(cmsis.nn).as_posix()}"] = header.read_bytes()
    for name in cmsis.needed:
        path = cmsis.nn / name
        if not path.is_file():
            raise BuildError(
                "CMSIS-NN lacks a source file that the model needs",
                value=path,
                remedy="leave --cmsis-nn-dir out to use the packaged CMSIS-NN, or use --kernels reference",
            )
        files[f"cmsis/nn/{name}"] = path.read_bytes()
    return files


def build_id(files: Mapping[str, bytes], settings: str) -> str:
    """The first 32 bits, hex, of the SHA-256 over all names, contents and settings."""
    digest = hashlib.sha256(settings.encode("utf-8"))
    for name, content in sorted(files.items()):
        digest.update(f"\0{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:8]


def defines(board: Board) -> dict[str, str]:
    """C macros that the board's description fixes; the build adds SF_BUILD_ID."""
    values = {"SF_BOARD_NAME": f'"{board.name}"'}
    if board.kind == "native":
        from semflash_codegen.cmsis_nn import HOST_DEFINES

        values |= HOST_DEFINES
    if board.serial is not None:
        values |= {
            "SF_PORT_USART": str(board.serial.usart),
            "SF_PORT_BAUD": f"{board.serial.baud}u",
            "SF_PORT_WATCHDOG_MS": f"{board.watchdog_ms}",
        }
    return values if board.clock is None else values | clock_defines(board.clock, board.clock_hz)


def clock_defines(clock: Clock, clock_hz: int) -> dict[str, str]:
    """C macros of a clock tree, for the ports' clock set-up and for ST's HAL."""
    external = clock.source.startswith("hse")
    values = {
        "SF_PORT_CLOCK_HZ": f"{clock_hz}u",
        "SF_PORT_HSE_HZ": f"{clock.source_hz if external else 0}u",
        "SF_PORT_HSE_BYPASS": f"{int(clock.source == 'hse-bypass')}",
        "SF_PORT_AHB_DIVIDER": f"{clock.ahb_divider}",
        "SF_PORT_APB1_DIVIDER": f"{clock.apb_dividers[0]}",
        "SF_PORT_APB2_DIVIDER": f"{clock.apb_dividers[1]}",
        "SF_PORT_WAIT_STATES": f"{clock.flash_wait_states}",
        "SF_PORT_OVER_DRIVE": f"{int(clock.over_drive)}",
    }
    values |= {
        f"SF_PORT_PLL_{name.upper()}": f"{getattr(clock.pll, name)}" for name in ("m", "n", "p", "q", "r")
    }
    if external:
        values["HSE_VALUE"] = f"{clock.source_hz}u"  # the templates of ST's HAL say 25 MHz
    return values


def link_flags(board: Board) -> list[str]:
    """Linker flags that give device/port/stm32f4/stm32f4.ld the board's memories."""
    if board.flash is None or not board.ram:
        return []
    memories = {
        "sf_flash_origin": board.flash.origin,
        "sf_flash_length": board.flash.size_bytes,
        "sf_ram_origin": board.ram[0].origin,
        "sf_ram_length": board.ram[0].size_bytes,
    }
    return [f"-Wl,--defsym={name}={value:#x}" for name, value in memories.items()]


def settings_ini(
    values: Mapping[str, str],
    link: Iterable[str],
    library: Library | None = None,
    *,
    board: Board | None = None,
) -> str:
    """semflash.ini: the settings of this build, read by platformio.ini.

    board: gets an environment of its own where platformio.ini has none for it.
    """
    macros = dict(values) if library is None else {**values, **library.defines}
    lines = [f"    -D{name}=" + value.replace('"', '\\"') for name, value in macros.items()]
    if library is not None:
        lines += [f"    -isystem {folder}" for folder in library.include_dirs]
    return "\n".join(
        [
            "; Written by semflash build. Do not edit: it is written again.",
            "[semflash]",
            "defines =",
            *lines,
            "link =",
            *(f"    {flag}" for flag in link),
            "libraries =" if library is None else f"libraries = {library.name}",
            *(_environment(board) if board is not None else ()),
            "",
        ]
    )


def _environment(board: Board) -> list[str]:
    """Lines of the environment of a board that platformio.ini does not know."""
    if board.platformio_board is None:
        return []
    return [
        f"[env:{board.platformio_env}]",
        f"extends = {board.port}_part",
        f"board = {board.platformio_board}",
    ]


def place(files: Mapping[str, bytes], folder: Path) -> None:
    """Bring the build folder to exactly `files`; what is unchanged keeps its time stamp.

    Raises:
        BuildError: the folder holds something that no build made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / _MARKER
    if not marker.exists() and set(folder.iterdir()) - {part_of(marker)}:
        raise BuildError(
            "the build folder holds files that no build made", value=folder, remedy="name an empty folder"
        )
    write_if_changed(marker, "This folder is written by semflash build.\n")
    for name, content in files.items():
        write_if_changed(folder / name, content)
    for owned in _OWNED:
        for path in sorted((folder / owned).rglob("*"), reverse=True):
            if path.is_file() and path.relative_to(folder).as_posix() not in files:
                path.unlink()
    (folder / FILE_NAME).unlink(missing_ok=True)  # written again when the build has succeeded
